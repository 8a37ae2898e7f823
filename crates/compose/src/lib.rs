//! compose: a compose file → a plan of API calls, against any Docker engine.
//!
//! `load` reads the files (positions, interpolation, merge, extends, include, profiles) into a [`model::Project`];
//! `observe` lists what the engine has of it; `plan` is a pure function from both to ordered, printable steps;
//! `apply` runs them. See ARCHITECTURE.md and docs/compose.md.
#![forbid(unsafe_code)]

pub mod apply;
pub mod build;
pub mod command;
mod error;
pub mod kafka;
pub mod labels;
pub mod load;
pub mod model;
pub mod observe;
pub mod ops;
pub mod plan;
pub mod report;
pub mod units;
pub mod yaml;

pub use error::{Diagnostic, Error};
