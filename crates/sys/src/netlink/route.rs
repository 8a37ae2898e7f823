//! Links, addresses and routes: [`rtnetlink(7)`](https://man7.org/linux/man-pages/man7/rtnetlink.7.html).

use super::message::{ACK, Attributes, CREATE, DUMP, EXCL, Message, REPLACE, Reply};
use super::socket::Socket;
use rustix::fd::{AsRawFd, BorrowedFd};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

const NEWLINK: u16 = 16;
const DELLINK: u16 = 17;
const GETLINK: u16 = 18;
const NEWADDR: u16 = 20;
const GETADDR: u16 = 22;
const NEWROUTE: u16 = 24;
const GETROUTE: u16 = 26;

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_STATS64: u16 = 23;
const IFLA_NET_NS_FD: u16 = 28;
const INFO_KIND: u16 = 1;
const INFO_DATA: u16 = 2;
const INFO_SLAVE_KIND: u16 = 4;
const INFO_SLAVE_DATA: u16 = 5;
const VETH_INFO_PEER: u16 = 1;
const BRPORT_HAIRPIN: u16 = 4;
const BRPORT_ISOLATED: u16 = 33;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;
const IFA_F_NODAD: u8 = 2;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_TABLE: u16 = 15;
const IFF_UP: u32 = 1;

/// `RTNLGRP_IPV6_IFADDR`: notices of IPv6 addresses, see [`Socket::join`].
pub const IPV6_ADDRESSES: i32 = 9;

/// The address a notice of [`IPV6_ADDRESSES`] says is usable now.
#[must_use]
pub fn usable(notice: Reply<'_>) -> Option<IpAddr> {
    notice.attributes(8).find(IFA_ADDRESS).and_then(ip).filter(|_| notice.kind == NEWADDR)
}

/// A link as the kernel describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Link {
    /// Index in its namespace.
    pub index: u32,
    /// Name.
    pub name: String,
    /// `bridge`, `veth`, …; empty for hardware and `lo`.
    pub kind: String,
    /// Index of its bridge, 0 if none.
    pub master: u32,
    /// `IFF_UP`.
    pub up: bool,
    /// rx packets, tx packets, rx bytes, tx bytes, rx errors, tx errors, rx dropped, tx dropped.
    pub counters: [u64; 8],
}

/// A veth pair with one end here and the other in a namespace.
#[derive(Debug, Clone, Copy)]
pub struct Veth<'a> {
    /// Name here.
    pub name: &'a str,
    /// Index of the bridge this end joins.
    pub bridge: u32,
    /// Bytes; 0 for the default.
    pub mtu: u32,
    /// Name there.
    pub peer: &'a str,
    /// Hardware address there.
    pub mac: [u8; 6],
    /// There.
    pub namespace: BorrowedFd<'a>,
    /// No traffic to other isolated ports of the bridge.
    pub isolated: bool,
    /// What comes in by this end may leave by it.
    pub hairpin: bool,
}

fn ifinfomsg(index: u32, flags: u32, change: u32) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[4..8].copy_from_slice(&index.to_ne_bytes());
    bytes[8..12].copy_from_slice(&flags.to_ne_bytes());
    bytes[12..16].copy_from_slice(&change.to_ne_bytes());
    bytes
}

/// A bridge, down. `EEXIST` if the name is taken.
#[must_use]
pub fn add_bridge(name: &str, mac: [u8; 6], mtu: u32) -> Message {
    let mut message = Message::new(NEWLINK, ACK | CREATE | EXCL, &ifinfomsg(0, 0, 0));
    message.put_str(IFLA_IFNAME, name).put(IFLA_ADDRESS, &mac);
    if mtu != 0 {
        message.put_u32(IFLA_MTU, mtu);
    }
    message.nest(IFLA_LINKINFO, |info| {
        info.put_str(INFO_KIND, "bridge");
    });
    message
}

