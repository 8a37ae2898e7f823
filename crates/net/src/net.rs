//! The door: the machine's networking for one engine, and its networks.

use crate::addresses::Addresses;
use crate::books::{Books, Entry};
use crate::dns::{self, ResolvConf};
use crate::watch::Watch;
use crate::{
    Config, Error, Network, NetworkSpec, Pool, Resolvers, Result, Subnet, links, pools, rules, sandbox,
};
use dhow_sys::netlink::{
    Family, Socket,
    nft::{self, Change},
    route,
};
use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Room for a transaction of some ten thousand ports.
const TRANSACTION: usize = 4 << 20;

/// The machine's networking for one engine. Cheap to clone (`Arc` inside); safe from many threads; own thread for DNS (and one for the ::1 and
/// userland cases that nft cannot do). "The host" is the network namespace of the thread that called [`Net::open`], and the other calls must
/// come from threads in it.
#[derive(Debug, Clone)]
pub struct Net {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    config: Config,
    table: String,
    route: Mutex<Socket>,
    netfilter: Mutex<Socket>,
    books: Mutex<Books>,
    pub(crate) dns: dns::Server,
    pub(crate) proxy: crate::proxy::Proxy,
    /// Made last, because it looks at all this.
    watch: Mutex<Option<Watch>>,
}

impl Net {
    /// Makes the nft table, turns forwarding on, starts the DNS thread. Idempotent: what an earlier daemon of the same instance left is adopted.
    /// Ports an earlier daemon published stay until [`Net::restore`] has claimed them, or the first new endpoint shows that all that were to be
    /// restored have been.
    ///
    /// # Errors
    /// If the kernel refuses (not root, no nf_tables).
    pub fn open(config: Config) -> Result<Self> {
        let table = if matches!(config.instance.as_str(), "" | "dhow" | "default") {
            "dhow".to_owned()
        } else {
            format!("dhow-{}", config.instance)
        };
        let failed = |operation, object: &str| {
            let object = object.to_owned();
            move |error| Error::kernel(operation, object, error)
        };
        let route = Socket::open(Family::Route).map_err(failed("open netlink", "route"))?;
        let netfilter = Socket::open(Family::Netfilter).map_err(failed("open netlink", "netfilter"))?;
        netfilter.enlarge(TRANSACTION).map_err(failed("open netlink", "netfilter"))?;
        links::forward(false).map_err(failed("turn on forwarding", "net.ipv4.ip_forward"))?;
        let dns = dns::Server::start(ResolvConf::new(config.resolv_conf.clone()))
            .map_err(failed("start resolver", &table))?;
        let proxy = crate::proxy::Proxy::start().map_err(failed("start proxy", &table))?;
        let net = Self {
            inner: Arc::new(Inner {
                config,
                table,
                route: Mutex::new(route),
                netfilter: Mutex::new(netfilter),
                books: Mutex::new(Books::default()),
                dns,
                proxy,
                watch: Mutex::new(None),
            }),
        };
        net.inner.open_table()?;
        let weak = Arc::downgrade(&net.inner);
        let repair = move || weak.upgrade().is_some_and(|inner| inner.repair());
        let watch = Watch::start(net.inner.table.clone(), repair)
            .map_err(|error| Error::kernel("watch nft table", net.inner.table.clone(), error))?;
        *net.inner.watch.lock().unwrap_or_else(PoisonError::into_inner) = Some(watch);
        Ok(net)
    }

