//! A group in the journal: `group/<id>`. What is under way is not kept: members join again.

use super::{
    Limits,
    group::{Group, State},
    member::Member,
};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Record {
    generation: i32,
    protocol_type: Option<String>,
    protocol: Option<String>,
    leader: Option<String>,
    since: i64,
    members: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    id: String,
    instance: Option<String>,
    client_id: String,
    client_host: String,
    session_timeout: i64,
    rebalance_timeout: i64,
    /// In base64: the subscription of the protocol in use, and the assignment.
    subscription: String,
    assignment: String,
}

/// The group, as far as it lasts.
pub(super) fn encode(group: &Group) -> Vec<u8> {
    let protocol = group.protocol.as_deref().unwrap_or_default();
    let mut members: Vec<(&String, &Member)> = group.members.iter().collect();
    members.sort_unstable_by_key(|(_, member)| member.order);
    let members = members.into_iter().map(|(id, member)| Entry {
        id: id.clone(),
        instance: member.instance.clone(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        session_timeout: member.session_timeout,
        rebalance_timeout: member.rebalance_timeout,
        subscription: BASE64.encode(member.metadata(protocol)),
        assignment: BASE64.encode(&member.assignment),
    });
    let record = Record {
        generation: group.generation,
        protocol_type: group.protocol_type.clone(),
        protocol: group.protocol.clone(),
        leader: group.leader.clone(),
        since: group.since,
        members: members.collect(),
    };
    // Strings and numbers alone: JSON takes them all.
    serde_json::to_vec(&record).unwrap_or_default()
}

/// The group again; its members have one session's time to show themselves. `None` if the bytes are none.
pub(super) fn decode(bytes: &[u8], limits: Limits, now: i64) -> Option<Group> {
    let record: Record = serde_json::from_slice(bytes).ok()?;
    let mut group = Group::new(limits, now);
    let protocol = record.protocol.clone().unwrap_or_default();
    for entry in record.members {
        let member = Member {
            instance: entry.instance,
            client_id: entry.client_id,
            client_host: entry.client_host,
            session_timeout: entry.session_timeout,
            rebalance_timeout: entry.rebalance_timeout,
            protocols: vec![(protocol.clone(), BASE64.decode(entry.subscription).ok()?)],
            assignment: BASE64.decode(entry.assignment).ok()?,
            join: None,
            sync: None,
            synced: true,
            deadline: now + entry.session_timeout,
            order: group.next_order(),
        };
        group.members.insert(entry.id, member);
    }
    group.state = if group.members.is_empty() { State::Empty } else { State::Stable };
    group.generation = record.generation;
    (group.protocol_type, group.protocol, group.leader) =
        (record.protocol_type, record.protocol, record.leader);
    group.since = record.since;
    Some(group)
}
