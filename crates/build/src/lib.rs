//! Dockerfile → graph → layers, as a careful user of the engine.
//!
//! `parser` → `instructions` → `graph` → `solver`: four modules that know nothing of each other's insides.
#![forbid(unsafe_code)]

use dhow_engine::Engine;
use dhow_oci::{Digest, Platform, Reference};
use std::{collections::BTreeMap, path::PathBuf};
use tokio::sync::mpsc;

/// One `docker build`.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The context, unpacked by [`Builder::unpack_context`] (or a folder); removed by the caller.
    pub context: PathBuf,
    /// Path of the Dockerfile inside the context.
    pub dockerfile: String,
    /// Names of the result.
    pub tags: Vec<Reference>,
    /// `--target`.
    pub target: String,
    /// `--build-arg` (`None`: from nowhere, removes a default).
    pub args: BTreeMap<String, Option<String>>,
    /// `--label`.
    pub labels: BTreeMap<String, String>,
    /// Ignore the cache.
    pub no_cache: bool,
    /// Pull base images even if present.
    pub pull: bool,
    /// Which platform.
    pub platform: Option<Platform>,
    /// `default none host`.
    pub network: String,
    /// `name:ip`.
    pub extra_hosts: Vec<String>,
    /// `/dev/shm` of steps.
    pub shm_size: i64,
    /// Limits of steps.
    pub resources: dhow_engine::containers::Resources,
    /// Secrets by id (`RUN --mount=type=secret`): never in cache keys, history or logs.
    pub secrets: BTreeMap<String, Vec<u8>>,
    /// Registry credentials by host.
    pub credentials: BTreeMap<String, dhow_engine::images::Credentials>,
    /// `--squash`, `--cache-from`: accepted where harmless, else refused by name.
    pub cache_from: Vec<String>,
}


/// What happens, as it happens.
#[derive(Debug, Clone)]
pub enum Progress {
    /// A step begins: its number, of how many, the instruction as written, its stage's name.
    Step {
        /// Stable within the build; output and end refer to it.
        id: u32,
        /// As docker words it: `[builder 2/5] RUN pip install …`.
        name: String,
    },
    /// Output of a step.
    Output {
        /// Which.
        id: u32,
        /// 1 or 2.
        stream: u8,
        /// Bytes.
        data: bytes::Bytes,
    },
    /// A step ended.
    Done {
        /// Which.
        id: u32,
        /// Nothing was run.
        cached: bool,
        /// The layer or image.
        result: Option<Digest>,
        /// Seconds.
        seconds: f64,
    },
    /// A base image is being pulled.
    Pull(dhow_engine::images::Progress),
    /// Something to know that is no failure: file and line where there is one.
    Warning(String),
}

/// The builder. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Builder {
    engine: Engine,
}

impl Builder {
    /// Over an engine; opens the cache in the data root's `build/`.
    ///
    /// # Errors
    /// Disk.
    pub fn new(engine: Engine) -> dhow_engine::Result<Self> {
        Ok(Self { engine })
    }

    /// Unpacks a context tar (plain, gzip, zstd; bounded, safe) into a new folder below the store's `tmp/`.
    ///
    /// # Errors
    /// `Invalid` for a bad tar.
    pub async fn unpack_context(&self, tar: mpsc::Receiver<dhow_engine::Result<bytes::Bytes>>) -> dhow_engine::Result<PathBuf> {
        let _unused = (tar, &self.engine);
        unimplemented!()
    }

    /// Builds; the id of the image. Dropping the future stops everything and leaves nothing half-made.
    ///
    /// # Errors
    /// `Invalid` with file and line for a bad Dockerfile; the failing step's command and exit code.
    pub async fn build(&self, request: Request, progress: mpsc::Sender<Progress>) -> dhow_engine::Result<Digest> {
        let _unused = (request, progress);
        unimplemented!()
    }

    /// `docker builder prune`: (ids, bytes).
    ///
    /// # Errors
    /// Disk.
    pub async fn prune(&self, all: bool) -> dhow_engine::Result<(Vec<String>, u64)> {
        let _unused = all;
        unimplemented!()
    }

    /// Diff ids that the cache needs, for the store's collection.
    #[must_use]
    pub fn layers_in_use(&self) -> Vec<Digest> {
        unimplemented!()
    }
}
