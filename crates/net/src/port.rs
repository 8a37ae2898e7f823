//! Ports, as wanted and as published.

use serde::{Deserialize, Serialize};
use std::{fmt, net::IpAddr};

/// Transport of a published port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// 6
    Tcp,
    /// 17
    Udp,
    /// 132
    Sctp,
}

/// A port to publish. `host_port` (0, 0) takes any free one, the same on IPv4 and IPv6.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publish {
    /// In the container.
    pub container_port: u16,
    /// Transport.
    pub protocol: Protocol,
    /// `None`: 0.0.0.0 and ::.
    pub host_ip: Option<IpAddr>,
    /// First and last of the range to choose from.
    pub host_port: (u16, u16),
}

/// A port as published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// In the container.
    pub container_port: u16,
    /// Transport.
    pub protocol: Protocol,
    /// Where it listens: 0.0.0.0, ::, or one address.
    pub host_ip: IpAddr,
    /// The port chosen.
    pub host_port: u16,
}

impl Protocol {
    /// Its number in an IP header.
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        })
    }
}
