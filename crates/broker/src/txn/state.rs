//! One transactional id: which steps it may take. Pure; what is to last is in [`Txn`], and goes to the journal as it is.

use crate::groups::TopicPartition;
use dhow_kafka::{Code, batch::Marker};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Where a transaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// None has been begun.
    Empty,
    /// Records and offsets are being written.
    Ongoing,
    /// It is decided; markers are being written.
    PrepareCommit,
    /// It is decided; markers are being written.
    PrepareAbort,
    /// The last one was committed.
    CompleteCommit,
    /// The last one was aborted.
    CompleteAbort,
}

impl State {
    /// As Kafka's tools call it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Ongoing => "Ongoing",
            Self::PrepareCommit => "PrepareCommit",
            Self::PrepareAbort => "PrepareAbort",
            Self::CompleteCommit => "CompleteCommit",
            Self::CompleteAbort => "CompleteAbort",
        }
    }
}

/// Who writes: a producer id and its epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The producer id.
    pub id: i64,
    /// Its epoch.
    pub epoch: i16,
}

/// A transactional id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Txn {
    /// Who writes now.
    pub identity: Identity,
    /// Who wrote before the last step that changed it, for those that ask again.
    pub last: Option<Identity>,
    /// Milliseconds that a transaction may take.
    pub timeout: i64,
    /// Where it is.
    pub state: State,
    /// What has been written to.
    pub partitions: BTreeSet<TopicPartition>,
    /// Whose offsets have been committed in it.
    pub groups: BTreeSet<String>,
    /// Since when it is ongoing.
    pub started: i64,
    /// When something was last asked.
    pub updated: i64,
    /// Who writes its markers, and who writes when they are written.
    pub ending: Option<(Identity, Identity)>,
}

/// Epochs from here on are for markers alone: the next producer has a new id.
const LAST_EPOCH: i16 = i16::MAX - 1;

/// What an end of a transaction comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Markers are to be written.
    Prepared,
    /// It had ended so before.
    Already,
}

impl Txn {
    pub(super) fn new(identity: Identity, timeout: i64, now: i64) -> Self {
        Self {
            identity,
            last: None,
            timeout,
            state: State::Empty,
            partitions: BTreeSet::new(),
            groups: BTreeSet::new(),
            started: -1,
            updated: now,
            ending: None,
        }
    }

    /// What the markers say, once it is decided.
    pub(super) fn marker(&self) -> Option<Marker> {
        match self.state {
            State::PrepareCommit => Some(Marker::Commit),
            State::PrepareAbort => Some(Marker::Abort),
            _ => None,
        }
    }

    /// Whether `identity` is who writes now.
    fn check(&self, identity: Identity) -> Result<(), Code> {
        if identity.id != self.identity.id {
            return Err(Code::InvalidProducerIdMapping);
        }
        if identity.epoch != self.identity.epoch {
            return Err(Code::ProducerFenced);
        }
        if self.marker().is_some() { Err(Code::ConcurrentTransactions) } else { Ok(()) }
    }

    /// The producer comes, for the first time or again: it gets the next epoch, and whoever had the last one is fenced. `fresh` is a
    /// producer id for one whose epochs are used up. `None`: a transaction is open, and must be aborted first.
    pub(super) fn initialise(
        &mut self,
        said: Option<Identity>,
        timeout: i64,
        fresh: i64,
        now: i64,
    ) -> Result<Option<Identity>, Code> {
        if self.marker().is_some() {
            return Err(Code::ConcurrentTransactions);
        }
        if let Some(said) = said.filter(|said| *said != self.identity) {
            // It asks again, because it did not hear the answer.
            let again = self.last == Some(said) && self.state != State::Ongoing;
            return if again { Ok(Some(self.identity)) } else { Err(Code::ProducerFenced) };
        }
        if self.state == State::Ongoing {
            return Ok(None);
        }
        self.last = Some(self.identity);
        self.identity = self.next(fresh);
        (self.timeout, self.state, self.updated) = (timeout, State::Empty, now);
        Ok(Some(self.identity))
    }

