//! Compose files → [`Project`](crate::model::Project).

pub mod canonical;
mod decode;
pub mod dotenv;
mod extends;
mod files;
mod include;
pub mod interpolate;
pub mod merge;
mod name;
mod paths;
mod short;

pub use decode::clean;
pub(crate) use files::service_of_text;
pub use files::{Loaded, Options, load};
pub use name::{check as check_name, normalise as normalise_name};
