//! Names: a zone per network, one thread that answers all containers, and the way out to the host's resolvers.
//!
//! `packet` and `zone` are pure; `server` owns the thread, `state` is what it knows and does; `upstream` forwards.

mod clients;
mod packet;
mod resolv;
mod server;
mod state;
mod upstream;
mod zone;

pub(crate) use resolv::ResolvConf;
pub(crate) use server::{Server, Sockets};
pub(crate) use zone::Record;

use std::net::Ipv4Addr;

/// Where containers find us.
pub(crate) const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);
