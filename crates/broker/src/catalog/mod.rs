//! Which topics there are. The journal has them; a topic that is not in it does not exist, whatever folders there are.

pub(crate) mod config;
mod entry;

use crate::{
    error::{At as _, Error, Kind, Result},
    flush::Ticket,
    journal::sync_folder,
    log::{Partition, Shared},
};
use config::Overrides;
use dhow_kafka::Uuid;
use entry::Entry;
use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard},
};

/// More partitions than this, of all topics, are refused: each has a folder and, used, a file.
const MOST_PARTITIONS: usize = 200_000;
/// What Kafka allows in a name.
const LONGEST_NAME: usize = 249;
/// What a folder is called on its way out.
const DYING: &str = "-delete";

/// One topic as it is now: a change makes a new one.
#[derive(Debug)]
pub(crate) struct Topic {
    /// Its name.
    pub(crate) name: String,
    /// Its id, which a topic of the same name made later does not have.
    pub(crate) id: Uuid,
    /// Its partitions, by number.
    pub(crate) partitions: Vec<Partition>,
    /// The replication factor that was asked for; there is one replica.
    pub(crate) replication: i16,
    /// The configurations that were set.
    pub(crate) overrides: Overrides,
}

/// All topics.
#[derive(Debug)]
pub(crate) struct Catalog {
    data: PathBuf,
    shared: Shared,
    topics: RwLock<Topics>,
    /// Held by whoever changes something: one at a time.
    changing: Mutex<()>,
}

#[derive(Debug, Default)]
struct Topics {
    by_name: BTreeMap<String, Arc<Topic>>,
    by_id: HashMap<Uuid, Arc<Topic>>,
}

impl Topic {
    /// A partition by its number.
    #[must_use]
    pub(crate) fn partition(&self, number: i32) -> Option<&Partition> {
        self.partitions.get(usize::try_from(number).ok()?)
    }

    /// The partitions with their numbers.
    pub(crate) fn numbered(&self) -> impl Iterator<Item = (i32, &Partition)> {
        (0..).zip(&self.partitions)
    }
}

impl Catalog {
    /// Every topic that the journal has; nothing is read of their data. What was being deleted goes.
    pub(crate) fn open(data: &Path, shared: Shared) -> Result<Self> {
        let this =
            Self { data: data.to_owned(), shared, topics: RwLock::default(), changing: Mutex::default() };
        for (key, bytes) in this.shared.journal.scan(entry::PREFIX) {
            let entry = Entry::read(&key, &bytes).ok_or_else(|| {
                Error::new(Kind::Corrupt, "read", format!("the journal's record {key}"), "it is no topic")
            })?;
            let topic = this.topic(entry, &[])?;
            this.insert(topic);
        }
        for entry in std::fs::read_dir(data).at("list", data.display())? {
            let path = entry.at("list", data.display())?.path();
            if path.to_string_lossy().ends_with(DYING) {
                std::fs::remove_dir_all(&path).at("remove", path.display())?;
            }
        }
        Ok(this)
    }

    fn topics(&self) -> RwLockReadGuard<'_, Topics> {
        self.topics.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// By name.
    #[must_use]
    pub(crate) fn named(&self, name: &str) -> Option<Arc<Topic>> {
        self.topics().by_name.get(name).cloned()
    }

    /// By id.
    #[must_use]
    pub(crate) fn with_id(&self, id: Uuid) -> Option<Arc<Topic>> {
        self.topics().by_id.get(&id).cloned()
    }

    /// All, by name.
    #[must_use]
    pub(crate) fn all(&self) -> Vec<Arc<Topic>> {
        self.topics().by_name.values().cloned().collect()
    }

