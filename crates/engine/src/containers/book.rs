//! Who exists: by id, by name, by prefix. Names are claimed before anything is made, so two creates never share one.

use super::{Attach, View, WaitCondition, task::Command};
use crate::{Error, Kind, Result, link::Link};
use dhow_oci::{Digest, runtime as oci};
use rustix::fd::OwnedFd;
use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, RwLock},
};
use tokio::sync::{mpsc, oneshot, watch};

/// What readers and other services hold of a container. The view is replaced whole after each change.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) id: String,
    view: RwLock<Arc<View>>,
    live: RwLock<Option<Arc<Live>>>,
    waiters: Mutex<Vec<Waiter>>,
    mailbox: mpsc::Sender<Command>,
    /// Layers below it, base first.
    diff_ids: Vec<Digest>,
}

/// Who waits for what.
type Waiter = (WaitCondition, oneshot::Sender<(i32, String)>);

/// What exec, stats, attach and logs need of a running container, without its mailbox.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) link: Arc<Link>,
    pub(crate) pid: i32,
    /// Its own (or borrowed) network namespace; `None` with the host's.
    pub(crate) netns: Option<OwnedFd>,
    /// What it was started with.
    pub(crate) oci: Arc<oci::Spec>,
    pub(crate) cgroups: Vec<PathBuf>,
    /// Another OCI runtime than ours runs it.
    pub(crate) outside: bool,
    /// Turns true at its end.
    pub(crate) stopped: watch::Receiver<bool>,
}

impl Handle {
    pub(crate) fn new(view: View, diff_ids: Vec<Digest>, mailbox: mpsc::Sender<Command>) -> Self {
        Self {
            id: view.id.clone(),
            view: RwLock::new(Arc::new(view)),
            live: RwLock::default(),
            waiters: Mutex::default(),
            mailbox,
            diff_ids,
        }
    }

    pub(crate) fn view(&self) -> Arc<View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn publish(&self, view: View) {
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(view);
    }

    pub(crate) fn live(&self) -> Option<Arc<Live>> {
        self.live.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What runs, or docker's words that nothing does.
    pub(crate) fn running(&self) -> Result<Arc<Live>> {
        self.live().ok_or_else(|| not_running(&self.id))
    }

    pub(crate) fn set_live(&self, live: Option<Arc<Live>>) {
        *self.live.write().unwrap_or_else(PoisonError::into_inner) = live;
    }

    /// Registers a waiter, or answers at once. An end that comes meanwhile is not missed: ends are published first, then waiters answered.
    pub(crate) fn wait(&self, condition: WaitCondition) -> oneshot::Receiver<(i32, String)> {
        let (sender, answer) = oneshot::channel();
        let mut waiters = self.waiters.lock().unwrap_or_else(PoisonError::into_inner);
        let view = self.view();
        if condition == WaitCondition::NotRunning && !view.status.is_up() {
            if sender.send((view.exit_code, view.error.clone())).is_err() {
                tracing::debug!("a waiter went before its answer");
            }
        } else {
            waiters.push((condition, sender));
        }
        answer
    }

    /// Answers who waits for an end (`removed` false) or for anything at all.
    pub(crate) fn answer_waiters(&self, code: i32, message: &str, removed: bool) {
        let mut waiters = self.waiters.lock().unwrap_or_else(PoisonError::into_inner);
        let (due, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut *waiters)
            .into_iter()
            .partition(|(condition, _)| removed || *condition != WaitCondition::Removed);
        *waiters = rest;
        for (_, waiter) in due {
            if waiter.send((code, message.to_owned())).is_err() {
                tracing::debug!(id = self.id, "a waiter went before the end");
            }
        }
    }

    /// Asks the container's task and waits for its answer.
    pub(crate) async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T>>) -> Command,
    ) -> Result<T> {
        let (sender, answer) = oneshot::channel();
        if self.mailbox.send(command(sender)).await.is_err() {
            return Err(missing(&self.id));
        }
        answer.await.unwrap_or_else(|_| Err(missing(&self.id)))
    }

    /// Tells the container's task something that has no answer.
    pub(crate) async fn tell(&self, command: Command) {
        if self.mailbox.send(command).await.is_err() {
            tracing::debug!(id = self.id, "told a container that is gone");
        }
    }
}

/// One queued attach: the shim's end, handed over at the start.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) end: OwnedFd,
    pub(crate) wanted: Attach,
}

/// All containers.
#[derive(Debug, Default)]
pub(crate) struct Book {
    inner: RwLock<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    by_id: BTreeMap<String, Arc<Handle>>,
    /// Name → id; also names of containers that are being made.
    names: HashMap<String, String>,
}

impl Book {
    /// By id, name (with or without the slash), or unique prefix of an id.
    pub(crate) fn find(&self, name: &str) -> Result<Arc<Handle>> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let bare = name.strip_prefix('/').unwrap_or(name);
        if let Some(found) = inner.by_id.get(bare) {
            return Ok(found.clone());
        }
        if let Some(found) = inner.names.get(bare).and_then(|id| inner.by_id.get(id)) {
            return Ok(found.clone());
        }
        if bare.is_empty() {
            return Err(missing(name));
        }
        let mut matches = inner.by_id.range(bare.to_owned()..).take_while(|(id, _)| id.starts_with(bare));
        match (matches.next(), matches.next()) {
            (Some((_, found)), None) => Ok(found.clone()),
            (Some(_), Some(_)) => {
                Err(Error::new(Kind::Invalid, format!("multiple IDs found with provided prefix: {bare}")))
            }
            _ => Err(missing(name)),
        }
    }

    /// Takes a name for `id`.
    pub(crate) fn claim(&self, name: &str, id: &str) -> Result<()> {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(owner) = inner.names.get(name) {
            return Err(Error::new(
                Kind::Conflict,
                format!(
                    "Conflict. The container name \"/{name}\" is already in use by container \"{owner}\". You have to \
                     remove (or rename) that container to be able to reuse that name."
                ),
            ));
        }
        inner.names.insert(name.to_owned(), id.to_owned());
        Ok(())
    }

    /// Gives a name back.
    pub(crate) fn unclaim(&self, name: &str, id: &str) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        if inner.names.get(name).is_some_and(|owner| owner == id) {
            inner.names.remove(name);
        }
    }

    pub(crate) fn insert(&self, handle: Arc<Handle>) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        inner.by_id.insert(handle.id.clone(), handle);
    }

    pub(crate) fn remove(&self, id: &str, name: &str) {
        self.unclaim(name, id);
        self.inner.write().unwrap_or_else(PoisonError::into_inner).by_id.remove(id);
    }

    /// The layers below a container, base first.
    pub(crate) fn diff_ids(&self, id: &str) -> Result<Vec<Digest>> {
        Ok(self.find(id)?.diff_ids.clone())
    }

    /// Every layer that a container stands on.
    pub(crate) fn layers_in_use(&self) -> Vec<Digest> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<Digest> =
            inner.by_id.values().flat_map(|handle| handle.diff_ids.iter().cloned()).collect();
        all.sort();
        all.dedup();
        all
    }

    /// The published views of all.
    pub(crate) fn views(&self) -> Vec<Arc<View>> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        inner.by_id.values().map(|handle| handle.view()).collect()
    }
}

/// docker's words.
pub(crate) fn missing(name: &str) -> Error {
    Error::new(Kind::NotFound, format!("No such container: {name}"))
}

/// docker's words.
pub(crate) fn not_running(id: &str) -> Error {
    Error::new(Kind::Conflict, format!("container {id} is not running"))
}
