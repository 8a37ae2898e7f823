//! What every service stands on: the rooms below, the books in memory, the event stream.

use crate::{
    Config, Error, Kind, Result, blocking, containers, error, events::Events, exec, kafka, networks, sinks,
    volumes,
};
use dhow_shim::Launcher;
use dhow_store::{Store, Ticket};
use serde::Serialize;
use std::{
    path::PathBuf,
    sync::{Arc, PoisonError},
};
use tokio::sync::{Semaphore, watch};

/// See the module.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) store: Store,
    pub(crate) net: dhow_net::Net,
    pub(crate) launcher: Launcher,
    pub(crate) host: dhow_runtime::Host,
    pub(crate) registry: dhow_registry::Client,
    pub(crate) events: Events,
    pub(crate) containers: containers::Book,
    pub(crate) networks: networks::Book,
    pub(crate) volumes: volumes::Uses,
    pub(crate) execs: exec::Book,
    /// Wakes those who forward logs.
    pub(crate) log_folders: sinks::Hub,
    /// Stable over restarts.
    pub(crate) id: String,
    /// Whether `/sys/fs/cgroup` is the unified hierarchy.
    pub(crate) cgroup2: bool,
    draining: watch::Sender<bool>,
    /// How the Kafka broker is.
    pub(crate) kafka: watch::Sender<kafka::Status>,
    /// Containers whose start is prepared before it is asked for.
    pub(crate) ahead: Arc<Semaphore>,
    /// Read by whatever tidies up behind an answer that was given already; a drain takes it for writing, and so waits for all of it.
    pub(crate) tidying: Arc<tokio::sync::RwLock<()>>,
    keep: std::sync::RwLock<Vec<LayerKeeper>>,
}

/// Names layers that must stay although no image needs them.
pub(crate) type LayerKeeper = Box<dyn Fn() -> Vec<dhow_oci::Digest> + Send + Sync>;

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("id", &self.id).field("config", &self.config).finish_non_exhaustive()
    }
}

impl Shared {
    /// Opens the rooms below; nothing of the journal is read but the engine's own id.
    pub(crate) async fn open(config: Config) -> Result<Arc<Self>> {
        let (exec_root, data_root) = (config.exec_root.clone(), config.data_root.clone());
        blocking::run(move || {
            for folder in [exec_root.join("shims"), data_root] {
                std::fs::create_dir_all(&folder).map_err(|e| error::io("make", folder.display(), e))?;
            }
            let store = Store::open(&config.data_root)?;
            let id = match store.journal().scan("engine/id").into_iter().next() {
                Some((_, id)) => String::from_utf8_lossy(&id).into_owned(),
                None => {
                    let id = crate::names::id()?;
                    store.journal().put("engine/id", Some(id.as_bytes())).wait()?;
                    id
                }
            };
            let net = dhow_net::Net::open(dhow_net::Config {
                instance: config.instance.clone(),
                pools: config.pools.clone(),
                bip: config.bip,
                resolv_conf: PathBuf::from("/etc/resolv.conf"),
            })?;
            let launcher =
                Launcher::new(&config.shim).map_err(|e| error::io("read", config.shim.display(), e))?;
            let cgroup2 = rustix::fs::statfs("/sys/fs/cgroup").is_ok_and(|fs| fs.f_type == 0x6367_7270);
            Ok(Arc::new(Self {
                store,
                net,
                launcher,
                host: dhow_runtime::Host::observe()?.observe_limits(),
                registry: dhow_registry::Client::new(config.registry.clone()),
                events: Events::default(),
                containers: containers::Book::default(),
                networks: networks::Book::default(),
                volumes: volumes::Uses::default(),
                execs: exec::Book::default(),
                log_folders: sinks::Hub::default(),
                id,
                cgroup2,
                draining: watch::Sender::new(false),
                kafka: watch::Sender::default(),
                ahead: Arc::new(Semaphore::new(containers::task::AT_ONCE)),
                tidying: Arc::default(),
                keep: std::sync::RwLock::default(),
                config,
            }))
        })
        .await
    }

    /// See [`crate::Engine::keep_layers`].
    pub(crate) fn keep_layers(&self, keeper: LayerKeeper) {
        self.keep.write().unwrap_or_else(PoisonError::into_inner).push(keeper);
    }

    /// Layers that others than images and containers need.
    pub(crate) fn kept_layers(&self) -> Vec<dhow_oci::Digest> {
        self.keep.read().unwrap_or_else(PoisonError::into_inner).iter().flat_map(|keeper| keeper()).collect()
    }

    /// Refuses commands that change something once the engine drains.
    pub(crate) fn admit(&self) -> Result<()> {
        if self.draining() {
            return Err(Error::new(Kind::Unavailable, "the engine is shutting down"));
        }
        Ok(())
    }

    /// Whether the engine is shutting down: then automatic restarts wait for the next daemon.
    pub(crate) fn draining(&self) -> bool {
        *self.draining.borrow()
    }

    /// Until the engine shuts down.
    pub(crate) async fn drains(&self) {
        // The sender is here, so it cannot fail.
        self.draining.subscribe().wait_for(|draining| *draining).await.ok();
    }

    /// See [`crate::Engine::drain`].
    pub(crate) async fn drain(self: &Arc<Self>) {
        self.draining.send_replace(true);
        drop(self.tidying.write().await);
        let shared = self.clone();
        let synced = blocking::run(move || {
            shared.store.journal().put("engine/id", Some(shared.id.as_bytes())).wait().map_err(Error::from)
        });
        if let Err(failure) = synced.await {
            tracing::error!(%failure, "the journal could not be synced");
        }
    }

    /// Appends a record without waiting for it.
    pub(crate) fn journal<T: Serialize>(&self, key: &str, value: &T) -> Result<Ticket> {
        let bytes = serde_json::to_vec(value)
            .map_err(|e| Error::new(Kind::Internal, format!("write record {key}: {e}")))?;
        Ok(self.store.journal().put(key, Some(&bytes)))
    }

    /// Waits until a record is on disk.
    pub(crate) async fn synced(&self, ticket: Ticket) -> Result<()> {
        blocking::run(move || ticket.wait().map_err(Error::from)).await
    }

    /// The folder of a container's shim.
    pub(crate) fn shim_dir(&self, id: &str) -> PathBuf {
        self.config.exec_root.join("shims").join(id)
    }
}
