//! Bridges and the host's ends of veth pairs.

use crate::sandbox::optional;
use crate::{Error, NetworkSpec, Result, Subnet};
use dhow_sys::netlink::{
    Socket,
    route::{self, Link},
};
use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr},
};

/// `IFNAMSIZ` less the end.
const NAME: usize = 15;

/// The bridge's name: the one asked for, or made from the network's id.
pub(crate) fn bridge_name(spec: &NetworkSpec) -> Option<String> {
    let name = spec.bridge.clone().unwrap_or_else(|| format!("br-{}", spec.id.get(..12).unwrap_or(&spec.id)));
    let clean = !name.is_empty()
        && name.len() <= NAME
        && name != "."
        && name != ".."
        && !name.contains(|c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control());
    clean.then_some(name)
}

/// A bridge with these addresses, up; one of the name that is there is taken over.
pub(crate) fn ensure_bridge(
    socket: &mut Socket,
    name: &str,
    addresses: &[(IpAddr, u8)],
    mtu: u32,
) -> io::Result<Link> {
    let mac = addresses.iter().find_map(|(address, _)| mac_of(*address)).unwrap_or_else(random_mac);
    match socket.request(&route::add_bridge(name, mac, mtu)) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let link = route::link(socket, name)?;
    if link.kind != "bridge" {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            format!("link {name} exists and is no bridge"),
        ));
    }
    // Published on 127.0.0.1: its packets leave by this link. The raw chain keeps others from using that.
    fs::write(format!("/proc/sys/net/ipv4/conf/{name}/route_localnet"), "1")?;
    let v6 = addresses.iter().any(|(address, _)| address.is_ipv6());
    let sysctl = |name_of: &str, value| optional(&format!("/proc/sys/net/ipv6/conf/{name}/{name_of}"), value);
    if !link.up {
        // Looking for duplicates of its link-local address, it could not find containers for the first seconds.
        sysctl("accept_dad", "0")?;
    }
    sysctl("disable_ipv6", if v6 { "0" } else { "1" })?;
    for (address, prefix) in addresses {
        match socket.request(&route::add_address(link.index, *address, *prefix)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    if !link.up {
        socket.request(&route::set_up(link.index))?;
    }
    Ok(link)
}

/// Docker's: the address in the hardware address, so that neighbours' caches stay right when an address comes back.
pub(crate) fn mac_of(address: IpAddr) -> Option<[u8; 6]> {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            Some([0x02, 0x42, a, b, c, d])
        }
        IpAddr::V6(_) => None,
    }
}

pub(crate) fn random_mac() -> [u8; 6] {
    let [a, b, c, d] = fastrand::u32(..).to_be_bytes();
    [0x02, 0x42, a, b, c, d]
}

/// Bytes nobody can guess.
pub(crate) fn random<const N: usize>(operation: &'static str) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::kernel(operation, "random bytes", io::Error::other(error.to_string())))?;
    Ok(bytes)
}

/// What the host has: addresses and routes, less those of our own bridges. New networks keep clear of it.
pub(crate) fn occupied(socket: &mut Socket, ours: &[String]) -> io::Result<Vec<Subnet>> {
    let mine: Vec<u32> = route::links(socket)?
        .into_iter()
        .filter(|link| ours.contains(&link.name))
        .map(|link| link.index)
        .collect();
    let mut all = route::addresses(socket)?;
    all.extend(route::routes(socket)?);
    all.retain(|(link, address, _)| !mine.contains(link) && !is_everywhere(*address));
    Ok(all.into_iter().map(|(_, address, prefix)| Subnet { address, prefix }.network()).collect())
}

/// Link-local and loopback addresses are on every link and no one's subnet.
fn is_everywhere(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4 == Ipv4Addr::UNSPECIFIED,
        IpAddr::V6(v6) => {
            v6.is_loopback() || v6.is_multicast() || v6.is_unicast_link_local() || v6.is_unspecified()
        }
    }
}

/// Whether the kernel runs bridged packets through our rules (`br_netfilter`). It then bridges what a container sends to its own published
/// port, instead of routing it, and the bridge must be told to send it back where it came from.
pub(crate) fn bridges_filter() -> bool {
    fs::read("/proc/sys/net/bridge/bridge-nf-call-iptables").is_ok_and(|value| value.starts_with(b"1"))
}

/// Lets the machine route. IPv6 links that take their routes from advertisements go on doing so, which routers otherwise do not.
pub(crate) fn forward(v6: bool) -> io::Result<()> {
    if !v6 {
        return ensure("/proc/sys/net/ipv4/ip_forward", "1");
    }
    let all = "/proc/sys/net/ipv6/conf/all/forwarding";
    if fs::read_to_string(all)?.trim() == "1" {
        return Ok(());
    }
    for link in fs::read_dir("/proc/sys/net/ipv6/conf")? {
        let accept = link?.path().join("accept_ra");
        // A link may go away meanwhile.
        if fs::read_to_string(&accept).is_ok_and(|value| value.trim() == "1") {
            optional(&accept.to_string_lossy(), "2")?;
        }
    }
    fs::write(all, "1")
}

fn ensure(path: &str, value: &str) -> io::Result<()> {
    if fs::read_to_string(path)?.trim() == value { Ok(()) } else { fs::write(path, value) }
}
