//! How an engine's networking is set up.

use crate::Subnet;
use std::{net::IpAddr, path::PathBuf};

/// How this engine's networking is set up.
#[derive(Debug, Clone)]
pub struct Config {
    /// Distinguishes engines on one machine: names the nft table (`dhow` for the default engine, else `dhow-<instance>`) and bridges.
    pub instance: String,
    /// Subnets for networks without one: (pool, prefix length of each). Docker's defaults when empty; overlapping host routes are skipped.
    pub pools: Vec<(Subnet, u8)>,
    /// Address of the default bridge (`--bip`), if fixed.
    pub bip: Option<Subnet>,
    /// Where the host's resolvers are read from (re-read when it changes).
    pub resolv_conf: PathBuf,
}

/// What goes into a resolv.conf.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Resolvers {
    /// In order.
    pub servers: Vec<IpAddr>,
    /// Domains.
    pub search: Vec<String>,
    /// `ndots:1`, …
    pub options: Vec<String>,
}