    /// Makes (or, after a restart, finds) the bridge and rules of a network; chooses pools where none are given.
    ///
    /// # Errors
    /// `Conflict` if a subnet overlaps a network's (docker: "Pool overlaps with other one on this address space"). What the host itself has is
    /// avoided when choosing, but may be overlapped on purpose, as with docker.
    pub fn add_network(&self, spec: &NetworkSpec) -> Result<Network> {
        let inner = &*self.inner;
        let mut books = inner.books();
        if let Some(entry) = books.networks.get(&spec.id) {
            return Ok(entry.network.clone());
        }
        let bridge = links::bridge_name(spec).ok_or_else(|| {
            let name = spec.bridge.clone().unwrap_or_default();
            Error::invalid("make network", format!("{}: no valid bridge name: {name:?}", spec.name))
        })?;
        if let Some(other) = books.networks.values().find(|entry| entry.network.bridge == bridge) {
            let text = format!("bridge name {bridge} is already used by network {}", other.network.spec.name);
            return Err(Error::conflict("make network", text));
        }
        let mut spec = NetworkSpec { bridge: Some(bridge.clone()), ..spec.clone() };
        spec.pools = inner.pools(&books, &spec, &bridge)?;
        let mut addresses = Vec::with_capacity(spec.pools.len());
        let mut gateways = Vec::with_capacity(spec.pools.len());
        for pool in &spec.pools {
            addresses.push(Addresses::new(pool)?);
            gateways.extend(pool.gateway.map(|gateway| (gateway, pool.subnet.prefix)));
        }
        let failed = |error| Error::kernel("make bridge", bridge.clone(), error);
        if spec.ipv6 {
            links::forward(true).map_err(failed)?;
        }
        links::ensure_bridge(&mut inner.route(), &bridge, &gateways, spec.mtu).map_err(failed)?;
        inner.dns.add_network(&spec);
        let network = Network { spec: spec.clone(), bridge: bridge.clone() };
        books.networks.insert(spec.id.clone(), Entry { network: network.clone(), pools: addresses });
        if let Err(error) = inner.apply(&books, &rules::add_network(&spec, &bridge)) {
            books.networks.remove(&spec.id);
            inner.dns.remove_network(&spec.id);
            let undone = inner.route().request(&route::delete_link(&bridge));
            return Err(match undone {
                Ok(()) => Error::kernel("add network to table", spec.name, error),
                Err(second) => Error::kernel(
                    "add network to table",
                    format!("{} (and bridge {bridge} stays: {second})", spec.name),
                    error,
                ),
            });
        }
        Ok(network)
    }

    /// Removes the bridge and rules.
    ///
    /// # Errors
    /// `Conflict` while endpoints are attached.
    pub fn remove_network(&self, id: &str) -> Result<()> {
        let inner = &*self.inner;
        let mut books = inner.books();
        let name = books.network(id)?.network.spec.name.clone();
        if books.is_used(id) {
            return Err(Error::conflict("remove network", format!("network {name} has active endpoints")));
        }
        let Some(entry) = books.networks.remove(id) else { return Err(Error::not_found("find network", id)) };
        let Network { spec, bridge } = entry.network;
        inner.dns.remove_network(id);
        for gateway in spec.pools.iter().filter_map(|pool| pool.gateway) {
            inner.dns.stop(&gateway_key(gateway));
        }
        inner
            .apply(&books, &rules::remove_network(&spec, &bridge))
            .map_err(|error| Error::kernel("remove network from table", name, error))?;
        inner.delete_bridge(&bridge)
    }

    /// What containers call the host: the name leads to the gateway of their network, unless one of them has it. None: no name any more.
    pub fn name_host(&self, name: Option<&str>) {
        self.inner.dns.name_host(name);
    }

    /// The resolvers that containers of the default bridge (or build steps) get in /etc/resolv.conf: the host's, less loopback ones (then the
    /// bridge's gateway forwards); and the search domains and options.
    #[must_use]
    pub fn resolvers(&self) -> Resolvers {
        let mut found = self.inner.dns.resolvers();
        found.servers.retain(|server| !server.is_loopback());
        if found.servers.is_empty() {
            found.servers = self
                .inner
                .gateway_resolver()
                .map_or_else(|| vec![[8, 8, 8, 8].into(), [8, 8, 4, 4].into()], |gateway| vec![gateway]);
        }
        found
    }

