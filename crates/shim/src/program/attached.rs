//! One attached client: docker's framing, a bounded queue, and patience with an end.

use rustix::{
    event::PollFlags,
    fd::{AsFd, BorrowedFd, OwnedFd},
    io::Errno,
    net::SendFlags,
};
use std::time::{Duration, Instant};

/// Output that waits for a client. Past it the container's output waits too, while the client goes on reading.
const QUEUE: usize = 4 << 20;
/// How long a client with a full queue may read nothing at all.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Attached {
    socket: OwnedFd,
    /// Wants stdout, stderr.
    output: [bool; 2],
    /// Its input goes to the process; until its end.
    pub(super) input: bool,
    /// Takes no more output: it has gone, or the process has.
    gone: bool,
    /// To be closed when the queue is empty.
    closing: bool,
    queue: Vec<u8>,
    /// How much of the queue's beginning was sent.
    sent: usize,
    /// When it last took something, or had nothing to take.
    progress: Instant,
}

impl Attached {
    pub(super) fn new(socket: OwnedFd, stdin: bool, stdout: bool, stderr: bool) -> Self {
        Self {
            socket,
            output: [stdout, stderr],
            input: stdin,
            gone: false,
            closing: false,
            queue: Vec::new(),
            sent: 0,
            progress: Instant::now(),
        }
    }

    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    fn waiting(&self) -> usize {
        self.queue.len() - self.sent
    }

    /// Whether it has to be waited for before more is read from the container.
    pub(super) fn is_full(&self) -> bool {
        self.waiting() >= QUEUE
    }

    /// When it will be dropped unless it takes something.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let counts = self.waiting() > 0 && (self.is_full() || self.closing);
        counts.then(|| self.progress + PATIENCE)
    }

    /// Nothing is left to be done with it.
    pub(super) fn is_done(&self) -> bool {
        (self.gone && !self.input) || (self.closing && self.waiting() == 0)
    }

    pub(super) fn is_gone(&self) -> bool {
        self.gone
    }

    /// No more output will come.
    pub(super) fn close(&mut self) {
        self.closing = true;
        self.input = false;
    }

    /// It went away, or was too slow; its input may still be read.
    pub(super) fn leave(&mut self) {
        self.gone = true;
        (self.queue, self.sent) = (Vec::new(), 0);
    }

    /// What to wait for. `room`: the process can take input.
    pub(super) fn wants(&self, room: bool) -> Option<PollFlags> {
        let mut flags = PollFlags::empty();
        if self.input && room {
            flags |= PollFlags::IN;
        }
        if self.waiting() > 0 {
            flags |= PollFlags::OUT;
        }
        // A socket whose other end is gone always has something to tell, so it is not asked again.
        if self.gone && flags.is_empty() { None } else { Some(flags) }
    }

    /// Sends output: framed, or raw from a terminal.
    pub(super) fn push(&mut self, stream: u8, bytes: &[u8], raw: bool) {
        let wanted = self.output.get(usize::from(stream - 1)).copied().unwrap_or(false);
        if self.gone || self.closing || !wanted || bytes.is_empty() {
            return;
        }
        if self.waiting() == 0 {
            self.progress = Instant::now();
        }
        if !raw {
            let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes();
            self.queue.extend_from_slice(&[stream, 0, 0, 0]);
            self.queue.extend_from_slice(&length);
        }
        self.queue.extend_from_slice(bytes);
        self.flush();
    }

    /// Sends as much of the queue as the socket takes.
    pub(super) fn flush(&mut self) {
        while let Some(rest) = self.queue.get(self.sent..).filter(|rest| !rest.is_empty()) {
            let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
            match rustix::net::send(&self.socket, rest, flags) {
                Ok(count) => {
                    self.sent += count;
                    self.progress = Instant::now();
                }
                Err(Errno::AGAIN) => {
                    if self.sent > QUEUE / 4 {
                        self.queue.drain(..self.sent);
                        self.sent = 0;
                    }
                    return;
                }
                Err(Errno::INTR) => {}
                Err(_) => return self.leave(),
            }
        }
        (self.queue, self.sent) = (Vec::new(), 0);
    }

    /// Reads input; `None` at its end.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Option<usize> {
        match rustix::io::read(&self.socket, buffer) {
            Ok(count) if count > 0 => Some(count),
            Err(Errno::AGAIN | Errno::INTR) => Some(0),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_framed_and_waits_in_order() {
        let (ours, theirs) = crate::attach_pair().unwrap();
        let mut client = Attached::new(ours, false, true, false);
        client.push(1, b"hello", false);
        client.push(2, b"not wanted", false);
        client.push(1, b"raw", true);
        let mut got = [0; 64];
        let count = rustix::io::read(&theirs, &mut got).unwrap();
        assert_eq!(&got[..count], b"\x01\0\0\0\0\0\0\x05helloraw");
        assert!(client.deadline().is_none() && !client.is_done());
        client.close();
        assert!(client.is_done());
    }

    #[test]
    fn a_client_that_reads_nothing_is_full_and_gets_a_deadline() {
        let (ours, theirs) = crate::attach_pair().unwrap();
        let mut client = Attached::new(ours, false, true, true);
        let block = vec![7; 65536];
        let mut pushed = 0;
        while !client.is_full() {
            assert!(client.deadline().is_none());
            client.push(1, &block, true);
            pushed += block.len();
        }
        assert!(client.deadline().is_some());
        let mut got = vec![0; 65536];
        let mut read = 0;
        while read < pushed {
            match rustix::io::read(&theirs, &mut got) {
                Ok(count) => read += count,
                Err(Errno::AGAIN) => client.flush(),
                Err(errno) => panic!("{errno}"),
            }
        }
        assert!(client.deadline().is_none() && client.wants(true) == Some(PollFlags::empty()));
        drop(theirs);
        client.push(1, b"x", true);
        assert!(client.is_done() && client.wants(true).is_none());
    }
}
