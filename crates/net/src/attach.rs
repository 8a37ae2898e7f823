//! Containers' ends: sandboxes, attaching, names, and letting go.

use crate::books::{self, record};
use crate::{Attach, Counters, Endpoint, Error, Net, Published, Result, links, publish, sandbox};
use dhow_sys::netlink::route::{self, Veth};
use rustix::fd::{BorrowedFd, OwnedFd};
use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

impl Net {
    /// A new network namespace with `lo` up. From a thread of its own kind: the caller's namespace does not change.
    /// `sysctls` are `net.*` values to write in it.
    ///
    /// # Errors
    /// Kernel.
    pub fn sandbox(&self, sysctls: &BTreeMap<String, String>) -> Result<OwnedFd> {
        sandbox::create(sysctls)
    }

    /// Puts a veth pair between the network's bridge and the namespace, addresses and routes set, names in the zone; carries traffic when it returns.
    /// On networks with `dns`, 127.0.0.11:53 answers in the namespace.
    ///
    /// # Errors
    /// `Conflict`: address in use; `Invalid`: outside the subnet. Nothing is left then.
    pub fn attach(&self, sandbox: BorrowedFd<'_>, attach: &Attach) -> Result<Endpoint> {
        let (endpoint, dns) = self.enter(attach)?;
        self.plug(sandbox, &endpoint, dns).inspect_err(|_| {
            self.inner.books().remove_endpoint(&endpoint);
        })?;
        Ok(endpoint)
    }

    /// The books' part: addresses, names of links.
    fn enter(&self, attach: &Attach) -> Result<(Endpoint, bool)> {
        let mut books = self.inner.books();
        self.inner.settle(&mut books)?;
        let interface = attach.interface.clone().unwrap_or_else(|| books.next_interface(&attach.container));
        let entry = books.network_mut(&attach.network)?;
        let spec = entry.network.spec.clone();
        let mut endpoint = Endpoint {
            id: random_id()?,
            network: attach.network.clone(),
            container: attach.container.clone(),
            interface,
            host_interface: String::new(),
            ipv4: None,
            ipv6: None,
            mac: [0; 6],
            gateway4: None,
            gateway6: None,
            names: attach.names.clone(),
            links: attach.links.clone(),
        };
        endpoint.host_interface = format!("veth{}", &endpoint.id[..7]);
        let wanted = [(true, attach.ipv4.map(IpAddr::V4)), (false, attach.ipv6.map(IpAddr::V6))];
        for (v4, wanted) in wanted {
            let family = |address: IpAddr| address.is_ipv4() == v4;
            let mut of_family =
                spec.pools.iter().zip(&mut entry.pools).filter(|(pool, _)| family(pool.subnet.address));
            let taken = match wanted {
                None => match of_family.next() {
                    None => continue,
                    Some((pool, book)) => book.next().map(|address| (address, pool)).ok_or_else(|| {
                        let version = if v4 { "IPv4" } else { "IPv6" };
                        let text = format!(
                            "no available {version} addresses on this network's address pools: {} ({})",
                            spec.name, spec.id
                        );
                        Error::conflict("take address", text)
                    }),
                },
                Some(address) => match of_family.find(|(pool, _)| pool.subnet.contains(address)) {
                    Some((pool, book)) => book.claim(address, &attach.container).map(|()| (address, pool)),
                    None => {
                        let text = format!(
                            "invalid address {address}: It does not belong to any of this network's subnets"
                        );
                        Err(Error::invalid("take address", text))
                    }
                },
            };
            let (address, pool) = match taken {
                Ok(taken) => taken,
                Err(error) => {
                    books.free_addresses(&endpoint);
                    return Err(error);
                }
            };
            let gateway = pool.gateway.filter(|_| attach.default_route && !spec.internal);
            match address {
                IpAddr::V4(v4) => endpoint.ipv4 = Some((v4, pool.subnet.prefix)),
                IpAddr::V6(v6) => endpoint.ipv6 = Some((v6, pool.subnet.prefix)),
            }
            match gateway {
                Some(IpAddr::V4(v4)) => endpoint.gateway4 = Some(v4),
                Some(IpAddr::V6(v6)) => endpoint.gateway6 = Some(v6),
                None => {}
            }
        }
        let own = endpoint.ipv4.and_then(|(address, _)| links::mac_of(address.into()));
        endpoint.mac = attach.mac.or(own).unwrap_or_else(links::random_mac);
        books.add_endpoint(endpoint.clone());
        Ok((endpoint, spec.dns))
    }