    /// After a restart, when every container that still runs was restored: takes out what an earlier daemon published and nobody
    /// has any more. Until then (or the first attach) such a port would lead nowhere, even where a program of the host listens.
    ///
    /// # Errors
    /// Kernel.
    pub fn forget_stale(&self) -> Result<()> {
        let mut books = self.inner.books();
        self.inner.settle(&mut books)
    }

    /// Takes everything of this instance away: table, bridges. For a daemon that ends with `--cleanup` (tests, demo) and no container running.
    ///
    /// # Errors
    /// All that failed.
    pub fn destroy(&self) -> std::result::Result<(), Vec<Error>> {
        let inner = &*self.inner;
        let mut books = inner.books();
        books.destroyed = true;
        let mut errors = Vec::new();
        for held in std::mem::take(&mut books.held).into_values().flatten() {
            inner.proxy.remove(held.listener);
        }
        let containers: Vec<_> = books.endpoints.drain().collect();
        for (container, endpoints) in containers {
            inner.dns.stop(&container);
            endpoints.iter().for_each(|endpoint| inner.dns.remove(&endpoint.id));
        }
        books.ports = crate::portbook::PortBook::default();
        for (id, entry) in std::mem::take(&mut books.networks) {
            inner.dns.remove_network(&id);
            for gateway in entry.network.spec.pools.iter().filter_map(|pool| pool.gateway) {
                inner.dns.stop(&gateway_key(gateway));
            }
            errors.extend(inner.delete_bridge(&entry.network.bridge).err());
        }
        // Added first, so that a table someone else has removed is no error.
        let gone = nft::transaction(&inner.table, &[Change::AddTable, Change::DeleteTable]);
        let gone = inner
            .netfilter()
            .request(&gone)
            .map_err(|error| Error::kernel("delete table", inner.table.clone(), error));
        errors.extend(gone.err());
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }
}

