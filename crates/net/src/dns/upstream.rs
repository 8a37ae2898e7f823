//! A question on its way to a resolver: raw bytes under an id of our own, from a socket of its own (so a random port, and only that server
//! is heard), to the next server when one is silent or unwilling.

use super::{clients::Stream, packet};
use dhow_sys::netns;
use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SendFlags, SocketAddrAny, SocketFlags, SocketType, connect, recv, send,
        socket_with,
    },
};
use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

const PORT: u16 = 53;
const SERVFAIL: u8 = 2;
const REFUSED: u8 = 5;
/// Longest message over UDP.
const DATAGRAM: usize = 65_535;

/// Who asked.
#[derive(Debug, Clone)]
pub(super) enum Asker {
    /// Token of our socket, address of the client.
    Datagram(u64, SocketAddrAny),
    /// Token of the connection.
    Stream(u64),
}

/// Where to ask from and whom.
#[derive(Debug, Clone)]
pub(super) struct Route {
    /// `None`: the host's namespace.
    pub(super) namespace: Option<Arc<OwnedFd>>,
    pub(super) servers: Vec<IpAddr>,
}

/// One question under way.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) asker: Asker,
    /// As asked, and as sent (other id).
    original: Vec<u8>,
    sent: Vec<u8>,
    route: Route,
    next: usize,
    line: Line,
}

#[derive(Debug)]
enum Line {
    Datagram(OwnedFd),
    Stream(Stream),
}

/// What came of an event.
pub(super) enum Progress {
    /// Nothing yet.
    Wait,
    /// For the asker.
    Answer(Vec<u8>),
    /// Ask the next server; the answer, if this one gave any, for when there is none.
    Next(Option<Vec<u8>>),
}

impl Job {
    /// Sends the question to the first server that can be sent to; `None` if there is none. The calling thread (which must be one that may
    /// change namespaces) is in `home` before and after.
    pub(super) fn start(question: &[u8], asker: Asker, route: Route, home: &OwnedFd) -> Option<Self> {
        let mut sent = question.to_vec();
        sent.get_mut(..2)?.copy_from_slice(&fastrand_id());
        let (next, line) = open_from(&route, 0, matches!(asker, Asker::Stream(_)), &sent, home)?;
        Some(Self { asker, original: question.to_vec(), sent, route, next, line })
    }

    /// Goes on to the next server.
    pub(super) fn next(self, home: &OwnedFd) -> Result<Self, Box<Self>> {
        match open_from(&self.route, self.next, matches!(self.asker, Asker::Stream(_)), &self.sent, home) {
            Some((next, line)) => Ok(Self { next, line, ..self }),
            None => Err(Box::new(self)),
        }
    }

    /// The question as it was asked.
    pub(super) fn question(&self) -> &[u8] {
        &self.original
    }

    /// Whether the question is not out yet.
    pub(super) fn is_sending(&self) -> bool {
        matches!(&self.line, Line::Stream(stream) if stream.is_sending())
    }

    /// The socket can be read or written.
    pub(super) fn progress(&mut self) -> Progress {
        let mut buffer = vec![0; DATAGRAM];
        let answers = match &mut self.line {
            Line::Datagram(fd) => match recv(&*fd, &mut buffer[..], RecvFlags::DONTWAIT) {
                Ok((_, length)) => vec![buffer[..length].to_vec()],
                Err(Errno::AGAIN | Errno::INTR) => return Progress::Wait,
                Err(_) => return Progress::Next(None),
            },
            Line::Stream(stream) => match (stream.flush(), stream.receive()) {
                (true, Some(answers)) => answers,
                _ => return Progress::Next(None),
            },
        };
        let Some(mut answer) = answers.into_iter().find(|answer| packet::answers(answer, &self.sent)) else {
            return Progress::Wait;
        };
        answer[..2].copy_from_slice(&self.original[..2]);
        match packet::code(&answer) {
            Some(SERVFAIL | REFUSED) => Progress::Next(Some(answer)),
            _ => Progress::Answer(answer),
        }
    }
}

impl AsFd for Job {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.line {
            Line::Datagram(fd) => fd.as_fd(),
            Line::Stream(stream) => stream.as_fd(),
        }
    }
}

fn fastrand_id() -> [u8; 2] {
    fastrand::u16(..).to_be_bytes()
}

/// Opens a line to the first server from `first` on that takes the question; with the number of the server after it.
fn open_from(
    route: &Route,
    first: usize,
    stream: bool,
    question: &[u8],
    home: &OwnedFd,
) -> Option<(usize, Line)> {
    route.servers.iter().enumerate().skip(first).find_map(|(number, server)| {
        let line = open(route.namespace.as_deref(), *server, stream, question, home).ok()?;
        Some((number + 1, line))
    })
}

fn open(
    namespace: Option<&OwnedFd>,
    server: IpAddr,
    stream: bool,
    question: &[u8],
    home: &OwnedFd,
) -> io::Result<Line> {
    let family = if server.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let kind = if stream { SocketType::STREAM } else { SocketType::DGRAM };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let make = || socket_with(family, kind, flags, None);
    // A socket stays in the namespace it was made in.
    let fd = match namespace {
        None => make()?,
        Some(namespace) => {
            netns::enter(namespace.as_fd())?;
            let made = make();
            netns::enter(home.as_fd())?;
            made?
        }
    };
    match connect(&fd, &SocketAddr::new(server, PORT)) {
        Ok(()) | Err(Errno::INPROGRESS) => {}
        Err(error) => return Err(error.into()),
    }
    if stream {
        let mut stream = Stream::new(fd);
        return if stream.send(question) { Ok(Line::Stream(stream)) } else { Err(Errno::CONNRESET.into()) };
    }
    send(&fd, question, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?;
    Ok(Line::Datagram(fd))
}
