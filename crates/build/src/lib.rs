//! Dockerfile → graph → layers, as a careful user of the engine.
//!
//! `parser` → `instructions` → `graph` → `solver`: four modules that know nothing of each other's insides. `key` and `cache` say when
//! nothing has to be done; `copy`, `archive` and `rootfs` write files by descriptor only.
#![forbid(unsafe_code)]

mod archive;
mod cache;
mod copy;
mod fetch;
mod graph;
mod image;
mod instructions;
mod key;
mod parser;
mod patterns;
mod rootfs;
mod solver;
mod words;

use dhow_engine::{Engine, Error, Kind};
use dhow_oci::{Digest, Platform, Reference};
use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};
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
    /// `default none host`, or a network by name or id.
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
    /// `--cache-from`: when given, only steps whose result is in one of these local images are taken from the cache.
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
    cache: Arc<cache::Cache>,
    /// Read while building, written while pruning: a running build's layers must not be swept.
    gate: Arc<tokio::sync::RwLock<()>>,
}

impl Builder {
    /// Over an engine; reads the cache's records from the store's journal.
    ///
    /// # Errors
    /// Disk.
    pub fn new(engine: Engine) -> dhow_engine::Result<Self> {
        let cache = Arc::new(cache::Cache::open(engine.store()));
        let keeper = Arc::clone(&cache);
        engine.keep_layers(move || keeper.layers());
        Ok(Self { engine, cache, gate: Arc::default() })
    }

    /// Unpacks a context tar (plain, gzip, zstd; bounded, safe) into a new folder below the store's `tmp/`.
    ///
    /// # Errors
    /// `Invalid` for a bad tar.
    pub async fn unpack_context(
        &self,
        tar: mpsc::Receiver<dhow_engine::Result<bytes::Bytes>>,
    ) -> dhow_engine::Result<PathBuf> {
        let folder = self.engine.store().root().join("tmp").join(random_id()?);
        solver::blocking(move || {
            std::fs::create_dir(&folder).map_err(solver::internal)?;
            let unpacked = rootfs::Root::open_path(&folder).and_then(|root| {
                let source = archive::decoder(Chunks { tar, left: bytes::Bytes::new() })?;
                archive::tar_into(source, &root, Path::new(""), Some((0, 0)))
            });
            match unpacked {
                Ok(()) => Ok(folder),
                Err(error) => {
                    std::fs::remove_dir_all(&folder).map_err(solver::internal)?;
                    Err(Error::new(Kind::Invalid, format!("the build context is no readable tar: {error}")))
                }
            }
        })
        .await
    }

    /// Builds; the id of the image. Dropping the future stops everything and leaves nothing half-made.
    ///
    /// # Errors
    /// `Invalid` with file and line for a bad Dockerfile; the failing step's command and exit code.
    pub async fn build(
        &self,
        request: Request,
        progress: mpsc::Sender<Progress>,
    ) -> dhow_engine::Result<Digest> {
        let _building = self.gate.read().await;
        let (context, name) = (request.context.clone(), request.dockerfile.clone());
        let text = solver::blocking(move || read_dockerfile(&context, &name)).await?;
        let platform = request.platform.clone().unwrap_or_else(Platform::host);
        let platform_args = platform_args(&platform);
        let fail =
            |error: parser::Error| Error::new(Kind::Invalid, format!("{}: {error}", request.dockerfile));
        let file = parser::parse(&text).map_err(fail)?;
        let graph = graph::plan(&file, &request.target, &request.args, &platform_args).map_err(fail)?;
        let warnings = unused_args(&request, &file, &graph);
        for warning in warnings {
            // a client that has gone drops the whole build, not this line
            drop(progress.send(Progress::Warning(warning)).await);
        }
        let (tags, labels) = (request.tags.clone(), request.labels.clone());
        let solver = solver::Solver::new(
            self.engine.clone(),
            Arc::clone(&self.cache),
            request,
            graph,
            platform_args,
            progress,
        );
        let mut config = solver.solve().await?;
        if !labels.is_empty() {
            config.config.labels.get_or_insert_default().extend(labels);
        }
        config.created = Some(created(&config));
        let store = self.engine.store().clone();
        solver::blocking(move || Ok(store.assemble_image(&config, &tags).map_err(from_store)?.id.clone()))
            .await
    }

    /// `docker builder prune`: (ids, bytes). Waits for running builds, then forgets every record and removes the layers that nothing
    /// else needs; with `all` the cache mounts too. A pull or load at the same moment may have to be repeated.
    ///
    /// # Errors
    /// Disk.
    pub async fn prune(&self, all: bool) -> dhow_engine::Result<(Vec<String>, u64)> {
        let _alone = self.gate.write().await;
        let keys = self.cache.clear();
        let (store, folder) =
            (self.engine.store().clone(), self.engine.store().root().join("build/cache-mounts"));
        let bytes = solver::blocking(move || {
            let swept = store.sweep(&[]).map_err(from_store)?;
            let mounts = if all { remove_folder(&folder)? } else { 0 };
            Ok(swept.iter().map(|layer| layer.size).sum::<u64>() + mounts)
        });
        Ok((keys, bytes.await?))
    }

    /// Diff ids that the cache needs, for the store's collection.
    #[must_use]
    pub fn layers_in_use(&self) -> Vec<Digest> {
        self.cache.layers()
    }
}

/// A tar that comes in pieces, as a blocking reader.
struct Chunks {
    tar: mpsc::Receiver<dhow_engine::Result<bytes::Bytes>>,
    left: bytes::Bytes,
}

