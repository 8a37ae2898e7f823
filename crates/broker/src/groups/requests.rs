//! What clients and tools ask of groups.

use super::{
    Answer, Committed, Group, Groups, JoinAnswer, State, SyncAnswer, TopicPartition, answer::channel, offsets,
};
use crate::{error::Result, flush::Ticket};
use dhow_kafka::Code;
use std::collections::{HashMap, HashSet};

/// JoinGroup.
#[derive(Debug, Clone, Default)]
pub struct Join {
    /// Empty for a newcomer.
    pub member_id: String,
    /// The static name, if it has one.
    pub instance: Option<String>,
    /// For tools.
    pub client_id: String,
    /// For tools.
    pub client_host: String,
    /// Milliseconds.
    pub session_timeout: i64,
    /// Milliseconds.
    pub rebalance_timeout: i64,
    /// `consumer`
    pub protocol_type: String,
    /// Name and subscription, the best first.
    pub protocols: Vec<(String, Vec<u8>)>,
    /// From version 4 on a newcomer is given a name, and joins again with it.
    pub name_first: bool,
    /// From version 9 on a leader can be told to keep the assignment that there is.
    pub can_skip_assignment: bool,
}

/// SyncGroup.
#[derive(Debug, Clone, Default)]
pub struct Sync {
    /// Who asks.
    pub member_id: String,
    /// Its static name.
    pub instance: Option<String>,
    /// Of the JoinGroup answer.
    pub generation: i32,
    /// From version 5 on.
    pub protocol_type: Option<String>,
    /// From version 5 on.
    pub protocol: Option<String>,
    /// The leader's: what each member is to read.
    pub assignments: HashMap<String, Vec<u8>>,
}

/// A line of ListGroups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The group.
    pub id: String,
    /// Empty if it never had members.
    pub protocol_type: String,
    /// `Stable`, `Empty`, …
    pub state: &'static str,
}

/// DescribeGroups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// As in [`Listed`].
    pub state: &'static str,
    /// As in [`Listed`].
    pub protocol_type: String,
    /// The protocol in use.
    pub protocol: String,
    /// Who is there.
    pub members: Vec<MemberDescription>,
}

/// A member, for tools.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberDescription {
    /// Its name.
    pub id: String,
    /// Its static name.
    pub instance: Option<String>,
    /// What it calls itself.
    pub client_id: String,
    /// Where it is.
    pub client_host: String,
    /// Its subscription.
    pub metadata: Vec<u8>,
    /// What it is to read.
    pub assignment: Vec<u8>,
}

/// A part of names: whose it is, and 16 random bytes.
fn fresh_name(join: &Join) -> Result<String> {
    let id = crate::topics::TopicId::random()?.hex();
    Ok(format!("{}-{id}", join.instance.as_deref().unwrap_or(&join.client_id)))
}

impl Groups {
    /// A consumer joins `group`. The answer comes when the rebalance is over.
    ///
    /// # Errors
    /// If the system has no random bytes.
    pub fn join(&self, group: &str, request: Join, now: i64) -> Result<Answer<JoinAnswer>> {
        let (sender, answer) = channel();
        let known = self.lock().groups.contains_key(group);
        let refuse = match request.member_id.as_str() {
            _ if group.is_empty() => Some(Code::InvalidGroupId),
            "" => None,
            _ => (!known).then_some(Code::UnknownMemberId),
        };
        if let Some(code) = refuse {
            sender.send(JoinAnswer::refused(code, &request.member_id), None);
            return Ok(answer);
        }
        let fresh = fresh_name(&request)?;
        let token = {
            let mut all = self.lock();
            let token = all.token();
            all.joins.insert(token, sender);
            token
        };
        self.on(group, Some(now), |group, out| {
            if let Some(group) = group {
                group.join(request, fresh, token, now, out);
            }
        });
        Ok(answer)
    }

    /// A member asks for its assignment. The answer comes when the leader has brought it, and it is on disk.
    pub fn sync(&self, group: &str, request: Sync, now: i64) -> Answer<SyncAnswer> {
        let (sender, answer) = channel();
        let token = {
            let mut all = self.lock();
            if !all.groups.contains_key(group) {
                sender.send(SyncAnswer::refused(Code::UnknownMemberId), None);
                return answer;
            }
            let token = all.token();
            all.syncs.insert(token, sender);
            token
        };
        self.on(group, None, |group, out| {
            if let Some(group) = group {
                group.sync(request, token, now, out);
            }
        });
        answer
    }