    fn next(&self, fresh: i64) -> Identity {
        match self.identity {
            Identity { epoch, .. } if epoch >= LAST_EPOCH => Identity { id: fresh, epoch: 0 },
            Identity { id, epoch } => Identity { id, epoch: epoch + 1 },
        }
    }

    /// Whether all of this has been enlisted.
    pub(super) fn has(
        &self,
        identity: Identity,
        partitions: &[TopicPartition],
        group: Option<&str>,
    ) -> Result<bool, Code> {
        self.check(identity)?;
        let known = partitions.iter().all(|partition| self.partitions.contains(partition));
        Ok(self.state == State::Ongoing && known && group.is_none_or(|group| self.groups.contains(group)))
    }

    /// Notes what will be written to.
    pub(super) fn enlist(
        &mut self,
        identity: Identity,
        partitions: impl IntoIterator<Item = TopicPartition>,
        group: Option<&str>,
        now: i64,
    ) -> Result<(), Code> {
        self.check(identity)?;
        self.partitions.extend(partitions);
        self.groups.extend(group.map(str::to_owned));
        if self.state != State::Ongoing {
            (self.state, self.started) = (State::Ongoing, now);
        }
        self.updated = now;
        Ok(())
    }

    /// Whether the producer has said that it would write there.
    pub(super) fn verify(&self, identity: Identity, partition: &TopicPartition) -> Result<(), Code> {
        self.check(identity)?;
        let said = self.state == State::Ongoing && self.partitions.contains(partition);
        if said { Ok(()) } else { Err(Code::InvalidTxnState) }
    }

    /// The producer ends its transaction. With `bump` (version 2) it goes on in the next epoch, so that nothing late can slip into the next
    /// transaction.
    pub(super) fn end(
        &mut self,
        identity: Identity,
        marker: Marker,
        bump: bool,
        fresh: i64,
        now: i64,
    ) -> Result<End, Code> {
        let done = match marker {
            Marker::Commit => State::CompleteCommit,
            Marker::Abort => State::CompleteAbort,
        };
        // It asks again, because it did not hear the answer.
        if bump && self.last == Some(identity) && self.state == done {
            return Ok(End::Already);
        }
        if let Err(code) = self.check(identity) {
            let decided = self.marker().is_some_and(|decided| decided != marker);
            return Err(if code == Code::ConcurrentTransactions && decided {
                Code::InvalidTxnState
            } else {
                code
            });
        }
        match self.state {
            State::Ongoing => {}
            state if state == done && !bump => return Ok(End::Already),
            // A producer of version 2 that gives up before it has written anything wants its next epoch all the same.
            _ if bump && marker == Marker::Abort => {}
            _ => return Err(Code::InvalidTxnState),
        }
        self.prepare(marker, bump, fresh, now);
        Ok(End::Prepared)
    }

    /// Decides. With `bump` the markers have the next epoch already.
    pub(super) fn prepare(&mut self, marker: Marker, bump: bool, fresh: i64, now: i64) {
        self.state = match marker {
            Marker::Commit => State::PrepareCommit,
            Marker::Abort => State::PrepareAbort,
        };
        let Identity { id, epoch } = self.identity;
        let writer = Identity { id, epoch: if bump { epoch.saturating_add(1) } else { epoch } };
        self.ending = Some((writer, if bump { self.next(fresh) } else { self.identity }));
        self.updated = now;
    }

    /// All markers are on disk.
    pub(super) fn complete(&mut self, now: i64) {
        self.state =
            if self.state == State::PrepareCommit { State::CompleteCommit } else { State::CompleteAbort };
        if let Some((_, next)) = self.ending.take().filter(|(_, next)| *next != self.identity) {
            self.last = Some(self.identity);
            self.identity = next;
        }
        self.partitions.clear();
        self.groups.clear();
        (self.started, self.updated) = (-1, now);
    }

    /// When it will be aborted, if nothing is heard of it.
    pub(super) fn deadline(&self) -> Option<i64> {
        (self.state == State::Ongoing).then(|| self.started.saturating_add(self.timeout))
    }
}