    /// The kernel's part.
    fn plug(&self, sandbox: BorrowedFd<'_>, endpoint: &Endpoint, dns: bool) -> Result<()> {
        let inner = &*self.inner;
        let name = &endpoint.host_interface;
        let (bridge, mtu, icc) = {
            let books = inner.books();
            let network = &books.network(&endpoint.network)?.network;
            (network.bridge.clone(), network.spec.mtu, network.spec.icc)
        };
        let failed = |operation: &'static str, error: io::Error| {
            Error::kernel(operation, format!("{name} on {bridge}"), error)
        };
        let made = {
            let mut socket = inner.route();
            let bridge =
                route::link(&mut socket, &bridge).map_err(|error| failed("find bridge", error))?.index;
            let veth = Veth {
                name,
                bridge,
                mtu,
                peer: &endpoint.interface,
                mac: endpoint.mac,
                namespace: sandbox,
                isolated: !icc,
                hairpin: links::bridges_filter(),
            };
            socket.request(&route::add_veth(&veth))
        };
        made.map_err(|error| failed("make link", error))?;
        let resolver = dns && !inner.dns.serves(&endpoint.container);
        let wired = sandbox::wire(sandbox, endpoint, resolver).and_then(|sockets| {
            // See route::link: without this barrier the first packet may be lost for a second. The bridge's own carrier follows its first
            // port's.
            let mut socket = inner.route();
            route::link(&mut socket, name)?;
            route::link(&mut socket, &bridge)?;
            drop(socket);
            sockets.map_or(Ok(()), |sockets| inner.dns.serve(&endpoint.container, sockets))
        });
        if let Err(error) = wired {
            let error = failed("set up link", error);
            return Err(match inner.route().request(&route::delete_link(name)) {
                Ok(()) => error,
                Err(second) => Error { object: format!("{} (and stays: {second})", error.object), ..error },
            });
        }
        inner.dns.add(record(endpoint));
        Ok(())
    }

    /// Live `network disconnect`: removes the link, the names, the address.
    ///
    /// # Errors
    /// Kernel.
    pub fn detach(&self, sandbox: Option<BorrowedFd<'_>>, endpoint: &Endpoint) -> Result<()> {
        let inner = &*self.inner;
        inner.dns.remove(&endpoint.id);
        let (heir, dns) = {
            let mut books = inner.books();
            books.remove_endpoint(endpoint);
            let left = books.endpoints.get(&endpoint.container).map(Vec::as_slice).unwrap_or_default();
            let network = |id: &str| books.networks.get(id).map(|entry| &entry.network.spec);
            let dns = left.iter().any(|end| network(&end.network).is_some_and(|spec| spec.dns));
            let routed = endpoint.gateway4.is_some() || endpoint.gateway6.is_some();
            let heir = left.iter().find_map(|end| {
                let spec = network(&end.network).filter(|spec| routed && !spec.internal)?;
                let of_end = |gateway: &IpAddr| {
                    if gateway.is_ipv4() { end.ipv4.is_some() } else { end.ipv6.is_some() }
                };
                let gateways: Vec<_> =
                    spec.pools.iter().filter_map(|pool| pool.gateway).filter(of_end).collect();
                Some((end.interface.clone(), gateways))
            });
            (heir, dns)
        };
        if !dns {
            inner.dns.stop(&endpoint.container);
        }
        let Some(sandbox) = sandbox else { return Ok(()) };
        let failed = |operation| move |error| Error::kernel(operation, endpoint.interface.clone(), error);
        sandbox::unplug(sandbox, &endpoint.interface).map_err(failed("remove link"))?;
        let Some((interface, gateways)) = heir else { return Ok(()) };
        sandbox::reroute(sandbox, &interface, &gateways).map_err(failed("move default route from"))
    }

    /// After a daemon restart: enters a running container's endpoints and ports in the books and serves its DNS again.
    ///
    /// # Errors
    /// Kernel; `Conflict` if another program has taken one of the ports meanwhile (it is published nevertheless). All that can be done is done.
    pub fn restore(
        &self,
        sandbox: BorrowedFd<'_>,
        endpoints: &[Endpoint],
        ports: &[Published],
    ) -> Result<()> {
        let inner = &*self.inner;
        let mut first: Result<()> = Ok(());
        let (mut resolver, mut plain) = (None, false);
        {
            let mut books = inner.books();
            for endpoint in endpoints {
                let known = books
                    .endpoints
                    .get(&endpoint.container)
                    .is_some_and(|all| all.iter().any(|other| other.id == endpoint.id));
                let entered = books.network_mut(&endpoint.network).and_then(|entry| {
                    if entry.network.spec.dns {
                        resolver = Some(endpoint.container.clone());
                    } else {
                        plain = true;
                    }
                    for address in books::addresses(endpoint).filter(|_| !known) {
                        let pool = entry.pools.iter_mut().find(|pool| pool.contains(address));
                        pool.map_or(Ok(()), |pool| pool.claim(address, &endpoint.container))?;
                    }
                    Ok(())
                });
                first = first.and(entered);
                books.add_endpoint(endpoint.clone());
                inner.dns.add(record(endpoint));
            }
        }
        if let Some(container) = resolver {
            let served =
                sandbox::resolver_again(sandbox).and_then(|sockets| inner.dns.serve(&container, sockets));
            first = first.and(served.map_err(|error| Error::kernel("serve names of", container, error)));
        }
        if plain {
            // Its resolv.conf may name the gateway: then the resolver there is to listen again.
            drop(self.resolvers());
        }
        first.and(publish::restore(inner, endpoints, ports))
    }

    /// The container has stopped: frees ports, names, addresses; stops its DNS. The namespace itself ends with its last descriptor. Never
    /// stops at the first failure. What the books have of the container goes, whether it is in the lists or not.
    ///
    /// # Errors
    /// All that failed.
    pub fn release(
        &self,
        container: &str,
        endpoints: &[Endpoint],
        _ports: &[Published],
    ) -> std::result::Result<(), Vec<Error>> {
        let inner = &*self.inner;
        // Ports that the books do not know (of a container that ended while no daemon ran) are not in the table either: see Net::open.
        let errors = publish::release(inner, container, &[]);
        inner.dns.stop(container);
        let mut books = inner.books();
        let mut all = books.endpoints.get(container).cloned().unwrap_or_default();
        all.extend(endpoints.iter().filter(|endpoint| endpoint.container == container).cloned());
        for endpoint in &all {
            inner.dns.remove(&endpoint.id);
            books.remove_endpoint(endpoint);
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    /// Adds or replaces the names of an endpoint (rename).
    pub fn rename(&self, endpoint: &Endpoint, names: Vec<String>) {
        let mut books = self.inner.books();
        let all = books.endpoints.get_mut(&endpoint.container).map(Vec::as_mut_slice).unwrap_or_default();
        if let Some(known) = all.iter_mut().find(|other| other.id == endpoint.id) {
            known.names.clone_from(&names);
        }
        self.inner.dns.rename(&endpoint.id, names);
    }

    /// Keeps an address for a container that is not attached (created, stopped), so that no other gets it by chance. Ends with
    /// [`Net::forget_addresses`]; [`Net::attach`] of the container takes it as often as it likes.
    ///
    /// # Errors
    /// `Conflict` if it is taken, `Invalid` if it is outside the network, `NotFound` if there is no such network.
    pub fn keep_address(
        &self,
        network: &str,
        container: &str,
        ipv4: Option<Ipv4Addr>,
        ipv6: Option<Ipv6Addr>,
    ) -> Result<()> {
        let mut books = self.inner.books();
        let entry = books.network_mut(network)?;
        for address in ipv4.map(IpAddr::V4).into_iter().chain(ipv6.map(IpAddr::V6)) {
            let pool = entry.pools.iter_mut().find(|pool| pool.contains(address)).ok_or_else(|| {
                Error::invalid(
                    "keep address",
                    format!("invalid address {address}: It does not belong to any of this network's subnets"),
                )
            })?;
            pool.keep(address, container)?;
        }
        Ok(())
    }

    /// The container is removed: addresses kept for it are free.
    pub fn forget_addresses(&self, container: &str) {
        let mut books = self.inner.books();
        books
            .networks
            .values_mut()
            .flat_map(|entry| &mut entry.pools)
            .for_each(|pool| pool.forget(container));
    }

    /// Which resolvers a container's 127.0.0.11 forwards to, when not the host's (`--dns`).
    pub fn set_upstream(&self, container: &str, servers: Vec<IpAddr>) {
        self.inner.dns.set_upstream(container, servers);
    }

    /// Bytes, packets, errors, drops of each link inside a namespace, by name.
    ///
    /// # Errors
    /// Kernel.
    pub fn counters(&self, sandbox: BorrowedFd<'_>) -> Result<BTreeMap<String, Counters>> {
        sandbox::counters(sandbox).map_err(|error| Error::kernel("read counters", "sandbox", error))
    }
}

/// 64 hexadecimal digits.
fn random_id() -> Result<String> {
    let bytes: [u8; 32] = links::random("make endpoint")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
