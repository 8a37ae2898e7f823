//! What is entered where: networks with their addresses, endpoints, ports. No kernel.

use crate::addresses::Addresses;
use crate::dns::Record;
use crate::portbook::PortBook;
use crate::{Endpoint, Error, Network, Published, Result, rules};
use dhow_sys::netlink::nft::Change;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::{IpAddr, SocketAddr},
};

/// A network and who is on it.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) network: Network,
    /// Beside `network.spec.pools`.
    pub(crate) pools: Vec<Addresses>,
}

/// A published port and where it leads.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) port: Published,
    pub(crate) target: SocketAddr,
    /// The proxy's, 0 if it has none.
    pub(crate) listener: u64,
}

/// All books, under one lock.
#[derive(Debug, Default)]
pub(crate) struct Books {
    pub(crate) networks: BTreeMap<String, Entry>,
    /// By container, in the order of joining.
    pub(crate) endpoints: HashMap<String, Vec<Endpoint>>,
    pub(crate) ports: PortBook,
    pub(crate) held: BTreeMap<String, Vec<Held>>,
    /// Ports in the maps that an earlier daemon published and no container has claimed yet.
    pub(crate) stale: BTreeSet<rules::Element>,
    /// All was taken away on purpose: the table is not to come back.
    pub(crate) destroyed: bool,
}

impl Books {
    pub(crate) fn network(&self, id: &str) -> Result<&Entry> {
        self.networks.get(id).ok_or_else(|| Error::not_found("find network", id))
    }

    pub(crate) fn network_mut(&mut self, id: &str) -> Result<&mut Entry> {
        self.networks.get_mut(id).ok_or_else(|| Error::not_found("find network", id))
    }

    /// `ethN` that the container does not have.
    pub(crate) fn next_interface(&self, container: &str) -> String {
        let taken = self.endpoints.get(container).map(Vec::as_slice).unwrap_or_default();
        let free = |name: &String| taken.iter().all(|endpoint| endpoint.interface != *name);
        (0..=taken.len()).map(|number| format!("eth{number}")).find(free).unwrap_or_else(|| "eth0".into())
    }

    /// Enters an endpoint, in place of an older one of the same id.
    pub(crate) fn add_endpoint(&mut self, endpoint: Endpoint) {
        let all = self.endpoints.entry(endpoint.container.clone()).or_default();
        all.retain(|other| other.id != endpoint.id);
        all.push(endpoint);
    }

    /// Takes an endpoint out and frees its addresses; `false` if it is not entered.
    pub(crate) fn remove_endpoint(&mut self, endpoint: &Endpoint) -> bool {
        let Some(all) = self.endpoints.get_mut(&endpoint.container) else { return false };
        let before = all.len();
        all.retain(|other| other.id != endpoint.id);
        let found = all.len() < before;
        if all.is_empty() {
            self.endpoints.remove(&endpoint.container);
        }
        if found {
            self.free_addresses(endpoint);
        }
        found
    }

    pub(crate) fn free_addresses(&mut self, endpoint: &Endpoint) {
        if let Some(entry) = self.networks.get_mut(&endpoint.network) {
            for address in addresses(endpoint) {
                entry.pools.iter_mut().for_each(|pool| pool.release(address));
            }
        }
    }

    /// All containers on a network.
    pub(crate) fn is_used(&self, network: &str) -> bool {
        self.endpoints.values().flatten().any(|endpoint| endpoint.network == network)
    }

    /// What makes these ports reachable, in place of what an earlier daemon had there.
    pub(crate) fn publish(&mut self, ports: &[(Published, SocketAddr)]) -> Vec<Change> {
        let stale: Vec<_> = rules::keys(ports).filter(|key| self.stale.remove(key)).collect();
        let mut plan = rules::remove(stale);
        plan.extend(rules::publish(ports));
        plan
    }

    /// The whole table as it should be.
    pub(crate) fn table(&self) -> Vec<Change> {
        let mut plan = rules::base();
        plan.extend(rules::PORT_MAPS.map(|set| Change::FlushSet { set }));
        for entry in self.networks.values() {
            plan.extend(rules::add_network(&entry.network.spec, &entry.network.bridge));
        }
        let ports: Vec<_> =
            self.held.values().flatten().map(|held| (held.port.clone(), held.target)).collect();
        plan.extend(rules::publish(&ports));
        plan
    }
}

/// Both addresses of an endpoint.
pub(crate) fn addresses(endpoint: &Endpoint) -> impl Iterator<Item = IpAddr> + use<> {
    let v4 = endpoint.ipv4.map(|(address, _)| IpAddr::V4(address));
    v4.into_iter().chain(endpoint.ipv6.map(|(address, _)| IpAddr::V6(address)))
}

/// As names see it.
pub(crate) fn record(endpoint: &Endpoint) -> Record {
    Record {
        id: endpoint.id.clone(),
        network: endpoint.network.clone(),
        container: endpoint.container.clone(),
        names: endpoint.names.clone(),
        links: endpoint.links.clone(),
        ipv4: endpoint.ipv4.map(|(address, _)| address),
        ipv6: endpoint.ipv6.map(|(address, _)| address),
    }
}
