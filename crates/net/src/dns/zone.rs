//! Who is called what on which network, and what a container sees of it.

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// One end of a container, as names see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// Endpoint id.
    pub(crate) id: String,
    pub(crate) network: String,
    pub(crate) container: String,
    pub(crate) names: Vec<String>,
    pub(crate) links: BTreeMap<String, String>,
    pub(crate) ipv4: Option<Ipv4Addr>,
    pub(crate) ipv6: Option<Ipv6Addr>,
}

#[derive(Debug)]
struct Network {
    name: String,
    internal: bool,
    dns: bool,
    /// The host's own addresses on it.
    gateways: Vec<IpAddr>,
    /// Lower-case name → endpoints.
    names: HashMap<String, Vec<String>>,
}

/// All networks.
#[derive(Debug, Default)]
pub(super) struct Zones {
    networks: BTreeMap<String, Network>,
    records: HashMap<String, Record>,
    /// Container → its endpoints in the order of joining.
    containers: HashMap<String, Vec<String>>,
    addresses: HashMap<(String, IpAddr), String>,
    turn: usize,
    /// What the host is called on every network, where no container is called so.
    pub(super) host: Option<String>,
}

impl Zones {
    pub(super) fn add_network(
        &mut self,
        id: &str,
        name: &str,
        internal: bool,
        dns: bool,
        gateways: Vec<IpAddr>,
    ) {
        let network = Network { name: name.to_owned(), internal, dns, gateways, names: HashMap::new() };
        self.networks.entry(id.to_owned()).or_insert(network);
    }

    pub(super) fn remove_network(&mut self, id: &str) {
        self.networks.remove(id);
    }

    /// Enters an endpoint, in place of an older one of the same id.
    pub(super) fn add(&mut self, record: Record) {
        let place =
            self.containers.get(&record.container).and_then(|ids| ids.iter().position(|id| *id == record.id));
        self.remove(&record.id);
        let ids = self.containers.entry(record.container.clone()).or_default();
        ids.insert(place.unwrap_or(ids.len()).min(ids.len()), record.id.clone());
        if let Some(network) = self.networks.get_mut(&record.network) {
            for name in &record.names {
                let holders = network.names.entry(name.to_ascii_lowercase()).or_default();
                if !holders.contains(&record.id) {
                    holders.push(record.id.clone());
                }
            }
        }
        for address in addresses(&record) {
            self.addresses.insert((record.network.clone(), address), record.id.clone());
        }
        self.records.insert(record.id.clone(), record);
    }

    pub(super) fn remove(&mut self, id: &str) {
        let Some(record) = self.records.remove(id) else { return };
        if let Some(ids) = self.containers.get_mut(&record.container) {
            ids.retain(|other| other != id);
            if ids.is_empty() {
                self.containers.remove(&record.container);
            }
        }
        if let Some(network) = self.networks.get_mut(&record.network) {
            network.names.retain(|_, holders| {
                holders.retain(|holder| holder != id);
                !holders.is_empty()
            });
        }
        for address in addresses(&record) {
            let key = (record.network.clone(), address);
            if self.addresses.get(&key).is_some_and(|holder| holder == id) {
                self.addresses.remove(&key);
            }
        }
    }

    /// The record of an endpoint.
    pub(super) fn record(&self, id: &str) -> Option<&Record> {
        self.records.get(id)
    }

    fn ends<'a>(&'a self, container: &str) -> impl Iterator<Item = (&'a Record, &'a Network)> + use<'a> {
        let ids = self.containers.get(container).map(Vec::as_slice).unwrap_or_default();
        ids.iter().filter_map(|id| {
            let record = self.records.get(id)?;
            Some((record, self.networks.get(&record.network).filter(|network| network.dns)?))
        })
    }

    /// The addresses of a name as a container sees it, starting with another holder each time; `None` if the name is not ours. The first
    /// network (in the order of joining) that knows the name answers, as with docker; `name.network` asks one of them.
    pub(super) fn resolve(&mut self, container: &str, name: &str) -> Option<Vec<IpAddr>> {
        self.turn = self.turn.wrapping_add(1);
        let found = self
            .ends(container)
            .find_map(|(end, network)| self.on_network(end, network, name))
            .or_else(|| {
                let (host, suffix) = name.rsplit_once('.')?;
                let mut ends =
                    self.ends(container).filter(|(_, network)| network.name.eq_ignore_ascii_case(suffix));
                ends.find_map(|(end, network)| self.on_network(end, network, host))
            });
        let Some(mut found) = found else { return self.host_on_networks(container, name) };
        let length = found.len().max(1);
        found.rotate_left(self.turn % length);
        Some(found.into_iter().flat_map(addresses).collect())
    }

    /// The host's addresses on the container's first network, if that is the name.
    fn host_on_networks(&self, container: &str, name: &str) -> Option<Vec<IpAddr>> {
        self.host.as_ref().filter(|host| host.eq_ignore_ascii_case(name))?;
        self.ends(container).next().map(|(_, network)| network.gateways.clone())
    }

    fn on_network<'a>(&'a self, end: &Record, network: &'a Network, name: &str) -> Option<Vec<&'a Record>> {
        let link = end
            .links
            .iter()
            .find(|(alias, _)| alias.eq_ignore_ascii_case(name))
            .map(|(_, target)| target.to_ascii_lowercase());
        let by_link = link.and_then(|target| network.names.get(&target));
        let holders = by_link.or_else(|| network.names.get(name))?;
        Some(holders.iter().filter_map(|id| self.records.get(id)).collect())
    }

    /// `name.network` of an address as a container sees it.
    pub(super) fn reverse(&self, container: &str, address: IpAddr) -> Option<String> {
        self.ends(container).find_map(|(end, network)| {
            let record = self.records.get(self.addresses.get(&(end.network.clone(), address))?)?;
            Some(format!("{}.{}", record.names.first()?, network.name))
        })
    }

    /// Whether a container has a network with a way out; only then its questions leave the machine.
    pub(super) fn may_forward(&self, container: &str) -> bool {
        let ids = self.containers.get(container).map(Vec::as_slice).unwrap_or_default();
        let networks = ids.iter().filter_map(|id| self.networks.get(&self.records.get(id)?.network));
        networks.into_iter().any(|network| !network.internal)
    }
}

