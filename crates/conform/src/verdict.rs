//! How a scenario ends.

use std::fmt;

/// Why a scenario did not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The runtime did something else than the specification says.
    Failed(String),
    /// This machine cannot show it.
    Skipped(String),
}

/// Nothing to say, or why not.
pub(crate) type Verdict<T = ()> = Result<T, Stop>;

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(text) | Self::Skipped(text) => f.write_str(text),
        }
    }
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(format!("the suite itself: {error}"))
    }
}

impl From<rustix::io::Errno> for Stop {
    fn from(error: rustix::io::Errno) -> Self {
        Self::from(std::io::Error::from(error))
    }
}

/// Fails with a sentence.
pub(crate) fn failed<T>(text: impl Into<String>) -> Verdict<T> {
    Err(Stop::Failed(text.into()))
}

/// Leaves the scenario out with a sentence.
pub(crate) fn skip<T>(text: impl Into<String>) -> Verdict<T> {
    Err(Stop::Skipped(text.into()))
}

/// Fails unless both are the same.
pub(crate) fn same<A: PartialEq<B> + fmt::Debug, B: fmt::Debug>(what: &str, seen: A, wanted: B) -> Verdict {
    if seen == wanted { Ok(()) } else { failed(format!("{what}: {seen:?}, not {wanted:?}")) }
}

/// Fails with the sentence unless it holds.
pub(crate) fn must(holds: bool, otherwise: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { failed(otherwise()) }
}
