//! Images, as the API has them.

mod changes;
mod remove;

pub(crate) use changes::apply as apply_changes;

use crate::{
    Error, Kind, Result, blocking,
    containers::{Pruned, pipe_in, pipe_out},
    events::Time,
    filters::Filters,
    shared::Shared,
};
use bytes::Bytes;
use dhow_oci::{
    Platform, Reference,
    image::{History, ImageConfig},
};
pub use dhow_registry::{About, Credentials, Found, Progress, Pushed};
use dhow_store::Image;
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::mpsc;

/// A line of `history`: entry, bytes, id or `<missing>`, tags.
pub type HistoryRow = (History, u64, String, Vec<String>);

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

/// An image by name, id or prefix, or docker's words that there is none.
pub(crate) fn find(shared: &Shared, name: &str) -> Result<Arc<Image>> {
    shared.store.image(name).map_err(|error| match error.kind {
        dhow_store::Kind::NotFound => Error::new(Kind::NotFound, format!("No such image: {}", shown(name))),
        // what is wrong with a name says so itself
        dhow_store::Kind::Invalid => match name.parse::<Reference>() {
            Err(wrong) => Error::new(Kind::Invalid, wrong.to_string()),
            Ok(_) => error.into(),
        },
        _ => error.into(),
    })
}

/// The name as docker repeats it: with a tag.
fn shown(name: &str) -> String {
    name.parse::<Reference>().map_or_else(|_| name.to_owned(), |r| r.with_default_tag().familiar())
}

/// The service.
#[derive(Debug)]
pub struct Images {
    shared: Arc<Shared>,
}

impl Images {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// By name, id, prefix. 404 `No such image: x`.
    pub fn get(&self, name: &str) -> Result<Arc<Image>> {
        find(&self.shared, name)
    }

    /// Filters `dangling label before since reference until`. Dangling ones only with `all` or their filter unless they are top images (as docker).
    pub fn list(&self, _all: bool, filters: &Filters) -> Result<Vec<Listed>> {
        filters.only(&["dangling", "label", "label!", "before", "since", "reference", "until"])?;
        let (dangling, until) = (filters.flag("dangling")?, filters.until()?);
        let moment = |key: &str| -> Result<Option<Time>> {
            filters
                .all(key)
                .first()
                .map(|name| find(&self.shared, name).map(|image| created(&image)))
                .transpose()
        };
        let (before, since) = (moment("before")?, moment("since")?);
        let views = self.shared.containers.views();
        let passes = |image: &Image| {
            let time = created(image);
            dangling.is_none_or(|wanted| wanted == image.tags.is_empty())
                && filters.labels(image.config.config.labels.as_ref().unwrap_or(&BTreeMap::new()))
                && before.is_none_or(|t| time < t)
                && since.is_none_or(|t| time > t)
                && until.is_none_or(|t| time < t)
                && filters.any("reference", |pattern| {
                    image.tags.iter().chain(&image.digests).any(|name| glob_name(pattern, name))
                })
        };
        let mut images = self.shared.store.images();
        images.retain(|image| passes(image));
        let patterns = filters.all("reference");
        // of an image with several names those are shown that were asked for
        let asked = |image: Arc<Image>| {
            if patterns.is_empty() {
                return image;
            }
            let mut image = Image::clone(&image);
            let fits = |name: &Reference| patterns.iter().any(|pattern| glob_name(pattern, name));
            image.tags.retain(fits);
            image.digests.retain(fits);
            Arc::new(image)
        };
        let count = |image: &Image| views.iter().filter(|v| v.image == image.id).count();
        let listed = |image: Arc<Image>| Listed {
            containers: i64::try_from(count(&image)).unwrap_or(i64::MAX),
            image: asked(image),
        };
        Ok(images.into_iter().map(listed).collect())
    }

    /// Newest first, with docker's size per layer: (entry, bytes, id or `<missing>`, tags).
    pub fn history(&self, name: &str) -> Result<Vec<HistoryRow>> {
        let image = self.get(name)?;
        let mut layers = image.config.rootfs.diff_ids.iter().zip(&image.manifest.layers);
        let mut rows: Vec<HistoryRow> = Vec::new();
        for entry in &image.config.history {
            let size = if entry.empty_layer {
                0
            } else {
                layers.next().map_or(0, |(_, descriptor)| {
                    self.shared
                        .store
                        .layer_of_blob(&descriptor.digest)
                        .map_or(descriptor.size, |layer| layer.size)
                })
            };
            rows.push((entry.clone(), size, "<missing>".to_owned(), Vec::new()));
        }
        if let Some((_, _, id, tags)) = rows.last_mut() {
            *id = image.id.to_string();
            *tags = image.tags.iter().map(Reference::familiar).collect();
        }
        rows.reverse();
        Ok(rows)
    }

