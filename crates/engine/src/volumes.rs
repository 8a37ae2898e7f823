//! Volumes, as the API has them.

use crate::{
    Error, Kind, Result, blocking,
    containers::{MountKind, Pruned, mounts, record::Record},
    events::Time,
    filters::Filters,
    shared::Shared,
};
use dhow_store::Volume;
use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

/// Who uses which volume: name → container ids. Also of containers that are stopped, so that a prune right after a restart sees them.
#[derive(Debug, Default)]
pub(crate) struct Uses {
    inner: Mutex<BTreeMap<String, Vec<String>>>,
}

impl Uses {
    pub(crate) fn note(&self, record: &Record) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        for point in record.mounts.iter().filter(|p| p.kind == MountKind::Volume) {
            let users = inner.entry(point.name.clone()).or_default();
            if !users.contains(&record.id) {
                users.push(record.id.clone());
            }
        }
    }

    pub(crate) fn forget(&self, record: &Record) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        for users in inner.values_mut() {
            users.retain(|id| *id != record.id);
        }
        inner.retain(|_, users| !users.is_empty());
    }

    pub(crate) fn of(&self, name: &str) -> Vec<String> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned().unwrap_or_default()
    }
}

/// A volume, and whether it was made now.
#[derive(Debug)]
pub(crate) struct Ensured {
    pub(crate) volume: Arc<Volume>,
    pub(crate) new: bool,
}

/// Makes a volume unless it is there. Blocking.
pub(crate) fn ensure(
    shared: &Shared,
    name: Option<&str>,
    labels: BTreeMap<String, String>,
    options: BTreeMap<String, String>,
) -> Result<Ensured> {
    if let Some(name) = name {
        mounts::check_volume_name(name)?;
        // docker: one that is there is given as it is, whatever options are asked for
        if let Ok(volume) = shared.store.volume(name) {
            return Ok(Ensured { volume, new: false });
        }
    }
    if let Some(unknown) = options.keys().find(|k| !matches!(k.as_str(), "type" | "o" | "device" | "size")) {
        return Err(Error::new(
            Kind::Invalid,
            format!("create {}: invalid option: \"{unknown}\"", name.unwrap_or("")),
        ));
    }
    let volume = shared.store.create_volume(name, labels, options)?;
    shared.events.note("volume", "create", &volume.name, [("driver", "local")]);
    Ok(Ensured { volume, new: true })
}

/// `rm -v`, `--rm`: the anonymous volumes of a container that is gone, unless another one has them too. Blocking.
pub(crate) fn remove_anonymous(shared: &Shared, record: &Record) {
    for point in record.mounts.iter().filter(|p| p.kind == MountKind::Volume) {
        let Ok(volume) = shared.store.volume(&point.name) else { continue };
        // a name given by a user is never lost with a container
        let named = record.spec.host.mounts.iter().any(|m| m.source == volume.name)
            || record.spec.host.binds.iter().any(|b| b.split(':').next() == Some(volume.name.as_str()));
        if !volume.anonymous || named || !shared.volumes.of(&volume.name).is_empty() {
            continue;
        }
        match shared.store.remove_volume(&volume.name) {
            Ok(()) => shared.events.note("volume", "destroy", &volume.name, [("driver", "local")]),
            Err(failure) => {
                tracing::warn!(volume = volume.name, ?failure, "an anonymous volume is still there")
            }
        }
    }
}

/// The service.
#[derive(Debug)]
pub struct Volumes {
    shared: Arc<Shared>,
}

impl Volumes {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Empty name: anonymous. Only driver `local`.
    pub async fn create(
        &self,
        name: &str,
        driver: &str,
        labels: BTreeMap<String, String>,
        options: BTreeMap<String, String>,
    ) -> Result<Arc<Volume>> {
        self.shared.admit()?;
        if !matches!(driver, "" | "local") {
            return Err(Error::new(
                Kind::NotFound,
                format!("error looking up volume plugin {driver}: plugin \"{driver}\" not found"),
            ));
        }
        let (shared, name) = (self.shared.clone(), name.to_owned());
        blocking::run(move || {
            let name = Some(name.as_str()).filter(|n| !n.is_empty());
            Ok(ensure(&shared, name, labels, options)?.volume)
        })
        .await
    }

