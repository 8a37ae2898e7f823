//! The thread that answers all containers.

use super::{
    resolv::ResolvConf,
    state::{State, WAKE},
    zone::Record,
};
use crate::{NetworkSpec, Subnet};
use dhow_sys::netns;
use rustix::{
    event::{EventfdFlags, Timespec, epoll, eventfd},
    fd::OwnedFd,
    io::Errno,
};
use std::{
    io,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Instant,
};

/// The sockets of a container at [`super::ADDRESS`], and its namespace.
#[derive(Debug)]
pub(crate) struct Sockets {
    pub(crate) udp: OwnedFd,
    pub(crate) tcp: OwnedFd,
    /// For resolvers only it can reach; `None` for a bridge's gateway, whose resolver is on the host.
    pub(crate) namespace: Option<OwnedFd>,
    /// Whose questions are heard, over UDP or TCP; `None`: everyone's who can reach the socket.
    pub(crate) only: Option<Subnet>,
}

/// Handle of the thread; ends it when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    epoll: Arc<OwnedFd>,
    wake: OwnedFd,
    state: Mutex<State>,
}

impl Server {
    /// Starts the thread in the caller's network namespace, which is "the host" from then on.
    pub(crate) fn start(resolv: ResolvConf) -> io::Result<Self> {
        let epoll = Arc::new(epoll::create(epoll::CreateFlags::CLOEXEC)?);
        let shared = Arc::new(Shared {
            epoll: Arc::clone(&epoll),
            wake: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            state: Mutex::new(State::new(epoll, netns::current()?, resolv)),
        });
        epoll::add(&shared.epoll, &shared.wake, epoll::EventData::new_u64(WAKE), epoll::EventFlags::IN)?;
        let theirs = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("net-dns".into())
            .stack_size(512 * 1024)
            .spawn(move || theirs.run())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    pub(crate) fn add_network(&self, spec: &NetworkSpec) {
        let gateways = spec.pools.iter().filter_map(|pool| pool.gateway).collect();
        let zones = &mut self.shared.lock().zones;
        zones.add_network(&spec.id, &spec.name, spec.internal, spec.dns, gateways);
    }

    /// See [`crate::Net::name_host`].
    pub(crate) fn name_host(&self, name: Option<&str>) {
        self.shared.lock().zones.host = name.map(str::to_owned);
    }

    pub(crate) fn remove_network(&self, id: &str) {
        self.shared.lock().zones.remove_network(id);
    }

    /// Enters an endpoint's names, or changes them.
    pub(crate) fn add(&self, record: Record) {
        self.shared.lock().zones.add(record);
    }

    /// Changes the names of an endpoint that is known.
    pub(crate) fn rename(&self, endpoint: &str, names: Vec<String>) {
        let mut state = self.shared.lock();
        if let Some(record) = state.zones.record(endpoint).cloned() {
            state.zones.add(Record { names, ..record });
        }
    }

    pub(crate) fn remove(&self, endpoint: &str) {
        self.shared.lock().zones.remove(endpoint);
    }

    /// Whether this container is served already.
    pub(crate) fn serves(&self, container: &str) -> bool {
        self.shared.lock().resolvers.contains_key(container)
    }

    /// Answers on these sockets from now on.
    pub(crate) fn serve(&self, container: &str, sockets: Sockets) -> io::Result<()> {
        self.shared.lock().serve(container, sockets)
    }

    /// Stops answering a container: its sockets and its namespace are let go.
    pub(crate) fn stop(&self, container: &str) {
        let mut state = self.shared.lock();
        state.stop(container);
        state.upstreams.remove(container);
    }

    /// Forwards a container's questions to these servers, from its own namespace; none: the host's again.
    pub(crate) fn set_upstream(&self, container: &str, servers: Vec<IpAddr>) {
        let mut state = self.shared.lock();
        if servers.is_empty() {
            state.upstreams.remove(container);
        } else {
            state.upstreams.insert(container.to_owned(), servers);
        }
    }

    /// What the host's resolv.conf says now.
    pub(crate) fn resolvers(&self) -> crate::Resolvers {
        self.shared.lock().resolv.read().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.lock().ending = true;
        // The counter of an eventfd overflows only after 2⁶⁴ writes.
        rustix::io::write(&self.shared.wake, &1u64.to_ne_bytes()).ok();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut events = Vec::with_capacity(64);
        loop {
            let timeout = {
                let state = self.lock();
                if state.ending {
                    return;
                }
                state.deadlines.first().map(|(deadline, _)| until(*deadline))
            };
            events.clear();
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), timeout.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                // Only a bug could get us here (a closed descriptor), and spinning would hide it.
                Err(_) => return,
            }
            let mut state = self.lock();
            for event in &events {
                state.event(event.data.u64());
            }
            state.expire();
        }
    }
}

fn until(deadline: Instant) -> Timespec {
    let left = deadline.saturating_duration_since(Instant::now());
    Timespec {
        tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: left.subsec_nanos().into(),
    }
}
