//! Offsets that are committed in a transaction: `pending/<group>\0<topic>\0<partition>\0<transactional id>` in the journal, until it ends.

use super::{Identity, Outcome, Txn, Txns};
use crate::{
    flush::Ticket,
    groups::{Committed, TopicPartition, change, encode},
    journal::{Change, Journal},
};
use std::{collections::BTreeSet, sync::Arc};

/// Key, offset's key, and value of what a transaction has pending.
fn of(journal: &Journal, id: &str, groups: &BTreeSet<String>) -> Vec<(String, String, Arc<[u8]>)> {
    let suffix = format!("\0{id}");
    let entry = |(key, value): (String, Arc<[u8]>)| {
        let place = key.strip_prefix("pending/")?.strip_suffix(&suffix)?;
        Some((key.clone(), format!("offset/{place}"), value))
    };
    groups.iter().flat_map(|group| journal.scan(&format!("pending/{group}\0"))).filter_map(entry).collect()
}

/// The changes that make them the groups' offsets.
pub(super) fn commit_all(journal: &Journal, id: &str, groups: &BTreeSet<String>) -> Vec<Change> {
    let pending = of(journal, id, groups).into_iter();
    pending.flat_map(|(key, offset, value)| [(key, None), (offset, Some(value))]).collect()
}

/// The changes that forget them.
pub(super) fn drop_all(journal: &Journal, id: &str, groups: &BTreeSet<String>) -> Vec<Change> {
    of(journal, id, groups).into_iter().map(|(key, ..)| (key, None)).collect()
}

impl Txns {
    /// Commits offsets of `group` as part of the transaction: they count when it is committed. Kept when the ticket is. A group that the
    /// transaction does not know becomes part of it. Whether the member may commit is the group's to say, before.
    ///
    /// # Errors
    /// As [`Txns::enlist`].
    pub fn commit_offsets(
        &self,
        id: &str,
        identity: Identity,
        group: &str,
        offsets: &[(TopicPartition, Committed)],
        now: i64,
    ) -> Outcome<Ticket> {
        let mut all = self.lock();
        let txn = all.known(id)?.clone();
        let commit = |txn: &mut Txn| {
            txn.enlist(identity, [], Some(group), now)?;
            let changes = offsets.iter().map(|(partition, committed)| {
                let (key, _) = change(group, partition, None);
                (
                    format!("pending/{}\0{id}", key.trim_start_matches("offset/")),
                    Some(encode(committed).into()),
                )
            });
            Ok(((), changes.collect()))
        };
        let ((), ticket) = self.step(&mut all, id, txn, commit)?;
        all.wake();
        Ok(ticket)
    }

    /// Whether a transaction may still change what `group` has committed for the partition: `UNSTABLE_OFFSET_COMMIT`.
    #[must_use]
    pub fn is_pending(&self, group: &str, (topic, partition): &TopicPartition) -> bool {
        !self.journal.scan(&format!("pending/{group}\0{topic}\0{partition}\0")).is_empty()
    }
}