/// Both ends in one message: moving an end afterwards costs the kernel 16–31 ms. This end comes up at once, the other is down.
#[must_use]
pub fn add_veth(veth: &Veth<'_>) -> Message {
    let mut message = Message::new(NEWLINK, ACK | CREATE | EXCL, &ifinfomsg(0, IFF_UP, IFF_UP));
    message.put_str(IFLA_IFNAME, veth.name).put_u32(IFLA_MASTER, veth.bridge);
    if veth.mtu != 0 {
        message.put_u32(IFLA_MTU, veth.mtu);
    }
    message.nest(IFLA_LINKINFO, |info| {
        info.put_str(INFO_KIND, "veth");
        info.nest(INFO_DATA, |data| {
            data.nest(VETH_INFO_PEER, |peer| {
                peer.raw(&ifinfomsg(0, 0, 0));
                peer.put_str(IFLA_IFNAME, veth.peer).put(IFLA_ADDRESS, &veth.mac);
                if veth.mtu != 0 {
                    peer.put_u32(IFLA_MTU, veth.mtu);
                }
                peer.put_u32(IFLA_NET_NS_FD, veth.namespace.as_raw_fd().cast_unsigned());
            });
        });
    });
    if veth.isolated || veth.hairpin {
        message.next(NEWLINK, ACK, &ifinfomsg(0, 0, 0));
        message.put_str(IFLA_IFNAME, veth.name).nest(IFLA_LINKINFO, |info| {
            info.put_str(INFO_SLAVE_KIND, "bridge");
            info.nest(INFO_SLAVE_DATA, |data| {
                data.put(BRPORT_ISOLATED, &[u8::from(veth.isolated)])
                    .put(BRPORT_HAIRPIN, &[u8::from(veth.hairpin)]);
            });
        });
    }
    message
}

/// Brings a link up.
#[must_use]
pub fn set_up(index: u32) -> Message {
    Message::new(NEWLINK, ACK, &ifinfomsg(index, IFF_UP, IFF_UP))
}

/// Moves a link to another network namespace, under this name there. It is down afterwards, and without its addresses.
#[must_use]
pub fn move_link(index: u32, namespace: BorrowedFd<'_>, name: &str) -> Message {
    let mut message = Message::new(NEWLINK, ACK, &ifinfomsg(index, 0, 0));
    message.put_str(IFLA_IFNAME, name);
    message.put_u32(IFLA_NET_NS_FD, u32::try_from(namespace.as_raw_fd()).unwrap_or(u32::MAX));
    message
}

/// Deletes a link. Slow (16 ms): prefer to drop its namespace.
#[must_use]
pub fn delete_link(name: &str) -> Message {
    let mut message = Message::new(DELLINK, ACK, &ifinfomsg(0, 0, 0));
    message.put_str(IFLA_IFNAME, name);
    message
}

/// An address, usable at once (no duplicate address detection). With `CREATE | EXCL`: `EEXIST` if it is there.
#[must_use]
pub fn add_address(index: u32, address: IpAddr, prefix: u8) -> Message {
    let header = |family: libc::c_int, flags: u8| {
        let mut bytes = [u8::try_from(family).unwrap_or(0), prefix, flags, 0, 0, 0, 0, 0];
        bytes[4..].copy_from_slice(&index.to_ne_bytes());
        bytes
    };
    match address {
        IpAddr::V4(v4) => {
            let mut message = Message::new(NEWADDR, ACK | CREATE | EXCL, &header(libc::AF_INET, 0));
            message.put(IFA_LOCAL, &v4.octets()).put(IFA_ADDRESS, &v4.octets());
            if prefix < 31 {
                let broadcast = u32::from(v4) | (u32::MAX >> prefix);
                message.put(IFA_BROADCAST, &broadcast.to_be_bytes());
            }
            message
        }
        IpAddr::V6(v6) => {
            let mut message =
                Message::new(NEWADDR, ACK | CREATE | EXCL, &header(libc::AF_INET6, IFA_F_NODAD));
            message.put(IFA_LOCAL, &v6.octets()).put(IFA_ADDRESS, &v6.octets());
            message
        }
    }
}

fn rtmsg(family: libc::c_int) -> [u8; 12] {
    // Any destination; table main, protocol boot, scope universe, type unicast.
    [u8::try_from(family).unwrap_or(0), 0, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0]
}