    /// One.
    pub fn get(&self, name: &str) -> Result<Arc<Volume>> {
        let missing = |_| Error::new(Kind::NotFound, format!("get {name}: no such volume"));
        self.shared.store.volume(name).map_err(missing)
    }

    /// Filters `dangling driver label name`.
    pub fn list(&self, filters: &Filters) -> Result<Vec<Arc<Volume>>> {
        filters.only(&["dangling", "driver", "label", "label!", "name"])?;
        let dangling = filters.flag("dangling")?;
        let mut all = self.shared.store.volumes();
        all.retain(|volume| {
            filters.any("name", |n| volume.name.contains(n.as_str()))
                && filters.any("driver", |d| volume.driver == *d)
                && filters.labels(&volume.labels)
                && dangling.is_none_or(|wanted| wanted == self.shared.volumes.of(&volume.name).is_empty())
        });
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    /// `Conflict` while a container (also a stopped one) uses it; with force a missing one is fine.
    pub async fn remove(&self, name: &str, force: bool) -> Result<()> {
        let volume = match self.get(name) {
            Err(failure) if force && failure.kind == Kind::NotFound => return Ok(()),
            found => found?,
        };
        let users = self.shared.volumes.of(&volume.name);
        if !users.is_empty() {
            return Err(Error::new(
                Kind::Conflict,
                format!("remove {name}: volume is in use - [{}]", users.join(", ")),
            ));
        }
        let shared = self.shared.clone();
        blocking::run(move || {
            shared.store.remove_volume(&volume.name)?;
            shared.events.note("volume", "destroy", &volume.name, [("driver", "local")]);
            Ok(())
        })
        .await
    }

    /// Anonymous unused ones; named too with filter `all=true`.
    pub async fn prune(&self, filters: &Filters) -> Result<Pruned> {
        filters.only(&["all", "label", "label!", "until"])?;
        let all = filters.flag("all")?.unwrap_or(false);
        let until = filters.until()?;
        let mut pruned = Pruned::default();
        for volume in self.shared.store.volumes() {
            let created =
                volume.created.parse::<jiff::Timestamp>().map_or(i64::MAX, |t| t.as_nanosecond() as i64);
            let spared = !(all || volume.anonymous)
                || !self.shared.volumes.of(&volume.name).is_empty()
                || !filters.labels(&volume.labels)
                || until.is_some_and(|Time(t)| created >= t);
            if spared {
                continue;
            }
            let path = volume.mountpoint.clone();
            let space = blocking::run(move || Ok(size(&path))).await?;
            match self.remove(&volume.name, false).await {
                Ok(()) => {
                    pruned.deleted.push(volume.name.clone());
                    pruned.space += space;
                }
                Err(failure) if matches!(failure.kind, Kind::Conflict | Kind::NotFound) => {}
                Err(failure) => return Err(failure),
            }
        }
        let space = pruned.space.to_string();
        self.shared.events.note("volume", "prune", "", [("reclaimed", space.as_str())]);
        Ok(pruned)
    }

    /// How many containers use it, and its bytes on disk (for `system df`).
    pub async fn usage(&self, name: &str) -> Result<(i64, u64)> {
        let volume = self.get(name)?;
        let users = i64::try_from(self.shared.volumes.of(&volume.name).len()).unwrap_or(i64::MAX);
        let bytes = blocking::run(move || Ok(size(&volume.mountpoint))).await?;
        Ok((users, bytes))
    }
}

/// Bytes of all files below, each inode once. What vanishes meanwhile does not count. Blocking.
pub(crate) fn size(root: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let mut seen = std::collections::HashSet::new();
    let mut open = vec![root.to_owned()];
    let mut total = 0;
    while let Some(dir) = open.pop() {
        let Ok(entries) = std::fs::read_dir(&dir) else { continue };
        for entry in entries.flatten() {
            let Ok(meta) = entry.path().symlink_metadata() else { continue };
            if meta.is_dir() {
                open.push(entry.path());
            } else if meta.nlink() == 1 || seen.insert((meta.dev(), meta.ino())) {
                total += meta.len();
            }
        }
    }
    total
}
