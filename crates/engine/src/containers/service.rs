//! The service: finds the container, asks its task or its published view.

use super::{
    Attach, Commit, Create, Duplex, List, LogQuery, Output, PathStat, Pruned, Remove, Resources, Restart,
    Sample, Status, Top, View, WaitCondition, archive, commit, create, list, signals, stats,
    task::{Command, Mode, mode},
    top,
};
use crate::{Error, Kind, Result, blocking, error::io, filters::Filters, shared::Shared};
use bytes::Bytes;
use dhow_oci::Digest;
use dhow_shim::{Request, Target};
use rustix::fd::OwnedFd;
use std::sync::Arc;
use tokio::{io::AsyncWriteExt, sync::mpsc};

/// The service. `name` everywhere: a container's name, id, or unique prefix of an id.
#[derive(Debug)]
pub struct Containers {
    shared: Arc<Shared>,
}

/// A descriptor of a stream socket as one that tokio polls.
pub(crate) fn duplex(fd: OwnedFd) -> Result<Duplex> {
    let stream = std::os::unix::net::UnixStream::from(fd);
    let ready = stream.set_nonblocking(true).and_then(|()| Duplex::from_std(stream));
    ready.map_err(|e| io("watch", "a stream", e))
}

impl Containers {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Makes a container; pulls nothing (404 `No such image: x` if absent). Returns its id and warnings.
    pub async fn create(&self, create: Create) -> Result<(String, Vec<String>)> {
        create::create(&self.shared, create).await
    }

    /// One container.
    pub fn view(&self, name: &str) -> Result<Arc<View>> {
        let view = self.shared.containers.find(name)?.view();
        let exec_ids = self.shared.execs.of(&view.id);
        if exec_ids.is_empty() {
            return Ok(view);
        }
        Ok(Arc::new(View { exec_ids, ..(*view).clone() }))
    }

    /// Newest first.
    pub fn list(&self, list: &List) -> Result<Vec<Arc<View>>> {
        list::list(&self.shared, list)
    }

    /// Bytes: (writable layer, all layers).
    pub async fn size(&self, name: &str) -> Result<(u64, u64)> {
        let (shared, view) = (self.shared.clone(), self.shared.containers.find(name)?.view());
        blocking::run(move || {
            let upper = snapshot(&shared, &view)?.size()?;
            let layers = shared.store.image(view.image.as_str()).map_or(0, |image| image.size);
            Ok((upper, layers + upper))
        })
        .await
    }

    /// `NotModified` when it runs already.
    pub async fn start(&self, name: &str) -> Result<()> {
        self.shared.admit()?;
        self.shared.containers.find(name)?.ask(Command::Start).await
    }

    /// Signal, wait, SIGKILL. `NotModified` when it does not run. `timeout` in seconds, -1 forever.
    pub async fn stop(&self, name: &str, signal: Option<&str>, timeout: Option<i64>) -> Result<()> {
        let handle = self.shared.containers.find(name)?;
        let signal = signal.filter(|s| !s.is_empty()).map(signals::parse).transpose()?;
        handle.ask(|answer| Command::Stop { signal, timeout, answer }).await
    }

    /// Stop and start.
    pub async fn restart(&self, name: &str, signal: Option<&str>, timeout: Option<i64>) -> Result<()> {
        self.shared.admit()?;
        let handle = self.shared.containers.find(name)?;
        let signal = signal.filter(|s| !s.is_empty()).map(signals::parse).transpose()?;
        let restarted = handle.ask(|answer| Command::Restart { signal, timeout, answer }).await;
        restarted.map_err(|error| error.within("Cannot restart container", name))
    }

