//! Names and documents of the Open Container Initiative, as types that parse: digests, references, platforms,
//! the image specification and the runtime specification. Pure: no I/O, no policy.
#![forbid(unsafe_code)]

mod digest;
pub mod image;
mod platform;
mod reference;
pub mod runtime;
pub mod stats;

pub use digest::{Digest, InvalidDigest};
pub use platform::Platform;
pub use reference::{InvalidReference, Reference};
