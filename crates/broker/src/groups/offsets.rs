//! Committed offsets: `offset/<group>\0<topic>\0<partition>` in the journal. They are read from there: memory has them once.

use crate::journal::{Change, Journal};

/// How far a group has read a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The next record to read.
    pub offset: i64,
    /// The leader epoch of the last one that was read, or -1.
    pub leader_epoch: i32,
    /// When it was committed.
    pub timestamp: i64,
    /// Whatever the client wants to remember.
    pub metadata: String,
}

/// One partition of a topic.
pub type TopicPartition = (String, i32);

fn prefix(group: &str) -> String {
    format!("offset/{group}\0")
}

fn key(group: &str, (topic, partition): &TopicPartition) -> String {
    format!("offset/{group}\0{topic}\0{partition}")
}

/// The change that commits, or forgets.
pub(crate) fn change(group: &str, partition: &TopicPartition, committed: Option<&Committed>) -> Change {
    (key(group, partition), committed.map(|committed| encode(committed).into()))
}

pub(crate) fn encode(committed: &Committed) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(20 + committed.metadata.len());
    bytes.extend_from_slice(&committed.offset.to_le_bytes());
    bytes.extend_from_slice(&committed.leader_epoch.to_le_bytes());
    bytes.extend_from_slice(&committed.timestamp.to_le_bytes());
    bytes.extend_from_slice(committed.metadata.as_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Option<Committed> {
    let (offset, bytes) = bytes.split_first_chunk()?;
    let (epoch, bytes) = bytes.split_first_chunk()?;
    let (timestamp, metadata) = bytes.split_first_chunk()?;
    Some(Committed {
        offset: i64::from_le_bytes(*offset),
        leader_epoch: i32::from_le_bytes(*epoch),
        timestamp: i64::from_le_bytes(*timestamp),
        metadata: String::from_utf8_lossy(metadata).into_owned(),
    })
}

/// What `group` has committed for one partition.
pub(super) fn get(journal: &Journal, group: &str, partition: &TopicPartition) -> Option<Committed> {
    decode(&journal.get(&key(group, partition))?)
}

/// All that `group` has committed, sorted.
pub(super) fn all(journal: &Journal, group: &str) -> Vec<(TopicPartition, Committed)> {
    let prefix = prefix(group);
    let entry = |(key, value): (String, std::sync::Arc<[u8]>)| {
        let (topic, partition) = key.strip_prefix(&prefix)?.split_once('\0')?;
        Some(((topic.to_owned(), partition.parse().ok()?), decode(&value)?))
    };
    journal.scan(&prefix).into_iter().filter_map(entry).collect()
}

/// The groups that have committed anything.
pub(super) fn groups(journal: &Journal) -> Vec<String> {
    let group = |key: &str| key.strip_prefix("offset/")?.split_once('\0').map(|(group, _)| group.to_owned());
    let mut groups: Vec<String> = journal.scan("offset/").iter().filter_map(|(key, _)| group(key)).collect();
    groups.dedup();
    groups
}
