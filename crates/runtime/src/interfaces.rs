//! Interfaces of the host that move into a container (`linux.netDevices`).

use crate::Error;
use crate::step::Interface;
use dhow_sys::netlink::{self, Family, Socket};
use dhow_sys::netns;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{Mode, OFlags, open};
use rustix::process::Pid;
use std::io;
use std::net::IpAddr;

/// Moves each into the network namespace of the process `pid`, with its addresses, and up. The caller is there for a moment.
pub(crate) fn move_all(interfaces: &[Interface], pid: Pid) -> Result<(), Error> {
    if interfaces.is_empty() {
        return Ok(());
    }
    let path = format!("/proc/{}/ns/net", pid.as_raw_nonzero());
    let inside = open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|e| Error::os("open", &path, e))?;
    let home = netns::current().map_err(|e| Error::io("open", "network namespace", &e))?;
    for interface in interfaces {
        let failed = |e: io::Error| Error::io("move network device", &interface.name, &e);
        let addresses = send(interface, inside.as_fd()).map_err(failed)?;
        netns::enter(inside.as_fd()).map_err(failed)?;
        let received = receive(interface, &addresses);
        netns::enter(home.as_fd()).map_err(failed)?;
        received.map_err(failed)?;
    }
    Ok(())
}

/// Here: notes the addresses that the move takes away, and moves.
fn send(interface: &Interface, namespace: BorrowedFd<'_>) -> io::Result<Vec<(IpAddr, u8)>> {
    let mut socket = Socket::open(Family::Route)?;
    let link = netlink::route::link(&mut socket, &interface.name)?;
    let of_link =
        netlink::route::addresses(&mut socket)?.into_iter().filter(|(index, ..)| *index == link.index);
    // The kernel gives link-local ones by itself.
    let local = |address: &IpAddr| matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
    let addresses =
        of_link.map(|(_, address, prefix)| (address, prefix)).filter(|(address, _)| !local(address));
    let addresses = addresses.collect();
    socket.request(&netlink::route::move_link(link.index, namespace, &interface.inside))?;
    Ok(addresses)
}

/// There.
fn receive(interface: &Interface, addresses: &[(IpAddr, u8)]) -> io::Result<()> {
    let mut socket = Socket::open(Family::Route)?;
    let link = netlink::route::link(&mut socket, &interface.inside)?;
    for (address, prefix) in addresses {
        socket.request(&netlink::route::add_address(link.index, *address, *prefix))?;
    }
    socket.request(&netlink::route::set_up(link.index))
}