impl Inner {
    pub(crate) fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn route(&self) -> MutexGuard<'_, Socket> {
        self.route.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn netfilter(&self) -> MutexGuard<'_, Socket> {
        self.netfilter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a change of the table that the books have already made. If part of the table is not there, someone flushed it: it is all written
    /// again from the books.
    pub(crate) fn apply(&self, books: &Books, plan: &[Change]) -> io::Result<()> {
        if plan.is_empty() {
            return Ok(());
        }
        let mut socket = self.netfilter();
        match socket.request(&nft::transaction(&self.table, plan)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                socket.request(&nft::transaction(&self.table, &books.table()))
            }
            done => done,
        }
    }

    /// Someone deleted the table: writes it again. Whether there is anything left to watch over. Should the kernel refuse, the next change
    /// finds the table missing, tries again, and has a caller to tell.
    fn repair(&self) -> bool {
        let books = self.books();
        if books.destroyed {
            return false;
        }
        self.netfilter().request(&nft::transaction(&self.table, &books.table())).ok();
        true
    }

    /// The table of an earlier daemon is taken over if it is of this version's shape, else made anew.
    fn open_table(&self) -> Result<()> {
        let mut books = self.books();
        let mut socket = self.netfilter();
        let adopted = socket.request(&nft::transaction(&self.table, &rules::base()));
        let made = adopted.or_else(|error| match error.kind() {
            io::ErrorKind::AlreadyExists
            | io::ErrorKind::ResourceBusy
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::Unsupported => {
                let mut plan = vec![Change::AddTable, Change::DeleteTable];
                plan.extend(rules::base());
                socket.request(&nft::transaction(&self.table, &plan))
            }
            _ => Err(error),
        });
        let listed = made.and_then(|()| {
            for set in rules::PORT_MAPS {
                books
                    .stale
                    .extend(nft::keys(&mut socket, &self.table, set)?.into_iter().map(|key| (set, key)));
            }
            Ok(())
        });
        listed.map_err(|error| Error::kernel("make nft table", self.table.clone(), error))
    }

    /// All containers of before that still run have been restored: what else an earlier daemon published leads nowhere, or soon to someone
    /// else.
    pub(crate) fn settle(&self, books: &mut Books) -> Result<()> {
        let stale = std::mem::take(&mut books.stale);
        self.apply(books, &rules::remove(stale))
            .map_err(|error| Error::kernel("remove ports of before", self.table.clone(), error))
    }

    fn delete_bridge(&self, bridge: &str) -> Result<()> {
        match self.route().request(&route::delete_link(bridge)) {
            Err(error) if error.raw_os_error() != Some(rustix::io::Errno::NODEV.raw_os_error()) => {
                Err(Error::kernel("remove bridge", bridge, error))
            }
            _ => Ok(()),
        }
    }

    /// The pools of a network, gateways filled in.
    fn pools(&self, books: &Books, spec: &NetworkSpec, bridge: &str) -> Result<Vec<Pool>> {
        let others: Vec<Subnet> = books
            .networks
            .values()
            .flat_map(|entry| &entry.network.spec.pools)
            .map(|pool| pool.subnet)
            .collect();
        let mut found = spec.pools.clone();
        if found.is_empty()
            && spec.name == "bridge"
            && let Some(bip) = self.config.bip
        {
            found.push(Pool { gateway: Some(bip.address), ..pools::pool(bip) });
        }
        if found.iter().any(|pool| others.iter().any(|other| other.overlaps(pool.subnet))) {
            return Err(Error::conflict(
                "make network",
                "Pool overlaps with other one on this address space",
            ));
        }
        let has = |pools: &[Pool], v4: bool| pools.iter().any(|pool| pool.subnet.address.is_ipv4() == v4);
        for v4 in [true, false] {
            let wanted = if v4 {
                found.is_empty() || (!has(&found, true) && !has(&spec.pools, false))
            } else {
                spec.ipv6 && !has(&found, false)
            };
            if wanted {
                found.push(pools::pool(self.choose(books, &others, bridge, v4)?));
            }
        }
        for pool in &mut found {
            pool.subnet = pool.subnet.network();
            let first = pool.subnet.first() + u128::from(pool.subnet.bits() - pool.subnet.prefix > 1);
            pool.gateway.get_or_insert(pool.subnet.at(first));
        }
        Ok(found)
    }

    fn choose(&self, books: &Books, others: &[Subnet], bridge: &str, v4: bool) -> Result<Subnet> {
        let mut bridges: Vec<String> =
            books.networks.values().map(|entry| entry.network.bridge.clone()).collect();
        bridges.push(bridge.to_owned());
        let mut taken = links::occupied(&mut self.route(), &bridges)
            .map_err(|error| Error::kernel("read routes", "host", error))?;
        taken.extend(others);
        let mut from = self.config.pools.clone();
        if !from.iter().any(|(pool, _)| pool.address.is_ipv4() == v4) {
            if v4 {
                from.extend(pools::defaults());
            } else {
                from.push(pools::unique_local(links::random("choose subnet")?));
            }
        }
        pools::choose(&from, v4, &taken).ok_or_else(|| {
            Error::conflict("make network", "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network")
        })
    }

    /// A resolver on the gateway of a network without names, for hosts whose own resolver listens on loopback only.
    fn gateway_resolver(&self) -> Option<IpAddr> {
        let pool = self.books().networks.values().find(|entry| !entry.network.spec.dns).and_then(|entry| {
            let pools = &entry.network.spec.pools;
            pools.iter().find(|pool| pool.subnet.address.is_ipv4()).map(|pool| (pool.gateway, pool.subnet))
        });
        let (gateway, subnet) = pool.and_then(|(gateway, subnet)| Some((gateway?, subnet)))?;
        let key = gateway_key(gateway);
        if !self.dns.serves(&key) {
            let (udp, tcp) = sandbox::listeners(SocketAddr::new(gateway, 53)).ok()?;
            self.dns.serve(&key, dns::Sockets { udp, tcp, namespace: None, only: Some(subnet) }).ok()?;
        }
        Some(gateway)
    }
}

/// What the resolver on a gateway is called among the containers; no container's id looks so.
fn gateway_key(gateway: IpAddr) -> String {
    format!("gateway {gateway}")
}
