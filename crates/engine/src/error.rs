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

    /// What was not found had been named by the request's body: that is wrong then, not its path.
    pub(crate) fn of_input(mut self) -> Self {
        if self.kind == Kind::NotFound {
            self.kind = Kind::Invalid;
        }
        self
    }

    /// Says what was being done to which object, before why not.
    pub(crate) fn within(mut self, doing: &str, object: &str) -> Self {
        self.message = format!("{doing} {object}: {}", self.message);
        self
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

impl From<dhow_store::Error> for Error {
    fn from(error: dhow_store::Error) -> Self {
        use dhow_store::Kind as Below;
        let kind = match error.kind {
            Below::NotFound => Kind::NotFound,
            Below::Conflict => Kind::Conflict,
            Below::Invalid => Kind::Invalid,
            Below::NoSpace | Below::Internal => Kind::Internal,
        };
        let mut message = format!("{} {}", error.operation, error.object);
        if let Some(source) = &error.source {
            message = format!("{message}: {source}");
        }
        // said above: a chain that is printed says it once
        Self { kind, message, source: None }
    }
}

impl From<dhow_net::Error> for Error {
    fn from(error: dhow_net::Error) -> Self {
        use dhow_net::Kind as Below;
        let kind = match error.kind {
            Below::NotFound => Kind::NotFound,
            Below::Conflict => Kind::Conflict,
            Below::Invalid => Kind::Invalid,
            Below::Internal => Kind::Internal,
        };
        Self { kind, message: net_sentence(&error), source: error.source.map(|source| Box::new(source) as _) }
    }
}

impl From<dhow_registry::Error> for Error {
    fn from(error: dhow_registry::Error) -> Self {
        use dhow_registry::Kind as Below;
        let kind = match error.kind {
            Below::NotFound => Kind::NotFound,
            Below::Unauthorized => Kind::Unauthorized,
            Below::Unavailable => Kind::Unavailable,
            Below::Invalid | Below::Internal => Kind::Internal,
        };
        Self { kind, message: error.message, source: error.source }
    }
}

impl From<dhow_runtime::Error> for Error {
    fn from(error: dhow_runtime::Error) -> Self {
        Self::new(if error.errno == 0 { Kind::Invalid } else { Kind::Internal }, runtime_sentence(&error))
    }
}

/// An I/O failure with what was being done to what.
pub(crate) fn io(operation: &str, object: impl fmt::Display, source: std::io::Error) -> Error {
    Error {
        kind: Kind::Internal,
        message: format!("{operation} {object}: {source}"),
        source: Some(Box::new(source)),
    }
}

/// One sentence of a failure of the machine room.
pub(crate) fn runtime_sentence(error: &dhow_runtime::Error) -> String {
    if error.step == "runtime" {
        return crate::runtimes::reason(&error.detail);
    }
    let mut message = format!("{} {}", error.step, error.object);
    if error.errno != 0 {
        message = format!("{message}: {}", std::io::Error::from_raw_os_error(error.errno));
    }
    if error.detail.is_empty() { message } else { format!("{message}: {}", error.detail) }
}

fn net_sentence(error: &dhow_net::Error) -> String {
    let base = format!("{}: {}", error.operation, error.object);
    error.source.as_ref().map_or_else(|| base.clone(), |source| format!("{base}: {source}"))
}

/// Several failures of the network as one.
pub(crate) fn net_errors(errors: Vec<dhow_net::Error>) -> Error {
    let text: Vec<String> = errors.iter().map(net_sentence).collect();
    Error::new(Kind::Internal, text.join("; "))
}
