//! One group of the classic protocol: a state machine. Requests and the clock go in, answers come out; no sockets, no clock of its own.

use super::{JoinAnswer, JoinedMember, Limits, SyncAnswer, Token, member::Member};
use dhow_kafka::Code;
use std::collections::{BTreeMap, HashMap};

/// Where a group is between two rebalances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// No members; perhaps offsets.
    Empty,
    /// Waits for its members to join.
    Preparing,
    /// Waits for its leader's assignment.
    Completing,
    Stable,
}

impl State {
    /// As Kafka's tools call it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Preparing => "PreparingRebalance",
            Self::Completing => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}

/// What comes out, in order.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Output {
    Joined(Token, JoinAnswer),
    Synced(Token, SyncAnswer),
    /// What follows is said only when the group is on disk as it is now.
    Save,
}

#[derive(Debug)]
pub(super) struct Group {
    pub(super) state: State,
    pub(super) generation: i32,
    pub(super) protocol_type: Option<String>,
    pub(super) protocol: Option<String>,
    pub(super) leader: Option<String>,
    pub(super) members: BTreeMap<String, Member>,
    /// Members that have been given a name and have not come back with it yet, and when they are given up.
    pub(super) pending: BTreeMap<String, i64>,
    /// The first members wait for others to come, whoever has joined.
    delayed: bool,
    /// Until when members can join, or sync.
    pub(super) rebalance_deadline: Option<i64>,
    pub(super) sync_deadline: Option<i64>,
    /// Since when it is in this state.
    pub(super) since: i64,
    last_order: u64,
    pub(super) limits: Limits,
}

impl Group {
    pub(super) fn new(limits: Limits, now: i64) -> Self {
        Self {
            state: State::Empty,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            pending: BTreeMap::new(),
            delayed: false,
            rebalance_deadline: None,
            sync_deadline: None,
            since: now,
            last_order: 0,
            limits,
        }
    }

    pub(super) fn next_order(&mut self) -> u64 {
        self.last_order += 1;
        self.last_order
    }

    /// The member that has the static name `instance`.
    pub(super) fn of_instance(&self, instance: &str) -> Option<&String> {
        let holds = |member: &Member| member.instance.as_deref() == Some(instance);
        self.members.iter().find(|(_, member)| holds(member)).map(|(id, _)| id)
    }

    /// Whether `id` may speak, for itself or under its static name.
    pub(super) fn check_member(&self, id: &str, instance: Option<&str>) -> Result<(), Code> {
        if let Some(instance) = instance {
            return match self.of_instance(instance) {
                None => Err(Code::UnknownMemberId),
                Some(current) if current != id => Err(Code::FencedInstanceId),
                Some(_) => Ok(()),
            };
        }
        if self.members.contains_key(id) { Ok(()) } else { Err(Code::UnknownMemberId) }
    }

    /// [`Group::check_member`], and in this generation.
    pub(super) fn check(&self, id: &str, instance: Option<&str>, generation: i32) -> Result<(), Code> {
        self.check_member(id, instance)?;
        if generation == self.generation { Ok(()) } else { Err(Code::IllegalGeneration) }
    }

    /// Whether nothing ever happened in it.
    pub(super) fn is_void(&self) -> bool {
        self.generation == 0 && self.members.is_empty() && self.pending.is_empty()
    }

    fn enter(&mut self, state: State, now: i64) {
        (self.state, self.since) = (state, now);
    }

    fn longest_rebalance(&self) -> i64 {
        self.members.values().map(|member| member.rebalance_timeout).max().unwrap_or(0)
    }

    /// Begins a rebalance, and ends it at once if everybody has joined.
    pub(super) fn rebalance(&mut self, now: i64, out: &mut Vec<Output>) {
        match self.state {
            State::Completing => self.fail_syncs(Code::RebalanceInProgress, out),
            State::Preparing => return self.complete_if_all_joined(now, out),
            State::Empty | State::Stable => {}
        }
        let wait =
            if self.state == State::Empty { self.limits.initial_delay } else { self.longest_rebalance() };
        self.delayed = self.state == State::Empty && wait > 0;
        self.enter(State::Preparing, now);
        self.sync_deadline = None;
        self.rebalance_deadline = Some(now + wait);
        self.complete_if_all_joined(now, out);
    }

    /// Whether nobody is missing: then the rebalance need not wait for its deadline.
    pub(super) fn complete_if_all_joined(&mut self, now: i64, out: &mut Vec<Output>) {
        let all = !self.delayed
            && self.pending.is_empty()
            && self.members.values().all(|member| member.join.is_some());
        if self.state == State::Preparing && all {
            self.complete_join(now, out);
        }
    }

    /// The members that have joined are the next generation.
    pub(super) fn complete_join(&mut self, now: i64, out: &mut Vec<Output>) {
        // Who has a static name keeps its place without being there.
        self.members.retain(|_, member| member.join.is_some() || member.instance.is_some());
        self.pending.clear();
        self.delayed = false;
        if !self.elect_leader() && !self.members.is_empty() {
            self.rebalance_deadline = Some(now + self.longest_rebalance().max(1));
            return;
        }
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        self.rebalance_deadline = None;
        if self.members.is_empty() {
            (self.protocol, self.leader) = (None, None);
            self.enter(State::Empty, now);
            return out.push(Output::Save);
        }
        self.protocol = self.select_protocol();
        self.enter(State::Completing, now);
        self.sync_deadline = Some(now + self.longest_rebalance());
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for id in ids {
            let Some(member) = self.members.get_mut(&id) else { continue };
            member.synced = false;
            member.deadline = now + member.session_timeout;
            if let Some(token) = member.join.take() {
                out.push(Output::Joined(token, self.join_answer(&id)));
            }
        }
    }

