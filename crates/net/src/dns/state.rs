//! What the thread knows and what it does about each event. All under one lock, and nothing in here waits.

use super::{
    clients::Stream,
    packet::{self, Answer, Code, Kind, Query},
    resolv::ResolvConf,
    server::Sockets,
    upstream::{Asker, Job, Progress, Route},
    zone::Zones,
};
use crate::{
    Subnet,
    accept::Acceptor,
    worker::{END, Events},
};
use rustix::{
    event::epoll,
    fd::{AsFd, OwnedFd},
    net::{RecvFlags, SendFlags, SocketAddrAny, recvfrom, sendto},
};
use std::{
    collections::{BTreeSet, HashMap},
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

/// A server that has said nothing for so long is given up.
const PATIENCE: Duration = Duration::from_secs(2);
/// A TCP client that has said nothing for so long is hung up on.
const IDLE: Duration = Duration::from_secs(10);
/// Questions under way at once; more are refused.
const JOBS: usize = 2048;
/// Of these, those of one container; and its TCP connections.
const SHARE: usize = 256;
/// Packets of one socket before the others have their turn.
const TURN: usize = 16;

/// All there is, by token.
#[derive(Debug)]
pub(super) struct State {
    epoll: Arc<OwnedFd>,
    acceptor: Acceptor,
    /// The host's namespace.
    home: OwnedFd,
    pub(super) zones: Zones,
    pub(super) resolv: ResolvConf,
    pub(super) resolvers: HashMap<String, Resolver>,
    pub(super) upstreams: HashMap<String, Vec<IpAddr>>,
    entries: HashMap<u64, Entry>,
    pub(super) deadlines: BTreeSet<(Instant, u64)>,
    jobs: usize,
    last: u64,
}

/// How a container is served.
#[derive(Debug)]
pub(super) struct Resolver {
    namespace: Option<Arc<OwnedFd>>,
    only: Option<Subnet>,
    /// Questions under way and connections.
    load: usize,
}

#[derive(Debug)]
enum Entry {
    Udp { container: String, fd: OwnedFd },
    Listener { container: String, fd: OwnedFd },
    Client { container: String, stream: Stream, deadline: Instant },
    Job { container: String, job: Box<Job>, deadline: Instant },
}

impl Entry {
    fn fd(&self) -> rustix::fd::BorrowedFd<'_> {
        match self {
            Self::Udp { fd, .. } | Self::Listener { fd, .. } => fd.as_fd(),
            Self::Client { stream, .. } => stream.as_fd(),
            Self::Job { job, .. } => job.as_fd(),
        }
    }

    /// Always to read; to write only while something waits.
    fn interest(&self) -> epoll::EventFlags {
        let sending = match self {
            Self::Udp { .. } | Self::Listener { .. } => false,
            Self::Client { stream, .. } => stream.is_sending(),
            Self::Job { job, .. } => job.is_sending(),
        };
        if sending { epoll::EventFlags::IN | epoll::EventFlags::OUT } else { epoll::EventFlags::IN }
    }

    fn container(&self) -> &str {
        match self {
            Self::Udp { container, .. }
            | Self::Listener { container, .. }
            | Self::Client { container, .. }
            | Self::Job { container, .. } => container,
        }
    }
}

impl Events for State {
    fn deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    fn event(&mut self, token: u64) {
        match self.entries.get(&token) {
            Some(Entry::Udp { .. }) => self.datagrams(token),
            Some(Entry::Listener { .. }) => self.accept(token),
            Some(Entry::Client { .. }) => self.client(token),
            Some(Entry::Job { .. }) => self.job(token),
            None => {}
        }
    }

    fn expire(&mut self) {
        let now = Instant::now();
        while let Some((deadline, token)) =
            self.deadlines.first().copied().filter(|(deadline, _)| *deadline <= now)
        {
            self.deadlines.remove(&(deadline, token));
            match self.entries.get(&token) {
                Some(Entry::Job { .. }) => self.next_server(token, None),
                _ => drop(self.take(token)),
            }
        }
    }
}

impl State {
    pub(super) fn new(epoll: Arc<OwnedFd>, home: OwnedFd, resolv: ResolvConf) -> Self {
        Self {
            acceptor: Acceptor::new(&epoll),
            epoll,
            home,
            zones: Zones::default(),
            resolv,
            resolvers: HashMap::new(),
            upstreams: HashMap::new(),
            entries: HashMap::new(),
            deadlines: BTreeSet::new(),
            jobs: 0,
            last: END,
        }
    }

