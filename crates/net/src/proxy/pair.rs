//! A TCP connection relayed: two sockets, a bounded buffer each way, each direction closed on its own.

use rustix::{
    event::epoll::EventFlags,
    fd::OwnedFd,
    io::Errno,
    net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown, sockopt},
};

/// Most that waits in one direction.
const BUFFER: usize = 64 * 1024;

/// One direction.
#[derive(Debug, Default)]
struct Flow {
    buffer: Vec<u8>,
    /// The source has ended.
    ended: bool,
    /// The sink was told.
    closed: bool,
}

/// Both ends; 0 is the client, 1 the container.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) ends: [OwnedFd; 2],
    /// From end 0 and from end 1.
    flows: [Flow; 2],
    connecting: bool,
}

impl Pair {
    /// `container` is still connecting.
    pub(super) fn new(client: OwnedFd, container: OwnedFd) -> Self {
        Self { ends: [client, container], flows: <[Flow; 2]>::default(), connecting: true }
    }

    /// An end can be read or written: moves what can be moved. `false` when the connection is over.
    pub(super) fn pump(&mut self, end: usize) -> bool {
        if self.connecting {
            if end == 0 {
                return true;
            }
            match sockopt::socket_error(&self.ends[1]) {
                Ok(Ok(())) => self.connecting = false,
                _ => return false,
            }
        }
        let moved = self.flow(0).and_then(|()| self.flow(1));
        moved.is_ok() && !self.flows.iter().all(|flow| flow.closed)
    }

    fn flow(&mut self, from: usize) -> Result<(), Errno> {
        let flow = &mut self.flows[from];
        let (source, sink) = (&self.ends[from], &self.ends[1 - from]);
        let mut chunk = [0; 16 * 1024];
        while !flow.ended && flow.buffer.len() < BUFFER {
            match recv(source, &mut chunk[..], RecvFlags::DONTWAIT) {
                Ok((_, 0)) => flow.ended = true,
                Ok((_, length)) => flow.buffer.extend_from_slice(&chunk[..length]),
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
        let mut sent = 0;
        while sent < flow.buffer.len() {
            match send(sink, &flow.buffer[sent..], SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(length) => sent += length,
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
        flow.buffer.drain(..sent);
        if flow.ended && flow.buffer.is_empty() && !flow.closed {
            flow.closed = true;
            match shutdown(sink, Shutdown::Write) {
                Ok(()) | Err(Errno::NOTCONN) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// What to wait for at an end; `None`: nothing more will come of it, not even a hang-up.
    pub(super) fn interest(&self, end: usize) -> Option<EventFlags> {
        if self.connecting {
            return Some(if end == 0 { EventFlags::empty() } else { EventFlags::OUT });
        }
        let (from, to) = (&self.flows[end], &self.flows[1 - end]);
        if from.ended && to.closed {
            return None;
        }
        let mut flags = EventFlags::empty();
        flags.set(EventFlags::IN, !from.ended && from.buffer.len() < BUFFER);
        flags.set(EventFlags::OUT, !to.buffer.is_empty());
        Some(flags)
    }
}