    /// Whether a topic of that name could be made, with so many partitions and these configurations.
    ///
    /// # Errors
    /// [`Kind::Invalid`], [`Kind::Exists`].
    pub(crate) fn check(&self, name: &str, partitions: usize, overrides: &Overrides) -> Result<()> {
        let refuse = |kind, why: &str| Err(Error::new(kind, "create topic", name, why));
        if let Err(why) = check_name(name) {
            return refuse(Kind::InvalidName, &why);
        }
        let topics = self.topics();
        if topics.by_name.contains_key(name) {
            return refuse(Kind::Exists, &format!("Topic '{name}' already exists."));
        }
        let folded = name.replace('.', "_");
        if let Some(other) = topics.by_name.keys().find(|other| other.replace('.', "_") == folded) {
            return refuse(
                Kind::InvalidName,
                &format!("Topic '{name}' collides with existing topic: {other}"),
            );
        }
        let all: usize = topics.by_name.values().map(|topic| topic.partitions.len()).sum();
        if partitions == 0 || all + partitions > MOST_PARTITIONS {
            return refuse(
                Kind::InvalidPartitions,
                "Number of partitions must be larger than 0 and possible.",
            );
        }
        config::check(overrides).or_else(|why| refuse(Kind::Invalid, &why))
    }

    /// Makes a topic. It is there at once; it lasts when the ticket is kept. Blocks on the disk.
    ///
    /// # Errors
    /// As [`Self::check`]; [`Kind::Storage`].
    pub(crate) fn create(
        &self,
        name: &str,
        partitions: usize,
        replication: i16,
        overrides: Overrides,
    ) -> Result<(Arc<Topic>, Ticket)> {
        let _one = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        self.check(name, partitions, &overrides)?;
        let entry = Entry { name: name.to_owned(), id: new_id()?, partitions, replication, overrides };
        // what lies there under its name belongs to no topic
        for number in 0..partitions {
            let folder = self.data.join(format!("{name}-{number}"));
            if folder.exists() {
                std::fs::remove_dir_all(&folder).at("remove", folder.display())?;
            }
        }
        self.commit(entry, &[])
    }

    /// Gives a topic more partitions: `partitions` in all.
    ///
    /// # Errors
    /// [`Kind::NotFound`], [`Kind::InvalidPartitions`], [`Kind::Storage`].
    pub(crate) fn grow(&self, name: &str, partitions: usize) -> Result<(Arc<Topic>, Ticket)> {
        let _one = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let topic = self.existing(name)?;
        let have = topic.partitions.len();
        if partitions <= have || partitions - have > MOST_PARTITIONS {
            let why = format!(
                "The topic {name} currently has {have} partition(s); {partitions} would not be an increase."
            );
            return Err(Error::new(Kind::InvalidPartitions, "grow topic", name, why));
        }
        self.commit(Entry { partitions, ..Entry::of(&topic) }, &topic.partitions)
    }

    /// Sets a topic's configurations: all of them.
    ///
    /// # Errors
    /// [`Kind::NotFound`], [`Kind::Invalid`], [`Kind::Storage`].
    pub(crate) fn configure(&self, name: &str, overrides: Overrides) -> Result<(Arc<Topic>, Ticket)> {
        let _one = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let topic = self.existing(name)?;
        config::check(&overrides).map_err(|why| Error::new(Kind::Invalid, "configure topic", name, why))?;
        let config = Arc::new(config::log(&overrides));
        let made = self.commit(Entry { overrides, ..Entry::of(&topic) }, &topic.partitions)?;
        topic.partitions.iter().for_each(|partition| partition.configure(Arc::clone(&config)));
        Ok(made)
    }

    /// Removes a topic: it is gone at once, and for good when the ticket is kept; [`Self::sweep`] removes its data then.
    ///
    /// # Errors
    /// [`Kind::NotFound`], [`Kind::Storage`].
    pub(crate) fn delete(&self, name: &str) -> Result<(Arc<Topic>, Ticket)> {
        let _one = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let topic = self.existing(name)?;
        let mut changes = vec![(entry::key(name), None)];
        changes.extend(topic.partitions.iter().flat_map(Partition::journal_keys).map(|key| (key, None)));
        let ticket = self.shared.journal.put(changes)?;
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        topics.by_name.remove(name);
        topics.by_id.remove(&topic.id);
        drop(topics);
        topic.partitions.iter().for_each(Partition::bury);
        Ok((topic, ticket))
    }

