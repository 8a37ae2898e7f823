//! Networks, as the API has them. `bridge`, `host` and `none` always exist.

mod restore;
mod wanted;

pub(crate) use restore::restore;

use crate::{
    Error, Kind, Result, blocking,
    containers::{Pruned, check_endpoint, task::Command},
    events::Time,
    filters::Filters,
    kafka,
    shared::Shared,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, Ipv6Addr},
    sync::{Arc, PoisonError, RwLock},
};
use wanted::wanted;

/// What a user asks of one endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct EndpointConfig {
    /// `--ip`.
    pub ipv4: Option<Ipv4Addr>,
    /// `--ip6`.
    pub ipv6: Option<Ipv6Addr>,
    /// `--link-local-ip`: only shown back.
    pub link_local_ips: Vec<String>,
    /// `--network-alias`.
    pub aliases: Vec<String>,
    /// `name:alias`.
    pub links: Vec<String>,
    /// `--mac-address`.
    pub mac: String,
    /// Which network has the default route: highest wins.
    pub gw_priority: i64,
    /// Driver options.
    pub driver_opts: BTreeMap<String, String>,
}

/// `POST /networks/create`.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs, reason = "docker's words")]
pub struct Create {
    pub name: String,
    /// `bridge` or empty.
    pub driver: String,
    pub internal: bool,
    pub attachable: bool,
    pub ingress: bool,
    pub enable_ipv4: bool,
    pub enable_ipv6: bool,
    pub ipam_driver: String,
    pub ipam_options: BTreeMap<String, String>,
    pub pools: Vec<dhow_net::Pool>,
    pub options: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
}

/// A network as it stands. Also the disk format (journal `network/<id>`), less `containers`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "docker's words")]
pub struct View {
    pub id: String,
    pub name: String,
    pub created: Time,
    /// `bridge host null`.
    pub driver: String,
    pub internal: bool,
    pub attachable: bool,
    pub ingress: bool,
    pub enable_ipv4: bool,
    pub enable_ipv6: bool,
    pub ipam_driver: String,
    pub ipam_options: BTreeMap<String, String>,
    /// As asked for; with `network` the pools in force.
    pub pools: Vec<dhow_net::Pool>,
    pub options: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
    /// The bridge, for driver `bridge`.
    pub network: Option<dhow_net::Network>,
    /// Running containers: id → (name, endpoint).
    #[serde(skip)]
    pub containers: BTreeMap<String, (String, dhow_net::Endpoint)>,
}

/// Name of the default network.
pub(crate) const BRIDGE: &str = "bridge";
const PREDEFINED: [&str; 3] = [BRIDGE, "host", "none"];

/// Whether it always exists.
pub(crate) fn is_predefined(name: &str) -> bool {
    PREDEFINED.contains(&name)
}

/// The network that a mode names.
pub(crate) fn canonical(mode: &str) -> String {
    if mode.is_empty() || mode == "default" { BRIDGE.to_owned() } else { mode.to_owned() }
}

/// All networks, by id.
#[derive(Debug, Default)]
pub(crate) struct Book {
    inner: RwLock<BTreeMap<String, Arc<View>>>,
    changed: tokio::sync::watch::Sender<()>,
}

impl Book {
    /// By name, id, or unique prefix of an id.
    pub(crate) fn find(&self, name: &str) -> Result<Arc<View>> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = inner.get(name) {
            return Ok(found.clone());
        }
        let canonical = canonical(name);
        if let Some(found) = inner.values().find(|view| view.name == canonical) {
            return Ok(found.clone());
        }
        let mut matches = inner.iter().filter(|(id, _)| !name.is_empty() && id.starts_with(name));
        match (matches.next(), matches.next()) {
            (Some((_, found)), None) => Ok(found.clone()),
            (Some(_), Some(_)) => Err(Error::new(
                Kind::Invalid,
                format!("network {name} is ambiguous (2 matches found based on ID prefix)"),
            )),
            _ => Err(Error::new(Kind::NotFound, format!("network {name} not found"))),
        }
    }

    pub(crate) fn insert(&self, view: View) -> Arc<View> {
        let view = Arc::new(view);
        self.inner.write().unwrap_or_else(PoisonError::into_inner).insert(view.id.clone(), view.clone());
        self.changed.send_replace(());
        view
    }

    fn remove(&self, id: &str) {
        self.inner.write().unwrap_or_else(PoisonError::into_inner).remove(id);
        self.changed.send_replace(());
    }

    /// Wakes when a network comes or goes.
    pub(crate) fn changes(&self) -> tokio::sync::watch::Receiver<()> {
        self.changed.subscribe()
    }

    pub(crate) fn all(&self) -> Vec<Arc<View>> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

/// The service.
#[derive(Debug)]
pub struct Networks {
    shared: Arc<Shared>,
}

