//! Containers, images, networks, volumes, exec, events, health and restart as a typed API.
//!
//! Five services behind one handle; one task owns one container; reads never wait for a busy container. Docker's wire
//! formats do not exist here: `api` converts.
#![forbid(unsafe_code)]

mod blocking;
pub mod containers;
mod error;
pub mod events;
pub mod exec;
pub mod filters;
pub mod images;
pub mod kafka;
mod link;
pub mod logs;
mod names;
pub mod networks;
mod runtimes;
mod shared;
mod sinks;
pub mod steps;
pub mod system;
pub mod volumes;

pub use error::{Error, Kind, Result};

// The words of floors below that this API's signatures speak, for `api`, which may not name those floors.
pub use dhow_net::{Endpoint, Pool, Protocol, Published, Subnet};
pub use dhow_oci as oci;
pub use dhow_store::{Image, Volume};
pub use runtimes::{Program as RuntimeProgram, Runtimes};

use shared::Shared;
use std::{collections::BTreeMap, net::IpAddr, path::PathBuf, sync::Arc};

/// How an engine is set up: `dhowd`'s flags, parsed.
#[derive(Debug, Clone)]
pub struct Config {
    /// `--data-root`.
    pub data_root: PathBuf,
    /// `--exec-root`.
    pub exec_root: PathBuf,
    /// The shim's program, beside the daemon's.
    pub shim: PathBuf,
    /// The `--init` program (`dhow-shim` serves as one when called as `docker-init`), if any.
    pub init: Option<PathBuf>,
    /// See `net::Config::instance`.
    pub instance: String,
    /// `--default-address-pool`.
    pub pools: Vec<(dhow_net::Subnet, u8)>,
    /// `--bip`.
    pub bip: Option<dhow_net::Subnet>,
    /// `--log-driver`, `--log-opt`.
    pub log: containers::LogSpec,
    /// `--label`.
    pub labels: BTreeMap<String, String>,
    /// `--insecure-registry`, `--registry-mirror`.
    pub registry: dhow_registry::Config,
    /// `--host-ca`: bind the host's CA bundle into build steps.
    pub host_ca: bool,
    /// `--add-runtime`, `--default-runtime`.
    pub runtimes: Runtimes,
    /// `--dns`.
    pub dns: Vec<IpAddr>,
    /// `--debug`.
    pub debug: bool,
}

impl Config {
    /// The cgroup that this instance's containers are in: two engines on one machine share none.
    pub(crate) fn cgroup_parent(&self) -> String {
        match self.instance.as_str() {
            "" | "dhow" => "dhow".to_owned(),
            instance => format!("dhow-{instance}"),
        }
    }
}

/// The engine. Cheap to clone (`Arc` inside).
#[derive(Debug, Clone)]
pub struct Engine {
    services: Arc<Services>,
}

#[derive(Debug)]
struct Services {
    shared: Arc<Shared>,
    containers: containers::Containers,
    execs: exec::Execs,
    images: images::Images,
    kafka: kafka::Kafka,
    networks: networks::Networks,
    volumes: volumes::Volumes,
    steps: steps::Steps,
    system: system::System,
}

impl Engine {
    /// Opens store and network, replays the journal, adopts living shims, cleans what is dead, applies restart policies; then answers.
    ///
    /// # Errors
    /// What made it impossible, in a sentence.
    pub async fn open(config: Config) -> Result<Self> {
        let shared = Shared::open(config).await?;
        networks::restore(&shared).await?;
        containers::restore(&shared).await?;
        let services = Services {
            containers: containers::Containers::new(shared.clone()),
            execs: exec::Execs::new(shared.clone()),
            images: images::Images::new(shared.clone()),
            kafka: kafka::Kafka::new(shared.clone()),
            networks: networks::Networks::new(shared.clone()),
            volumes: volumes::Volumes::new(shared.clone()),
            steps: steps::Steps::new(shared.clone()),
            system: system::System::new(shared.clone()),
            shared,
        };
        Ok(Self { services: Arc::new(services) })
    }

    /// Containers.
    #[must_use]
    pub fn containers(&self) -> &containers::Containers {
        &self.services.containers
    }
    /// Execs.
    #[must_use]
    pub fn execs(&self) -> &exec::Execs {
        &self.services.execs
    }
    /// Images.
    #[must_use]
    pub fn images(&self) -> &images::Images {
        &self.services.images
    }
    /// The Kafka broker.
    #[must_use]
    pub fn kafka(&self) -> &kafka::Kafka {
        &self.services.kafka
    }
    /// Networks.
    #[must_use]
    pub fn networks(&self) -> &networks::Networks {
        &self.services.networks
    }
    /// Volumes.
    #[must_use]
    pub fn volumes(&self) -> &volumes::Volumes {
        &self.services.volumes
    }
    /// Events.
    #[must_use]
    pub fn events(&self) -> &events::Events {
        &self.services.shared.events
    }
    /// Build steps.
    #[must_use]
    pub fn steps(&self) -> &steps::Steps {
        &self.services.steps
    }
    /// Facts and totals.
    #[must_use]
    pub fn system(&self) -> &system::System {
        &self.services.system
    }
    /// The store, for the builder.
    #[must_use]
    pub fn store(&self) -> &dhow_store::Store {
        &self.services.shared.store
    }
    /// As given.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.services.shared.config
    }

    /// Registers who else needs layers (the builder's cache): they are not collected with an image.
    pub fn keep_layers(&self, keeper: impl Fn() -> Vec<dhow_oci::Digest> + Send + Sync + 'static) {
        self.services.shared.keep_layers(Box::new(keeper));
    }

    /// Stops taking commands and syncs the journal; containers keep running.
    pub async fn drain(&self) {
        self.services.shared.drain().await;
    }

    /// Takes the whole network of this instance away (table, bridges), and its cgroup: for a daemon that ends for good, with no
    /// container running.
    ///
    /// # Errors
    /// What could not be removed.
    pub async fn destroy_network(&self) -> Result<()> {
        let shared = self.services.shared.clone();
        blocking::run(move || {
            shared.host.remove_parent(&shared.config.cgroup_parent())?;
            shared.net.destroy().map_err(error::net_errors)
        })
        .await
    }
}