fn addresses(record: &Record) -> impl Iterator<Item = IpAddr> + use<> {
    record.ipv4.map(IpAddr::V4).into_iter().chain(record.ipv6.map(IpAddr::V6))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(container: &str, network: &str, last: u8, names: &[&str]) -> Record {
        Record {
            id: format!("{container}-{network}"),
            network: network.into(),
            container: container.into(),
            names: names.iter().map(|n| (*n).to_owned()).collect(),
            links: BTreeMap::new(),
            ipv4: Some([10, 0, network.len() as u8, last].into()),
            ipv6: None,
        }
    }

    fn zones() -> Zones {
        let mut zones = Zones::default();
        zones.add_network("n", "front", false, true, vec![[10, 0, 1, 1].into()]);
        zones.add_network("nn", "back", true, true, vec![[10, 0, 2, 1].into()]);
        zones.add_network("nnn", "bridge", false, false, vec![[10, 0, 3, 1].into()]);
        zones.add(record("web", "n", 2, &["web", "www"]));
        zones.add(record("db", "nn", 2, &["db", "store"]));
        zones.add(record("app", "n", 3, &["app"]));
        zones.add(record("app", "nn", 3, &["app"]));
        zones.add(record("old", "nnn", 2, &["old"]));
        zones
    }

    fn ask(zones: &mut Zones, container: &str, name: &str) -> String {
        zones
            .resolve(container, name)
            .map_or("-".into(), |all| all.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn a_container_sees_its_networks_only() {
        let mut zones = zones();
        assert_eq!(ask(&mut zones, "app", "www"), "10.0.1.2");
        assert_eq!(ask(&mut zones, "app", "db"), "10.0.2.2");
        assert_eq!(ask(&mut zones, "web", "db"), "-");
        assert_eq!(ask(&mut zones, "web", "app"), "10.0.1.3");
        assert_eq!(ask(&mut zones, "db", "app"), "10.0.2.3");
        assert_eq!(ask(&mut zones, "app", "app.back"), "10.0.2.3");
        assert_eq!(ask(&mut zones, "web", "app.back"), "-");
        assert_eq!(ask(&mut zones, "old", "old"), "-", "no names on the default bridge");
        assert_eq!(ask(&mut zones, "nobody", "web"), "-");
    }

    #[test]
    fn the_host_has_a_name_where_no_container_has_it() {
        let mut zones = zones();
        assert_eq!(ask(&mut zones, "web", "kafka"), "-");
        zones.host = Some("kafka".to_owned());
        assert_eq!(ask(&mut zones, "web", "Kafka"), "10.0.1.1");
        assert_eq!(ask(&mut zones, "db", "kafka"), "10.0.2.1");
        assert_eq!(ask(&mut zones, "app", "kafka"), "10.0.1.1", "the first network's");
        assert_eq!(ask(&mut zones, "old", "kafka"), "-", "no names on the default bridge");
        zones.add(record("own", "n", 8, &["kafka"]));
        assert_eq!(ask(&mut zones, "web", "kafka"), "10.0.1.8", "a container of that name is meant");
    }

    #[test]
    fn several_holders_take_turns() {
        let mut zones = zones();
        zones.add(record("web2", "n", 9, &["WWW"]));
        let answers = [ask(&mut zones, "web", "www"), ask(&mut zones, "web", "www")];
        assert!(
            answers.contains(&"10.0.1.2 10.0.1.9".into()) && answers.contains(&"10.0.1.9 10.0.1.2".into()),
            "{answers:?}"
        );
        zones.remove("web-n");
        assert_eq!(ask(&mut zones, "web2", "www"), "10.0.1.9");
        zones.remove("web2-n");
        assert_eq!(ask(&mut zones, "app", "www"), "-");
    }

    #[test]
    fn links_rename_reverse() {
        let mut zones = zones();
        let mut app = zones.record("app-n").unwrap().clone();
        app.links.insert("Cache".into(), "web".into());
        app.names = vec!["app2".into()];
        zones.add(app);
        assert_eq!(ask(&mut zones, "app", "cache"), "10.0.1.2");
        assert_eq!(ask(&mut zones, "web", "cache"), "-");
        assert_eq!(ask(&mut zones, "web", "app"), "-");
        assert_eq!(ask(&mut zones, "web", "app2"), "10.0.1.3");
        assert_eq!(zones.reverse("web", [10, 0, 1, 3].into()), Some("app2.front".into()));
        assert_eq!(zones.reverse("web", [10, 0, 2, 3].into()), None);
    }

    #[test]
    fn only_internal_networks_do_not_forward() {
        let zones = zones();
        assert!(zones.may_forward("web") && zones.may_forward("app") && zones.may_forward("old"));
        assert!(!zones.may_forward("db") && !zones.may_forward("nobody"));
    }
}
