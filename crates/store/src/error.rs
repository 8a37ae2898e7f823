//! The one error of this room: operation, object, cause.

use std::{fmt, io};

/// What class a failure is of; upstairs maps it to a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The named thing does not exist.
    NotFound,
    /// It exists already, is in use, or is ambiguous.
    Conflict,
    /// The input is bad: tar, digest, manifest, name.
    Invalid,
    /// The disk is full or a quota hit.
    NoSpace,
    /// Anything else.
    Internal,
}

/// Operation, object, cause.
#[derive(Debug)]
pub struct Error {
    /// Class.
    pub kind: Kind,
    /// What was being done: `unpack layer`.
    pub operation: &'static str,
    /// To what.
    pub object: String,
    /// Why.
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Shorthand.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of class `kind` with a cause (a text or another error).
    pub(crate) fn new(
        kind: Kind,
        operation: &'static str,
        object: impl Into<String>,
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self { kind, operation, object: object.into(), source: Some(cause.into()) }
    }

    /// `object` does not exist.
    pub(crate) fn absent(operation: &'static str, object: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, operation, object, "not found")
    }

    /// The input is bad.
    pub(crate) fn invalid(
        operation: &'static str,
        object: impl Into<String>,
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::new(Kind::Invalid, operation, object, cause)
    }

    /// The system refused; a full disk is told apart. An [`Error`] that travelled inside the `io::Error` comes out as it was.
    pub(crate) fn io(
        operation: &'static str,
        object: impl Into<String>,
        cause: impl Into<io::Error>,
    ) -> Self {
        let cause: io::Error = cause.into();
        match cause.downcast::<Self>() {
            Ok(inner) => inner,
            Err(cause) => {
                let kind = match cause.kind() {
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Kind::NoSpace,
                    io::ErrorKind::NotFound => Kind::NotFound,
                    _ => Kind::Internal,
                };
                Self::new(kind, operation, object, cause)
            }
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.operation, self.object)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|cause| cause as &(dyn std::error::Error + 'static))
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::other(error)
    }
}

/// Names the operation and object of a system call's failure.
pub(crate) trait At<T> {
    /// As [`Error::io`].
    fn at(self, operation: &'static str, object: impl Into<String>) -> Result<T>;
}

impl<T, E: Into<io::Error>> At<T> for std::result::Result<T, E> {
    fn at(self, operation: &'static str, object: impl Into<String>) -> Result<T> {
        self.map_err(|cause| Error::io(operation, object, cause))
    }
}
