//! Transactions: the coordinator of all transactional ids.
//!
//! A transaction's life, and what is on disk when:
//!
//! 1. [`Txns::enlist`]: the journal knows the partition before a record of the transaction is written to it.
//! 2. [`Txns::end`]: the decision is in the journal, together with the offsets that it commits; from here on it happens, crash or not.
//! 3. A marker is on disk in every partition. 4. The journal knows that it is over, and the producer hears it.
//!
//! A start goes on with step 3 of what was decided. A transaction that takes too long is aborted, in a new epoch, so that its producer hears
//! of it. There is one deadline for all: [`Txns::deadline`].

mod pending;
mod state;

pub use state::{Identity, State, Txn};

use crate::{
    error::{Kind, Result},
    flush::Ticket,
    groups::TopicPartition,
    journal::{Change, Journal},
    storage::Storage,
};
use dhow_kafka::{Code, batch::Marker};
use state::End;
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

/// `transaction.max.timeout.ms`
const MOST_TIMEOUT: i64 = 15 * 60 * 1000;
/// `transactional.id.expiration.ms`
const EXPIRATION: i64 = 7 * 24 * 60 * 60 * 1000;
/// There is one coordinator, and it never moves.
const COORDINATOR_EPOCH: i32 = 0;

/// All transactional ids.
#[derive(Debug)]
pub struct Txns {
    journal: Arc<Journal>,
    all: Mutex<All>,
}

#[derive(Debug, Default)]
struct All {
    txns: HashMap<String, Txn>,
    /// When each is on disk as it is.
    saved: HashMap<String, Ticket>,
    /// Those whose markers somebody is writing.
    driven: HashSet<String>,
    sleeper: Option<Waker>,
}

/// A code is what the client hears.
type Outcome<T> = std::result::Result<T, Code>;

impl Txns {
    /// The transactional ids of the journal. What was decided and not ended is due at once.
    #[must_use]
    pub fn open(journal: Arc<Journal>) -> Self {
        let mut txns = HashMap::new();
        for (key, bytes) in journal.scan("txn/") {
            let id = key.trim_start_matches("txn/").to_owned();
            match serde_json::from_slice(&bytes) {
                Ok(txn) => drop(txns.insert(id, txn)),
                Err(error) => tracing::error!(id, %error, "the record of a transactional id is not readable"),
            }
        }
        Self { journal, all: Mutex::new(All { txns, ..All::default() }) }
    }

