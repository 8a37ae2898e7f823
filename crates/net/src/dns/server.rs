//! The thread that answers all containers.

use super::{resolv::ResolvConf, state::State, zone::Record};
use crate::{
    NetworkSpec, Subnet,
    worker::{self, Worker},
};
use dhow_sys::netns;
use rustix::{event::epoll, fd::OwnedFd};
use std::{
    io,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard},
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
    state: Arc<Mutex<State>>,
    _worker: Worker,
}

impl Server {
    /// Starts the thread in the caller's network namespace, which is "the host" from then on.
    pub(crate) fn start(resolv: ResolvConf) -> io::Result<Self> {
        let epoll = Arc::new(epoll::create(epoll::CreateFlags::CLOEXEC)?);
        let state = State::new(Arc::clone(&epoll), netns::current()?, resolv);
        let state = Arc::new(Mutex::new(state));
        let worker = worker::serve("net-dns", epoll, Arc::clone(&state))?;
        Ok(Self { state, _worker: worker })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        worker::lock(&self.state)
    }

    pub(crate) fn add_network(&self, spec: &NetworkSpec) {
        let gateways = spec.pools.iter().filter_map(|pool| pool.gateway).collect();
        let zones = &mut self.lock().zones;
        zones.add_network(&spec.id, &spec.name, spec.internal, spec.dns, gateways);
    }

    /// See [`crate::Net::name_host`].
    pub(crate) fn name_host(&self, name: Option<&str>) {
        self.lock().zones.host = name.map(str::to_owned);
    }

    pub(crate) fn remove_network(&self, id: &str) {
        self.lock().zones.remove_network(id);
    }

    /// Enters an endpoint's names, or changes them.
    pub(crate) fn add(&self, record: Record) {
        self.lock().zones.add(record);
    }

    /// Changes the names of an endpoint that is known.
    pub(crate) fn rename(&self, endpoint: &str, names: Vec<String>) {
        let mut state = self.lock();
        if let Some(record) = state.zones.record(endpoint).cloned() {
            state.zones.add(Record { names, ..record });
        }
    }

    pub(crate) fn remove(&self, endpoint: &str) {
        self.lock().zones.remove(endpoint);
    }

    /// Whether this container is served already.
    pub(crate) fn serves(&self, container: &str) -> bool {
        self.lock().resolvers.contains_key(container)
    }

    /// Answers on these sockets from now on.
    pub(crate) fn serve(&self, container: &str, sockets: Sockets) -> io::Result<()> {
        self.lock().serve(container, sockets)
    }

    /// Stops answering a container: its sockets and its namespace are let go.
    pub(crate) fn stop(&self, container: &str) {
        let mut state = self.lock();
        state.stop(container);
        state.upstreams.remove(container);
    }

    /// Forwards a container's questions to these servers, from its own namespace; none: the host's again.
    pub(crate) fn set_upstream(&self, container: &str, servers: Vec<IpAddr>) {
        let mut state = self.lock();
        if servers.is_empty() {
            state.upstreams.remove(container);
        } else {
            state.upstreams.insert(container.to_owned(), servers);
        }
    }

    /// What the host's resolv.conf says now.
    pub(crate) fn resolvers(&self) -> crate::Resolvers {
        self.lock().resolv.read().clone()
    }
}
