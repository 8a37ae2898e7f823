//! Ends of containers on networks.

use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, Ipv6Addr},
};

/// One end of a container on a network, as wanted.
#[derive(Debug, Clone, Default)]
pub struct Attach {
    /// Network id.
    pub network: String,
    /// Container id.
    pub container: String,
    /// Fixed address, if asked for.
    pub ipv4: Option<Ipv4Addr>,
    /// Likewise.
    pub ipv6: Option<Ipv6Addr>,
    /// Fixed MAC.
    pub mac: Option<[u8; 6]>,
    /// Link name inside; else the next `ethN`.
    pub interface: Option<String>,
    /// Whether this one carries the default route.
    pub default_route: bool,
    /// Names other containers of the network find it by: container name, short id, aliases, compose service.
    pub names: Vec<String>,
    /// Names only this container sees: name → other container's name (links).
    pub links: BTreeMap<String, String>,
}

/// One end of a container on a network, as it stands. The engine stores it to restore and release it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Network id.
    pub network: String,
    /// Container id.
    pub container: String,
    /// Link inside.
    pub interface: String,
    /// Link on the host.
    pub host_interface: String,
    /// Address and prefix length.
    pub ipv4: Option<(Ipv4Addr, u8)>,
    /// Likewise.
    pub ipv6: Option<(Ipv6Addr, u8)>,
    /// Of the inner link.
    pub mac: [u8; 6],
    /// Default route.
    pub gateway4: Option<Ipv4Addr>,
    /// Default route.
    pub gateway6: Option<Ipv6Addr>,
    /// See [`Attach::names`].
    pub names: Vec<String>,
    /// See [`Attach::links`].
    pub links: BTreeMap<String, String>,
}

/// A link's counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the names are the documentation")]
pub struct Counters {
    pub rx_bytes: u64,
    pub rx_packets: u64,
    pub rx_errors: u64,
    pub rx_dropped: u64,
    pub tx_bytes: u64,
    pub tx_packets: u64,
    pub tx_errors: u64,
    pub tx_dropped: u64,
}
