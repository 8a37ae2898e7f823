//! The topics and their partitions: what exists, by name and by id.

pub mod config;
mod record;
mod remove;

pub use record::TopicId;

use crate::{
    error::{At as _, Error, Kind, Result},
    journal::{Change, sync_folder},
    log::{Partition, Shared},
};
use config::Values;
use record::Record;
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
};

/// More are refused: each has a folder.
const MOST_PARTITIONS: u32 = 10_000;

/// A topic as it is now; a change makes a new one.
#[derive(Debug)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: TopicId,
    /// In order of their numbers.
    pub partitions: Vec<Partition>,
    /// How many replicas were asked for. There is one.
    pub replication: i16,
    /// What is configured for it alone.
    pub configs: Values,
}

/// All topics.
#[derive(Debug)]
pub struct Topics {
    folder: PathBuf,
    shared: Shared,
    defaults: Values,
    /// One change at a time.
    changing: Mutex<()>,
    index: RwLock<Index>,
}

#[derive(Debug, Default)]
struct Index {
    by_name: HashMap<String, Arc<Topic>>,
    by_id: HashMap<TopicId, Arc<Topic>>,
}

impl Index {
    fn insert(&mut self, topic: Arc<Topic>) {
        self.by_id.insert(topic.id, Arc::clone(&topic));
        self.by_name.insert(topic.name.clone(), topic);
    }
}

impl Topics {
    /// The topics of the journal; their folders are in `folder`. `defaults` hold for all that do not say otherwise.
    pub(crate) fn open(folder: &Path, shared: Shared, defaults: Values) -> Result<Self> {
        config::check(&defaults)?;
        std::fs::create_dir_all(folder).at("make", folder.display())?;
        folder.parent().map_or(Ok(()), sync_folder)?;
        let topics = Self {
            folder: folder.to_owned(),
            shared,
            defaults,
            changing: Mutex::default(),
            index: RwLock::default(),
        };
        for (key, bytes) in topics.shared.journal.scan("topic/") {
            let record: Record = record::decode(&key, &bytes)?;
            let topic = topics.assemble(key.trim_start_matches("topic/"), record)?;
            topics.publish(topic);
        }
        topics.resume_removals()?;
        Ok(topics)
    }

