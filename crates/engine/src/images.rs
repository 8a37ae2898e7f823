//! Images, as the API has them.

use crate::{Result, containers::Pruned, filters::Filters};
use bytes::Bytes;
use dhow_oci::{Platform, Reference, image::History};
pub use dhow_registry::{Credentials, Progress};
use dhow_store::Image;
use std::sync::Arc;
use tokio::sync::mpsc;

/// One line of what a delete did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deleted {
    /// A name was taken away.
    Untagged(String),
    /// An image or layer is gone.
    Deleted(String),
}

/// An image in a list.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The image.
    pub image: Arc<Image>,
    /// Containers that use it.
    pub containers: i64,
}

/// The service.
#[derive(Debug)]
pub struct Images {/* private */}

impl Images {
    /// By name, id, prefix. 404 `No such image: x`.
    pub fn get(&self, name: &str) -> Result<Arc<Image>> {
        let _unused = name;
        unimplemented!()
    }
    /// Filters `dangling label before since reference until`. Dangling ones only with `all` or their filter unless they are top images (as docker).
    pub fn list(&self, all: bool, filters: &Filters) -> Result<Vec<Listed>> {
        let _unused = (all, filters);
        unimplemented!()
    }
    /// Newest first, with docker's size per layer: (entry, bytes, id or `<missing>`, tags).
    pub fn history(&self, name: &str) -> Result<Vec<(History, u64, String, Vec<String>)>> {
        let _unused = name;
        unimplemented!()
    }
    /// `POST /images/create?fromImage`. Progress until the channel closes; the result comes with the future.
    pub async fn pull(&self, image: &Reference, platform: Option<&Platform>, credentials: Option<&Credentials>, progress: mpsc::Sender<Progress>) -> Result<Arc<Image>> {
        let _unused = (image, platform, credentials, progress);
        unimplemented!()
    }
    /// Checks credentials.
    pub async fn login(&self, server: &str, credentials: &Credentials) -> Result<()> {
        let _unused = (server, credentials);
        unimplemented!()
    }
    /// `docker tag`.
    pub async fn tag(&self, name: &str, new: &Reference) -> Result<()> {
        let _unused = (name, new);
        unimplemented!()
    }
    /// docker's rules: a name is untagged; the last one deletes; `Conflict` when a container uses it, unless forced and stopped.
    pub async fn remove(&self, name: &str, force: bool, prune: bool) -> Result<Vec<Deleted>> {
        let _unused = (name, force, prune);
        unimplemented!()
    }
    /// `docker load`: names (or ids) loaded, in order.
    pub async fn load(&self, tar: mpsc::Receiver<Result<Bytes>>, platform: Option<&Platform>) -> Result<Vec<String>> {
        let _unused = (tar, platform);
        unimplemented!()
    }
    /// `docker save`.
    pub async fn save(&self, names: Vec<String>) -> Result<mpsc::Receiver<Result<Bytes>>> {
        let _unused = names;
        unimplemented!()
    }
    /// `docker import`, with Dockerfile `changes`.
    pub async fn import(&self, tar: mpsc::Receiver<Result<Bytes>>, name: Option<Reference>, message: String, changes: Vec<String>, platform: Option<&Platform>) -> Result<Arc<Image>> {
        let _unused = (tar, name, message, changes, platform);
        unimplemented!()
    }
    /// Dangling ones, or all unused with filter `dangling=false`.
    pub async fn prune(&self, filters: &Filters) -> Result<(Vec<Deleted>, u64)> {
        let _unused = filters;
        unimplemented!()
    }
}

impl From<Pruned> for (Vec<Deleted>, u64) {
    fn from(pruned: Pruned) -> Self {
        (pruned.deleted.into_iter().map(Deleted::Deleted).collect(), pruned.space)
    }
}
