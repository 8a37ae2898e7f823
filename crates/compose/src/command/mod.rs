//! `dhow compose …`: the command line over [`crate::ops`], for any CLI to mount.

mod args;
mod dispatch;
mod requests;

pub use args::{Command, ComposeArgs};
pub use dispatch::run;
