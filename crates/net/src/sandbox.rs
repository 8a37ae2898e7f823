//! Inside a container's namespace: loopback, sysctls, the inner end of a link, the resolver's sockets.

use crate::dns::{ADDRESS, Sockets};
use crate::rules::{RESOLVER_TABLE, resolver};
use crate::{Counters, Endpoint, Error, Result};
use dhow_sys::{
    netlink::{Family, Message, Socket, nft, route},
    netns,
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fd::{AsFd, BorrowedFd, OwnedFd},
    net::{AddressFamily, SocketFlags, SocketType, bind, getsockname, listen, socket_with},
};
use std::{
    collections::BTreeMap,
    fs, io,
    net::{IpAddr, SocketAddr},
};

/// Index of `lo` in every namespace.
const LOOPBACK: u32 = 1;

/// A namespace with `lo` up; links have no IPv6 until a network gives them some.
pub(crate) fn create(sysctls: &BTreeMap<String, String>) -> Result<OwnedFd> {
    let mut paths = Vec::with_capacity(sysctls.len());
    for (name, value) in sysctls {
        paths.push((sysctl_path(name)?, value));
    }
    let inside = || -> io::Result<std::result::Result<(), Error>> {
        Socket::open(Family::Route)?.request(&route::set_up(LOOPBACK))?;
        optional("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1")?;
        for (path, value) in &paths {
            if let Err(error) = fs::write(path, value.as_bytes()) {
                return Ok(Err(Error {
                    kind: crate::Kind::Invalid,
                    ..Error::kernel("write sysctl", path, error)
                }));
            }
        }
        Ok(Ok(()))
    };
    let (namespace, outcome) =
        netns::create(inside).map_err(|error| Error::kernel("make network namespace", "sandbox", error))?;
    outcome.map(|()| namespace)
}

/// `net.ipv4.ip_forward`, or with slashes where a part contains a dot (`net/ipv4/conf/eth0.1/forwarding`), as sysctl(8).
fn sysctl_path(name: &str) -> Result<String> {
    // The first separator says which it is.
    let path = match name.find(['.', '/']) {
        Some(at) if name[at..].starts_with('/') => name.to_owned(),
        _ => name.replace('.', "/"),
    };
    let clean = path.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
    if clean && path.starts_with("net/") {
        Ok(format!("/proc/sys/{path}"))
    } else {
        Err(Error::invalid("write sysctl", format!("{name}: not a sysctl of a network namespace")))
    }
}

/// Writes a file that a kernel without the feature does not have.
pub(crate) fn optional(path: &str, value: &str) -> io::Result<()> {
    match fs::write(path, value) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Addresses and routes of the inner end; the resolver's sockets if wanted.
pub(crate) fn wire(
    namespace: BorrowedFd<'_>,
    endpoint: &Endpoint,
    resolver: bool,
) -> io::Result<Option<Sockets>> {
    netns::within(namespace, || {
        let mut socket = Socket::open(Family::Route)?;
        let index = route::link(&mut socket, &endpoint.interface)?.index;
        if endpoint.ipv6.is_some() {
            optional(&format!("/proc/sys/net/ipv6/conf/{}/disable_ipv6", endpoint.interface), "0")?;
        }
        let notices = endpoint.ipv6.map(|(address, _)| Notices::of(address.into())).transpose()?;
        socket.request(&plan(endpoint, index))?;
        // The barrier of route::link for this end: IPv6 is silent until the kernel has settled the carrier.
        route::link(&mut socket, &endpoint.interface)?;
        notices.map_or(Ok(()), Notices::wait)?;
        resolver.then(|| resolver_sockets(namespace)).transpose()
    })
}

/// Longest wait for an IPv6 address; it takes some 50 µs.
const READY: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

/// The kernel makes an IPv6 address usable (asked for by its neighbours) a moment after it has answered; a question of that moment is lost, and
/// repeated only a second later.
struct Notices {
    socket: Socket,
    address: IpAddr,
}

impl Notices {
    fn of(address: IpAddr) -> io::Result<Self> {
        let socket = Socket::open(Family::Route)?;
        socket.join(route::IPV6_ADDRESSES)?;
        Ok(Self { socket, address })
    }

    /// Until the address is usable. If that takes too long (IPv6 off in this namespace by sysctl), it is as usable as it gets.
    fn wait(mut self) -> io::Result<()> {
        let mut usable = false;
        while !usable && poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], Some(&READY))? > 0 {
            let complete =
                self.socket.notices(|notice| usable |= route::usable(notice) == Some(self.address))?;
            usable |= !complete;
        }
        Ok(())
    }
}

