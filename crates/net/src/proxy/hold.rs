//! Sockets that hold published ports on the host.

use crate::port::Protocol;
use rustix::{
    fd::OwnedFd,
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt},
};
use std::net::SocketAddr;

/// Holds a port on the host, so that no other program gets it: bound, and for TCP listening, since a port bound by a socket that does not
/// listen can still be taken with SO_REUSEADDR. `None`: of a protocol without sockets.
pub(crate) fn hold(protocol: Protocol, address: SocketAddr) -> Result<Option<OwnedFd>, Errno> {
    let kind = match protocol {
        Protocol::Tcp => SocketType::STREAM,
        Protocol::Udp => SocketType::DGRAM,
        Protocol::Sctp => return Ok(None),
    };
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let fd = socket_with(family, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&fd, true)?;
    }
    if protocol == Protocol::Tcp {
        // Connections of an earlier holder that are still closing do not count.
        sockopt::set_socket_reuseaddr(&fd, true)?;
    }
    bind(&fd, &address)?;
    if protocol == Protocol::Tcp {
        listen(&fd, 128)?;
    }
    Ok(Some(fd))
}