    fn lock(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `InitProducerId` with a transactional id: who the producer is from now on. `said` is who it believes to be. Aborts what an earlier one
    /// left open.
    ///
    /// # Errors
    /// [`Code::ConcurrentTransactions`] while a transaction is being ended: to be asked again; [`Code::ProducerFenced`] if somebody else came
    /// later; [`Code::InvalidTransactionTimeout`].
    pub async fn initialise(
        &self,
        storage: &Storage,
        id: &str,
        timeout: i64,
        said: Option<Identity>,
        now: i64,
    ) -> Outcome<Identity> {
        if id.is_empty() {
            return Err(Code::InvalidRequest);
        }
        if !(1..=MOST_TIMEOUT).contains(&timeout) {
            return Err(Code::InvalidTransactionTimeout);
        }
        let fresh = fresh(storage)?;
        let (identity, ticket) = {
            let mut all = self.lock();
            // The first identity is the one after this.
            let new = || Txn::new(Identity { id: fresh, epoch: -1 }, timeout, now);
            let txn = all.txns.get(id).cloned().unwrap_or_else(new);
            let said = said.filter(|said| said.id >= 0 && txn.identity.epoch >= 0);
            let (identity, ticket) = self.step(&mut all, id, txn, |txn| {
                let identity = txn.initialise(said, timeout, fresh, now)?;
                if identity.is_some() {
                    return Ok((identity, Vec::new()));
                }
                txn.prepare(Marker::Abort, true, fresh, now);
                Ok((None, pending::drop_all(&self.journal, id, &txn.groups)))
            })?;
            match identity {
                Some(identity) => (Ok(identity), ticket),
                None => (Err(self.drive(&mut all, id)?), ticket),
            }
        };
        ticket.await.map_err(|_| Code::CoordinatorNotAvailable)?;
        match identity {
            Ok(identity) => Ok(identity),
            Err(driving) => {
                self.finish(storage, id, driving).await?;
                Err(Code::ConcurrentTransactions)
            }
        }
    }

    /// The producer will write to `partitions`, and commit offsets of `group`. When there is a ticket, nothing may be written before it is kept.
    ///
    /// # Errors
    /// [`Code::InvalidProducerIdMapping`], [`Code::ProducerFenced`], [`Code::ConcurrentTransactions`].
    pub fn enlist(
        &self,
        id: &str,
        identity: Identity,
        partitions: impl IntoIterator<Item = TopicPartition>,
        group: Option<&str>,
        now: i64,
    ) -> Outcome<Option<Ticket>> {
        let mut all = self.lock();
        let partitions: Vec<TopicPartition> = partitions.into_iter().collect();
        let txn = all.known(id)?;
        if txn.has(identity, &partitions, group)? {
            // Known, but perhaps not yet on disk.
            return Ok(all.saved.get(id).filter(|ticket| !ticket.is_done()).cloned());
        }
        let txn = txn.clone();
        let enlist = |txn: &mut Txn| Ok((txn.enlist(identity, partitions, group, now)?, Vec::new()));
        let ((), ticket) = self.step(&mut all, id, txn, enlist)?;
        all.wake();
        Ok(Some(ticket))
    }

    /// Whether the producer has enlisted the partition that it writes to: before version 2 it says so itself.
    ///
    /// # Errors
    /// As [`Txns::enlist`], and [`Code::InvalidTxnState`].
    pub fn verify(&self, id: &str, identity: Identity, partition: &TopicPartition) -> Outcome<()> {
        self.lock().known(id)?.verify(identity, partition)
    }

    /// Ends a transaction; when it returns, all is on disk. `bump` is version 2. Returns who the producer is from now on.
    ///
    /// # Errors
    /// [`Code::InvalidTxnState`] if there is nothing to end, or it was ended otherwise; as [`Txns::enlist`].
    pub async fn end(
        &self,
        storage: &Storage,
        id: &str,
        identity: Identity,
        marker: Marker,
        bump: bool,
        now: i64,
    ) -> Outcome<Identity> {
        let fresh = fresh(storage)?;
        let (ticket, driving) = {
            let mut all = self.lock();
            let txn = all.known(id)?.clone();
            let (end, ticket) = self.step(&mut all, id, txn, |txn| {
                let changes = match marker {
                    Marker::Commit => pending::commit_all(&self.journal, id, &txn.groups),
                    Marker::Abort => pending::drop_all(&self.journal, id, &txn.groups),
                };
                match txn.end(identity, marker, bump, fresh, now)? {
                    End::Prepared => Ok((None, changes)),
                    End::Already => Ok((Some(txn.identity), Vec::new())),
                }
            })?;
            if let Some(identity) = end {
                return Ok(identity);
            }
            (ticket, self.drive(&mut all, id)?)
        };
        ticket.await.map_err(|_| Code::CoordinatorNotAvailable)?;
        self.finish(storage, id, driving).await
    }

    /// Writes the markers of what is decided. If it is given up on the way, the next [`Txns::tick`] goes on.
    async fn finish(&self, storage: &Storage, id: &str, _driving: Driving<'_>) -> Outcome<Identity> {
        let decided = {
            let all = self.lock();
            let txn = all.known(id)?;
            let Some((marker, (writer, _))) = txn.marker().zip(txn.ending) else { return Ok(txn.identity) };
            (marker, writer, txn.partitions.clone())
        };
        let (marker, writer, partitions) = decided;
        let mut tickets = Vec::with_capacity(partitions.len());
        for (topic, number) in &partitions {
            let topic = storage.topics.get(topic);
            // A topic that was deleted meanwhile needs no marker.
            let Some(partition) = topic.as_ref().and_then(|topic| topic.partition(*number)) else { continue };
            match partition.end_transaction(marker, (writer.id, writer.epoch), COORDINATOR_EPOCH) {
                Ok(appended) => tickets.push(appended.ticket),
                // Somebody newer has been there: it was ended before.
                Err(error) if matches!(error.kind, Kind::NotFound | Kind::InvalidProducerEpoch) => {}
                Err(error) => {
                    tracing::error!(id, partition = partition.name(), %error, "the transaction's marker is not written");
                    return Err(Code::ConcurrentTransactions);
                }
            }
        }
        for ticket in tickets {
            ticket.await.map_err(|_| Code::ConcurrentTransactions)?;
        }
        let mut all = self.lock();
        let txn = all.known(id)?.clone();
        let complete = |txn: &mut Txn| {
            txn.complete(crate::log::now());
            Ok((txn.identity, Vec::new()))
        };
        // The next transaction's record comes behind it; lost, the markers are written once more.
        self.step(&mut all, id, txn, complete).map(|(identity, _)| identity)
    }

    /// When [`Txns::tick`] is to be called.
    #[must_use]
    pub fn deadline(&self) -> Option<i64> {
        self.lock().deadline()
    }

    /// Ready when the deadline has become earlier than `than`. There is one task that waits.
    pub fn poll_earlier(&self, than: Option<i64>, context: &mut Context<'_>) -> Poll<()> {
        let mut all = self.lock();
        if all.deadline().is_some_and(|first| than.is_none_or(|than| first < than)) {
            return Poll::Ready(());
        }
        all.sleeper = Some(context.waker().clone());
        Poll::Pending
    }

    /// Aborts what takes too long, and ends what was left half-ended. Not to be given up half way.
    pub async fn tick(&self, storage: &Storage, now: i64) {
        let due: Vec<String> = {
            let all = self.lock();
            let due = all.txns.iter().filter(|(id, txn)| all.due(id, txn).is_some_and(|due| due <= now));
            due.map(|(id, _)| id.clone()).collect()
        };
        for id in due {
            if let Err(code) = self.abort_late(storage, &id, now).await {
                tracing::warn!(id, code = code.name(), "a transaction is not ended yet");
            }
        }
    }

    async fn abort_late(&self, storage: &Storage, id: &str, now: i64) -> Outcome<()> {
        let fresh = fresh(storage)?;
        let (ticket, driving) = {
            let mut all = self.lock();
            let Ok(txn) = all.known(id).cloned() else { return Ok(()) };
            let late = txn.deadline().is_some_and(|deadline| deadline <= now);
            let abort = |txn: &mut Txn| {
                txn.prepare(Marker::Abort, true, fresh, now);
                Ok(((), pending::drop_all(&self.journal, id, &txn.groups)))
            };
            let ticket = if late { Some(self.step(&mut all, id, txn, abort)?.1) } else { None };
            (ticket, self.drive(&mut all, id)?)
        };
        if let Some(ticket) = ticket {
            ticket.await.map_err(|_| Code::CoordinatorNotAvailable)?;
        }
        self.finish(storage, id, driving).await.map(drop)
    }

    /// A transactional id as it is.
    #[must_use]
    pub fn describe(&self, id: &str) -> Option<Txn> {
        self.lock().txns.get(id).cloned()
    }

    /// All, sorted by their names.
    #[must_use]
    pub fn list(&self) -> Vec<(String, Txn)> {
        let mut list: Vec<_> = self.lock().txns.iter().map(|(id, txn)| (id.clone(), txn.clone())).collect();
        list.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        list
    }

    /// Forgets ids that nobody has used for a week.
    ///
    /// # Errors
    /// [`Kind::Storage`]
    pub fn expire(&self, now: i64) -> Result<()> {
        let mut all = self.lock();
        let old = |txn: &Txn| {
            !matches!(txn.state, State::Ongoing | State::PrepareCommit | State::PrepareAbort)
                && now.saturating_sub(txn.updated) > EXPIRATION
        };
        let gone: Vec<String> =
            all.txns.iter().filter(|(_, txn)| old(txn)).map(|(id, _)| id.clone()).collect();
        if gone.is_empty() {
            return Ok(());
        }
        self.journal.put(gone.iter().map(|id| (format!("txn/{id}"), None)).collect())?.forget();
        all.txns.retain(|id, _| !gone.contains(id));
        all.saved.retain(|id, _| !gone.contains(id));
        Ok(())
    }

    /// Makes the caller who writes the markers of a transaction, in the moment in which it is decided: nobody else begins. What is made must be
    /// dropped after the lock.
    fn drive<'a>(&'a self, all: &mut All, id: &'a str) -> Outcome<Driving<'a>> {
        if all.driven.insert(id.to_owned()) {
            Ok(Driving(self, id))
        } else {
            Err(Code::ConcurrentTransactions)
        }
    }

    /// Takes a step with `txn`, which is the transactional id as it is: it counts when the journal has taken it.
    fn step<T>(
        &self,
        all: &mut All,
        id: &str,
        mut txn: Txn,
        step: impl FnOnce(&mut Txn) -> Outcome<(T, Vec<Change>)>,
    ) -> Outcome<(T, Ticket)> {
        let (outcome, changes) = step(&mut txn)?;
        let ticket = self.save(id, &txn, changes)?;
        all.saved.insert(id.to_owned(), ticket.clone());
        all.txns.insert(id.to_owned(), txn);
        Ok((outcome, ticket))
    }

    /// Hands the record to the journal, with what must happen in the same moment.
    fn save(&self, id: &str, txn: &Txn, mut changes: Vec<Change>) -> Outcome<Ticket> {
        let bytes = serde_json::to_vec(txn).map_err(|_| Code::UnknownServerError)?;
        changes.push((format!("txn/{id}"), Some(bytes.into())));
        self.journal.put(changes).map_err(|error| {
            tracing::error!(id, %error, "the transaction's state is not on disk");
            Code::CoordinatorNotAvailable
        })
    }
}

fn fresh(storage: &Storage) -> Outcome<i64> {
    storage.producer_id().map_err(|_| Code::CoordinatorNotAvailable)
}

impl All {
    fn known(&self, id: &str) -> Outcome<&Txn> {
        self.txns.get(id).ok_or(Code::InvalidProducerIdMapping)
    }

    fn due(&self, id: &str, txn: &Txn) -> Option<i64> {
        // Decided, and nobody at it.
        let left = txn.marker().filter(|_| !self.driven.contains(id)).map(|_| txn.updated);
        left.or_else(|| txn.deadline())
    }

    fn deadline(&self) -> Option<i64> {
        self.txns.iter().filter_map(|(id, txn)| self.due(id, txn)).min()
    }

    fn wake(&mut self) {
        self.sleeper.take().into_iter().for_each(Waker::wake);
    }
}

/// Somebody writes the markers of a transaction; dropped when that is over, or given up.
struct Driving<'a>(&'a Txns, &'a str);

impl Drop for Driving<'_> {
    fn drop(&mut self) {
        let mut all = self.0.lock();
        all.driven.remove(self.1);
        all.wake();
    }
}

#[cfg(test)]
mod tests;