    /// A member is alive.
    pub fn heartbeat(
        &self,
        group: &str,
        member: &str,
        instance: Option<&str>,
        generation: i32,
        now: i64,
    ) -> Code {
        // The deadline moves away from now: the timer stays where it is, and looks again when it is due.
        let mut all = self.lock();
        let group = all.groups.get_mut(group);
        group.map_or(Code::UnknownMemberId, |group| group.heartbeat(member, instance, generation, now))
    }

    /// A member goes, or a tool sends it away; the answer is its name.
    pub fn leave(&self, group: &str, member: &str, instance: Option<&str>, now: i64) -> (String, Code) {
        self.on(group, None, |group, out| match group {
            Some(group) => group.leave(member, instance, now, out),
            None => (member.to_owned(), Code::UnknownMemberId),
        })
    }

    /// Whether a member may commit, as [`Groups::commit`] asks; a group that nobody knows is made by somebody who manages no group.
    pub fn may_commit(
        &self,
        group: &str,
        member: &str,
        instance: Option<&str>,
        generation: i32,
        now: i64,
    ) -> Code {
        if group.is_empty() {
            return Code::InvalidGroupId;
        }
        let mut all = self.lock();
        match all.groups.get_mut(group) {
            Some(group) => group.may_commit(member, instance, generation, now),
            None if generation < 0 => Code::None,
            None => Code::IllegalGeneration,
        }
    }

    /// Keeps offsets; they are acknowledged when the ticket is kept. Metadata that is too long is refused before, by [`Groups::limits`].
    ///
    /// # Errors
    /// [`crate::Kind::Storage`]: then none is kept.
    pub fn commit(&self, group: &str, offsets: &[(TopicPartition, Committed)]) -> Result<Ticket> {
        let changes =
            offsets.iter().map(|(partition, committed)| offsets::change(group, partition, Some(committed)));
        self.journal.put(changes.collect())
    }

    /// What groups may ask for.
    #[must_use]
    pub fn limits(&self) -> &super::Limits {
        &self.limits
    }

    /// What `group` has committed for a partition.
    #[must_use]
    pub fn committed(&self, group: &str, partition: &TopicPartition) -> Option<Committed> {
        offsets::get(&self.journal, group, partition)
    }

    /// All that `group` has committed.
    #[must_use]
    pub fn all_committed(&self, group: &str) -> Vec<(TopicPartition, Committed)> {
        offsets::all(&self.journal, group)
    }

    /// All groups, sorted.
    #[must_use]
    pub fn list(&self) -> Vec<Listed> {
        let all = self.lock();
        let line = |(id, group): (&String, &Group)| Listed {
            id: id.clone(),
            protocol_type: group.protocol_type.clone().unwrap_or_default(),
            state: group.state.word(),
        };
        let mut list: Vec<Listed> = all.groups.iter().map(line).collect();
        let others = offsets::groups(&self.journal).into_iter().filter(|id| !all.groups.contains_key(id));
        list.extend(others.map(|id| Listed { id, protocol_type: String::new(), state: State::Empty.word() }));
        drop(all);
        list.sort_unstable_by(|one, other| one.id.cmp(&other.id));
        list
    }

    /// A group as it is; `None` if there is none.
    #[must_use]
    pub fn describe(&self, id: &str) -> Option<Description> {
        let all = self.lock();
        let Some(group) = all.groups.get(id) else {
            let has_offsets = !self.all_committed(id).is_empty();
            let empty = || Description {
                state: State::Empty.word(),
                protocol_type: String::new(),
                protocol: String::new(),
                members: Vec::new(),
            };
            return has_offsets.then(empty);
        };
        // Between two generations there is no protocol to show subscriptions of.
        let settled = group.state == State::Stable;
        let protocol = group.protocol.clone().filter(|_| settled).unwrap_or_default();
        let member = |(id, member): (&String, &super::member::Member)| MemberDescription {
            id: id.clone(),
            instance: member.instance.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            metadata: member.metadata(&protocol),
            assignment: if settled { member.assignment.clone() } else { Vec::new() },
        };
        let members = group.members.iter().map(member).collect();
        let protocol_type = group.protocol_type.clone().unwrap_or_default();
        Some(Description { state: group.state.word(), protocol_type, protocol, members })
    }

    /// Deletes a group without members, and its offsets; it lasts when the ticket is kept.
    ///
    /// # Errors
    /// A code; a disk that failed is [`Code::CoordinatorNotAvailable`].
    pub fn delete(&self, id: &str) -> std::result::Result<Ticket, Code> {
        let mut all = self.lock();
        let offsets = self.all_committed(id);
        match all.groups.get(id) {
            Some(group) if group.state != State::Empty => return Err(Code::NonEmptyGroup),
            None if offsets.is_empty() => return Err(Code::GroupIdNotFound),
            _ => {}
        }
        let mut changes: Vec<_> =
            offsets.iter().map(|(partition, _)| offsets::change(id, partition, None)).collect();
        changes.push((format!("group/{id}"), None));
        let ticket = self.journal.put(changes).map_err(|_| Code::CoordinatorNotAvailable)?;
        all.groups.remove(id);
        all.plan(id);
        Ok(ticket)
    }

