//! The userland way to published ports, for what nft cannot translate: ::1, and host addresses of a family the container does not have.
//!
//! Its sockets are at the same time what holds the ports on the host. Where the maps translate, no packet ever reaches them; should someone
//! flush the table, they carry the traffic until it is back.

mod hold;
mod pair;
mod relay;

pub(crate) use hold::hold;
pub(crate) use relay::Proxy;
