//! Where a runtime is known to do otherwise than a scenario asks. Expected, and checked: a difference that is gone is a failure too.

/// One scenario that does not pass.
#[derive(Debug)]
pub(crate) struct Difference {
    pub(crate) scenario: &'static str,
    pub(crate) kind: Kind,
    pub(crate) reason: &'static str,
}

/// Whose fault it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The specification says otherwise.
    Wrong,
    /// That part of the specification is younger.
    Old,
}

impl Kind {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Wrong => "wrong",
            Self::Old => "too old",
        }
    }
}

/// The differences of a runtime by name.
pub(crate) fn of(runtime: &str) -> Option<&'static [Difference]> {
    match runtime {
        "runc" => Some(RUNC),
        "none" => Some(&[]),
        _ => None,
    }
}

/// runc 1.1.5, as Debian 12 has it.
pub(crate) const RUNC: &[Difference] = &[];
