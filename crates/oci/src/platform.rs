//! An operating system and processor, as images name them.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A platform of the image specification (image-index.md), in Go's words.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
pub struct Platform {
    /// Processor: `amd64`, `arm64`, …
    pub architecture: String,
    /// Operating system: `linux`.
    pub os: String,
    /// Version of the operating system, where it matters (Windows).
    #[serde(rename = "os.version", default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// Variant of the processor: `v7`, `v8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// The platform this program was built for.
    #[must_use]
    pub fn host() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "x86" => "386",
            other => other,
        };
        Self {
            architecture: architecture.to_owned(),
            os: "linux".to_owned(),
            os_version: None,
            variant: None,
        }
    }

    /// Whether an image for `self` runs where `host` is wanted; an absent variant matches any.
    #[must_use]
    pub fn serves(&self, host: &Self) -> bool {
        self.os == host.os
            && self.architecture == host.architecture
            && (host.variant.is_none() || self.variant.is_none() || self.variant == host.variant)
    }
}

impl FromStr for Platform {
    type Err = String;

    /// `linux/amd64`, `linux/arm/v7`, `amd64`, `linux`.
    fn from_str(text: &str) -> Result<Self, String> {
        let host = Self::host();
        let mut parts = text.split('/');
        let (first, second, third) = (parts.next().unwrap_or(""), parts.next(), parts.next());
        if first.is_empty() || parts.next().is_some() {
            return Err(format!("invalid platform {text:?}: expected os/architecture[/variant]"));
        }
        let normal = |a: &str| match a {
            "x86_64" | "x86-64" => "amd64".to_owned(),
            "aarch64" => "arm64".to_owned(),
            other => other.to_owned(),
        };
        Ok(match second {
            Some(architecture) => Self {
                os: first.to_owned(),
                architecture: normal(architecture),
                os_version: None,
                variant: third.map(str::to_owned),
            },
            None if first == "linux" || first == "windows" => Self { os: first.to_owned(), ..host },
            None => Self { architecture: normal(first), ..host },
        })
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}
