//! The standard streams of one process: its output to the log and to clients, input of clients to it.

use super::{attached::Attached, log::Log};
use crate::StdioConfig;
use rustix::{
    event::PollFlags,
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{Mode, OFlags},
    io::Errno,
    pipe::PipeFlags,
    termios::Winsize,
};
use std::{
    io,
    time::{Duration, Instant},
};

/// A client that vanishes ends stdin as one that says so does, but all clients vanish with the daemon, which must not disturb the container.
/// After so long it is clear which of both it was.
const VANISHED: Duration = Duration::from_millis(100);

/// The process's ends, until it has them.
#[derive(Debug)]
pub(super) struct Ends(pub(super) [OwnedFd; 3]);

#[derive(Debug, Default)]
pub(super) struct Streams {
    tty: bool,
    stdin_once: bool,
    /// The terminal's master: all three streams.
    console: Option<OwnedFd>,
    /// stdin's pipe, while it is open.
    stdin: Option<OwnedFd>,
    /// stdout's and stderr's pipes, until their end.
    output: [Option<OwnedFd>; 2],
    /// Input that the process has not taken yet.
    pending: Vec<u8>,
    /// stdin ends when `pending` is empty.
    stdin_ends: bool,
    /// A client vanished whose end is stdin's: judged then, see [`VANISHED`].
    abandoned: Option<Instant>,
    pub(super) clients: Vec<Attached>,
    pub(super) log: Option<Log>,
    /// Clients do not hold up output any more: the process has ended.
    pub(super) hurry: bool,
}

fn set_nonblocking(fd: impl AsFd) -> io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(&fd)?;
    Ok(rustix::fs::fcntl_setfl(&fd, flags | OFlags::NONBLOCK)?)
}

impl Streams {
    /// Of a process on pipes; the other ends are for the process.
    pub(super) fn pipes(config: &StdioConfig, log: Option<Log>) -> io::Result<(Self, Ends)> {
        let pipe = || rustix::pipe::pipe_with(PipeFlags::CLOEXEC);
        let ((stdout, stdout_end), (stderr, stderr_end)) = (pipe()?, pipe()?);
        let (stdin_end, stdin) = if config.stdin {
            let (end, stdin) = pipe()?;
            rustix::fs::fcntl_setfl(&stdin, OFlags::NONBLOCK)?;
            (end, Some(stdin))
        } else {
            (rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?, None)
        };
        rustix::fs::fcntl_setfl(&stdout, OFlags::NONBLOCK)?;
        rustix::fs::fcntl_setfl(&stderr, OFlags::NONBLOCK)?;
        let (stdin_once, output) = (config.stdin_once, [Some(stdout), Some(stderr)]);
        let streams = Self { stdin_once, stdin, output, log, ..Self::default() };
        Ok((streams, Ends([stdin_end, stdout_end, stderr_end])))
    }

    /// Of a process on a terminal, whose master comes later.
    pub(super) fn terminal(log: Option<Log>) -> Self {
        Self { tty: true, log, ..Self::default() }
    }

    pub(super) fn set_console(&mut self, console: OwnedFd) -> io::Result<()> {
        set_nonblocking(&console)?;
        self.console = Some(console);
        Ok(())
    }