    /// Signal by name or number; empty: KILL.
    pub async fn kill(&self, name: &str, signal: &str) -> Result<()> {
        let number = signals::parse(if signal.is_empty() { "KILL" } else { signal })?;
        let within = |error: Error| error.within("cannot kill container:", name);
        let handle = self.shared.containers.find(name).map_err(within)?;
        handle.ask(|answer| Command::Kill { signal: number, answer }).await.map_err(within)?;
        if number == 9 && self.shared.containers.find(&handle.id).is_ok() {
            // docker answers a SIGKILL when the container has ended
            if handle.wait(WaitCondition::NotRunning).await.is_err() {
                tracing::debug!(name, "a killed container went before its end was told");
            }
        }
        Ok(())
    }

    /// Freeze.
    pub async fn pause(&self, name: &str) -> Result<()> {
        self.shared.containers.find(name)?.ask(Command::Pause).await
    }

    /// Thaw.
    pub async fn unpause(&self, name: &str) -> Result<()> {
        self.shared.containers.find(name)?.ask(Command::Unpause).await
    }

    /// New name.
    pub async fn rename(&self, name: &str, new: &str) -> Result<()> {
        let new = new.strip_prefix('/').unwrap_or(new).to_owned();
        if new.is_empty() {
            return Err(Error::new(Kind::Invalid, "Neither old nor new names may be empty"));
        }
        let handle = self.shared.containers.find(name)?;
        create::check_name(&new)?;
        let renamed = handle.ask(|answer| Command::Rename { new, answer }).await;
        renamed.map_err(|error| match error.kind {
            Kind::Conflict => {
                Error::new(error.kind, format!("Error when allocating new name: {}", error.message))
            }
            _ => error,
        })
    }

    /// `docker rm --link container/alias`.
    pub async fn unlink(&self, name: &str, alias: &str) -> Result<()> {
        let alias = alias.to_owned();
        self.shared.containers.find(name)?.ask(|answer| Command::Unlink { alias, answer }).await
    }

    /// New limits, new restart policy. Returns warnings.
    pub async fn update(
        &self,
        name: &str,
        resources: Option<Resources>,
        restart: Option<Restart>,
    ) -> Result<Vec<String>> {
        let handle = self.shared.containers.find(name)?;
        let resources = resources.map(Box::new);
        handle.ask(|answer| Command::Update { resources, restart, answer }).await
    }

    /// Removes it, its writable layer, and with `volumes` its anonymous volumes.
    pub async fn remove(&self, name: &str, remove: Remove) -> Result<()> {
        self.shared.containers.find(name)?.ask(|answer| Command::Remove { remove, answer }).await
    }

    /// Exit code (and an error text) when the condition is met. The container is looked up, and the waiting registered, before this returns; await
    /// the inner future for the answer.
    pub async fn wait(
        &self,
        name: &str,
        condition: WaitCondition,
    ) -> Result<tokio::sync::oneshot::Receiver<(i32, String)>> {
        Ok(self.shared.containers.find(name)?.wait(condition))
    }

    /// Output from the log file. The channel ends with the log, or with the container when following.
    pub async fn logs(&self, name: &str, query: LogQuery) -> Result<mpsc::Receiver<Result<Output>>> {
        if !query.stdout && !query.stderr {
            return Err(Error::new(Kind::Invalid, "Bad parameters: you must choose at least one stream"));
        }
        let handle = self.shared.containers.find(name)?;
        let view = handle.view();
        if view.log_path.as_os_str().is_empty() {
            return Err(Error::new(Kind::Unsupported, "configured logging driver does not support reading"));
        }
        let stopped = match handle.live() {
            Some(live) => live.stopped.clone(),
            None => tokio::sync::watch::channel(true).1,
        };
        Ok(crate::logs::stream(view.log_path.clone(), query, stopped))
    }