    /// The leader stays if it has joined; else the first that has joined leads.
    fn elect_leader(&mut self) -> bool {
        let joined = |member: &&Member| member.join.is_some();
        if self.leader.as_ref().and_then(|id| self.members.get(id)).is_some_and(|leader| joined(&leader)) {
            return true;
        }
        let first =
            self.members.iter().filter(|(_, member)| joined(member)).min_by_key(|(_, member)| member.order);
        let Some(first) = first.map(|(id, _)| id.clone()) else { return false };
        self.leader = Some(first);
        true
    }

    /// Each member votes for the best of its protocols that all have.
    pub(super) fn select_protocol(&self) -> Option<String> {
        let mut votes: HashMap<&str, usize> = HashMap::new();
        for member in self.members.values() {
            let vote = member.protocols.iter().find(|(name, _)| self.all_support(name));
            *votes.entry(vote?.0.as_str()).or_default() += 1;
        }
        let most = votes.values().copied().max()?;
        let mut best: Vec<&str> =
            votes.into_iter().filter(|&(_, count)| count == most).map(|(name, _)| name).collect();
        best.sort_unstable();
        best.first().map(|&name| name.to_owned())
    }

    fn all_support(&self, name: &str) -> bool {
        self.members.values().all(|member| member.protocols.iter().any(|(other, _)| other == name))
    }

    /// Whether somebody with these protocols could be a member.
    pub(super) fn fits(&self, protocol_type: &str, protocols: &[(String, Vec<u8>)]) -> bool {
        if protocol_type.is_empty() || protocols.is_empty() {
            return false;
        }
        let same_type = self.protocol_type.as_deref() == Some(protocol_type);
        self.members.is_empty() || (same_type && protocols.iter().any(|(name, _)| self.all_support(name)))
    }

    /// What a member is told of the current generation; the leader hears of the others.
    pub(super) fn join_answer(&self, id: &str) -> JoinAnswer {
        let protocol = self.protocol.clone().unwrap_or_default();
        let joined = |(id, member): (&String, &Member)| JoinedMember {
            id: id.clone(),
            instance: member.instance.clone(),
            metadata: member.metadata(&protocol),
        };
        let leads = self.leader.as_deref() == Some(id);
        JoinAnswer {
            code: Code::None,
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: Some(protocol.clone()),
            leader: self.leader.clone().unwrap_or_default(),
            skip_assignment: false,
            member_id: id.to_owned(),
            members: if leads { self.members.iter().map(joined).collect() } else { Vec::new() },
        }
    }

    pub(super) fn sync_answer(&self, member: &Member) -> SyncAnswer {
        SyncAnswer {
            code: Code::None,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            assignment: member.assignment.clone(),
        }
    }

    /// All that wait for their assignment hear `code`.
    pub(super) fn fail_syncs(&mut self, code: Code, out: &mut Vec<Output>) {
        for member in self.members.values_mut() {
            if let Some(token) = member.sync.take() {
                out.push(Output::Synced(token, SyncAnswer::refused(code)));
            }
        }
    }

    /// The assignment is there: everybody gets theirs.
    pub(super) fn complete_sync(&mut self, now: i64, out: &mut Vec<Output>) {
        self.enter(State::Stable, now);
        self.sync_deadline = None;
        out.push(Output::Save);
        let waiting: Vec<(String, Token)> = self
            .members
            .iter_mut()
            .filter_map(|(id, member)| Some((id.clone(), member.sync.take()?)))
            .collect();
        for (id, token) in waiting {
            if let Some(member) = self.members.get_mut(&id) {
                member.deadline = now + member.session_timeout;
            }
            out.push(Output::Synced(token, self.sync_answer(&self.members[&id])));
        }
    }

    /// A member is gone, by its own will or not.
    pub(super) fn remove(&mut self, id: &str, now: i64, out: &mut Vec<Output>) {
        let Some(member) = self.members.remove(id) else { return };
        if let Some(token) = member.join {
            out.push(Output::Joined(token, JoinAnswer::refused(Code::UnknownMemberId, id)));
        }
        if let Some(token) = member.sync {
            out.push(Output::Synced(token, SyncAnswer::refused(Code::UnknownMemberId)));
        }
        if self.leader.as_deref() == Some(id) {
            self.leader = None;
        }
        match self.state {
            State::Stable | State::Completing => self.rebalance(now, out),
            State::Preparing => self.complete_if_all_joined(now, out),
            State::Empty => {}
        }
    }

    /// When something happens by itself; `None` if nothing will.
    pub(super) fn deadline(&self) -> Option<i64> {
        let sessions = self.members.values().filter(|member| !member.waits()).map(|member| member.deadline);
        let others = self.pending.values().copied().chain(self.rebalance_deadline).chain(self.sync_deadline);
        sessions.chain(others).min()
    }

    /// Does what is due.
    pub(super) fn tick(&mut self, now: i64, out: &mut Vec<Output>) {
        let pending = self.pending.len();
        self.pending.retain(|_, deadline| *deadline > now);
        if self.pending.len() < pending {
            self.complete_if_all_joined(now, out);
        }
        if self.rebalance_deadline.is_some_and(|deadline| deadline <= now) {
            self.complete_join(now, out);
        }
        let unsynced = self.sync_deadline.is_some_and(|deadline| deadline <= now);
        self.sync_deadline = self.sync_deadline.filter(|_| !unsynced);
        let gone =
            |member: &Member| (unsynced && !member.synced) || (!member.waits() && member.deadline <= now);
        let gone: Vec<String> =
            self.members.iter().filter(|(_, member)| gone(member)).map(|(id, _)| id.clone()).collect();
        for id in gone {
            self.remove(&id, now, out);
        }
    }
}
