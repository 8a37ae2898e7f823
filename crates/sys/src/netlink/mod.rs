//! rtnetlink and nfnetlink: sockets, messages, and the requests Dhow makes of links, addresses, routes, nf_tables and conntrack.
//!
//! A request is built without I/O ([`Message`]) and sent by a [`Socket`]; the kernel answers before `send` returns, so nothing here waits.
//! See [`netlink(7)`](https://man7.org/linux/man-pages/man7/netlink.7.html),
//! [`rtnetlink(7)`](https://man7.org/linux/man-pages/man7/rtnetlink.7.html).

pub mod conntrack;
pub mod message;
pub mod nft;
pub mod route;
mod socket;

pub use message::{Attributes, Message, Reply};
pub use socket::{Family, Socket};
