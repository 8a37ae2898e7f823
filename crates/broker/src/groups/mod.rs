//! Consumer groups of the classic protocol, and the offsets of all groups.
//!
//! A group is a state machine without sockets or clock (`group`, `join`, `steady`): requests go in with a token, answers come out for
//! tokens. [`Groups`] keeps them, and what is to last in the journal: an assignment is told to members when the journal has it, an offset
//! is acknowledged when it is on disk. One deadline for all groups: whoever serves sleeps until [`Groups::deadline`] and calls
//! [`Groups::tick`].

mod answer;
mod group;
mod join;
mod member;
mod offsets;
mod record;
mod requests;
mod steady;

pub use answer::{Answer, JoinAnswer, JoinedMember, SyncAnswer};
pub use offsets::{Committed, TopicPartition};
pub(crate) use offsets::{change, encode};
pub use requests::{Description, Join, Listed, MemberDescription, Sync};

use crate::{error::Result, flush::Ticket, journal::Journal};
use answer::Sender;
use dhow_kafka::Code;
use group::{Group, Output, State};
use std::{
    collections::{BTreeSet, HashMap},
    ops::RangeInclusive,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

/// Stands for a request that has not been answered.
pub(crate) type Token = u64;

/// What groups may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// `group.min.session.timeout.ms` and `group.max.session.timeout.ms`
    pub session: RangeInclusive<i64>,
    /// `group.initial.rebalance.delay.ms`: 3 s in Kafka, where it dominates every test; nothing here.
    pub initial_delay: i64,
    /// `offset.metadata.max.bytes`
    pub metadata: usize,
    /// `offsets.retention.minutes`, in milliseconds: so long offsets are kept after the last member has gone.
    pub retention: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            session: 6_000..=1_800_000,
            initial_delay: 0,
            metadata: 4096,
            retention: 7 * 24 * 60 * 60 * 1000,
        }
    }
}

/// All groups.
#[derive(Debug)]
pub struct Groups {
    journal: Arc<Journal>,
    limits: Limits,
    state: Mutex<All>,
}

#[derive(Debug, Default)]
struct All {
    groups: HashMap<String, Group>,
    /// When each group wants to be looked at: not later than its deadline, perhaps earlier.
    timers: BTreeSet<(i64, String)>,
    due: HashMap<String, i64>,
    joins: HashMap<Token, Sender<JoinAnswer>>,
    syncs: HashMap<Token, Sender<SyncAnswer>>,
    last_token: Token,
    /// Who sleeps until the first deadline.
    sleeper: Option<Waker>,
}

impl Groups {
    /// The groups of the journal; their members have one session's time to show themselves.
    #[must_use]
    pub fn open(journal: Arc<Journal>, limits: Limits, now: i64) -> Self {
        let mut all = All::default();
        for (key, bytes) in journal.scan("group/") {
            let id = key.strip_prefix("group/").unwrap_or(&key).to_owned();
            match record::decode(&bytes, limits.clone(), now) {
                Some(group) => {
                    all.groups.insert(id.clone(), group);
                    all.plan(&id);
                }
                None => tracing::error!(
                    group = id,
                    "its record in the journal is not readable: its members join again"
                ),
            }
        }
        Self { journal, limits, state: Mutex::new(all) }
    }

    fn lock(&self) -> MutexGuard<'_, All> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When [`Groups::tick`] is to be called; `None` if nothing will happen by itself.
    #[must_use]
    pub fn deadline(&self) -> Option<i64> {
        self.lock().timers.first().map(|(due, _)| *due)
    }

    /// Ready when the deadline has become earlier than `than`, for the task that sleeps until then. There is one such task.
    pub fn poll_earlier(&self, than: Option<i64>, context: &mut Context<'_>) -> Poll<()> {
        let mut all = self.lock();
        let first = all.timers.first().map(|(due, _)| *due);
        if first.is_some_and(|first| than.is_none_or(|than| first < than)) {
            return Poll::Ready(());
        }
        all.sleeper = Some(context.waker().clone());
        Poll::Pending
    }

    /// Does what is due: members that have not been heard of go, rebalances end.
    pub fn tick(&self, now: i64) {
        let mut all = self.lock();
        while let Some((_, id)) = all.timers.first().filter(|(due, _)| *due <= now).cloned() {
            let mut out = Vec::new();
            if let Some(group) = all.groups.get_mut(&id) {
                group.tick(now, &mut out);
            }
            self.deliver(&mut all, &id, out);
        }
    }

    /// Runs `work` on a group, made if `make`; answers what comes out.
    fn on<T>(
        &self,
        id: &str,
        make: Option<i64>,
        work: impl FnOnce(Option<&mut Group>, &mut Vec<Output>) -> T,
    ) -> T {
        let mut all = self.lock();
        let mut out = Vec::new();
        if let Some(now) = make {
            let limits = self.limits.clone();
            all.groups.entry(id.to_owned()).or_insert_with(|| Group::new(limits, now));
        }
        let outcome = work(all.groups.get_mut(id), &mut out);
        self.deliver(&mut all, id, out);
        outcome
    }

    /// Saves the group if it must be, answers, and notes when it is due next.
    fn deliver(&self, all: &mut All, id: &str, out: Vec<Output>) {
        let mut saved = None;
        for output in out {
            match output {
                Output::Save => saved = all.groups.get(id).map(|group| self.save(id, group)),
                Output::Joined(token, mut answer) => {
                    let Some(sender) = all.joins.remove(&token) else { continue };
                    let ticket = saved.as_ref().and_then(|saved| saved.as_ref().ok()).cloned();
                    if let Some(Err(error)) = &saved {
                        tracing::error!(group = id, %error, "it is not on disk");
                        answer = JoinAnswer::refused(Code::CoordinatorNotAvailable, &answer.member_id);
                    }
                    sender.send(answer, ticket);
                }
                Output::Synced(token, mut answer) => {
                    let Some(sender) = all.syncs.remove(&token) else { continue };
                    let ticket = saved.as_ref().and_then(|saved| saved.as_ref().ok()).cloned();
                    if let Some(Err(error)) = &saved {
                        tracing::error!(group = id, %error, "it is not on disk");
                        answer = SyncAnswer::refused(Code::CoordinatorNotAvailable);
                    }
                    sender.send(answer, ticket);
                }
            }
        }
        if all.groups.get(id).is_some_and(Group::is_void) {
            all.groups.remove(id);
        }
        all.plan(id);
    }

    fn save(&self, id: &str, group: &Group) -> Result<Ticket> {
        self.journal.set(format!("group/{id}"), record::encode(group))
    }
}

impl All {
    fn token(&mut self) -> Token {
        self.last_token += 1;
        self.last_token
    }

    /// Notes when a group is due next, and wakes the sleeper if that is before all others.
    fn plan(&mut self, id: &str) {
        let deadline = self.groups.get(id).and_then(Group::deadline);
        if self.due.get(id).copied() == deadline {
            return;
        }
        if let Some(old) = self.due.remove(id) {
            self.timers.remove(&(old, id.to_owned()));
        }
        if let Some(deadline) = deadline {
            self.due.insert(id.to_owned(), deadline);
            self.timers.insert((deadline, id.to_owned()));
            let first = self.timers.first().is_some_and(|(_, first)| first == id);
            if let Some(sleeper) = self.sleeper.take_if(|_| first) {
                sleeper.wake();
            }
        }
    }
}

#[cfg(test)]
mod tests;