    /// Forgets offsets of topics that the group does not read now (`OffsetDelete`), each with its own outcome.
    ///
    /// # Errors
    /// A code for all of them.
    pub fn delete_offsets(
        &self,
        id: &str,
        partitions: &[TopicPartition],
    ) -> std::result::Result<(Vec<Code>, Ticket), Code> {
        let all = self.lock();
        let subscribed = match all.groups.get(id) {
            None if self.all_committed(id).is_empty() => return Err(Code::GroupIdNotFound),
            None => Vec::new(),
            Some(group) if group.state == State::Empty => Vec::new(),
            Some(group) if group.protocol_type.as_deref() == Some("consumer") => subscriptions(group),
            Some(_) => return Err(Code::NonEmptyGroup),
        };
        let used = |topic: &String| subscribed.contains(topic);
        let codes = partitions
            .iter()
            .map(|(topic, _)| if used(topic) { Code::GroupSubscribedToTopic } else { Code::None });
        let changes = partitions
            .iter()
            .filter(|(topic, _)| !used(topic))
            .map(|partition| offsets::change(id, partition, None));
        let ticket = self.journal.put(changes.collect()).map_err(|_| Code::CoordinatorNotAvailable)?;
        Ok((codes.collect(), ticket))
    }

    /// Forgets the offsets of a topic that was deleted, for all groups.
    ///
    /// # Errors
    /// [`crate::Kind::Storage`]
    pub fn forget_topic(&self, topic: &str) -> Result<Ticket> {
        let groups = offsets::groups(&self.journal);
        let gone = groups.iter().flat_map(|group| {
            let all = self.all_committed(group).into_iter().filter(|((name, _), _)| name == topic);
            all.map(|(partition, _)| offsets::change(group, &partition, None)).collect::<Vec<_>>()
        });
        self.journal.put(gone.collect())
    }

    /// Forgets offsets that nobody has used for longer than the limit, and groups without members and offsets.
    ///
    /// # Errors
    /// [`crate::Kind::Storage`]
    pub fn expire(&self, now: i64) -> Result<()> {
        let mut all = self.lock();
        let mut changes = Vec::new();
        let before = now.saturating_sub(self.limits.retention);
        let mut used = HashSet::new();
        for id in offsets::groups(&self.journal) {
            let in_use = |group: &Group| group.state != State::Empty || group.since > before;
            let offsets = self.all_committed(&id);
            let old = |committed: &Committed| {
                committed.timestamp <= before && !all.groups.get(&id).is_some_and(in_use)
            };
            if offsets.iter().any(|(_, committed)| !old(committed)) {
                used.insert(id.clone());
            }
            let gone = offsets.iter().filter(|(_, committed)| old(committed));
            changes.extend(gone.map(|(partition, _)| offsets::change(&id, partition, None)));
        }
        let idle = |group: &Group| group.state == State::Empty && group.pending.is_empty();
        let gone = all.groups.iter().filter(|(id, group)| idle(group) && !used.contains(*id));
        let gone: Vec<String> = gone.map(|(id, _)| id.clone()).collect();
        changes.extend(gone.iter().map(|id| (format!("group/{id}"), None)));
        if changes.is_empty() {
            return Ok(());
        }
        self.journal.put(changes)?.forget();
        for id in gone {
            all.groups.remove(&id);
            all.plan(&id);
        }
        Ok(())
    }
}

/// The topics that members of a group of consumers want: version i16, then an array of strings.
fn subscriptions(group: &Group) -> Vec<String> {
    let protocol = group.protocol.as_deref().unwrap_or_default();
    let topics = |metadata: Vec<u8>| {
        let (_, mut bytes) = metadata.split_at_checked(2)?;
        let (count, rest) = bytes.split_first_chunk()?;
        bytes = rest;
        let mut topics = Vec::new();
        for _ in 0..i32::from_be_bytes(*count) {
            let (length, rest) = bytes.split_first_chunk()?;
            let (topic, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
            topics.push(String::from_utf8_lossy(topic).into_owned());
            bytes = rest;
        }
        Some(topics)
    };
    group.members.values().filter_map(|member| topics(member.metadata(protocol))).flatten().collect()
}
