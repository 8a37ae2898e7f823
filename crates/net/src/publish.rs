//! Publishing ports: the port book, the sockets that hold them, the maps, stale flows.

use crate::books::{Books, Held};
use crate::net::Inner;
use crate::port::Protocol;
use crate::{Endpoint, Error, Net, Publish, Published, Result, proxy, rules};
use dhow_sys::netlink::conntrack;
use rustix::{fd::OwnedFd, io::Errno};
use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// Linux's range, should the file not be readable.
const EPHEMERAL: (u16, u16) = (32_768, 60_999);

type Reserved = Vec<(Held, Option<OwnedFd>)>;

impl Net {
    /// Publishes ports of a container to `endpoint`: reserves them on the host (bind check), then one nft transaction. All or nothing. On an
    /// internal network nothing is published.
    ///
    /// # Errors
    /// `Conflict` names the address: "Bind for 0.0.0.0:80 failed: port is already allocated".
    pub fn publish(&self, endpoint: &Endpoint, ports: &[Publish]) -> Result<Vec<Published>> {
        let inner = &*self.inner;
        let mut books = inner.books();
        let spec = &books.network(&endpoint.network)?.network.spec;
        if spec.internal || ports.is_empty() {
            return Ok(Vec::new());
        }
        let binding = spec.host_binding;
        let mut reserved: Reserved = Vec::new();
        for wanted in ports {
            match reserve(&mut books, endpoint, wanted, binding) {
                Ok(some) => reserved.extend(some),
                Err(error) => {
                    for (held, _) in &reserved {
                        books.ports.free(&endpoint.container, &held.port);
                    }
                    return Err(error);
                }
            }
        }
        let published = reserved.iter().map(|(held, _)| held.port.clone()).collect();
        let container = endpoint.container.clone();
        let plan = enter(inner, &mut books, &container, reserved);
        let done = plan.and_then(|plan| {
            let changes = books.publish(&plan);
            inner.apply(&books, &changes).map(|()| plan)
        });
        let done = done.and_then(|plan| forget_flows(inner, plan.iter().map(|(port, _)| port)));
        match done {
            Ok(()) => Ok(published),
            Err(error) => {
                drop(books);
                let mut undone = release(inner, &container, &published);
                let error = Error::kernel("publish ports of", container, error);
                Err(match undone.pop() {
                    None => error,
                    Some(second) => {
                        Error { object: format!("{} (and undoing it: {second})", error.object), ..error }
                    }
                })
            }
        }
    }
}

/// Gives the sockets to the proxy and the ports to the books; what to tell nft.
fn enter(
    inner: &Inner,
    books: &mut Books,
    container: &str,
    reserved: Reserved,
) -> io::Result<Vec<(Published, SocketAddr)>> {
    let mut plan = Vec::with_capacity(reserved.len());
    let mut outcome = Ok(());
    for (mut held, fd) in reserved {
        if let Some(fd) = fd {
            match inner.proxy.add(fd, held.port.protocol, held.target) {
                Ok(listener) => held.listener = listener,
                Err(error) => outcome = Err(error),
            }
        }
        plan.push((held.port.clone(), held.target));
        books.held.entry(container.to_owned()).or_default().push(held);
    }
    outcome.map(|()| plan)
}

/// The addresses a port is wanted on.
fn hosts(wanted: &Publish, binding: Option<IpAddr>) -> Vec<IpAddr> {
    match wanted.host_ip.or(binding) {
        Some(address) => vec![address],
        None => vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
    }
}

/// Where a port on this host address leads: to the container's address of the same family, else to its other one (through the proxy).
fn target(endpoint: &Endpoint, host: IpAddr, port: u16) -> Option<SocketAddr> {
    let v4 = endpoint.ipv4.map(|(address, _)| IpAddr::V4(address));
    let v6 = endpoint.ipv6.map(|(address, _)| IpAddr::V6(address));
    let address = if host.is_ipv4() { v4.or(v6) } else { v6.or(v4) };
    address.map(|address| SocketAddr::new(address, port))
}

/// Takes the first port of the range that is free on all addresses, in the book and on the host.
fn reserve(
    books: &mut Books,
    endpoint: &Endpoint,
    wanted: &Publish,
    binding: Option<IpAddr>,
) -> Result<Reserved> {
    let any = wanted.host_port == (0, 0);
    let range = if any { ephemeral() } else { wanted.host_port };
    if range.0 > range.1 || range.0 == 0 {
        return Err(Error::invalid(
            "publish port",
            format!("invalid host port range {}-{}", range.0, range.1),
        ));
    }
    let hosts = hosts(wanted, binding);
    let mut last = None;
    for port in books.ports.candidates(range, any) {
        match hold(books, endpoint, wanted, &hosts, port) {
            Ok(reserved) => {
                reserved.iter().for_each(|(held, _)| books.ports.take(&endpoint.container, &held.port));
                if any {
                    books.ports.given(port);
                }
                return Ok(reserved);
            }
            // Anything but "taken" is the same for every port.
            Err(error) if error.kind != crate::Kind::Conflict => return Err(error),
            Err(error) => last = Some(error),
        }
    }
    match last {
        Some(error) if range.0 == range.1 => Err(error),
        _ => Err(Error::conflict("publish port", "all ports are allocated")),
    }
}

