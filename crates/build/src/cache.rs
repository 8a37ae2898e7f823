//! What steps made before: key → layer, kept in the store's journal (`build/<key>`).

use dhow_oci::Digest;
use dhow_store::Store;
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

/// The result of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// What it added; nothing for a step that changed no file.
    pub(crate) layer: Option<Digest>,
    /// Bytes of it.
    pub(crate) size: u64,
    /// When it was made (RFC 3339): a build from the cache alone makes the same image again.
    pub(crate) created: String,
    /// Seconds since the epoch, of the last hit.
    pub(crate) used: u64,
}

/// The records, in memory and in the journal.
#[derive(Debug)]
pub(crate) struct Cache {
    store: Store,
    records: Mutex<HashMap<String, Record>>,
    /// One builder at a time makes what a key stands for.
    making: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

const PREFIX: &str = "build/";

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Cache {
    pub(crate) fn open(store: &Store) -> Self {
        let records = store
            .journal()
            .scan(PREFIX)
            .into_iter()
            .filter_map(|(key, value)| {
                Some((key.strip_prefix(PREFIX)?.to_owned(), serde_json::from_slice(&value).ok()?))
            })
            .collect();
        Self { store: store.clone(), records: Mutex::new(records), making: Mutex::default() }
    }

    /// What a key stands for, if its layer is still there.
    pub(crate) fn get(&self, key: &str) -> Option<Record> {
        let mut records = lock(&self.records);
        let record = records.get_mut(key)?;
        if record.layer.as_ref().is_some_and(|layer| !self.store.has_layer(layer)) {
            records.remove(key);
            return None;
        }
        record.used = now();
        Some(record.clone())
    }

    pub(crate) fn put(&self, key: &str, layer: Option<Digest>, size: u64, created: &str) {
        let record = Record { layer, size, created: created.to_owned(), used: now() };
        if let Ok(bytes) = serde_json::to_vec(&record) {
            // a lost record costs a step, not data
            self.store.journal().put(&format!("{PREFIX}{key}"), Some(&bytes)).forget();
        }
        lock(&self.records).insert(key.to_owned(), record);
    }

    /// Held while a key's step runs, so that two builds do not run the same one twice.
    pub(crate) async fn hold(&self, key: &str) -> tokio::sync::OwnedMutexGuard<()> {
        let gate = lock(&self.making).entry(key.to_owned()).or_default().clone();
        gate.lock_owned().await
    }

    pub(crate) fn release(&self, key: &str) {
        let mut making = lock(&self.making);
        if making.get(key).is_some_and(|gate| Arc::strong_count(gate) <= 2) {
            making.remove(key);
        }
    }

    pub(crate) fn layers(&self) -> Vec<Digest> {
        lock(&self.records).values().filter_map(|record| record.layer.clone()).collect()
    }

    /// Forgets every record; their keys.
    pub(crate) fn clear(&self) -> Vec<String> {
        let mut keys: Vec<String> = std::mem::take(&mut *lock(&self.records)).into_keys().collect();
        for key in &keys {
            self.store.journal().put(&format!("{PREFIX}{key}"), None).forget();
        }
        keys.sort_unstable();
        keys
    }
}
