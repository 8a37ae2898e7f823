//! Networks, as the API has them. `bridge`, `host` and `none` always exist.

use crate::{Result, containers::Pruned, events::Time, filters::Filters};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

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

/// The service.
#[derive(Debug)]
pub struct Networks {/* private */}

impl Networks {
    /// Returns the id and a warning (or empty).
    pub async fn create(&self, create: Create) -> Result<(String, String)> {
        let _unused = create;
        unimplemented!()
    }
    /// By name, id, prefix.
    pub fn view(&self, name: &str) -> Result<Arc<View>> {
        let _unused = name;
        unimplemented!()
    }
    /// Filters `driver id label name scope type dangling`.
    pub fn list(&self, filters: &Filters) -> Result<Vec<Arc<View>>> {
        let _unused = filters;
        unimplemented!()
    }
    /// `Conflict` while used, `Forbidden` for the predefined ones.
    pub async fn remove(&self, name: &str) -> Result<()> {
        let _unused = name;
        unimplemented!()
    }
    /// Live, or recorded for the next start.
    pub async fn connect(&self, network: &str, container: &str, config: EndpointConfig) -> Result<()> {
        let _unused = (network, container, config);
        unimplemented!()
    }
    /// Likewise.
    pub async fn disconnect(&self, network: &str, container: &str, force: bool) -> Result<()> {
        let _unused = (network, container, force);
        unimplemented!()
    }
    /// Unused user networks (`until`, `label`).
    pub async fn prune(&self, filters: &Filters) -> Result<Pruned> {
        let _unused = filters;
        unimplemented!()
    }
}
