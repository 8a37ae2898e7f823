//! Deleting a topic, in steps that a crash may interrupt anywhere.
//!
//! 1. The journal forgets the topic, and notes that its folders go: from here on it does not exist. 2. The folders are renamed, so that a
//!    topic of the same name can be made. 3. They are removed. 4. The note is removed. A start begins at step 2 again.
//!
//! A folder that no note names is never touched.

use super::{
    Topics,
    record::{self, Deleting},
};
use crate::{
    error::{At as _, Result},
    journal::{Journal, sync_folder},
};
use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError},
};

impl Topics {
    /// Deletes a topic. It is gone when this returns; its files go in the background.
    ///
    /// # Errors
    /// [`crate::Kind::NotFound`]; [`crate::Kind::Storage`].
    pub fn delete(&self, name: &str) -> Result<()> {
        let _one = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let topic = self.existing(name)?;
        let id = topic.id.hex();
        let partitions = u32::try_from(topic.partitions.len()).unwrap_or(u32::MAX);
        let note = Deleting { name: name.to_owned(), partitions };
        let mut changes = vec![
            (format!("topic/{name}"), None),
            (format!("deleting/{id}"), Some(record::encode(&note)?.into())),
        ];
        for kind in ["start", "epochs", "clean", "gaps", "swap"] {
            let keys = self.shared.journal.scan(&format!("{kind}/{id}/"));
            changes.extend(keys.into_iter().map(|(key, _)| (key, None)));
        }
        self.shared.journal.put(changes)?.wait()?;
        {
            let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
            index.by_name.remove(name);
            index.by_id.remove(&topic.id);
        }
        topic.partitions.iter().for_each(crate::log::Partition::bury);
        self.finish_removal(id, note)
    }

    /// Goes on with what a crash interrupted.
    pub(super) fn resume_removals(&self) -> Result<()> {
        for (key, bytes) in self.shared.journal.scan("deleting/") {
            let note: Deleting = record::decode(&key, &bytes)?;
            self.finish_removal(key.strip_prefix("deleting/").unwrap_or(&key).to_owned(), note)?;
        }
        Ok(())
    }

    fn finish_removal(&self, id: String, note: Deleting) -> Result<()> {
        let graves: Vec<PathBuf> =
            (0..note.partitions).map(|number| self.folder.join(format!("{id}-{number}.delete"))).collect();
        // A topic of the same name was made only after the folders had been renamed.
        if self.get(&note.name).is_none() {
            for (number, grave) in graves.iter().enumerate() {
                let folder = self.folder.join(format!("{}-{number}", note.name));
                match std::fs::rename(&folder, grave) {
                    Err(error) if error.kind() != ErrorKind::NotFound => {
                        return Err(error).at("rename", folder.display());
                    }
                    _ => {}
                }
            }
            sync_folder(&self.folder)?;
        }
        let journal = Arc::clone(&self.shared.journal);
        let remove = move || {
            if let Err(error) = dig(&graves, &journal, &id) {
                tracing::warn!(topic = note.name, %error, "its files are still there; the next start goes on");
            }
        };
        // Large files take their time, and nobody waits for them.
        std::thread::Builder::new()
            .name("remove".to_owned())
            .spawn(remove)
            .at("start", "a thread that removes files")
            .map(drop)
    }
}

fn dig(graves: &[PathBuf], journal: &Journal, id: &str) -> Result<()> {
    let remove = |grave: &Path| match std::fs::remove_dir_all(grave) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error).at("remove", grave.display()),
        _ => Ok(()),
    };
    graves.iter().try_for_each(|grave| remove(grave))?;
    journal.put(vec![(format!("deleting/{id}"), None)])?.wait()
}
