//! The thread that relays.

use super::pair::Pair;
use crate::accept::Acceptor;
use crate::port::Protocol;
use crate::worker::{self, END, Events, Worker};
use rustix::{
    event::epoll,
    fd::OwnedFd,
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, connect, recv, recvfrom, send, sendto,
        socket_with, sockopt,
    },
};
use std::{
    collections::{BTreeSet, HashMap},
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

/// A UDP flow silent for so long is forgotten (docker-proxy's).
const SILENCE: Duration = Duration::from_secs(90);
/// Flows of one UDP port; a newcomer beyond that is not served.
const FLOWS: usize = 4096;
/// Packets or connections of one socket before the others have their turn.
const TURN: usize = 32;
/// Connections relayed at once, two descriptors each; more are hung up on.
const PAIRS: usize = 8192;
const DATAGRAM: usize = 65_535;

/// Handle of the thread; ends it when dropped.
#[derive(Debug)]
pub(crate) struct Proxy {
    state: Arc<Mutex<State>>,
    _worker: Worker,
}

#[derive(Debug)]
struct State {
    epoll: Arc<OwnedFd>,
    acceptor: Acceptor,
    entries: HashMap<u64, Entry>,
    /// By the token of the client's end; the container's is the next.
    pairs: HashMap<u64, Pair>,
    deadlines: BTreeSet<(Instant, u64)>,
    last: u64,
    /// To read into, between two events.
    buffer: Vec<u8>,
}

#[derive(Debug)]
enum Entry {
    Tcp {
        fd: OwnedFd,
        target: SocketAddr,
    },
    Udp {
        fd: OwnedFd,
        target: SocketAddr,
        flows: HashMap<SocketAddr, u64>,
    },
    /// Connected to the container.
    Flow {
        fd: OwnedFd,
        listener: u64,
        client: SocketAddr,
        used: Instant,
    },
    /// Which end of which pair.
    End {
        pair: u64,
        end: usize,
        watched: Option<epoll::EventFlags>,
    },
}

impl Proxy {
    /// Starts the thread in the caller's network namespace.
    pub(crate) fn start() -> io::Result<Self> {
        let epoll = Arc::new(epoll::create(epoll::CreateFlags::CLOEXEC)?);
        let state = State {
            epoll: Arc::clone(&epoll),
            acceptor: Acceptor::new(&epoll),
            entries: HashMap::new(),
            pairs: HashMap::new(),
            deadlines: BTreeSet::new(),
            last: END,
            buffer: vec![0; DATAGRAM],
        };
        let state = Arc::new(Mutex::new(state));
        let worker = worker::serve("net-proxy", epoll, Arc::clone(&state))?;
        Ok(Self { state, _worker: worker })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        worker::lock(&self.state)
    }

    /// Relays what comes in on this socket (see [`super::hold`]) to the container. Returns what to [`Self::remove`].
    pub(crate) fn add(&self, fd: OwnedFd, protocol: Protocol, target: SocketAddr) -> io::Result<u64> {
        let mut state = self.lock();
        let token = state.token();
        epoll::add(&state.epoll, &fd, epoll::EventData::new_u64(token), epoll::EventFlags::IN)?;
        let entry = if protocol == Protocol::Udp {
            Entry::Udp { fd, target, flows: HashMap::new() }
        } else {
            Entry::Tcp { fd, target }
        };
        state.entries.insert(token, entry);
        Ok(token)
    }

    /// Lets the port go. Connections under way end when the container does.
    pub(crate) fn remove(&self, listener: u64) {
        let mut state = self.lock();
        if let Some(Entry::Udp { flows, .. }) = state.entries.remove(&listener) {
            flows.values().for_each(|flow| drop(state.entries.remove(flow)));
        }
    }
}

impl Events for State {
    fn deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    fn event(&mut self, token: u64) {
        let mut buffer = std::mem::take(&mut self.buffer);
        self.handle(token, &mut buffer);
        self.buffer = buffer;
    }

    fn expire(&mut self) {
        self.forget_silent();
    }
}

impl State {
    fn token(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn handle(&mut self, token: u64, buffer: &mut [u8]) {
        match self.entries.get(&token) {
            Some(Entry::Tcp { .. }) => self.accept(token),
            Some(Entry::Udp { .. }) => self.datagrams(token, buffer),
            Some(Entry::Flow { .. }) => self.answers(token, buffer),
            Some(Entry::End { pair, end, .. }) => {
                let (pair, end) = (*pair, *end);
                self.pump(pair, end);
            }
            None => {}
        }
    }

    fn accept(&mut self, token: u64) {
        for _ in 0..TURN {
            let Some(Entry::Tcp { fd, target }) = self.entries.get(&token) else { return };
            let target = *target;
            let Some((client, _)) = self.acceptor.accept(fd) else { return };
            if self.pairs.len() >= PAIRS {
                continue;
            }
            // Without the container's end the client is hung up on, which is the answer it would get from there.
            let Ok(container) = dial(target, SocketType::STREAM) else { continue };
            for end in [&client, &container] {
                // Only a matter of speed.
                sockopt::set_tcp_nodelay(end, true).ok();
            }
            let pair = self.token();
            self.token();
            self.pairs.insert(pair, Pair::new(client, container));
            for end in 0..2 {
                self.entries.insert(pair + end as u64, Entry::End { pair, end, watched: None });
            }
            self.watch(pair);
        }
    }

    fn pump(&mut self, pair: u64, end: usize) {
        if self.pairs.get_mut(&pair).is_some_and(|both| both.pump(end)) {
            self.watch(pair);
        } else {
            self.hang_up(pair);
        }
    }

    /// Both ends are closed, which takes them out of epoll.
    fn hang_up(&mut self, pair: u64) {
        self.pairs.remove(&pair);
        self.entries.remove(&pair);
        self.entries.remove(&(pair + 1));
    }

    /// Tells epoll what the ends of a pair wait for now.
    fn watch(&mut self, pair: u64) {
        let Some(both) = self.pairs.get(&pair) else { return };
        let mut well = true;
        for (token, end) in [(pair, 0), (pair + 1, 1)] {
            let Some(Entry::End { watched, .. }) = self.entries.get_mut(&token) else { continue };
            let (old, new) = (*watched, both.interest(end));
            let (fd, data) = (&both.ends[end], epoll::EventData::new_u64(token));
            well &= match (old, new) {
                (None, Some(flags)) => epoll::add(&self.epoll, fd, data, flags).is_ok(),
                (Some(_), None) => epoll::delete(&self.epoll, fd).is_ok(),
                (Some(old), Some(flags)) if old != flags => {
                    epoll::modify(&self.epoll, fd, data, flags).is_ok()
                }
                _ => true,
            };
            *watched = new;
        }
        if !well {
            self.hang_up(pair);
        }
    }

    fn datagrams(&mut self, token: u64, buffer: &mut [u8]) {
        for _ in 0..TURN {
            let Some(Entry::Udp { fd, target, flows }) = self.entries.get(&token) else { return };
            // An error is that of one packet (an ICMP message to an earlier answer), and epoll calls again.
            let Ok((_, length, Some(from))) = recvfrom(fd, &mut *buffer, RecvFlags::DONTWAIT) else { return };
            let Ok(client) = SocketAddr::try_from(from) else { continue };
            let (target, known, full) = (*target, flows.get(&client).copied(), flows.len() >= FLOWS);
            let flow = match known {
                Some(flow) => flow,
                None if full => continue,
                None => match self.open_flow(token, client, target) {
                    Ok(flow) => flow,
                    // The packet is lost, as UDP's may be.
                    Err(_) => continue,
                },
            };
            if let Some(Entry::Flow { fd, used, .. }) = self.entries.get_mut(&flow) {
                *used = Instant::now();
                send(fd, &buffer[..length], SendFlags::DONTWAIT | SendFlags::NOSIGNAL).ok();
            }
        }
    }

    fn open_flow(&mut self, listener: u64, client: SocketAddr, target: SocketAddr) -> io::Result<u64> {
        let fd = dial(target, SocketType::DGRAM)?;
        let token = self.token();
        epoll::add(&self.epoll, &fd, epoll::EventData::new_u64(token), epoll::EventFlags::IN)?;
        let used = Instant::now();
        self.entries.insert(token, Entry::Flow { fd, listener, client, used });
        self.deadlines.insert((used + SILENCE, token));
        if let Some(Entry::Udp { flows, .. }) = self.entries.get_mut(&listener) {
            flows.insert(client, token);
        }
        Ok(token)
    }

    fn answers(&mut self, token: u64, buffer: &mut [u8]) {
        for _ in 0..TURN {
            let Some(Entry::Flow { fd, listener, client, used }) = self.entries.get_mut(&token) else {
                return;
            };
            // An error: nothing listens there (yet), and the client hears nothing, as from a dropped packet.
            let Ok((_, length)) = recv(&*fd, &mut *buffer, RecvFlags::DONTWAIT) else { return };
            *used = Instant::now();
            let (listener, client) = (*listener, *client);
            if let Some(Entry::Udp { fd, .. }) = self.entries.get(&listener) {
                sendto(fd, &buffer[..length], SendFlags::DONTWAIT | SendFlags::NOSIGNAL, &client).ok();
            }
        }
    }

    fn forget_silent(&mut self) {
        let now = Instant::now();
        while let Some((deadline, token)) =
            self.deadlines.first().copied().filter(|(deadline, _)| *deadline <= now)
        {
            self.deadlines.remove(&(deadline, token));
            let Some(Entry::Flow { listener, client, used, .. }) = self.entries.get(&token) else { continue };
            let (listener, client, end) = (*listener, *client, *used + SILENCE);
            if end > now {
                self.deadlines.insert((end, token));
                continue;
            }
            self.entries.remove(&token);
            if let Some(Entry::Udp { flows, .. }) = self.entries.get_mut(&listener) {
                flows.remove(&client);
            }
        }
    }
}

/// A socket connected, or for TCP connecting, to the container.
fn dial(target: SocketAddr, kind: SocketType) -> io::Result<OwnedFd> {
    let family = if target.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let fd = socket_with(family, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
    match connect(&fd, &target) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(fd),
        Err(error) => Err(error.into()),
    }
}
