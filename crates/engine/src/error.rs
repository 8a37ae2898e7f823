//! The engine's one error type: a class that `api` maps to a status, and a sentence.

use std::fmt;

/// Class of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// 404
    NotFound,
    /// 409
    Conflict,
    /// 400
    Invalid,
    /// 304
    NotModified,
    /// 401
    Unauthorized,
    /// 403
    Forbidden,
    /// 503
    Unavailable,
    /// 501
    Unsupported,
    /// 500
    Internal,
}

/// What went wrong, in docker's words where docker has some (clients match them).
#[derive(Debug)]
pub struct Error {
    /// Class.
    pub kind: Kind,
    /// The whole sentence for a user, source included where it says more.
    pub message: String,
    /// Why.
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Shorthand.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of this class with this sentence.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
