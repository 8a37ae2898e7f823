//! Volumes, as the API has them.

use crate::{Result, containers::Pruned, filters::Filters};
use dhow_store::Volume;
use std::{collections::BTreeMap, sync::Arc};

/// The service.
#[derive(Debug)]
pub struct Volumes {/* private */}

impl Volumes {
    /// Empty name: anonymous. Only driver `local`.
    pub async fn create(&self, name: &str, driver: &str, labels: BTreeMap<String, String>, options: BTreeMap<String, String>) -> Result<Arc<Volume>> {
        let _unused = (name, driver, labels, options);
        unimplemented!()
    }
    /// One.
    pub fn get(&self, name: &str) -> Result<Arc<Volume>> {
        let _unused = name;
        unimplemented!()
    }
    /// Filters `dangling driver label name`.
    pub fn list(&self, filters: &Filters) -> Result<Vec<Arc<Volume>>> {
        let _unused = filters;
        unimplemented!()
    }
    /// `Conflict` while a container (also a stopped one) uses it; with force a missing one is fine.
    pub async fn remove(&self, name: &str, force: bool) -> Result<()> {
        let _unused = (name, force);
        unimplemented!()
    }
    /// Anonymous unused ones; named too with filter `all=true`.
    pub async fn prune(&self, filters: &Filters) -> Result<Pruned> {
        let _unused = filters;
        unimplemented!()
    }
    /// How many containers use it, and its bytes on disk (for `system df`).
    pub async fn usage(&self, name: &str) -> Result<(i64, u64)> {
        let _unused = name;
        unimplemented!()
    }
}
