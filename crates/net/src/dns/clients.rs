//! DNS over TCP: messages with a length in front (RFC 7766), on a socket that never blocks.

use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    io::Errno,
    net::{RecvFlags, SendFlags, recv, send},
};

/// More than this unread by the peer, and it is cut off.
const OUTPUT: usize = 256 * 1024;

/// A connection of either direction.
#[derive(Debug)]
pub(super) struct Stream {
    fd: OwnedFd,
    input: Vec<u8>,
    output: Vec<u8>,
}

impl Stream {
    pub(super) fn new(fd: OwnedFd) -> Self {
        Self { fd, input: Vec::new(), output: Vec::new() }
    }

    /// The messages that have arrived; `None` when the peer is done or broken.
    pub(super) fn receive(&mut self) -> Option<Vec<Vec<u8>>> {
        let mut chunk = [0; 4096];
        match recv(&self.fd, &mut chunk[..], RecvFlags::DONTWAIT) {
            Ok((_, 0)) => return None,
            Ok((_, length)) => self.input.extend_from_slice(&chunk[..length]),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => return None,
        }
        let mut messages = Vec::new();
        while let Some((length, rest)) = self.input.split_first_chunk::<2>() {
            let length = usize::from(u16::from_be_bytes(*length));
            let Some(message) = rest.get(..length) else { break };
            messages.push(message.to_vec());
            self.input.drain(..2 + length);
        }
        Some(messages)
    }

    /// Queues a message and sends what fits; `false` when the peer is gone.
    pub(super) fn send(&mut self, message: &[u8]) -> bool {
        let Ok(length) = u16::try_from(message.len()) else { return false };
        self.output.extend(length.to_be_bytes());
        self.output.extend_from_slice(message);
        self.output.len() <= OUTPUT && self.flush()
    }

    /// Sends what fits; `false` when the peer is gone.
    pub(super) fn flush(&mut self) -> bool {
        while !self.output.is_empty() {
            match send(&self.fd, &self.output, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(sent) => drop(self.output.drain(..sent)),
                // Not connected yet, or full: epoll calls again.
                Err(Errno::AGAIN | Errno::NOTCONN | Errno::INPROGRESS) => return true,
                Err(Errno::INTR) => {}
                Err(_) => return false,
            }
        }
        true
    }

    /// Whether something waits to be sent.
    pub(super) fn is_sending(&self) -> bool {
        !self.output.is_empty()
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