    /// The topic called `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<Topic>> {
        self.read().by_name.get(name).cloned()
    }

    /// The topic with `id`.
    #[must_use]
    pub fn by_id(&self, id: TopicId) -> Option<Arc<Topic>> {
        self.read().by_id.get(&id).cloned()
    }

    /// All, sorted by name.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<Topic>> {
        let mut all: Vec<_> = self.read().by_name.values().cloned().collect();
        all.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        all
    }

    /// What the broker configures for all topics.
    #[must_use]
    pub fn defaults(&self) -> &Values {
        &self.defaults
    }

    /// Whether `create` would take this; the reason if not.
    ///
    /// # Errors
    /// As [`Topics::create`].
    pub fn validate(&self, name: &str, partitions: u32, configs: &Values) -> Result<()> {
        record::check_name(name)?;
        let refuse = |kind, why: String| Err(Error::new(kind, "create topic", name, why));
        if !(1..=MOST_PARTITIONS).contains(&partitions) {
            return refuse(
                Kind::InvalidPartitions,
                format!("{partitions} partitions are not between 1 and {MOST_PARTITIONS}"),
            );
        }
        config::check(configs)?;
        let index = self.read();
        if index.by_name.contains_key(name) {
            return refuse(Kind::Exists, "it exists".to_owned());
        }
        let same = |other: &&String| other.replace('.', "_") == name.replace('.', "_");
        if name.contains(['.', '_'])
            && let Some(other) = index.by_name.keys().find(same)
        {
            return refuse(
                Kind::InvalidName,
                format!("it collides with {other}: '.' and '_' are the same in names of metrics"),
            );
        }
        Ok(())
    }

    /// Makes a topic; it lasts when this returns.
    ///
    /// # Errors
    /// [`Kind::Exists`]; [`Kind::InvalidName`]; [`Kind::InvalidPartitions`]; [`Kind::Invalid`] for a configuration; [`Kind::Storage`].
    pub fn create(
        &self,
        name: &str,
        partitions: u32,
        replication: i16,
        configs: Values,
    ) -> Result<Arc<Topic>> {
        let _one = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        self.validate(name, partitions, &configs)?;
        let record = Record { id: TopicId::random()?.hex(), partitions, replication, configs };
        self.make_folders(name, 0..partitions)?;
        self.put(name, &record)?;
        let topic = self.assemble(name, record)?;
        Ok(self.publish(topic))
    }

    /// Gives a topic `partitions` partitions, more than it has.
    ///
    /// # Errors
    /// [`Kind::NotFound`]; [`Kind::InvalidPartitions`] if it has as many; [`Kind::Storage`].
    pub fn grow(&self, name: &str, partitions: u32) -> Result<Arc<Topic>> {
        let _one = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.existing(name)?;
        let count = u32::try_from(old.partitions.len()).unwrap_or(u32::MAX);
        if partitions <= count || partitions > MOST_PARTITIONS {
            let why = format!(
                "it has {count} partitions, which is not less than {partitions}, or {MOST_PARTITIONS} is the limit"
            );
            return Err(Error::new(Kind::InvalidPartitions, "add partitions to", name, why));
        }
        self.make_folders(name, count..partitions)?;
        let record = Record { partitions, ..old.record() };
        self.put(name, &record)?;
        Ok(self.publish(self.assemble(name, record)?))
    }

    /// Replaces a topic's own configuration.
    ///
    /// # Errors
    /// [`Kind::NotFound`]; [`Kind::Invalid`] with the name of what is wrong; [`Kind::Storage`].
    pub fn configure(&self, name: &str, configs: Values) -> Result<Arc<Topic>> {
        let _one = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        config::check(&configs)?;
        let old = self.existing(name)?;
        let record = Record { configs, ..old.record() };
        self.put(name, &record)?;
        let topic = self.publish(self.assemble(name, record)?);
        topic
            .partitions
            .iter()
            .for_each(|partition| partition.configure(Arc::clone(&self.compile(&topic.configs))));
        Ok(topic)
    }

    fn existing(&self, name: &str) -> Result<Arc<Topic>> {
        self.get(name).ok_or_else(|| Error::new(Kind::NotFound, "find topic", name, "there is none"))
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, topic: Topic) -> Arc<Topic> {
        let topic = Arc::new(topic);
        self.index.write().unwrap_or_else(PoisonError::into_inner).insert(Arc::clone(&topic));
        topic
    }

    fn compile(&self, configs: &Values) -> Arc<crate::log::Config> {
        Arc::new(config::compile(configs, &self.defaults))
    }

    fn put(&self, name: &str, record: &Record) -> Result<()> {
        let change: Change = (format!("topic/{name}"), Some(record::encode(record)?.into()));
        self.shared.journal.put(vec![change])?.wait()
    }

    /// The topic of a record; partitions that it has already stay what they are.
    fn assemble(&self, name: &str, record: Record) -> Result<Topic> {
        let damaged =
            || Error::new(Kind::Corrupt, "read", format!("topic/{name} of the journal"), "its id is none");
        let id = TopicId::from_hex(&record.id).ok_or_else(damaged)?;
        let mut partitions = self.by_id(id).map(|old| old.partitions.clone()).unwrap_or_default();
        let config = self.compile(&record.configs);
        for number in u32::try_from(partitions.len()).unwrap_or(u32::MAX)..record.partitions {
            let (title, key) = (format!("{name}-{number}"), format!("{}/{number}", record.id));
            let folder = self.folder.join(&title);
            partitions.push(Partition::new(title, key, folder, self.shared.clone(), Arc::clone(&config)));
        }
        Ok(Topic {
            name: name.to_owned(),
            id,
            partitions,
            replication: record.replication,
            configs: record.configs,
        })
    }

    /// A folder that no topic has is never taken over: somebody may want what is in it.
    fn make_folders(&self, name: &str, numbers: std::ops::Range<u32>) -> Result<()> {
        for number in numbers.clone() {
            let path = self.folder.join(format!("{name}-{number}"));
            if let Err(error) = std::fs::create_dir(&path) {
                for made in numbers.start..number {
                    // Empty, and made a moment ago; the failure that is reported matters more.
                    drop(std::fs::remove_dir(self.folder.join(format!("{name}-{made}"))));
                }
                return Err(error).at("make", path.display());
            }
        }
        sync_folder(&self.folder)
    }
}

impl Topic {
    fn record(&self) -> Record {
        Record {
            id: self.id.hex(),
            partitions: u32::try_from(self.partitions.len()).unwrap_or(u32::MAX),
            replication: self.replication,
            configs: self.configs.clone(),
        }
    }

    /// The partition of that number.
    #[must_use]
    pub fn partition(&self, number: i32) -> Option<&Partition> {
        self.partitions.get(usize::try_from(number).ok()?)
    }
}

#[cfg(test)]
mod tests;