    /// `POST /images/create?fromImage`. Progress until the channel closes; the result comes with the future.
    pub async fn pull(
        &self,
        image: &Reference,
        platform: Option<&Platform>,
        credentials: Option<&Credentials>,
        progress: mpsc::Sender<Progress>,
    ) -> Result<Arc<Image>> {
        self.shared.admit()?;
        let platform = platform.cloned().unwrap_or_else(Platform::host);
        // A slow reader loses lines of progress, never slows the pull.
        let tell = move |step: Progress| {
            if progress.try_send(step).is_err() {
                tracing::trace!("a line of progress was dropped");
            }
        };
        let pulled =
            self.shared.registry.pull(&self.shared.store, image, &platform, credentials, tell).await?;
        let name = image.clone().with_default_tag().familiar();
        self.shared.events.note("image", "pull", &name, [("name", image.familiar_name().as_str())]);
        Ok(pulled)
    }

    /// `docker push`: the image under this tag, or without one every tag of the repository. What the registry has then, tag by tag.
    pub async fn push(
        &self,
        name: &Reference,
        credentials: Option<&Credentials>,
        progress: mpsc::Sender<Progress>,
    ) -> Result<Vec<(Reference, Pushed)>> {
        self.shared.admit()?;
        let names = self.tags_to_push(name)?;
        let tell = move |step: Progress| {
            if progress.try_send(step).is_err() {
                tracing::trace!("a line of progress was dropped");
            }
        };
        let mut all = Vec::new();
        for name in names {
            let image = self.get(&name.familiar())?;
            let pushed = self.shared.registry.push(&self.shared.store, &image, &name, credentials, &tell);
            let pushed = pushed.await?;
            let (shared, by_digest) = (self.shared.clone(), name.with_digest(pushed.digest.clone()));
            blocking::run(move || Ok(shared.store.tag(&image.id, &by_digest)?)).await?;
            let familiar = name.familiar();
            self.shared.events.note("image", "push", &familiar, [("name", name.familiar_name().as_str())]);
            all.push((name, pushed));
        }
        Ok(all)
    }

    fn tags_to_push(&self, name: &Reference) -> Result<Vec<Reference>> {
        let absent = |text: String| Error::new(Kind::NotFound, text);
        if name.digest().is_some() {
            return Err(Error::new(Kind::Invalid, "cannot push a digest reference"));
        }
        let same = |other: &&Reference| {
            other.domain() == name.domain()
                && other.path() == name.path()
                && (name.tag().is_none() || other.tag() == name.tag())
        };
        let images = self.shared.store.images();
        let found: Vec<_> = images.iter().flat_map(|image| &image.tags).filter(same).cloned().collect();
        match (found.is_empty(), name.tag()) {
            (false, _) => Ok(found),
            (true, Some(tag)) => {
                let name = name.familiar_name();
                Err(absent(format!("tag does not exist: {name}:{tag}")))
            }
            (true, None) => {
                Err(absent(format!("An image does not exist locally with the tag: {}", name.familiar_name())))
            }
        }
    }

    /// What the registry has under a name.
    pub async fn about(&self, image: &Reference, credentials: Option<&Credentials>) -> Result<About> {
        Ok(self.shared.registry.about(image, credentials).await?)
    }

    /// Checks credentials.
    pub async fn login(&self, server: &str, credentials: &Credentials) -> Result<()> {
        Ok(self.shared.registry.login(server, credentials).await?)
    }

    /// `docker search`; filters `is-official`, `is-automated`, `stars` (at least as many).
    pub async fn search(
        &self,
        term: &str,
        limit: u8,
        filters: &Filters,
        credentials: Option<&Credentials>,
    ) -> Result<Vec<Found>> {
        filters.only(&["is-official", "is-automated", "stars"])?;
        let (official, automated) = (filters.flag("is-official")?, filters.flag("is-automated")?);
        let stars = filters.all("stars").iter().map(|text| {
            text.parse::<i64>()
                .map_err(|_| Error::new(Kind::Invalid, format!("invalid filter 'stars=[{text}]'")))
        });
        let stars = stars.collect::<Result<Vec<_>>>()?.into_iter().max().unwrap_or(0);
        let mut found = self.shared.registry.search(term, limit, credentials).await?;
        found.retain(|one| {
            official.is_none_or(|wanted| wanted == one.is_official)
                && automated.is_none_or(|wanted| wanted == one.is_automated)
                && one.star_count >= stars
        });
        Ok(found)
    }

    /// `docker tag`.
    pub async fn tag(&self, name: &str, new: &Reference) -> Result<()> {
        self.shared.admit()?;
        let (shared, image, new) = (self.shared.clone(), self.get(name)?, new.clone().with_default_tag());
        blocking::run(move || {
            shared.store.tag(&image.id, &new)?;
            shared.events.note("image", "tag", image.id.as_str(), [("name", new.familiar().as_str())]);
            Ok(())
        })
        .await
    }

    /// docker's rules: a name is untagged; the last one deletes; `Conflict` when a container uses it, unless forced and stopped.
    pub async fn remove(&self, name: &str, force: bool, prune: bool) -> Result<Vec<Deleted>> {
        let (shared, image, name) = (self.shared.clone(), self.get(name)?, name.to_owned());
        blocking::run(move || remove::remove(&shared, &image, &name, force, prune)).await
    }

