//! A member of a group.

use super::Token;

/// One consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    /// What keeps its place while it is away, if it has such a thing.
    pub(super) instance: Option<String>,
    pub(super) client_id: String,
    pub(super) client_host: String,
    pub(super) session_timeout: i64,
    pub(super) rebalance_timeout: i64,
    /// Name and subscription, the best first.
    pub(super) protocols: Vec<(String, Vec<u8>)>,
    pub(super) assignment: Vec<u8>,
    /// A JoinGroup or SyncGroup that waits for its answer.
    pub(super) join: Option<Token>,
    pub(super) sync: Option<Token>,
    /// It has sent the SyncGroup of this generation.
    pub(super) synced: bool,
    /// When it is given up.
    pub(super) deadline: i64,
    /// Who came first, leads.
    pub(super) order: u64,
}

impl Member {
    /// Its subscription for `protocol`.
    pub(super) fn metadata(&self, protocol: &str) -> Vec<u8> {
        self.protocols
            .iter()
            .find(|(name, _)| name == protocol)
            .map_or_else(Vec::new, |(_, metadata)| metadata.clone())
    }

    /// Whoever has asked something is there, and needs no heartbeat.
    pub(super) fn waits(&self) -> bool {
        self.join.is_some() || self.sync.is_some()
    }
}
