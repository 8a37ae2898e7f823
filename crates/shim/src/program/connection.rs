//! A daemon's connection: events that its socket has no room for wait.

use crate::{Event, codec, socket};
use rustix::{
    event::PollFlags,
    fd::{AsFd, BorrowedFd, OwnedFd},
};
use std::{collections::VecDeque, io};

/// Events for a daemon that does not read. Past it the connection is given up: a daemon that connects again is told everything by `Hello`.
const QUEUE: usize = 1024;

#[derive(Debug)]
pub(super) struct Connection {
    socket: OwnedFd,
    queue: VecDeque<Vec<u8>>,
    pub(super) gone: bool,
}

impl Connection {
    pub(super) fn new(socket: OwnedFd) -> Self {
        Self { socket, queue: VecDeque::new(), gone: false }
    }

    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    pub(super) fn wants(&self) -> PollFlags {
        if self.queue.is_empty() { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT }
    }

    pub(super) fn send(&mut self, event: &Event) {
        self.queue.push_back(codec::encode_event(event));
        self.flush();
        self.gone |= self.queue.len() > QUEUE;
    }

    pub(super) fn flush(&mut self) {
        while let Some(next) = self.queue.front() {
            match socket::send(&self.socket, next, &[]) {
                Ok(()) => drop(self.queue.pop_front()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    self.gone = true;
                    return;
                }
            }
        }
    }

    /// The next request, if one is there.
    pub(super) fn receive(&mut self) -> Option<socket::Message> {
        match socket::receive(&self.socket) {
            Ok(Some(message)) => Some(message),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                None
            }
            Ok(None) | Err(_) => {
                self.gone = true;
                None
            }
        }
    }
}