    /// `docker load`: names (or ids) loaded, in order.
    pub async fn load(
        &self,
        tar: mpsc::Receiver<Result<Bytes>>,
        platform: Option<&Platform>,
    ) -> Result<Vec<String>> {
        self.shared.admit()?;
        let platform = platform.cloned().unwrap_or_else(Platform::host);
        let shared = self.shared.clone();
        let loaded = blocking::run(move || Ok(shared.store.load(pipe_in(tar), &platform)?)).await?;
        let mut names = Vec::new();
        for one in loaded {
            let id = one.image.id.as_str();
            self.shared.events.note("image", "load", id, [("name", id)]);
            if one.names.is_empty() {
                names.push(id.to_owned());
            }
            names.extend(one.names.iter().map(Reference::familiar));
        }
        Ok(names)
    }

    /// `docker save`.
    pub async fn save(&self, names: Vec<String>) -> Result<mpsc::Receiver<Result<Bytes>>> {
        for name in &names {
            let image = self.get(name)?;
            self.shared.events.note("image", "save", image.id.as_str(), [("name", name.as_str())]);
        }
        let store = self.shared.store.clone();
        Ok(pipe_out(move |out| Ok(store.save(&names, out)?)))
    }

    /// `docker import`, with Dockerfile `changes`.
    pub async fn import(
        &self,
        tar: mpsc::Receiver<Result<Bytes>>,
        name: Option<Reference>,
        message: String,
        changes: Vec<String>,
        platform: Option<&Platform>,
    ) -> Result<Arc<Image>> {
        self.shared.admit()?;
        let platform = platform.cloned().unwrap_or_else(Platform::host);
        let mut config = ImageConfig {
            architecture: platform.architecture,
            os: platform.os,
            variant: platform.variant,
            created: Some(Time::now().rfc3339()),
            ..ImageConfig::default()
        };
        apply_changes(&mut config.config, &changes)?;
        config.history.push(History {
            created: config.created.clone(),
            comment: Some(if message.is_empty() { "Imported from -".to_owned() } else { message }),
            ..History::default()
        });
        let (shared, name) = (self.shared.clone(), name.map(Reference::with_default_tag));
        let image =
            blocking::run(move || Ok(shared.store.import(pipe_in(tar), config, name.as_ref())?)).await?;
        self.shared.events.note("image", "import", image.id.as_str(), [("name", image.id.as_str())]);
        Ok(image)
    }

    /// Dangling ones, or all unused with filter `dangling=false`.
    pub async fn prune(&self, filters: &Filters) -> Result<(Vec<Deleted>, u64)> {
        filters.only(&["dangling", "label", "label!", "until"])?;
        let only_dangling = filters.flag("dangling")?.unwrap_or(true);
        let until = filters.until()?;
        let before = self.shared.store.usage()?.layers;
        let mut deleted = Vec::new();
        for image in self.shared.store.images() {
            let used = self.shared.containers.views().iter().any(|v| v.image == image.id);
            let labels = image.config.config.labels.clone().unwrap_or_default();
            let spared = used
                || (only_dangling && !image.tags.is_empty())
                || until.is_some_and(|t| created(&image) >= t)
                || !filters.labels(&labels);
            if spared {
                continue;
            }
            let (shared, id) = (self.shared.clone(), image.id.to_string());
            deleted.extend(blocking::run(move || remove::remove(&shared, &image, &id, true, true)).await?);
        }
        let space = before.saturating_sub(self.shared.store.usage()?.layers);
        self.shared.events.note("image", "prune", "", [("reclaimed", space.to_string().as_str())]);
        Ok((deleted, space))
    }
}

/// When an image was made.
pub(crate) fn created(image: &Image) -> Time {
    let stamp = image.config.created.as_deref().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    Time(stamp.and_then(|t| i64::try_from(t.as_nanosecond()).ok()).unwrap_or(0))
}

/// docker's `reference=` pattern: against the name, and the name with tag.
fn glob_name(pattern: &str, name: &Reference) -> bool {
    glob(pattern, &name.familiar()) || glob(pattern, &name.familiar_name())
}

/// `*` and `?` within a path component.
fn glob(pattern: &str, text: &str) -> bool {
    match (pattern.chars().next(), text.chars().next()) {
        (None, None) => true,
        (Some('*'), next) => {
            glob(&pattern[1..], text)
                || next.is_some_and(|c| c != '/' && glob(pattern, &text[c.len_utf8()..]))
        }
        (Some('?'), Some(c)) if c != '/' => glob(&pattern[1..], &text[c.len_utf8()..]),
        (Some(p), Some(c)) if p == c => glob(&pattern[p.len_utf8()..], &text[c.len_utf8()..]),
        _ => false,
    }
}

impl From<Pruned> for (Vec<Deleted>, u64) {
    fn from(pruned: Pruned) -> Self {
        (pruned.deleted.into_iter().map(Deleted::Deleted).collect(), pruned.space)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reference_patterns() {
        let name: Reference = "team/app:1.2".parse().unwrap();
        assert!(
            glob_name("team/*", &name) && glob_name("team/app:1.*", &name) && glob_name("team/a?p", &name)
        );
        assert!(!glob_name("*", &name) && !glob_name("team/app:2", &name));
    }
}