/// Holds one port on all addresses.
fn hold(
    books: &Books,
    endpoint: &Endpoint,
    wanted: &Publish,
    hosts: &[IpAddr],
    port: u16,
) -> Result<Reserved> {
    let protocol = wanted.protocol;
    let mut reserved = Vec::with_capacity(hosts.len());
    for host in hosts {
        let address = SocketAddr::new(*host, port);
        if books.ports.is_taken(protocol, *host, port) {
            return Err(Error::conflict(
                "publish port",
                format!("Bind for {address} failed: port is already allocated"),
            ));
        }
        let Some(target) = target(endpoint, *host, wanted.container_port) else {
            return Err(Error::invalid(
                "publish port",
                format!("{address}/{protocol}: the container has no address on this network"),
            ));
        };
        let fd = match proxy::hold(protocol, address) {
            Ok(fd) => fd,
            // "Any address" on a machine without IPv6.
            Err(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL) if host.is_ipv6() && hosts.len() > 1 => continue,
            Err(Errno::ADDRINUSE) => {
                let text = format!("failed to bind host port {address}/{protocol}: address already in use");
                return Err(Error::conflict("publish port", text));
            }
            Err(error) => {
                return Err(Error::kernel(
                    "publish port",
                    format!("failed to bind host port {address}/{protocol}"),
                    error.into(),
                ));
            }
        };
        let port =
            Published { container_port: wanted.container_port, protocol, host_ip: *host, host_port: port };
        reserved.push((Held { port, target, listener: 0 }, fd));
    }
    Ok(reserved)
}

fn ephemeral() -> (u16, u16) {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut numbers = text.split_whitespace().map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(first)), Some(Ok(last))) if first > 0 && first <= last => (first, last),
        _ => EPHEMERAL,
    }
}

/// UDP flows that began before the rules changed would keep their old way for as long as they last.
fn forget_flows<'a>(inner: &Inner, ports: impl Iterator<Item = &'a Published>) -> io::Result<()> {
    let mut seen: Vec<(bool, u16)> = ports
        .filter(|port| port.protocol == Protocol::Udp)
        .map(|port| (port.host_ip.is_ipv6(), port.host_port))
        .collect();
    seen.sort_unstable();
    seen.dedup();
    let mut socket = inner.netfilter();
    seen.into_iter().try_for_each(|(v6, port)| conntrack::forget_udp(&mut socket, v6, port).map(drop))
}

/// Publishes again what was published before a restart.
pub(crate) fn restore(inner: &Inner, endpoints: &[Endpoint], ports: &[Published]) -> Result<()> {
    let mut books = inner.books();
    let Some(container) = endpoints.first().map(|endpoint| endpoint.container.clone()) else { return Ok(()) };
    let mut outcome = Ok(());
    let mut reserved: Reserved = Vec::new();
    let known: Vec<Published> =
        books.held.get(&container).into_iter().flatten().map(|held| held.port.clone()).collect();
    for port in ports.iter().filter(|port| !known.contains(port)) {
        let address = SocketAddr::new(port.host_ip, port.host_port);
        let open = |endpoint: &&Endpoint| {
            books.networks.get(&endpoint.network).is_some_and(|entry| !entry.network.spec.internal)
        };
        let Some(target) = endpoints
            .iter()
            .filter(open)
            .find_map(|endpoint| target(endpoint, port.host_ip, port.container_port))
        else {
            outcome =
                Err(Error::invalid("publish port again", format!("{address}: the container has no address")));
            continue;
        };
        if books.ports.is_taken(port.protocol, port.host_ip, port.host_port) {
            outcome = Err(Error::conflict(
                "publish port again",
                format!("Bind for {address} failed: port is already allocated"),
            ));
            continue;
        }
        let fd = proxy::hold(port.protocol, address).unwrap_or_else(|error| {
            let text = format!("failed to bind host port {address}/{}", port.protocol);
            let kind = if error == Errno::ADDRINUSE { crate::Kind::Conflict } else { crate::Kind::Internal };
            outcome = Err(Error { kind, ..Error::kernel("publish port again", text, error.into()) });
            None
        });
        books.ports.take(&container, port);
        reserved.push((Held { port: port.clone(), target, listener: 0 }, fd));
    }
    let done = enter(inner, &mut books, &container, reserved).and_then(|plan| {
        let changes = books.publish(&plan);
        inner.apply(&books, &changes)?;
        forget_flows(inner, plan.iter().map(|(port, _)| port))
    });
    done.map_err(|error| Error::kernel("publish ports again of", container, error)).and(outcome)
}

/// Takes ports of a container back: those given, or all it has if none are. Never stops at the first failure.
pub(crate) fn release(inner: &Inner, container: &str, ports: &[Published]) -> Vec<Error> {
    let mut books = inner.books();
    let all = books.held.remove(container).unwrap_or_default();
    let (gone, kept): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|held| ports.is_empty() || ports.contains(&held.port));
    if !kept.is_empty() {
        books.held.insert(container.to_owned(), kept);
    }
    let mut plan = Vec::with_capacity(gone.len());
    for held in gone {
        inner.proxy.remove(held.listener);
        books.ports.free(container, &held.port);
        plan.push((held.port, held.target));
    }
    let mut errors = Vec::new();
    let failed = |operation| move |error| Error::kernel(operation, container, error);
    errors.extend(inner.apply(&books, &rules::unpublish(&plan)).map_err(failed("unpublish ports of")).err());
    errors.extend(
        forget_flows(inner, plan.iter().map(|(port, _)| port)).map_err(failed("forget flows of")).err(),
    );
    errors
}