    /// Attaches, also before the start.
    pub async fn attach(&self, name: &str, attach: Attach) -> Result<Duplex> {
        let handle = self.shared.containers.find(name)?;
        match handle.view().status {
            Status::Paused => {
                return Err(Error::new(
                    Kind::Conflict,
                    format!("container {name} is paused, unpause the container before attach."),
                ));
            }
            Status::Restarting => {
                return Err(Error::new(
                    Kind::Conflict,
                    format!("container {name} is restarting, wait until the container is running."),
                ));
            }
            _ => {}
        }
        let view = handle.view();
        let past = if attach.logs && !view.log_path.as_os_str().is_empty() {
            let query = LogQuery { stdout: attach.stdout, stderr: attach.stderr, ..LogQuery::default() };
            let ended = tokio::sync::watch::channel(true).1;
            Some(crate::logs::stream(view.log_path.clone(), query, ended))
        } else {
            None
        };
        let live = if attach.stream {
            let (near, far) = dhow_shim::attach_pair().map_err(|e| io("connect to", name, e))?;
            handle.ask(|answer| Command::Attach { end: far, wanted: attach, answer }).await?;
            Some(duplex(near)?)
        } else {
            None
        };
        self.event(&view, "attach", &[]);
        let Some(past) = past else {
            return live.ok_or_else(|| Error::new(Kind::Invalid, "attach with neither stream nor logs"));
        };
        let (near, far) = Duplex::pair().map_err(|e| io("connect to", name, e))?;
        tokio::spawn(replay(past, live, far, view.spec.tty));
        Ok(near)
    }

    /// Terminal size.
    pub async fn resize(&self, name: &str, rows: u16, cols: u16) -> Result<()> {
        let handle = self.shared.containers.find(name)?;
        let live = handle.running()?;
        // docker takes the size of a terminal that is not there.
        if handle.view().spec.tty {
            live.link.call(&Request::Resize { target: Target::Init, rows, cols }, &[]).await?;
        }
        let (height, width) = (rows.to_string(), cols.to_string());
        self.event(&handle.view(), "resize", &[("height", &height), ("width", &width)]);
        Ok(())
    }

    /// `ps` in the container; arguments as ps takes them (default `-ef`).
    pub async fn top(&self, name: &str, args: &str) -> Result<Top> {
        let handle = self.shared.containers.find(name)?;
        let (live, args) = (handle.running()?, args.to_owned());
        let found = blocking::run(move || top::top(&live.cgroups, &args)).await?;
        self.event(&handle.view(), "top", &[]);
        Ok(found)
    }

    /// One sample now.
    pub async fn sample(&self, name: &str) -> Result<Sample> {
        let handle = self.shared.containers.find(name)?;
        let Some(live) = handle.live() else { return Ok(Sample::default()) };
        let own = matches!(mode(&handle.view().spec.host.network_mode), Mode::Bridges | Mode::None);
        let shared = self.shared.clone();
        blocking::run(move || stats::sample(&shared, &live, own)).await
    }

    /// `docker diff`.
    pub async fn changes(&self, name: &str) -> Result<Vec<dhow_store::Change>> {
        let (shared, view) = (self.shared.clone(), self.shared.containers.find(name)?.view());
        blocking::run(move || Ok(snapshot(&shared, &view)?.changes()?)).await
    }

    /// What is at a path.
    pub async fn stat_path(&self, name: &str, path: &str) -> Result<PathStat> {
        let (shared, handle, path) =
            (self.shared.clone(), self.shared.containers.find(name)?, path.to_owned());
        blocking::run(move || archive::stat(&shared, &handle, &path)).await
    }

    /// A path as a tar stream, docker's naming rules; and its stat.
    pub async fn get_archive(
        &self,
        name: &str,
        path: &str,
    ) -> Result<(PathStat, mpsc::Receiver<Result<Bytes>>)> {
        let (shared, handle, path) =
            (self.shared.clone(), self.shared.containers.find(name)?, path.to_owned());
        self.event(&handle.view(), "archive-path", &[]);
        archive::get(&shared, &handle, path).await
    }

    /// Unpacks a tar (plain, gzip, zstd, in our process) into a folder of the container.
    pub async fn put_archive(
        &self,
        name: &str,
        path: &str,
        no_overwrite_dir_non_dir: bool,
        tar: mpsc::Receiver<Result<Bytes>>,
    ) -> Result<()> {
        let (shared, handle, path) =
            (self.shared.clone(), self.shared.containers.find(name)?, path.to_owned());
        let view = handle.view();
        archive::put(&shared, &handle, path, no_overwrite_dir_non_dir, tar).await?;
        self.event(&view, "extract-to-dir", &[]);
        Ok(())
    }

