//! Bridges, addresses, nftables maps, DNS, the port book. Blocking, no tokio, no logs.
//!
//! One nft table, one bridge per network; published ports are map elements; a container's network namespace is made and
//! wired here before its process exists, and handed to the shim as a descriptor. `docs/net.md` has the rules and priorities.
#![forbid(unsafe_code)]

use rustix::fd::{BorrowedFd, OwnedFd};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::PathBuf,
};

/// Class of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// No such network or endpoint.
    NotFound,
    /// Address, port, name or subnet is taken.
    Conflict,
    /// Bad input.
    Invalid,
    /// The kernel refused.
    Internal,
}

/// Operation, object, cause.
#[derive(Debug)]
pub struct Error {
    /// Class.
    pub kind: Kind,
    /// What was being done: `publish port`.
    pub operation: &'static str,
    /// To what: `0.0.0.0:80/tcp`, with a sentence where it helps: docker's is `port is already allocated`.
    pub object: String,
    /// Why.
    pub source: Option<std::io::Error>,
}

/// Shorthand.
pub type Result<T> = std::result::Result<T, Error>;

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

/// An address and a prefix length: `172.17.0.0/16`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Subnet {
    /// Address; host bits kept as given.
    pub address: IpAddr,
    /// Bits.
    pub prefix: u8,
}

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

/// The machine's networking for one engine. Cheap to clone (`Arc` inside); safe from many threads; own thread for DNS (and one for the ::1 and
/// userland cases that nft cannot do).
#[derive(Debug, Clone)]
pub struct Net {/* Arc<…> */}

impl Net {
    /// Makes the nft table, turns forwarding on, starts the DNS thread. Idempotent: what an earlier daemon of the same instance left is adopted.
    ///
    /// # Errors
    /// If the kernel refuses (not root, no nf_tables).
    pub fn open(config: Config) -> Result<Self> {
        let _unused = config;
        unimplemented!()
    }

    /// Makes (or, after a restart, finds) the bridge and rules of a network; chooses pools where none are given.
    ///
    /// # Errors
    /// `Conflict` if a subnet overlaps a network or a host route (docker: "Pool overlaps with other one on this address space").
    pub fn add_network(&self, spec: &NetworkSpec) -> Result<Network> {
        let _unused = spec;
        unimplemented!()
    }

    /// Removes the bridge and rules.
    ///
    /// # Errors
    /// `Conflict` while endpoints are attached.
    pub fn remove_network(&self, id: &str) -> Result<()> {
        let _unused = id;
        unimplemented!()
    }

    /// A new network namespace with `lo` up. From a thread of its own kind: the caller's namespace does not change.
    /// `sysctls` are `net.*` values to write in it.
    ///
    /// # Errors
    /// Kernel.
    pub fn sandbox(&self, sysctls: &BTreeMap<String, String>) -> Result<OwnedFd> {
        let _unused = sysctls;
        unimplemented!()
    }

    /// Puts a veth pair between the network's bridge and the namespace, addresses and routes set, names in the zone; carries traffic when it returns.
    /// On networks with `dns`, 127.0.0.11:53 answers in the namespace.
    ///
    /// # Errors
    /// `Conflict`: address in use; `Invalid`: outside the subnet. Nothing is left then.
    pub fn attach(&self, sandbox: BorrowedFd<'_>, attach: &Attach) -> Result<Endpoint> {
        let _unused = (sandbox, attach);
        unimplemented!()
    }

    /// Live `network disconnect`: removes the link, the names, the address.
    ///
    /// # Errors
    /// Kernel.
    pub fn detach(&self, sandbox: Option<BorrowedFd<'_>>, endpoint: &Endpoint) -> Result<()> {
        let _unused = (sandbox, endpoint);
        unimplemented!()
    }

    /// After a daemon restart: enters a running container's endpoints and ports in the books and serves its DNS again.
    ///
    /// # Errors
    /// Kernel.
    pub fn restore(&self, sandbox: BorrowedFd<'_>, endpoints: &[Endpoint], ports: &[Published]) -> Result<()> {
        let _unused = (sandbox, endpoints, ports);
        unimplemented!()
    }

    /// Publishes ports of a container to `endpoint`: reserves them on the host (bind check), then one nft transaction. All or nothing.
    ///
    /// # Errors
    /// `Conflict` names the address: "Bind for 0.0.0.0:80 failed: port is already allocated".
    pub fn publish(&self, endpoint: &Endpoint, ports: &[Publish]) -> Result<Vec<Published>> {
        let _unused = (endpoint, ports);
        unimplemented!()
    }

    /// The container has stopped: frees ports, names, addresses; stops its DNS. The namespace itself ends with its last descriptor. Never
    /// stops at the first failure.
    ///
    /// # Errors
    /// All that failed.
    pub fn release(&self, container: &str, endpoints: &[Endpoint], ports: &[Published]) -> std::result::Result<(), Vec<Error>> {
        let _unused = (container, endpoints, ports);
        unimplemented!()
    }

    /// Adds or replaces the names of an endpoint (rename).
    pub fn rename(&self, endpoint: &Endpoint, names: Vec<String>) {
        let _unused = (endpoint, names);
    }

    /// The resolvers that containers of the default bridge (or build steps) get in /etc/resolv.conf: the host's, less loopback ones (then the
    /// bridge's gateway forwards); and the search domains and options.
    #[must_use]
    pub fn resolvers(&self) -> Resolvers {
        unimplemented!()
    }

    /// Which resolvers a container's 127.0.0.11 forwards to, when not the host's (`--dns`).
    pub fn set_upstream(&self, container: &str, servers: Vec<IpAddr>) {
        let _unused = (container, servers);
    }

    /// Bytes, packets, errors, drops of each link inside a namespace, by name.
    ///
    /// # Errors
    /// Kernel.
    pub fn counters(&self, sandbox: BorrowedFd<'_>) -> Result<BTreeMap<String, Counters>> {
        let _unused = sandbox;
        unimplemented!()
    }

    /// Takes everything of this instance away: table, bridges. For a daemon that ends with `--cleanup` (tests, demo) and no container running.
    ///
    /// # Errors
    /// All that failed.
    pub fn destroy(&self) -> std::result::Result<(), Vec<Error>> {
        unimplemented!()
    }
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
