//! A topic as the journal has it: `topic/<name>` → lines of words.

use super::{Topic, config::Overrides};
use dhow_kafka::Uuid;
use std::fmt::Write as _;

pub(super) const PREFIX: &str = "topic/";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) id: Uuid,
    pub(super) partitions: usize,
    pub(super) replication: i16,
    pub(super) overrides: Overrides,
}

pub(super) fn key(name: &str) -> String {
    format!("{PREFIX}{name}")
}

impl Entry {
    pub(super) fn of(topic: &Topic) -> Self {
        Self {
            name: topic.name.clone(),
            id: topic.id,
            partitions: topic.partitions.len(),
            replication: topic.replication,
            overrides: topic.overrides.clone(),
        }
    }

    /// Values are checked before they come here: none has a line break, as none of Kafka's types has.
    pub(super) fn write(&self) -> Vec<u8> {
        let mut out =
            format!("id {}\npartitions {}\nreplication {}\n", self.id, self.partitions, self.replication);
        for (name, value) in &self.overrides {
            // writing to a string does not fail
            writeln!(out, "config {name} {}", value.replace(['\n', '\r'], " ")).unwrap_or_default();
        }
        out.into_bytes()
    }

    pub(super) fn read(key: &str, bytes: &[u8]) -> Option<Self> {
        let name = key.strip_prefix(PREFIX)?.to_owned();
        let mut entry =
            Self { name, id: Uuid::ZERO, partitions: 0, replication: 1, overrides: Overrides::new() };
        for line in std::str::from_utf8(bytes).ok()?.lines() {
            match line.split_once(' ')? {
                ("id", id) => entry.id = Uuid::parse(id)?,
                ("partitions", count) => entry.partitions = count.parse().ok()?,
                ("replication", factor) => entry.replication = factor.parse().ok()?,
                ("config", pair) => {
                    let (name, value) = pair.split_once(' ')?;
                    entry.overrides.insert(name.to_owned(), value.to_owned());
                }
                _ => return None,
            }
        }
        (!entry.id.is_zero() && entry.partitions > 0).then_some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_comes_back() {
        let overrides = Overrides::from([
            ("cleanup.policy".to_owned(), "compact,delete".to_owned()),
            ("leader.replication.throttled.replicas".to_owned(), String::new()),
        ]);
        let entry =
            Entry { name: "orders".to_owned(), id: Uuid([7; 16]), partitions: 12, replication: 3, overrides };
        assert_eq!(Entry::read(&key("orders"), &entry.write()), Some(entry));
        assert_eq!(Entry::read("topic/orders", b"colour blue\n"), None);
        assert_eq!(Entry::read("topic/orders", b""), None);
    }
}
