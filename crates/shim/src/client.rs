//! The daemon's end of a connection.

use crate::{codec, protocol::Event, protocol::Request, socket};
use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    net::{AddressFamily, SocketFlags, SocketType},
};
use std::{io, path::Path};

/// A connection to a shim. Non-blocking: poll its descriptor for reading, then [`Client::recv`] until `WouldBlock`.
#[derive(Debug)]
pub struct Client {
    socket: OwnedFd,
}

impl Client {
    /// Connects to the shim of `dir`.
    ///
    /// # Errors
    /// `ConnectionRefused` or `NotFound` if no shim lives there.
    pub fn connect(dir: &Path) -> io::Result<Self> {
        let socket = socket::new_socket()?;
        socket::with_address(dir, socket::NAME, |address| rustix::net::connect(&socket, address))?;
        Ok(Self { socket })
    }

    /// Sends a request; large plans travel in a memfd.
    ///
    /// # Errors
    /// If the shim is gone; `WouldBlock` if it is so busy that its socket is full.
    pub fn send(&self, seq: u32, request: &Request, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        socket::send(&self.socket, &codec::encode_request(seq, request), fds)
    }

    /// The next event; `None` when the shim has gone.
    ///
    /// # Errors
    /// `WouldBlock` when there is none yet.
    pub fn recv(&self) -> io::Result<Option<Event>> {
        socket::receive(&self.socket)?.map(|message| codec::decode_event(&message.bytes)).transpose()
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A pair for [`Request::Attach`]: the first end stays, the second goes to the shim. Both are non-blocking.
///
/// # Errors
/// If the kernel has no descriptors left.
pub fn attach_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)?)
}
