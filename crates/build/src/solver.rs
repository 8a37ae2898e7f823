//! Runs the graph: stages that do not need each other side by side, each step from the cache where nothing changed.

mod run;
mod write;

use crate::{
    Progress, Request,
    cache::Cache,
    graph::{self, Base, Graph},
    image,
    instructions::{CommandLine, Instruction, Kind},
    key::Key,
    words,
};
use dhow_engine::{Engine, Error, Result};
use dhow_oci::{Digest, Platform, Reference, image::ImageConfig};
use dhow_store::{Image, Snapshot};
use futures_util::future::{BoxFuture, FutureExt as _, try_join, try_join_all};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Instant,
};
use tokio::sync::mpsc;

/// Made once, by whoever comes first.
type Slot<T> = tokio::sync::Mutex<Option<Arc<T>>>;

/// One build.
pub(crate) struct Solver {
    pub(crate) engine: Engine,
    pub(crate) cache: Arc<Cache>,
    pub(crate) request: Request,
    pub(crate) graph: Graph,
    pub(crate) platform_args: BTreeMap<String, String>,
    /// Locked while a stage is made: whoever needs it too waits for it.
    stages: Vec<Slot<State>>,
    images: Mutex<HashMap<String, Arc<Slot<Image>>>>,
    /// With `--cache-from`: the layers of those images that are here.
    sources: Option<HashSet<Digest>>,
    progress: mpsc::Sender<Progress>,
    next: AtomicU32,
}

/// How far a stage is.
#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    /// Configuration; `rootfs.diff_ids` are the layers, base first.
    pub(crate) image: ImageConfig,
    /// `ARG`s declared so far.
    pub(crate) args: BTreeMap<String, Option<String>>,
}

impl State {
    pub(crate) fn layers(&self) -> &[Digest] {
        &self.image.rootfs.diff_ids
    }
}

/// An error that names the line.
pub(crate) fn at(request: &Request, line: usize, message: &str) -> Error {
    Error::new(dhow_engine::Kind::Invalid, format!("{}:{line}: {message}", request.dockerfile))
}

/// A failure of the store or of files, in the engine's terms.
pub(crate) fn internal(error: impl std::fmt::Display) -> Error {
    Error::new(dhow_engine::Kind::Internal, error.to_string())
}

/// Blocking work on a thread for it.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(internal)?
}

/// The tree of a stage or image, to read: what its layers have, without the store's own mount points below them.
pub(crate) fn tree(scratch: &Scratch) -> Result<crate::rootfs::Root> {
    let mut bare = scratch.snapshot.clone();
    bare.lowers.pop();
    if bare.lowers.is_empty() {
        return crate::rootfs::Root::open_path(&bare.upper).map_err(internal);
    }
    Ok(crate::rootfs::Root::new(bare.mount_readonly().map_err(crate::from_store)?))
}

/// A step's writable layer, removed however the step ends unless it was turned into a layer.
pub(crate) struct Scratch {
    pub(crate) store: dhow_store::Store,
    pub(crate) snapshot: Snapshot,
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let (store, id) = (self.store.clone(), std::mem::take(&mut self.snapshot.id));
        let remove = move || {
            if let Err(error) = store.remove_snapshot(&id)
                && error.kind != dhow_store::Kind::NotFound
            {
                tracing::warn!(?error, id, "cannot remove a build step's files");
            }
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(remove)),
            Err(_) => remove(),
        }
    }
}

impl Solver {
    pub(crate) fn new(
        engine: Engine,
        cache: Arc<Cache>,
        request: Request,
        graph: Graph,
        platform_args: BTreeMap<String, String>,
        progress: mpsc::Sender<Progress>,
    ) -> Self {
        let stages = graph.stages.iter().map(|_| Slot::default()).collect();
        let layers = |name: &String| Some(engine.images().get(name).ok()?.config.rootfs.diff_ids.clone());
        let sources = (!request.cache_from.is_empty())
            .then(|| request.cache_from.iter().filter_map(layers).flatten().collect());
        Self {
            engine,
            cache,
            request,
            graph,
            platform_args,
            stages,
            images: Mutex::default(),
            sources,
            progress,
            next: AtomicU32::new(1),
        }
    }