impl Networks {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Returns the id and a warning (or empty).
    pub async fn create(&self, create: Create) -> Result<(String, String)> {
        self.shared.admit()?;
        let spec = wanted(&create)?;
        if self.shared.networks.all().iter().any(|n| n.name == create.name) {
            return Err(Error::new(
                Kind::Conflict,
                format!("network with name {} already exists", create.name),
            ));
        }
        let shared = self.shared.clone();
        let id = spec.id.clone();
        let made = blocking::run(move || {
            // Noted before anything is made: a daemon that is killed in between leaves a bridge that the next one must know.
            shared.journal(&restore::making(&spec.id), &spec)?.written()?;
            let made = shared.net.add_network(&spec).map_err(overlap);
            let network = made.inspect_err(|_| restore::made(&shared, &spec.id))?;
            let view = View {
                id: spec.id.clone(),
                name: create.name,
                created: Time::now(),
                driver: "bridge".to_owned(),
                internal: create.internal,
                attachable: create.attachable,
                ingress: create.ingress,
                enable_ipv4: create.enable_ipv4,
                enable_ipv6: create.enable_ipv6,
                ipam_driver: if create.ipam_driver.is_empty() {
                    "default".to_owned()
                } else {
                    create.ipam_driver
                },
                ipam_options: create.ipam_options,
                pools: create.pools,
                options: create.options,
                labels: create.labels,
                network: Some(network),
                containers: BTreeMap::new(),
            };
            let recorded = shared.journal(&format!("network/{}", view.id), &view);
            if let Err(failure) = recorded.and_then(|ticket| ticket.wait().map_err(Error::from)) {
                shared.net.remove_network(&view.id)?;
                return Err(failure);
            }
            restore::made(&shared, &view.id);
            let view = shared.networks.insert(view);
            event(&shared, "create", &view);
            Ok(view)
        })
        .await?;
        kafka::follows(&self.shared, &made).await;
        Ok((id, String::new()))
    }

    /// By name, id, prefix.
    pub fn view(&self, name: &str) -> Result<Arc<View>> {
        let found = self.shared.networks.find(name)?;
        Ok(self.with_containers(&found))
    }

    fn with_containers(&self, network: &Arc<View>) -> Arc<View> {
        let mut view = (**network).clone();
        for container in self.shared.containers.views() {
            let endpoints = container.networks.values().filter(|e| e.network_id == view.id);
            for endpoint in endpoints.filter_map(|e| e.endpoint.clone()) {
                view.containers.insert(container.id.clone(), (container.name.clone(), endpoint));
            }
        }
        Arc::new(view)
    }