/// Addresses, then up, then routes, which need both.
fn plan(endpoint: &Endpoint, index: u32) -> Message {
    let mut steps = Vec::with_capacity(5);
    steps.extend(endpoint.ipv4.map(|(address, prefix)| route::add_address(index, address.into(), prefix)));
    steps.extend(endpoint.ipv6.map(|(address, prefix)| route::add_address(index, address.into(), prefix)));
    steps.push(route::set_up(index));
    steps.extend(endpoint.gateway4.map(|gateway| route::add_default_route(index, gateway.into())));
    steps.extend(endpoint.gateway6.map(|gateway| route::add_default_route(index, gateway.into())));
    let mut plan = steps.remove(0);
    steps.iter().for_each(|step| plan.extend(step));
    plan
}

/// The resolver's sockets of a namespace, and the rules that lead to them. Called in it.
fn resolver_sockets(namespace: BorrowedFd<'_>) -> io::Result<Sockets> {
    let (udp, tcp) = listeners(SocketAddr::new(ADDRESS.into(), 0))?;
    let rules = nft::transaction(RESOLVER_TABLE, &resolver(port(&udp)?, port(&tcp)?));
    Socket::open(Family::Netfilter)?.request(&rules)?;
    Ok(Sockets { udp, tcp, namespace: Some(namespace.try_clone_to_owned()?), only: None })
}

/// As [`wire`] does, for a namespace that was wired before: the sockets of an earlier daemon are gone, its rules are written anew.
pub(crate) fn resolver_again(namespace: BorrowedFd<'_>) -> io::Result<Sockets> {
    netns::within(namespace, || resolver_sockets(namespace))
}

/// A UDP and a listening TCP socket in the calling thread's namespace.
pub(crate) fn listeners(address: SocketAddr) -> io::Result<(OwnedFd, OwnedFd)> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let udp = socket_with(family, SocketType::DGRAM, flags, None)?;
    bind(&udp, &address)?;
    let tcp = socket_with(family, SocketType::STREAM, flags, None)?;
    bind(&tcp, &address)?;
    listen(&tcp, 64)?;
    Ok((udp, tcp))
}

fn port(socket: &OwnedFd) -> io::Result<u16> {
    let address = SocketAddr::try_from(getsockname(socket)?)
        .map_err(|_| io::Error::other("socket without an internet address"))?;
    Ok(address.port())
}

/// Names of the links inside, to find a free one.
pub(crate) fn links(namespace: BorrowedFd<'_>) -> io::Result<Vec<route::Link>> {
    netns::within(namespace, || route::links(&mut Socket::open(Family::Route)?))
}

/// See [`crate::Net::counters`].
pub(crate) fn counters(namespace: BorrowedFd<'_>) -> io::Result<BTreeMap<String, Counters>> {
    let counters = |link: route::Link| {
        let [rx_packets, tx_packets, rx_bytes, tx_bytes, rx_errors, tx_errors, rx_dropped, tx_dropped] =
            link.counters;
        (
            link.name,
            Counters {
                rx_bytes,
                rx_packets,
                rx_errors,
                rx_dropped,
                tx_bytes,
                tx_packets,
                tx_errors,
                tx_dropped,
            },
        )
    };
    Ok(links(namespace)?.into_iter().map(counters).collect())
}

/// Removes the inner end, and so the pair.
pub(crate) fn unplug(namespace: BorrowedFd<'_>, interface: &str) -> io::Result<()> {
    netns::within(namespace, || Socket::open(Family::Route)?.request(&route::delete_link(interface)))
}

/// Gives a live container its default route by another link.
pub(crate) fn reroute(namespace: BorrowedFd<'_>, interface: &str, gateways: &[IpAddr]) -> io::Result<()> {
    netns::within(namespace.as_fd(), || {
        let mut socket = Socket::open(Family::Route)?;
        let index = route::link(&mut socket, interface)?.index;
        for gateway in gateways {
            socket.request(&route::add_default_route(index, *gateway))?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sysctl_names() {
        assert_eq!(sysctl_path("net.ipv4.ip_forward").unwrap(), "/proc/sys/net/ipv4/ip_forward");
        assert_eq!(
            sysctl_path("net/ipv4/conf/eth0.1/forwarding").unwrap(),
            "/proc/sys/net/ipv4/conf/eth0.1/forwarding"
        );
        for bad in ["kernel.pid_max", "net", "net/../kernel/pid_max", "net..x", "/net/x"] {
            assert!(sysctl_path(bad).is_err(), "{bad}");
        }
    }
}
