//! Networks, as wanted and as they stand.

use crate::Subnet;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, net::IpAddr};

/// One pool of a network, as a user asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// The subnet.
    pub subnet: Subnet,
    /// Addresses handed out only from here.
    pub range: Option<Subnet>,
    /// The bridge's address; the first one if absent.
    pub gateway: Option<IpAddr>,
    /// Reserved: name → address.
    pub reserved: BTreeMap<String, IpAddr>,
}

/// A bridge network as it should be. `docker network create`'s options, typed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkSpec {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Name.
    pub name: String,
    /// Link name (`com.docker.network.bridge.name`), else made from the id (`br-<12 digits>`).
    pub bridge: Option<String>,
    /// Pools; empty: one IPv4 pool is chosen (and an IPv6 one if `ipv6`).
    pub pools: Vec<Pool>,
    /// Whether it has IPv6.
    pub ipv6: bool,
    /// No way out, no way in.
    pub internal: bool,
    /// Containers may talk to each other (`enable_icc`).
    pub icc: bool,
    /// NAT on the way out (`enable_ip_masquerade`).
    pub masquerade: bool,
    /// Bytes; 0 default.
    pub mtu: u32,
    /// Where ports without an address are published (`host_binding_ipv4`).
    pub host_binding: Option<IpAddr>,
    /// Names resolve here (user networks; not the default bridge).
    pub dns: bool,
}

/// A network as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// As wanted, with `bridge` and `pools` (and their gateways) filled in.
    pub spec: NetworkSpec,
    /// Host link.
    pub bridge: String,
}