    /// Filters `driver id label name scope type dangling`.
    pub fn list(&self, filters: &Filters) -> Result<Vec<Arc<View>>> {
        filters.only(&["driver", "id", "label", "label!", "name", "scope", "type", "dangling"])?;
        let dangling = filters.flag("dangling")?;
        if let Some(kind) =
            filters.all("type").iter().find(|kind| !matches!(kind.as_str(), "builtin" | "custom"))
        {
            return Err(Error::new(Kind::Invalid, format!("invalid filter: 'type'='{kind}'")));
        }
        let used = self.used();
        let passes = |view: &View| {
            let builtin = is_predefined(&view.name);
            filters.any("driver", |d| view.driver == *d)
                && filters.any("id", |id| view.id.starts_with(id.as_str()))
                && filters.any("name", |name| {
                    view.name.contains(name.trim_start_matches('^').trim_end_matches('$'))
                })
                && filters.any("scope", |scope| scope == "local")
                && filters.any("type", |kind| kind == if builtin { "builtin" } else { "custom" })
                && filters.labels(&view.labels)
                && dangling.is_none_or(|wanted| wanted == (!builtin && !used.contains_key(&view.id)))
        };
        let mut all: Vec<Arc<View>> = self.shared.networks.all().into_iter().filter(|v| passes(v)).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    /// Networks with a container that runs (or will again): id → names.
    fn used(&self) -> BTreeMap<String, Vec<String>> {
        let mut used: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for container in self.shared.containers.views() {
            for endpoint in container.networks.values() {
                if endpoint.endpoint.is_some() || container.status.is_up() {
                    used.entry(endpoint.network_id.clone()).or_default().push(container.name.clone());
                }
            }
        }
        used
    }

    /// `Conflict` while used, `Forbidden` for the predefined ones.
    pub async fn remove(&self, name: &str) -> Result<()> {
        let view = self.shared.networks.find(name)?;
        if is_predefined(&view.name) {
            return Err(Error::new(
                Kind::Forbidden,
                format!("{} is a pre-defined network and cannot be removed", view.name),
            ));
        }
        if let Some(names) = self.used().get(&view.id) {
            let (name, id) = (&view.name, &view.id);
            let users = names.join(", ");
            return Err(Error::new(
                Kind::Forbidden,
                format!(
                    "error while removing network: network {name} id {id} has active endpoints (name:{users})"
                ),
            ));
        }
        let shared = self.shared.clone();
        blocking::run(move || {
            if view.network.is_some() {
                match shared.net.remove_network(&view.id) {
                    Err(failure) if failure.kind != dhow_net::Kind::NotFound => return Err(failure.into()),
                    _ => {}
                }
            }
            shared.store.journal().put(&format!("network/{}", view.id), None).wait()?;
            shared.networks.remove(&view.id);
            event(&shared, "destroy", &view);
            Ok(())
        })
        .await
    }

    /// Live, or recorded for the next start.
    pub async fn connect(&self, network: &str, container: &str, config: EndpointConfig) -> Result<()> {
        self.shared.admit()?;
        let handle = self.shared.containers.find(container)?;
        let network = self.shared.networks.find(network)?;
        check_endpoint(&network, &config)?;
        let config = Box::new(config);
        handle.ask(|answer| Command::Connect { network, config, answer }).await
    }

    /// Likewise.
    pub async fn disconnect(&self, network: &str, container: &str, force: bool) -> Result<()> {
        let network = self.shared.networks.find(network)?;
        let handle = match self.shared.containers.find(container) {
            // By force also an endpoint whose container is gone: there is never one here.
            Err(_) if force => {
                return Err(Error::new(Kind::NotFound, format!("endpoint {container} not found")));
            }
            found => found?,
        };
        let network = network.name.clone();
        handle.ask(|answer| Command::Disconnect { network, answer }).await
    }

    /// Unused user networks (`until`, `label`).
    pub async fn prune(&self, filters: &Filters) -> Result<Pruned> {
        filters.only(&["until", "label", "label!"])?;
        let until = filters.until()?;
        let mut pruned = Pruned::default();
        // a stopped container still needs its network
        let wanted: Vec<String> = self
            .shared
            .containers
            .views()
            .iter()
            .flat_map(|c| c.networks.values().map(|e| e.network_id.clone()).collect::<Vec<_>>())
            .collect();
        for view in self.shared.networks.all() {
            let spared = is_predefined(&view.name)
                || wanted.contains(&view.id)
                || until.is_some_and(|t| view.created >= t)
                || !filters.labels(&view.labels);
            if spared {
                continue;
            }
            match self.remove(&view.id).await {
                Ok(()) => pruned.deleted.push(view.name.clone()),
                Err(failure) if matches!(failure.kind, Kind::Forbidden | Kind::Conflict | Kind::NotFound) => {
                }
                Err(failure) => return Err(failure),
            }
        }
        self.shared.events.note("network", "prune", "", [("reclaimed", "0")]);
        Ok(pruned)
    }
}

fn event(shared: &Shared, action: &str, view: &View) {
    shared.events.note(
        "network",
        action,
        &view.id,
        [("name", view.name.as_str()), ("type", view.driver.as_str())],
    );
}

/// docker answers 403 for pools that overlap.
fn overlap(error: dhow_net::Error) -> Error {
    let mut error = Error::from(error);
    if error.kind == Kind::Conflict && error.message.contains("overlaps") {
        error.kind = Kind::Forbidden;
        // docker's whole sentence
        "Pool overlaps with other one on this address space".clone_into(&mut error.message);
    }
    error
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use dhow_net::Subnet;

    /// A network of this bridge and subnet, whose gateway is the first address.
    pub(crate) fn bridge(name: &str, bridge: &str, subnet: &str) -> View {
        let (address, prefix) = subnet.split_once('/').unwrap();
        let (address, prefix) = (address.parse::<Ipv4Addr>().unwrap(), prefix.parse().unwrap());
        let pool = dhow_net::Pool {
            subnet: Subnet { address: address.into(), prefix },
            gateway: Some(Ipv4Addr::from_bits(address.to_bits() + 1).into()),
            range: None,
            reserved: BTreeMap::new(),
        };
        let mut spec = wanted(&Create { name: name.into(), ..Create::default() }).unwrap();
        (spec.bridge, spec.pools) = (Some(bridge.into()), vec![pool]);
        View {
            id: spec.id.clone(),
            name: name.into(),
            created: Time::now(),
            driver: "bridge".into(),
            internal: false,
            attachable: false,
            ingress: false,
            enable_ipv4: true,
            enable_ipv6: false,
            ipam_driver: "default".into(),
            ipam_options: BTreeMap::new(),
            pools: Vec::new(),
            options: BTreeMap::new(),
            labels: BTreeMap::new(),
            network: Some(dhow_net::Network { spec, bridge: bridge.into() }),
            containers: BTreeMap::new(),
        }
    }
}
