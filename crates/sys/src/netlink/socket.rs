//! A netlink socket: send, gather the answers.

use super::message::{Message, Reply, read_u32};
use rustix::{
    fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, netlink, recv, send, socket_with,
        sockopt,
    },
};
use std::io;

const ERROR: u16 = 2;
const DONE: u16 = 3;
/// `NETLINK_ADD_MEMBERSHIP`, `NETLINK_CAP_ACK`.
const ADD_MEMBERSHIP: libc::c_int = 1;
const CAP_ACK: libc::c_int = 10;

/// Which part of the kernel a socket speaks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// `NETLINK_ROUTE`: links, addresses, routes.
    Route,
    /// `NETLINK_NETFILTER`: nf_tables, conntrack.
    Netfilter,
}

/// Bound to the network namespace of the thread that opened it, whoever uses it later.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Socket {
    /// [`socket(2)`](https://man7.org/linux/man-pages/man2/socket.2.html) of the calling thread's network namespace.
    ///
    /// # Errors
    /// As the system call.
    pub fn open(family: Family) -> io::Result<Self> {
        let protocol = match family {
            Family::Route => None,
            Family::Netfilter => Some(netlink::NETFILTER),
        };
        let fd = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
        set_option(fd.as_fd(), CAP_ACK, 1)?;
        Ok(Self { fd, sequence: 1, buffer: vec![0; 32 * 1024] })
    }

    /// Room for big transactions (`SO_SNDBUFFORCE`); needs `CAP_NET_ADMIN`.
    ///
    /// # Errors
    /// As the system call.
    pub fn enlarge(&self, bytes: usize) -> io::Result<()> {
        sockopt::set_socket_send_buffer_size_force(&self.fd, bytes)?;
        Ok(sockopt::set_socket_recv_buffer_size_force(&self.fd, bytes)?)
    }

    /// Sends the messages and returns the first error any of them met; one of them at least carries `ACK` (or `DUMP`), and the answer to the
    /// last that does ends the exchange.
    ///
    /// # Errors
    /// The kernel's answer, or that of the system call.
    pub fn request(&mut self, message: &Message) -> io::Result<()> {
        self.exchange(message, |_| {})
    }

    /// Sends one request for an object or a dump and hands each answer to `each`.
    ///
    /// # Errors
    /// As [`Self::request`].
    pub fn query(&mut self, message: &Message, each: impl FnMut(Reply<'_>)) -> io::Result<()> {
        self.exchange(message, each)
    }

    fn exchange(&mut self, message: &Message, mut each: impl FnMut(Reply<'_>)) -> io::Result<()> {
        let base = self.sequence;
        let last = base.wrapping_add(message.answered());
        self.sequence = base.wrapping_add(message.count());
        send(&self.fd, &message.numbered(base), SendFlags::empty())?;
        let mut outcome = Ok(());
        loop {
            // The kernel has answered before send returned: an empty queue is an answer that was lost.
            let length = match recv(&self.fd, &mut self.buffer[..], RecvFlags::DONTWAIT | RecvFlags::TRUNC) {
                Ok((_, length)) => length,
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => return outcome.and(Err(io::Error::other("no answer from the kernel"))),
                Err(error) => return Err(error.into()),
            };
            let Some(datagram) = self.buffer.get(..length) else {
                return Err(io::Error::other("answer of the kernel longer than the buffer"));
            };
            for reply in Reply::parse(datagram) {
                // What an earlier request left unread.
                if reply.sequence.wrapping_sub(base) >= message.count() {
                    continue;
                }
                match reply.kind {
                    ERROR | DONE => {
                        let code = if reply.body.len() >= 4 { read_u32(reply.body).cast_signed() } else { 0 };
                        if code < 0 && outcome.is_ok() {
                            outcome = Err(io::Error::from_raw_os_error(-code));
                        }
                        // An error of the first of several is that of a whole batch: no other need follow.
                        if reply.sequence == last || (code < 0 && reply.sequence == base) {
                            return outcome;
                        }
                    }
                    _ => each(reply),
                }
            }
        }
    }

    /// Receives notices of a multicast group from now on.
    ///
    /// # Errors
    /// As [`setsockopt(2)`](https://man7.org/linux/man-pages/man2/setsockopt.2.html).
    pub fn join(&self, group: libc::c_int) -> io::Result<()> {
        // Without a port of its own it would be taken for the sender of every notice, and left out.
        bind(&self.fd, &netlink::SocketAddrNetlink::new(0, 0))?;
        set_option(self.fd.as_fd(), ADD_MEMBERSHIP, group)
    }

    /// The notices waiting, without waiting for more; `false` if some were lost.
    ///
    /// # Errors
    /// As [`recv(2)`](https://man7.org/linux/man-pages/man2/recv.2.html).
    pub fn notices(&mut self, mut each: impl FnMut(Reply<'_>)) -> io::Result<bool> {
        let mut complete = true;
        loop {
            match recv(&self.fd, &mut self.buffer[..], RecvFlags::DONTWAIT | RecvFlags::TRUNC) {
                Ok((_, length)) => match self.buffer.get(..length) {
                    Some(datagram) => Reply::parse(datagram).for_each(&mut each),
                    None => complete = false,
                },
                Err(Errno::INTR) => {}
                Err(Errno::NOBUFS) => complete = false,
                Err(Errno::AGAIN) => return Ok(complete),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[allow(unsafe_code, reason = "rustix has no netlink socket options")]
fn set_option(fd: BorrowedFd<'_>, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    let size = libc::socklen_t::try_from(size_of_val(&value)).unwrap_or(4);
    // SAFETY: the pointer is to a live c_int and the size is its own.
    let code = unsafe {
        libc::setsockopt(fd.as_raw_fd(), libc::SOL_NETLINK, option, (&raw const value).cast(), size)
    };
    if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
