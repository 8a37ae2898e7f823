//! API versions: which are served, and how a request names one.

use crate::Malformed;
use std::{fmt, str::FromStr};

/// A version of the Engine API: `1.41`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiVersion {
    /// Always 1 so far.
    pub major: u16,
    /// Grows with each release.
    pub minor: u16,
}

impl ApiVersion {
    /// The oldest that is served, always.
    pub const MIN: Self = Self::new(24);
    /// The newest: what is advertised, and what a path without a version means.
    pub const MAX: Self = Self::new(56);

    /// `1.<minor>`.
    #[must_use]
    pub const fn new(minor: u16) -> Self {
        Self { major: 1, minor }
    }

    /// Whether this is at least `1.<minor>`.
    #[must_use]
    pub fn since(self, minor: u16) -> bool {
        self >= Self::new(minor)
    }

    /// The version if it is served.
    ///
    /// # Errors
    /// docker's sentence: clients match it.
    pub fn gate(self) -> Result<Self, Malformed> {
        if self > Self::MAX {
            return Err(Malformed(format!(
                "client version {self} is too new. Maximum supported API version is {}",
                Self::MAX
            )));
        }
        if self < Self::MIN {
            return Err(Malformed(format!(
                "client version {self} is too old. Minimum supported API version is {}, please upgrade your client to a newer version",
                Self::MIN
            )));
        }
        Ok(self)
    }

    /// Splits `/v1.41/containers/json`; a path without a version means [`ApiVersion::MAX`]. Not gated.
    #[must_use]
    pub fn split(path: &str) -> (Self, &str) {
        let found = path.strip_prefix("/v").and_then(|rest| {
            let end = rest.find('/').unwrap_or(rest.len());
            let version = rest.get(..end)?.parse().ok()?;
            Some((version, rest.get(end..)?))
        });
        found.unwrap_or((Self::MAX, path))
    }
}

impl FromStr for ApiVersion {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let number =
            |part: &str| part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok()).flatten();
        text.split_once('.')
            .and_then(|(major, minor)| Some(Self { major: number(major)?, minor: number(minor)? }))
            .ok_or_else(|| Malformed(format!("invalid API version {text:?}")))
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_carry_a_version_or_mean_the_newest() {
        assert_eq!(ApiVersion::split("/v1.41/info"), (ApiVersion::new(41), "/info"));
        assert_eq!(ApiVersion::split("/v1.24"), (ApiVersion::new(24), ""));
        assert_eq!(ApiVersion::split("/info"), (ApiVersion::MAX, "/info"));
        assert_eq!(ApiVersion::split("/volumes/x"), (ApiVersion::MAX, "/volumes/x"));
        assert_eq!(ApiVersion::split("/v1.x/info"), (ApiVersion::MAX, "/v1.x/info"));
    }

    #[test]
    fn versions_compare_by_number_and_are_gated_in_dockers_words() {
        assert!(ApiVersion::new(9) < ApiVersion::new(24));
        assert_eq!(
            "1.99".parse::<ApiVersion>().and_then(ApiVersion::gate),
            Err(Malformed("client version 1.99 is too new. Maximum supported API version is 1.56".into()))
        );
        assert!(ApiVersion::new(12).gate().is_err_and(|e| e.0.contains("1.12 is too old")));
        assert_eq!(ApiVersion::MIN.gate(), Ok(ApiVersion::MIN));
    }
}
