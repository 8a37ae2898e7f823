//! Bridges, addresses, nftables maps, DNS, the port book. Blocking, no tokio, no logs.
//!
//! One nft table, one bridge per network; published ports are map elements; a container's network namespace is made and
//! wired here before its process exists, and handed to the shim as a descriptor. `docs/net.md` has the rules and priorities.
//!
//! *Observe*: [`Net::open`] and [`Net::add_network`] look at links, routes and addresses. *Plan*: `rules`, `pools`, `addresses`, `portbook` and
//! the DNS zone are pure. *Apply*: `links`, `sandbox`, `net` send the plans.
#![forbid(unsafe_code)]

mod accept;
mod addresses;
mod attach;
mod books;
mod config;
mod dns;
mod endpoint;
mod error;
mod links;
mod net;
mod network;
mod pools;
mod port;
mod portbook;
mod proxy;
mod publish;
mod rules;
mod sandbox;
mod subnet;
mod watch;
mod worker;

pub use config::{Config, Resolvers};
pub use endpoint::{Attach, Counters, Endpoint};
pub use error::{Error, Kind, Result};
pub use net::Net;
pub use network::{Network, NetworkSpec, Pool};
pub use port::{Protocol, Publish, Published};
pub use subnet::Subnet;