    pub(super) fn resize(&self, rows: u16, cols: u16) -> Result<(), Errno> {
        let console = self.console.as_ref().ok_or(Errno::NOTTY)?;
        rustix::termios::tcsetwinsize(
            console,
            Winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 },
        )
    }

    fn source(&self, stream: u8) -> Option<BorrowedFd<'_>> {
        match (&self.console, stream) {
            (Some(console), 1) => Some(console.as_fd()),
            _ => self.output.get(usize::from(stream - 1))?.as_ref().map(AsFd::as_fd),
        }
    }

    /// stdout (1) or stderr (2), to be polled for reading now.
    pub(super) fn readable(&self, stream: u8) -> Option<BorrowedFd<'_>> {
        let wait = !self.hurry && self.clients.iter().any(Attached::is_full);
        if wait { None } else { self.source(stream) }
    }

    /// Where input goes, to be polled for writing now.
    pub(super) fn writable(&self) -> Option<BorrowedFd<'_>> {
        let sink = self.console.as_ref().or(self.stdin.as_ref());
        sink.filter(|_| !self.pending.is_empty()).map(AsFd::as_fd)
    }

    /// Whether input can be taken from clients.
    pub(super) fn has_room(&self) -> bool {
        self.pending.is_empty()
    }

    /// All output has come.
    pub(super) fn is_drained(&self) -> bool {
        self.source(1).is_none() && self.source(2).is_none()
    }

    /// Reads once from stdout or stderr: what came goes to the log first. How many bytes; 0 when there is nothing (more).
    pub(super) fn pump(&mut self, stream: u8, buffer: &mut [u8]) -> usize {
        let Some(source) = self.source(stream) else { return 0 };
        match rustix::io::read(source, &mut *buffer) {
            Ok(count) if count > 0 => {
                let bytes = buffer.get(..count).unwrap_or_default();
                if let Some(log) = &mut self.log {
                    log.write(stream, bytes);
                }
                for client in &mut self.clients {
                    client.push(stream, bytes, self.tty);
                }
                count
            }
            Err(Errno::AGAIN | Errno::INTR) => 0,
            // The end; a terminal says EIO when nobody has its other side open any more.
            _ => {
                self.end_of_output(stream);
                0
            }
        }
    }

    fn end_of_output(&mut self, stream: u8) {
        if self.console.is_some() {
            self.console = None;
        } else if let Some(output) = self.output.get_mut(usize::from(stream - 1)) {
            *output = None;
        }
    }

    /// Reads until nothing is there at this moment.
    pub(super) fn drain(&mut self, buffer: &mut [u8]) {
        // At most what fits into pipes of the largest size: a stray that writes for ever is not followed for ever.
        for stream in [1, 2] {
            let mut left: usize = 4 << 20;
            while left > 0 {
                let count = self.pump(stream, buffer);
                if count == 0 {
                    break;
                }
                left = left.saturating_sub(count);
            }
        }
    }

    /// Input of a client is there.
    pub(super) fn take_input(&mut self, client: usize, buffer: &mut [u8]) {
        let Some(attached) = self.clients.get_mut(client) else { return };
        match attached.read(buffer) {
            Some(count) => {
                // Without anybody to take it, it is read and dropped: the client must not wait for ever.
                if self.console.is_some() || self.stdin.is_some() {
                    self.pending.extend_from_slice(buffer.get(..count).unwrap_or_default());
                    self.feed();
                }
            }
            None => {
                attached.input = false;
                if attached.is_gone() {
                    self.abandoned = Some(Instant::now() + VANISHED);
                } else {
                    self.end_input();
                }
            }
        }
    }

    /// A client that has stdin has no more for it.
    fn end_input(&mut self) {
        // A terminal has no end of input but the one that is typed.
        if self.stdin_once && !self.tty {
            self.stdin_ends = true;
            self.feed();
        }
    }

    /// Gives the process what it takes of the input.
    pub(super) fn feed(&mut self) {
        while !self.pending.is_empty() {
            let Some(sink) = self.console.as_ref().or(self.stdin.as_ref()) else {
                self.pending = Vec::new();
                break;
            };
            match rustix::io::write(sink, &self.pending) {
                Ok(count) => drop(self.pending.drain(..count.min(self.pending.len()))),
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR) => {}
                // Nobody reads any more.
                Err(_) => {
                    self.stdin = None;
                    self.pending = Vec::new();
                }
            }
        }
        self.pending = Vec::new();
        if self.stdin_ends {
            self.stdin = None;
        }
    }

    /// No more output: the log gets its last line, clients what they still wait for and then the end.
    pub(super) fn close(&mut self) {
        self.output = [None, None];
        (self.console, self.stdin, self.pending) = (None, None, Vec::new());
        if let Some(mut log) = self.log.take() {
            log.finish();
        }
        for client in &mut self.clients {
            client.close();
        }
    }

    /// Something happened at a client's socket.
    pub(super) fn client_event(&mut self, client: usize, flags: PollFlags, buffer: &mut [u8]) {
        let room = self.has_room();
        let Some(attached) = self.clients.get_mut(client) else { return };
        if flags.contains(PollFlags::OUT) {
            attached.flush();
        }
        if flags.intersects(PollFlags::HUP | PollFlags::ERR) {
            attached.leave();
        }
        if attached.input && room && flags.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
            self.take_input(client, buffer);
        }
    }

    /// Drops clients that are done, and those that took nothing for too long. When the next must be looked at.
    pub(super) fn sweep(&mut self, now: Instant, connected: bool) -> Option<Instant> {
        let mut ended = false;
        for client in &mut self.clients {
            if client.deadline().is_some_and(|deadline| deadline <= now) {
                ended |= client.input;
                client.input = false;
                client.leave();
            }
        }
        if self.abandoned.is_some_and(|deadline| deadline <= now) {
            self.abandoned = None;
            ended |= connected;
        }
        if ended {
            self.end_input();
        }
        self.clients.retain(|client| !client.is_done());
        self.clients.iter().filter_map(Attached::deadline).chain(self.abandoned).min()
    }
}