/// The default route, in place of another.
#[must_use]
pub fn add_default_route(index: u32, gateway: IpAddr) -> Message {
    let family = if gateway.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let mut message = Message::new(NEWROUTE, ACK | CREATE | REPLACE, &rtmsg(family));
    match gateway {
        IpAddr::V4(v4) => message.put(RTA_GATEWAY, &v4.octets()),
        IpAddr::V6(v6) => message.put(RTA_GATEWAY, &v6.octets()),
    };
    message.put_u32(RTA_OIF, index);
    message
}

/// The link of this name. Answering makes the kernel settle the carrier of the link first, so this is a barrier too: without it the first
/// packet through a new veth is lost now and then, for a second.
///
/// # Errors
/// `ENODEV` if there is none.
pub fn link(socket: &mut Socket, name: &str) -> io::Result<Link> {
    let mut message = Message::new(GETLINK, ACK, &ifinfomsg(0, 0, 0));
    message.put_str(IFLA_IFNAME, name);
    let mut found = None;
    socket.query(&message, |reply| found = read_link(reply).or(found.take()))?;
    found.ok_or_else(|| io::Error::from_raw_os_error(libc::ENODEV))
}

/// All links of the namespace.
///
/// # Errors
/// Kernel.
pub fn links(socket: &mut Socket) -> io::Result<Vec<Link>> {
    let mut all = Vec::new();
    socket.query(&Message::new(GETLINK, DUMP, &ifinfomsg(0, 0, 0)), |reply| all.extend(read_link(reply)))?;
    Ok(all)
}

fn read_link(reply: Reply<'_>) -> Option<Link> {
    let header: [u8; 16] = reply.body.get(..16)?.try_into().ok().filter(|_| reply.kind == NEWLINK)?;
    let attributes = reply.attributes(16);
    let mut counters = [0; 8];
    if let Some(stats) = attributes.find(IFLA_STATS64) {
        for (counter, bytes) in counters.iter_mut().zip(stats.chunks_exact(8)) {
            *counter = bytes.try_into().map_or(0, u64::from_ne_bytes);
        }
    }
    Some(Link {
        index: u32::from_ne_bytes([header[4], header[5], header[6], header[7]]),
        name: attributes.text(IFLA_IFNAME)?.to_owned(),
        kind: attributes.nested(IFLA_LINKINFO).text(INFO_KIND).unwrap_or_default().to_owned(),
        master: attributes.u32(IFLA_MASTER).unwrap_or(0),
        up: header[8] & 1 != 0,
        counters,
    })
}

/// All addresses of the namespace: link index, address, prefix length.
///
/// # Errors
/// Kernel.
pub fn addresses(socket: &mut Socket) -> io::Result<Vec<(u32, IpAddr, u8)>> {
    let mut all = Vec::new();
    socket.query(&Message::new(GETADDR, DUMP, &[0; 8]), |reply| {
        let attributes = reply.attributes(8);
        let address = attributes.find(IFA_LOCAL).or_else(|| attributes.find(IFA_ADDRESS)).and_then(ip);
        if let (Some(header), Some(address), NEWADDR) = (reply.body.get(..8), address, reply.kind) {
            all.push((u32::from_ne_bytes([header[4], header[5], header[6], header[7]]), address, header[1]));
        }
    })?;
    Ok(all)
}

/// Destinations of the main routing table other than the default: link index, destination, prefix length.
///
/// # Errors
/// Kernel.
pub fn routes(socket: &mut Socket) -> io::Result<Vec<(u32, IpAddr, u8)>> {
    let mut all = Vec::new();
    socket.query(&Message::new(GETROUTE, DUMP, &[0; 12]), |reply| {
        let attributes = reply.attributes(12);
        let table = attributes.u32(RTA_TABLE);
        if let (Some(header), Some(to), Some(254), NEWROUTE) =
            (reply.body.get(..12), destination(attributes), table, reply.kind)
        {
            all.push((attributes.u32(RTA_OIF).unwrap_or(0), to, header[1]));
        }
    })?;
    Ok(all)
}

fn destination(attributes: Attributes<'_>) -> Option<IpAddr> {
    attributes.find(RTA_DST).and_then(ip)
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(v4).into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|v6| Ipv6Addr::from(v6).into())
}