    /// Builds the target; its configuration, layers in place.
    pub(crate) async fn solve(&self) -> Result<ImageConfig> {
        Ok(self.stage(self.graph.target).await?.image.clone())
    }

    /// A stage's end, made once however many need it.
    pub(crate) fn stage(&self, number: usize) -> BoxFuture<'_, Result<Arc<State>>> {
        async move {
            let (Some(cell), Some(stage)) = (self.stages.get(number), self.graph.stages.get(number)) else {
                return Err(internal(format!("stage {number} does not exist")));
            };
            let mut made = cell.lock().await;
            if let Some(state) = &*made {
                return Ok(Arc::clone(state));
            }
            // what it needs begins at once, and is waited for where it is used
            let mut ahead: Vec<BoxFuture<'_, Result<Arc<State>>>> = Vec::new();
            for need in &stage.needs {
                ahead.push(self.stage(*need));
            }
            let (state, _) = try_join(self.run_stage(number), try_join_all(ahead)).await?;
            Ok(Arc::clone(made.insert(Arc::new(state))))
        }
        .boxed()
    }

    fn run_stage<'a>(&'a self, number: usize) -> BoxFuture<'a, Result<State>> {
        async move {
            let Some(stage) = self.graph.stages.get(number) else { return Err(internal("no such stage")) };
            let mut instructions = stage.instructions.clone();
            let mut state = self.base(number).await?;
            let triggers = state.image.config.on_build.take().unwrap_or_default();
            for (at, text) in triggers.iter().enumerate() {
                instructions.insert(at, self.trigger(text, stage.line)?);
            }
            let total = instructions.len() + 1;
            self.announce(&format!("[{}1/{total}] {}", self.graph.label(number), stage.text))
                .await
                .done(true, None)
                .await;
            for (position, instruction) in instructions.iter().enumerate() {
                let name =
                    format!("[{}{}/{total}] {}", self.graph.label(number), position + 2, instruction.text);
                let told = self.announce(&name).await;
                let (cached, result) = self.step(number, &mut state, instruction, told.id).await?;
                told.done(cached && self.reads_cache(), result).await;
            }
            Ok(state)
        }
        .boxed()
    }

    fn trigger(&self, text: &str, line: usize) -> Result<Instruction> {
        let parsed = crate::parser::parse(text).map_err(|error| {
            at(&self.request, line, &format!("ONBUILD trigger {text:?}: {}", error.message))
        })?;
        let first =
            parsed.lines.first().ok_or_else(|| at(&self.request, line, "an empty ONBUILD trigger"))?;
        let mut instruction = crate::instructions::read(first, '\\').map_err(|error| {
            at(&self.request, line, &format!("ONBUILD trigger {text:?}: {}", error.message))
        })?;
        instruction.line = line;
        Ok(instruction)
    }

    fn base<'a>(&'a self, number: usize) -> BoxFuture<'a, Result<State>> {
        async move {
            let Some(stage) = self.graph.stages.get(number) else { return Err(internal("no such stage")) };
            let mut state = match &stage.base {
                Base::Stage(other) => {
                    let mut state = State::clone(&*self.stage(*other).await?);
                    state.image.config.on_build = None;
                    state
                }
                Base::Scratch => {
                    let host = Platform::host();
                    let mut state = State::default();
                    (state.image.architecture, state.image.os) = (host.architecture, host.os);
                    state.image.config.env = Some(vec![DEFAULT_PATH.to_owned()]);
                    state
                }
                Base::Image(name) => {
                    let image = self.image(name, stage.platform.as_deref(), stage.line).await?;
                    let mut state = State { image: image.config.clone(), args: BTreeMap::new() };
                    (state.image.parent, state.image.container, state.image.container_config) =
                        (None, None, None);
                    let env = state.image.config.env.get_or_insert_default();
                    if image::env_value(env, "PATH").is_none() {
                        env.push(DEFAULT_PATH.to_owned());
                    }
                    state
                }
            };
            state.args.clear();
            Ok(state)
        }
        .boxed()
    }

    /// An image by name: present, or pulled (`--pull`: always asked for).
    pub(crate) fn image<'a>(
        &'a self,
        name: &'a str,
        platform: Option<&'a str>,
        line: usize,
    ) -> BoxFuture<'a, Result<Arc<Image>>> {
        async move {
            let reference: Reference = name
                .parse()
                .map_err(|error: dhow_oci::InvalidReference| at(&self.request, line, &error.to_string()))?;
            let reference = reference.with_default_tag();
            let platform = match platform {
                Some(text) => {
                    Some(text.parse::<Platform>().map_err(|error| at(&self.request, line, &error))?)
                }
                None => self.request.platform.clone(),
            };
            let id = format!("{reference} {platform:?}");
            let slot =
                self.images.lock().unwrap_or_else(PoisonError::into_inner).entry(id).or_default().clone();
            let mut found = slot.lock().await;
            if let Some(image) = &*found {
                return Ok(Arc::clone(image));
            }
            let here =
                if self.request.pull { None } else { self.engine.images().get(&reference.familiar()).ok() };
            let image = match here {
                Some(image) => image,
                None => self.pull(&reference, platform.as_ref()).await?,
            };
            Ok(Arc::clone(found.insert(image)))
        }
        .boxed()
    }

    fn pull<'a>(
        &'a self,
        reference: &'a Reference,
        platform: Option<&'a Platform>,
    ) -> BoxFuture<'a, Result<Arc<Image>>> {
        async move {
            let (sender, mut pulls) = mpsc::channel(64);
            let credentials = self.request.credentials.get(reference.domain()).cloned();
            let (engine, reference, platform) = (self.engine.clone(), reference.clone(), platform.cloned());
            // a set, so that the pull ends when the build is dropped
            let mut pull = tokio::task::JoinSet::new();
            pull.spawn(async move {
                engine.images().pull(&reference, platform.as_ref(), credentials.as_ref(), sender).await
            });
            while let Some(progress) = pulls.recv().await {
                self.tell(Progress::Pull(progress)).await;
            }
            match pull.join_next().await {
                Some(image) => image.map_err(internal)?,
                None => Err(internal("the pull did not begin")),
            }
        }
        .boxed()
    }

    pub(crate) async fn tell(&self, progress: Progress) {
        // a client that has gone drops the whole build, not this line
        drop(self.progress.send(progress).await);
    }

    async fn announce(&self, name: &str) -> Told<'_> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.tell(Progress::Step { id, name: name.to_owned() }).await;
        Told { solver: self, id, began: Instant::now() }
    }

    /// Expands variables of the stage: ENV first, then its ARGs.
    pub(crate) fn expand(&self, state: &State, instruction: &Instruction, text: &str) -> Result<String> {
        words::expand(text, self.graph.escape, &|name| self.variable(state, name))
            .map_err(|error| at(&self.request, instruction.line, &error))
    }

    pub(crate) fn variable(&self, state: &State, name: &str) -> Option<String> {
        let env = state.image.config.env.as_deref().unwrap_or_default();
        image::env_value(env, name).map(str::to_owned).or_else(|| state.args.get(name).cloned().flatten())
    }

    fn step<'a>(
        &'a self,
        stage: usize,
        state: &'a mut State,
        instruction: &'a Instruction,
        id: u32,
    ) -> BoxFuture<'a, Result<(bool, Option<Digest>)>> {
        async move {
            let text = &instruction.text;
            match &instruction.kind {
                Kind::Run { .. } => self.run(state, instruction, id).await,
                Kind::Copy(copy) => self.write(stage, state, instruction, copy).await,
                Kind::Workdir(path) => {
                    let path = self.expand(state, instruction, path)?;
                    self.workdir(state, instruction, &path).await
                }
                Kind::Arg(args) => {
                    for (name, default) in args {
                        let default = default
                            .as_deref()
                            .map(|text| self.expand(state, instruction, text))
                            .transpose()?;
                        let given = self.request.args.get(name).cloned().flatten();
                        let global = || {
                            self.graph
                                .globals
                                .get(name)
                                .cloned()
                                .flatten()
                                .or_else(|| self.platform_args.get(name).cloned())
                        };
                        state.args.insert(name.clone(), given.or(default).or_else(global));
                    }
                    image::record(&mut state.image, text.clone(), None);
                    Ok((true, None))
                }
                kind => {
                    let kind = self.expanded(state, instruction, kind)?;
                    if let Kind::Expose(ports) = &kind {
                        image::check_expose(ports)
                            .map_err(|error| at(&self.request, instruction.line, &error))?;
                    }
                    image::apply(&mut state.image, &kind);
                    let line = image::created_by(&kind, text, &state.image.config, &BTreeMap::new());
                    image::record(&mut state.image, line, None);
                    Ok((true, None))
                }
            }
        }
        .boxed()
    }

    /// The same instruction with its variables expanded, where the reference says that they are.
    fn expanded(&self, state: &State, instruction: &Instruction, kind: &Kind) -> Result<Kind> {
        let expand = |text: &String| self.expand(state, instruction, text);
        let pairs = |pairs: &[(String, String)]| {
            pairs.iter().map(|(key, value)| Ok((expand(key)?, expand(value)?))).collect::<Result<Vec<_>>>()
        };
        let list = |items: &[String]| items.iter().map(expand).collect::<Result<Vec<_>>>();
        Ok(match kind {
            Kind::Env(items) => Kind::Env(pairs(items)?),
            Kind::Label(items) => Kind::Label(pairs(items)?),
            Kind::Expose(items) => Kind::Expose(
                list(items)?.iter().flat_map(|item| item.split_whitespace().map(str::to_owned)).collect(),
            ),
            Kind::User(user) => Kind::User(expand(user)?),
            Kind::Volume(paths) => Kind::Volume(list(paths)?),
            Kind::StopSignal(signal) => Kind::StopSignal(expand(signal)?),
            Kind::Maintainer(name) => Kind::Maintainer(expand(name)?),
            other => other.clone(),
        })
    }

    /// A new writable layer over the state's.
    pub(crate) async fn scratch(&self, layers: &[Digest]) -> Result<Scratch> {
        let (store, layers) = (self.engine.store().clone(), layers.to_vec());
        blocking(move || {
            let id = crate::random_id()?;
            let snapshot = store.create_snapshot(&id, &layers).map_err(crate::from_store)?;
            Ok(Scratch { store, snapshot })
        })
        .await
    }

    /// Turns what a step wrote into a layer, or into nothing if it wrote nothing; remembers it, and puts it on the state.
    pub(crate) async fn commit(
        &self,
        state: &mut State,
        key: &str,
        scratch: Scratch,
        line: String,
    ) -> Result<Option<Digest>> {
        let (layer, scratch) = blocking(move || {
            if scratch.snapshot.changes().map_err(crate::from_store)?.is_empty() {
                return Ok((None, scratch));
            }
            let layer =
                scratch.store.commit_snapshot(&scratch.snapshot, true, None).map_err(crate::from_store)?;
            Ok((Some(layer), scratch))
        })
        .await?;
        drop(scratch);
        let size = layer.as_ref().map_or(0, |layer| layer.size);
        let diff_id = layer.map(|layer| layer.diff_id);
        let created = jiff::Timestamp::now().to_string();
        self.cache.put(key, diff_id.clone(), size, &created);
        self.add(state, diff_id.clone(), &created, line);
        Ok(diff_id)
    }

    /// Puts a layer (or none) and its line of history on the state.
    pub(crate) fn add(&self, state: &mut State, layer: Option<Digest>, created: &str, line: String) {
        image::record(&mut state.image, line, layer.is_some().then_some(created));
        state.image.rootfs.diff_ids.extend(layer);
    }

    /// `WORKDIR`: changes the configuration, and makes the folder where it is absent.
    fn workdir<'a>(
        &'a self,
        state: &'a mut State,
        instruction: &'a Instruction,
        path: &'a str,
    ) -> BoxFuture<'a, Result<(bool, Option<Digest>)>> {
        async move {
            let path = crate::absolute(&state.image.config.working_dir, path);
            state.image.config.working_dir.clone_from(&path);
            let line = format!("WORKDIR {path}");
            let key = Key::new("workdir").layers(state.layers()).text(&path).end();
            if let Some(record) = self.cached(&key) {
                self.add(state, record.layer, &record.created, line);
                return Ok((true, None));
            }
            let _held = self.cache.hold(&key).await;
            let scratch = self.scratch(state.layers()).await?;
            let (scratch, made) = blocking(move || {
                let root = crate::rootfs::Root::new(scratch.snapshot.mount().map_err(crate::from_store)?);
                let made = root.make_dirs(std::path::Path::new(&path), Some((0, 0)), 0o755).map(drop);
                drop(root);
                Ok((scratch, made))
            })
            .await?;
            made.map_err(|error| at(&self.request, instruction.line, &error.to_string()))?;
            let result = self.commit(state, &key, scratch, line).await?;
            self.cache.release(&key);
            Ok((false, result))
        }
        .boxed()
    }

    fn reads_cache(&self) -> bool {
        !self.request.no_cache && self.sources.as_ref().is_none_or(|layers| !layers.is_empty())
    }

    /// A hit, unless the cache is not wanted.
    pub(crate) fn cached(&self, key: &str) -> Option<crate::cache::Record> {
        if !self.reads_cache() {
            return None;
        }
        let known = |layer: &Digest| self.sources.as_ref().is_none_or(|layers| layers.contains(layer));
        self.cache.get(key).filter(|record| record.layer.as_ref().is_none_or(known))
    }

    /// The tree of a stage, an image, or the context, to read from; and what identifies it, where that is cheap.
    pub(crate) fn source<'a>(
        &'a self,
        stage: usize,
        name: Option<&'a str>,
        line: usize,
    ) -> BoxFuture<'a, Result<Source>> {
        async move {
            let Some(name) = name else { return Ok(Source::Context) };
            let earlier = self.graph.stages.get(..stage).unwrap_or_default();
            if let Some(found) = graph::stage_of(earlier, name) {
                return Ok(Source::Layers(self.stage(found).await?.layers().to_vec()));
            }
            let image = self.image(name, None, line).await?;
            Ok(Source::Layers(image.config.rootfs.diff_ids.clone()))
        }
        .boxed()
    }
}

/// Where files come from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// The build context.
    Context,
    /// The end of a stage, or an image.
    Layers(Vec<Digest>),
}

const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A step that was announced.
struct Told<'a> {
    solver: &'a Solver,
    id: u32,
    began: Instant,
}

impl Told<'_> {
    async fn done(self, cached: bool, result: Option<Digest>) {
        let seconds = self.began.elapsed().as_secs_f64();
        self.solver.tell(Progress::Done { id: self.id, cached, result, seconds }).await;
    }
}

/// The words of a failing command, as docker has them.
pub(crate) fn returned(args: &[String], command: &CommandLine, code: i32) -> String {
    let shown = match command {
        CommandLine::Shell(_) => args.join(" "),
        CommandLine::Exec(words) => words.join(" "),
    };
    format!("The command '{shown}' returned a non-zero code: {code}")
}
