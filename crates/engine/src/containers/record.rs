//! What the journal keeps of a container: `container/<id>` is what it is made from, `state/<id>` how it stands. The second is small, because
//! it is written at every start and every end.

use super::{EndpointView, Health, MountPoint, Spec, Status, View};
use crate::{events::Time, networks::EndpointConfig};
use dhow_net::{Endpoint, Published};
use dhow_oci::{Digest, Platform};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Journal `container/<id>`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) created: Time,
    pub(crate) spec: Arc<Spec>,
    pub(crate) image: Digest,
    /// Layers below it, base first.
    pub(crate) diff_ids: Vec<Digest>,
    pub(crate) path: String,
    pub(crate) args: Vec<String>,
    pub(crate) mounts: Vec<MountPoint>,
    /// By network name.
    pub(crate) networks: BTreeMap<String, Wanted>,
    pub(crate) platform: Platform,
}

/// A network that a container is on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Wanted {
    pub(crate) network_id: String,
    pub(crate) config: EndpointConfig,
}

/// Journal `state/<id>`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Standing {
    pub(crate) status: Status,
    /// A shim may exist already although the status does not say so yet.
    pub(crate) starting: bool,
    pub(crate) pid: i32,
    pub(crate) exit_code: i32,
    pub(crate) error: String,
    pub(crate) oom_killed: bool,
    pub(crate) started: Time,
    pub(crate) finished: Time,
    pub(crate) restart_count: u32,
    /// A user stopped it: `unless-stopped` stays down.
    pub(crate) stopped_by_user: bool,
    /// By network name.
    pub(crate) endpoints: BTreeMap<String, Endpoint>,
    pub(crate) ports: Vec<Published>,
    pub(crate) cgroups: Vec<PathBuf>,
    /// Another OCI runtime than ours runs it.
    #[serde(default)]
    pub(crate) outside: bool,
}

impl Default for Standing {
    fn default() -> Self {
        Self {
            status: Status::Created,
            starting: false,
            pid: 0,
            exit_code: 0,
            error: String::new(),
            oom_killed: false,
            started: Time::default(),
            finished: Time::default(),
            restart_count: 0,
            stopped_by_user: false,
            endpoints: BTreeMap::new(),
            ports: Vec::new(),
            cgroups: Vec::new(),
            outside: false,
        }
    }
}

impl Record {
    /// The short id.
    pub(crate) fn short(&self) -> &str {
        self.id.get(..12).unwrap_or(&self.id)
    }

    /// Names that others on a user network find it by.
    pub(crate) fn dns_names(&self, config: &EndpointConfig) -> Vec<String> {
        let mut names = vec![self.name.clone()];
        for name in
            config.aliases.iter().map(String::as_str).chain([self.short(), self.spec.hostname.as_str()])
        {
            if !name.is_empty() && !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
        names
    }

    /// Its log file; empty when the driver keeps none.
    pub(crate) fn log_path(&self, dir: &Path) -> PathBuf {
        if self.spec.host.log.driver == "none" {
            return PathBuf::new();
        }
        dir.join(format!("{}-json.log", self.id))
    }

    /// What readers see.
    pub(crate) fn view(&self, standing: &Standing, health: Option<Health>, dir: &Path) -> View {
        let networks = self.networks.iter().map(|(name, wanted)| {
            let endpoint = standing.endpoints.get(name).cloned();
            let dns_names = if name == crate::networks::BRIDGE || name == "host" || name == "none" {
                Vec::new()
            } else {
                self.dns_names(&wanted.config)
            };
            let view = EndpointView {
                config: wanted.config.clone(),
                network_id: wanted.network_id.clone(),
                endpoint,
                dns_names,
            };
            (name.clone(), view)
        });
        let sandbox_key =
            if standing.pid > 0 { format!("/proc/{}/ns/net", standing.pid) } else { String::new() };
        View {
            id: self.id.clone(),
            name: self.name.clone(),
            created: self.created,
            spec: self.spec.clone(),
            image: self.image.clone(),
            path: self.path.clone(),
            args: self.args.clone(),
            status: standing.status,
            pid: standing.pid,
            exit_code: standing.exit_code,
            error: standing.error.clone(),
            oom_killed: standing.oom_killed,
            started: standing.started,
            finished: standing.finished,
            health,
            restart_count: standing.restart_count,
            mounts: self.mounts.clone(),
            networks: networks.collect(),
            ports: standing.ports.clone(),
            sandbox_key,
            dir: dir.to_owned(),
            log_path: self.log_path(dir),
            exec_ids: Vec::new(),
            platform: self.platform.clone(),
        }
    }
}