    /// The whole root file system as a tar stream.
    pub async fn export(&self, name: &str) -> Result<mpsc::Receiver<Result<Bytes>>> {
        let handle = self.shared.containers.find(name)?;
        self.event(&handle.view(), "export", &[]);
        archive::export(&self.shared, &handle).await
    }

    /// A new image from a container.
    pub async fn commit(&self, name: &str, commit: Commit) -> Result<Digest> {
        let handle = self.shared.containers.find(name)?;
        let id = commit::commit(&self.shared, &handle, commit).await?;
        self.event(&handle.view(), "commit", &[("comment", "")]);
        Ok(id)
    }

    /// Removes stopped containers (`until`, `label`).
    pub async fn prune(&self, filters: &Filters) -> Result<Pruned> {
        filters.only(&["until", "label", "label!"])?;
        let until = filters.until()?;
        let mut pruned = Pruned::default();
        for view in self.shared.containers.views() {
            let idle = matches!(view.status, Status::Created | Status::Exited | Status::Dead);
            if !idle || until.is_some_and(|t| view.created >= t) || !filters.labels(&view.spec.labels) {
                continue;
            }
            let (shared, seen) = (self.shared.clone(), view.clone());
            let space = blocking::run(move || Ok(snapshot(&shared, &seen)?.size()?)).await.unwrap_or(0);
            // not forced: one that was started meanwhile stays
            match self.remove(&view.id, Remove::default()).await {
                Ok(()) => {
                    pruned.deleted.push(view.id.clone());
                    pruned.space += space;
                }
                Err(failure) if matches!(failure.kind, Kind::Conflict | Kind::NotFound) => {}
                Err(failure) => return Err(failure),
            }
        }
        let space = pruned.space.to_string();
        self.shared.events.note("container", "prune", "", [("reclaimed", space.as_str())]);
        Ok(pruned)
    }

    fn event(&self, view: &View, action: &str, extra: &[(&str, &str)]) {
        let mut attributes = view.spec.labels.clone();
        attributes.insert("image".to_owned(), view.spec.image.clone());
        attributes.insert("name".to_owned(), view.name.clone());
        for (key, value) in extra {
            attributes.insert((*key).to_owned(), (*value).to_owned());
        }
        let (action, id) = (action.to_owned(), view.id.clone());
        let time = crate::events::Time::now();
        self.shared.events.emit(crate::events::Event { kind: "container", action, id, attributes, time });
    }
}

/// The writable layer of a container.
pub(super) fn snapshot(shared: &Shared, view: &View) -> Result<dhow_store::Snapshot> {
    let diff_ids = shared.containers.diff_ids(&view.id)?;
    Ok(shared.store.snapshot(&view.id, &diff_ids)?)
}

/// What was logged, then what is live, in docker's attach format.
async fn replay(mut past: mpsc::Receiver<Result<Output>>, live: Option<Duplex>, mut out: Duplex, tty: bool) {
    while let Some(piece) = past.recv().await {
        let Ok(Output { stream, data }) = piece else { break };
        let head = if tty { Vec::new() } else { frame(stream, data.len()) };
        if out.write_all(&head).await.is_err() || out.write_all(&data).await.is_err() {
            return;
        }
    }
    if let Some(mut live) = live
        && let Err(failure) = tokio::io::copy_bidirectional(&mut out, &mut live).await
    {
        tracing::debug!(%failure, "an attached client went");
    }
}

/// 1 byte stream, 3 zeros, 4 bytes length.
fn frame(stream: u8, len: usize) -> Vec<u8> {
    let len = u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes();
    vec![stream, 0, 0, 0, len[0], len[1], len[2], len[3]]
}