impl io::Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.left.is_empty() {
            match self.tar.blocking_recv() {
                None => return Ok(0),
                Some(piece) => self.left = piece.map_err(|error| io::Error::other(error.message))?,
            }
        }
        let piece = self.left.split_to(self.left.len().min(buffer.len()));
        if let Some(target) = buffer.get_mut(..piece.len()) {
            target.copy_from_slice(&piece);
        }
        Ok(piece.len())
    }
}

fn read_dockerfile(context: &Path, name: &str) -> dhow_engine::Result<String> {
    let missing = || Error::new(Kind::Invalid, format!("Cannot locate specified Dockerfile: {name}"));
    let root = rootfs::Root::open_path(context).map_err(solver::internal)?;
    let path = rootfs::clean(Path::new(name));
    let bytes = root.read(&path).map_err(|_| missing())?.ok_or_else(missing)?;
    hide_ignored(&root, &path).map_err(solver::internal)?;
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(Error::new(Kind::Invalid, format!("the Dockerfile ({name}) cannot be empty")));
    }
    String::from_utf8(bytes)
        .map_err(|_| Error::new(Kind::Invalid, format!("the Dockerfile ({name}) is not UTF-8 text")))
}

/// Clients send the Dockerfile and `.dockerignore` even where the latter excludes them, as the engine needs them: then the build does not
/// see them. All else they leave out themselves.
fn hide_ignored(root: &rootfs::Root, dockerfile: &Path) -> io::Result<()> {
    let own = Path::new(".dockerignore");
    let Some(text) = root.read(own)? else { return Ok(()) };
    let excluded = patterns::ignore_file(&String::from_utf8_lossy(&text));
    for path in [own, dockerfile] {
        if patterns::excluded(&excluded, &path.to_string_lossy()) {
            root.remove(path)?;
        }
    }
    Ok(())
}

fn platform_args(target: &Platform) -> BTreeMap<String, String> {
    let host = Platform::host();
    let mut args = BTreeMap::new();
    for (prefix, platform) in [("TARGET", target), ("BUILD", &host)] {
        args.insert(format!("{prefix}PLATFORM"), platform.to_string());
        args.insert(format!("{prefix}OS"), platform.os.clone());
        args.insert(format!("{prefix}ARCH"), platform.architecture.clone());
        args.insert(format!("{prefix}VARIANT"), platform.variant.clone().unwrap_or_default());
    }
    args
}

/// `--build-arg`s that no ARG takes.
fn unused_args(request: &Request, file: &parser::Dockerfile, graph: &graph::Graph) -> Vec<String> {
    let declared = |name: &str| {
        graph.globals.contains_key(name)
            || graph::PROXIES.contains(&name)
            || name.starts_with("BUILDKIT_")
            || name == "SOURCE_DATE_EPOCH"
            || file.lines.iter().any(|line| {
                line.keyword == "ARG"
                    && line.rest.split_whitespace().any(|word| word.split('=').next() == Some(name))
            })
    };
    let unused: Vec<&str> = request.args.keys().map(String::as_str).filter(|name| !declared(name)).collect();
    if unused.is_empty() {
        Vec::new()
    } else {
        vec![format!("One or more build-args {unused:?} were not consumed")]
    }
}

/// The time of the newest line of history: a build from the cache alone makes the same image again.
fn created(config: &dhow_oci::image::ImageConfig) -> String {
    config
        .history
        .iter()
        .filter_map(|line| line.created.clone())
        .max()
        .unwrap_or_else(|| jiff::Timestamp::now().to_string())
}

/// Removes a folder if it is there; the bytes that were in it.
fn remove_folder(folder: &Path) -> dhow_engine::Result<u64> {
    fn bytes(folder: &Path) -> io::Result<u64> {
        use std::os::unix::fs::MetadataExt as _;
        let mut total = 0;
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let info = entry.metadata()?;
            total += if info.is_dir() { bytes(&entry.path())? } else { info.blocks() * 512 };
        }
        Ok(total)
    }
    if !folder.exists() {
        return Ok(0);
    }
    let total = bytes(folder).map_err(solver::internal)?;
    std::fs::remove_dir_all(folder).map_err(solver::internal)?;
    Ok(total)
}

/// A path inside, made absolute by the working folder.
pub(crate) fn absolute(working_dir: &str, path: &str) -> String {
    let whole =
        if path.starts_with('/') { PathBuf::from(path) } else { Path::new("/").join(working_dir).join(path) };
    format!("/{}", rootfs::clean(&whole).display())
}

/// `build-` and 32 hexadecimal digits.
pub(crate) fn random_id() -> dhow_engine::Result<String> {
    use std::fmt::Write as _;
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(solver::internal)?;
    Ok(bytes.iter().fold("build-".to_owned(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap_or_default();
        text
    }))
}

/// A store's failure as the engine words it.
pub(crate) fn from_store(error: dhow_store::Error) -> Error {
    let kind = match error.kind {
        dhow_store::Kind::NotFound => Kind::NotFound,
        dhow_store::Kind::Conflict => Kind::Conflict,
        dhow_store::Kind::Invalid => Kind::Invalid,
        _ => Kind::Internal,
    };
    Error::new(kind, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_made_absolute_inside() {
        for (folder, path, wanted) in [
            ("", "a", "/a"),
            ("/w", "a/", "/w/a"),
            ("/w", "/b", "/b"),
            ("w", "../../x", "/x"),
            ("/w", ".", "/w"),
        ] {
            assert_eq!(absolute(folder, path), wanted);
        }
    }
}
