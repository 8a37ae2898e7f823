//! A topic, as the journal has it.

use super::config::Values;
use crate::error::{Error, Kind, Result};
use serde::{Deserialize, Serialize};

/// What tells a topic from another of the same name that came before it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicId(pub [u8; 16]);

impl TopicId {
    /// A new one: a version 4 UUID.
    ///
    /// # Errors
    /// If the system has no random bytes.
    pub(crate) fn random() -> Result<Self> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)
            .map_err(|error| Error::new(Kind::Storage, "make", "a topic id", error))?;
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Ok(Self(bytes))
    }

    pub(crate) fn hex(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub(super) fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 16];
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(text.get(at * 2..at * 2 + 2)?, 16).ok()?;
        }
        (text.len() == 32).then_some(Self(bytes))
    }
}

impl std::fmt::Debug for TopicId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.hex())
    }
}

/// `topic/<name>` in the journal.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) id: String,
    pub(super) partitions: u32,
    /// What was asked for; there is one replica.
    pub(super) replication: i16,
    #[serde(default)]
    pub(super) configs: Values,
}

/// `deleting/<id>` in the journal: a topic whose folders may still be there.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Deleting {
    pub(super) name: String,
    pub(super) partitions: u32,
}

pub(super) fn encode(record: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(record).map_err(|error| Error::new(Kind::Storage, "write", "a topic's record", error))
}

pub(super) fn decode<'a, R: Deserialize<'a>>(key: &str, bytes: &'a [u8]) -> Result<R> {
    serde_json::from_slice(bytes)
        .map_err(|error| Error::new(Kind::Corrupt, "read", format!("{key} of the journal"), error))
}

/// Kafka's rules for the name of a topic.
pub(super) fn check_name(name: &str) -> Result<()> {
    let refuse = |why: &str| Err(Error::new(Kind::InvalidName, "name a topic", name, why));
    match name {
        "" => refuse("it has no name"),
        "." | ".." => refuse("it cannot be \".\" or \"..\""),
        _ if name.len() > 249 => refuse("it is longer than 249 characters"),
        _ if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)) => Ok(()),
        _ => refuse("it may have only ASCII letters, digits, '.', '_' and '-'"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_back() {
        let id = TopicId::random().unwrap();
        assert_eq!(TopicId::from_hex(&id.hex()), Some(id));
        assert_eq!(TopicId::from_hex("0g"), None);
    }

    #[test]
    fn names_are_kafkas() {
        ["a", "a.b_c-9", &"x".repeat(249)].iter().for_each(|name| check_name(name).unwrap());
        let bad = ["", ".", "..", "a b", "ä", "a/b", &"x".repeat(250)];
        assert!(bad.iter().all(|name| check_name(name).is_err()));
    }
}