    /// Removes the data of a deleted topic, unless a new one has the name already and removed it.
    ///
    /// # Errors
    /// If a folder cannot be removed.
    pub(crate) fn sweep(&self, topic: &Topic) -> Result<()> {
        let mut dying = Vec::new();
        let one = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.named(&topic.name).is_none() {
            for number in 0..topic.partitions.len() {
                let folder = self.data.join(format!("{}-{number}", topic.name));
                let grave = self.data.join(format!("{}-{number}{DYING}", topic.id));
                std::fs::rename(&folder, &grave).at("rename", folder.display())?;
                dying.push(grave);
            }
        }
        drop(one);
        dying.iter().try_for_each(|grave| std::fs::remove_dir_all(grave).at("remove", grave.display()))
    }

    fn existing(&self, name: &str) -> Result<Arc<Topic>> {
        self.named(name).ok_or_else(|| Error::new(Kind::NotFound, "find topic", name, "there is none"))
    }

    /// Folders first, then the journal, then everybody can see it.
    fn commit(&self, entry: Entry, partitions: &[Partition]) -> Result<(Arc<Topic>, Ticket)> {
        let key = entry::key(&entry.name);
        let bytes = entry.write();
        let topic = self.topic(entry, partitions)?;
        if topic.partitions.len() > partitions.len() {
            sync_folder(&self.data)?;
        }
        let ticket = self.shared.journal.set(key, bytes)?;
        Ok((self.insert(topic), ticket))
    }

    fn insert(&self, topic: Topic) -> Arc<Topic> {
        let topic = Arc::new(topic);
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        topics.by_name.insert(topic.name.clone(), Arc::clone(&topic));
        topics.by_id.insert(topic.id, Arc::clone(&topic));
        topic
    }

    /// The topic of an entry, with the partitions that it has already, and folders for the others.
    fn topic(&self, entry: Entry, partitions: &[Partition]) -> Result<Topic> {
        let config = Arc::new(config::log(&entry.overrides));
        let mut partitions = partitions.to_vec();
        for number in partitions.len()..entry.partitions {
            let name = format!("{}-{number}", entry.name);
            let folder = self.data.join(&name);
            match std::fs::create_dir(&folder) {
                Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                    return Err(error).at("make", folder.display());
                }
                _ => {}
            }
            let key = format!("{}-{number}", entry.id);
            partitions.push(Partition::new(name, key, folder, self.shared.clone(), Arc::clone(&config)));
        }
        let Entry { name, id, replication, overrides, .. } = entry;
        Ok(Topic { name, id, partitions, replication, overrides })
    }
}

fn check_name(name: &str) -> std::result::Result<(), String> {
    let legal = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
    match name {
        "" => Err("Topic name is invalid: the empty string is not allowed".to_owned()),
        "." | ".." => Err("Topic name is invalid: '.' or '..' is not allowed".to_owned()),
        _ if name.len() > LONGEST_NAME => Err(format!(
            "Topic name is invalid: the length of '{name}' is longer than the max allowed length {LONGEST_NAME}"
        )),
        _ if !name.chars().all(legal) => Err(format!(
            "Topic name is invalid: '{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
        )),
        _ => Ok(()),
    }
}

/// Random; none that Kafka reserves or that looks like an option of a command.
pub(crate) fn new_id() -> Result<Uuid> {
    loop {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|why| Error::new(Kind::Storage, "make", "an id", why))?;
        let id = Uuid(bytes);
        if bytes[..15] != [0; 15] && !id.to_string().starts_with('-') {
            return Ok(id);
        }
    }
}

#[cfg(test)]
mod tests;
