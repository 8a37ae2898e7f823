//! What can go wrong, each case naming its object once.

use std::{fmt, path::PathBuf};

use crate::yaml::Position;

/// A fault in a compose file: `compose.yaml:12:7: services.web.ports[0]: …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Where it is written.
    pub at: Position,
    /// The key, dotted, empty for the file as a whole.
    pub path: String,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            write!(f, "{}: {}", self.at, self.message)
        } else {
            write!(f, "{}: {}: {}", self.at, self.path, self.message)
        }
    }
}

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The compose file is wrong.
    #[error("{0}")]
    File(Box<Diagnostic>),
    /// A file of the project cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Wrong in itself: an option, a name, a combination.
    #[error("{0}")]
    Invalid(String),
    /// The engine refused, or cannot be reached.
    #[error("{what}: {}", engine_message(source))]
    Engine {
        /// What was asked, naming its object.
        what: String,
        /// The answer.
        source: Box<bollard::errors::Error>,
    },
    /// A service that others wait for did not come up.
    #[error("dependency failed to start: {why}")]
    Dependency {
        /// The container.
        container: String,
        /// What became of it.
        why: String,
    },
    /// What was waited for did not happen.
    #[error("{why}")]
    Wait {
        /// The container.
        container: String,
        /// What became of it.
        why: String,
    },
    /// Standard input, output or the terminal failed.
    #[error("terminal: {0}")]
    Terminal(#[from] std::io::Error),
    /// Ctrl-C.
    #[error("interrupted")]
    Interrupted,
}

impl From<Diagnostic> for Error {
    fn from(diagnostic: Diagnostic) -> Self {
        Self::File(Box::new(diagnostic))
    }
}

impl Error {
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid(message.into())
    }

    pub(crate) fn engine(what: impl Into<String>) -> impl FnOnce(bollard::errors::Error) -> Self {
        let what = what.into();
        move |source| Self::Engine { what, source: Box::new(source) }
    }

    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }

    /// The HTTP status the engine answered with.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Engine { source, .. } => status(source),
            _ => None,
        }
    }
}

/// The status inside an engine's answer.
pub(crate) fn status(error: &bollard::errors::Error) -> Option<u16> {
    match error {
        bollard::errors::Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// The engine's own sentence, without the client's wrapping.
fn engine_message(error: &bollard::errors::Error) -> String {
    match error {
        bollard::errors::Error::DockerResponseServerError { message, .. } => message.clone(),
        bollard::errors::Error::DockerStreamError { error } => error.clone(),
        other => causes(other),
    }
}

/// An error with what is behind it, each said once.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = cause.source();
    }
    text
}
