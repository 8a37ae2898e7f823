//! How this room fails.

use std::{fmt, io};

/// Class of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// No such network or endpoint.
    NotFound,
    /// Address, port, name or subnet is taken.
    Conflict,
    /// Bad input.
    Invalid,
    /// The kernel refused.
    Internal,
}

/// Operation, object, cause.
#[derive(Debug)]
pub struct Error {
    /// Class.
    pub kind: Kind,
    /// What was being done: `publish port`.
    pub operation: &'static str,
    /// To what: `0.0.0.0:80/tcp`, with a sentence where it helps: docker's is `port is already allocated`.
    pub object: String,
    /// Why.
    pub source: Option<io::Error>,
}

/// Shorthand.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// The kernel refused.
    pub(crate) fn kernel(operation: &'static str, object: impl Into<String>, source: io::Error) -> Self {
        Self { kind: Kind::Internal, operation, object: object.into(), source: Some(source) }
    }

    /// Something is taken.
    pub(crate) fn conflict(operation: &'static str, object: impl Into<String>) -> Self {
        Self { kind: Kind::Conflict, operation, object: object.into(), source: None }
    }

    /// Bad input.
    pub(crate) fn invalid(operation: &'static str, object: impl Into<String>) -> Self {
        Self { kind: Kind::Invalid, operation, object: object.into(), source: None }
    }

    /// No such thing.
    pub(crate) fn not_found(operation: &'static str, object: impl Into<String>) -> Self {
        Self { kind: Kind::NotFound, operation, object: object.into(), source: None }
    }
}

/// `operation: object: source`. Of a conflict, `object` alone is docker's sentence.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.operation, self.object)?;
        self.source.as_ref().map_or(Ok(()), |source| write!(f, ": {source}"))
    }
}

/// The source is part of the text, so the chain ends here.
impl std::error::Error for Error {}