    /// Answers on these sockets from now on.
    pub(super) fn serve(&mut self, container: &str, sockets: Sockets) -> io::Result<()> {
        self.stop(container);
        let entries = [
            Entry::Udp { container: container.to_owned(), fd: sockets.udp },
            Entry::Listener { container: container.to_owned(), fd: sockets.tcp },
        ];
        for entry in entries {
            let token = self.token();
            epoll::add(&self.epoll, entry.fd(), epoll::EventData::new_u64(token), entry.interest())?;
            self.entries.insert(token, entry);
        }
        let namespace = sockets.namespace.map(Arc::new);
        self.resolvers.insert(container.to_owned(), Resolver { namespace, only: sockets.only, load: 0 });
        Ok(())
    }

    fn token(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// Closes all that belongs to a container.
    pub(super) fn stop(&mut self, container: &str) {
        if self.resolvers.contains_key(container) {
            let tokens: Vec<_> = self
                .entries
                .iter()
                .filter(|(_, entry)| entry.container() == container)
                .map(|(token, _)| *token)
                .collect();
            for token in tokens {
                drop(self.take(token));
            }
            self.resolvers.remove(container);
        }
    }

    /// Takes an entry out; a closed descriptor leaves epoll by itself.
    fn take(&mut self, token: u64) -> Option<Entry> {
        let entry = self.entries.remove(&token)?;
        let (Entry::Client { deadline, .. } | Entry::Job { deadline, .. }) = &entry else {
            return Some(entry);
        };
        self.deadlines.remove(&(*deadline, token));
        self.jobs -= usize::from(matches!(entry, Entry::Job { .. }));
        if let Some(resolver) = self.resolvers.get_mut(entry.container()) {
            resolver.load = resolver.load.saturating_sub(1);
        }
        Some(entry)
    }

    fn datagrams(&mut self, token: u64) {
        let mut buffer = [0; 4096];
        for _ in 0..TURN {
            let Some(Entry::Udp { container, fd }) = self.entries.get(&token) else { return };
            let container = container.clone();
            // An error is that of one packet (an ICMP message to an earlier answer), and epoll calls again.
            let Ok((_, length, Some(from))) = recvfrom(fd, &mut buffer[..], RecvFlags::DONTWAIT) else {
                return;
            };
            if self.hears(&container, &from) {
                self.question(&container, &buffer[..length], Asker::Datagram(token, from));
            }
        }
    }

    fn accept(&mut self, token: u64) {
        let Some(Entry::Listener { container, fd }) = self.entries.get(&token) else { return };
        let container = container.clone();
        let Some((fd, Some(from))) = self.acceptor.accept(fd) else { return };
        if !self.hears(&container, &from) || self.is_full(&container) {
            return;
        }
        let deadline = Instant::now() + IDLE;
        self.enter(deadline, Entry::Client { container, stream: Stream::new(fd), deadline });
    }

    /// Whether all, or this container, has as much under way as may be.
    fn is_full(&self, container: &str) -> bool {
        self.jobs >= JOBS || self.resolvers.get(container).is_some_and(|resolver| resolver.load >= SHARE)
    }

    fn hears(&self, container: &str, from: &SocketAddrAny) -> bool {
        let Some(only) = self.resolvers.get(container).and_then(|resolver| resolver.only) else {
            return true;
        };
        SocketAddr::try_from(from.clone()).is_ok_and(|from| only.contains(from.ip()))
    }

    /// Watches a descriptor of an entry that has a deadline. If epoll has no room, the entry ends here and the client asks again.
    fn enter(&mut self, deadline: Instant, entry: Entry) {
        let token = self.token();
        if epoll::add(&self.epoll, entry.fd(), epoll::EventData::new_u64(token), entry.interest()).is_ok() {
            if matches!(entry, Entry::Job { .. }) {
                self.jobs += 1;
            }
            if let Some(resolver) = self.resolvers.get_mut(entry.container()) {
                resolver.load += 1;
            }
            self.entries.insert(token, entry);
            self.deadlines.insert((deadline, token));
        }
    }

    fn client(&mut self, token: u64) {
        let Some(Entry::Client { container, stream, deadline }) = self.entries.get_mut(&token) else {
            return;
        };
        let (true, Some(questions)) = (stream.flush(), stream.receive()) else {
            drop(self.take(token));
            return;
        };
        let (container, old, new) = (container.clone(), *deadline, Instant::now() + IDLE);
        *deadline = new;
        self.deadlines.remove(&(old, token));
        self.deadlines.insert((new, token));
        for question in questions {
            self.question(&container, &question, Asker::Stream(token));
        }
        self.watch(token);
    }

    /// Asks epoll for what an entry wants now.
    fn watch(&mut self, token: u64) {
        let Some(entry) = self.entries.get(&token) else { return };
        if epoll::modify(&self.epoll, entry.fd(), epoll::EventData::new_u64(token), entry.interest()).is_err()
        {
            drop(self.take(token));
        }
    }

    fn question(&mut self, container: &str, packet: &[u8], asker: Asker) {
        let udp = matches!(asker, Asker::Datagram(..));
        let query = match packet::parse(packet) {
            Ok(query) => query,
            Err(code) => {
                if let Some(answer) = code.and_then(|code| packet::refuse(packet, code)) {
                    self.answer(&asker, &answer);
                }
                return;
            }
        };
        if let Some(answers) = self.known(container, &query) {
            let answer = packet::respond(packet, &query, Code::NoError, &answers, udp);
            return self.answer(&asker, &answer);
        }
        let code = match self.route(container) {
            Err(code) => code,
            Ok(_) if self.is_full(container) => Code::Refused,
            Ok(route) => match Job::start(packet, asker.clone(), route, &self.home) {
                None => Code::ServFail,
                Some(job) => {
                    let deadline = Instant::now() + PATIENCE;
                    return self.enter(
                        deadline,
                        Entry::Job { container: container.to_owned(), job: Box::new(job), deadline },
                    );
                }
            },
        };
        self.answer(&asker, &packet::respond(packet, &query, code, &[], udp));
    }

    /// The answers to a question about something of ours.
    fn known(&mut self, container: &str, query: &Query) -> Option<Vec<Answer>> {
        if query.kind == Kind::Ptr {
            let address = packet::reverse(&query.name)?;
            return Some(vec![Answer::Name(self.zones.reverse(container, address)?)]);
        }
        let addresses = self.zones.resolve(container, &query.name)?;
        let wanted = |address: &IpAddr| match query.kind {
            Kind::A => address.is_ipv4(),
            Kind::Aaaa => address.is_ipv6(),
            Kind::Ptr | Kind::Other => false,
        };
        Some(addresses.into_iter().filter(wanted).map(Answer::Address).collect())
    }

    /// Whom to ask about the rest. A container of internal networks only asks nobody, but a resolver of its own choice, which it must reach
    /// from its own namespace.
    fn route(&mut self, container: &str) -> Result<Route, Code> {
        let namespace = self.resolvers.get(container).and_then(|resolver| resolver.namespace.clone());
        if let (Some(servers), Some(_)) = (self.upstreams.get(container), &namespace) {
            return Ok(Route { namespace, servers: servers.clone() });
        }
        if namespace.is_some() && !self.zones.may_forward(container) {
            return Err(Code::NxDomain);
        }
        let servers = self.resolv.read().servers.clone();
        if servers.is_empty() { Err(Code::ServFail) } else { Ok(Route { namespace: None, servers }) }
    }

    fn answer(&mut self, asker: &Asker, answer: &[u8]) {
        match asker {
            Asker::Datagram(token, to) => {
                if let Some(Entry::Udp { fd, .. }) = self.entries.get(token) {
                    // A client that is gone or full asks again: that is what UDP is.
                    sendto(fd, answer, SendFlags::DONTWAIT | SendFlags::NOSIGNAL, to).ok();
                }
            }
            Asker::Stream(token) => {
                let Some(Entry::Client { stream, .. }) = self.entries.get_mut(token) else { return };
                if stream.send(answer) {
                    self.watch(*token);
                } else {
                    drop(self.take(*token));
                }
            }
        }
    }

    fn job(&mut self, token: u64) {
        let Some(Entry::Job { job, .. }) = self.entries.get_mut(&token) else { return };
        match job.progress() {
            Progress::Wait => self.watch(token),
            Progress::Answer(answer) => {
                let asker = job.asker.clone();
                drop(self.take(token));
                self.answer(&asker, &answer);
            }
            Progress::Next(answer) => self.next_server(token, answer),
        }
    }

    /// The server of a job is silent or unwilling: another, or the end.
    fn next_server(&mut self, token: u64, last: Option<Vec<u8>>) {
        let Some(Entry::Job { container, job, .. }) = self.take(token) else { return };
        match job.next(&self.home) {
            Ok(job) => {
                let deadline = Instant::now() + PATIENCE;
                self.enter(deadline, Entry::Job { container, job: Box::new(job), deadline });
            }
            Err(job) => {
                let packet = job.question();
                let fail = || {
                    packet::parse(packet)
                        .map(|query| packet::respond(packet, &query, Code::ServFail, &[], true))
                };
                if let Some(answer) = last.or_else(|| fail().ok()) {
                    self.answer(&job.asker, &answer);
                }
            }
        }
    }
}
