//! `kafka groups`: the words of `kafka-consumer-groups.sh`.

use super::{
    Bootstrap,
    cluster::{Cluster, LATEST, Place, check},
    offsets::{self, Move},
    one_action,
    table::table,
};
use crate::{
    client::Client,
    commands::{print, print_line, tell},
};
use anyhow::{Context as _, bail};
use dhow_kafka::{
    Message as _,
    messages::{
        consumer_protocol_assignment::ConsumerProtocolAssignment,
        delete_groups::{DeleteGroupsRequest, DeleteGroupsResponse},
        describe_groups::{
            DescribeGroupsRequest, DescribeGroupsResponse, DescribedGroup, DescribedGroupMember,
        },
        list_groups::{ListGroupsRequest, ListGroupsResponse, ListedGroup},
        offset_fetch::{OffsetFetchRequest, OffsetFetchResponse},
    },
};
use std::collections::BTreeMap;

// Arguments of `kafka groups`.
#[derive(Debug, clap::Args)]
pub(crate) struct Groups {
    #[command(flatten)]
    bootstrap: Bootstrap,
    /// List groups
    #[arg(long)]
    list: bool,
    /// Describe groups: offsets and lag, or what --members or --state ask for
    #[arg(long)]
    describe: bool,
    /// Delete groups that have no members
    #[arg(long)]
    delete: bool,
    /// Move the offsets of a group that has no members
    #[arg(long)]
    reset_offsets: bool,
    /// Group; may be given more than once
    #[arg(long)]
    group: Vec<String>,
    /// Every group
    #[arg(long)]
    all_groups: bool,
    /// With --describe: the members
    #[arg(long, conflicts_with = "state")]
    members: bool,
    /// With --describe: the state; with --list too
    #[arg(long)]
    state: bool,
    /// With --describe: offsets, which is the default
    #[arg(long)]
    offsets: bool,
    #[command(flatten)]
    to: Move,
}

impl Groups {
    pub(super) async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        one_action(&[
            ("--list", self.list),
            ("--describe", self.describe),
            ("--delete", self.delete),
            ("--reset-offsets", self.reset_offsets),
        ])?;
        let mut cluster = self.bootstrap.connect(client).await?;
        if self.list {
            return self.list(&mut cluster).await;
        }
        let mut groups = self.group.clone();
        if self.all_groups {
            groups = all(&mut cluster).await?.into_iter().map(|group| group.group_id).collect();
        } else if groups.is_empty() {
            bail!("which group: --group or --all-groups");
        }
        if self.reset_offsets {
            return offsets::reset(&mut cluster, &groups, &self.to).await;
        }
        for group in &groups {
            if self.delete {
                remove(&mut cluster, group).await?;
            } else {
                self.describe(&mut cluster, group).await?;
            }
        }
        if self.delete && !groups.is_empty() {
            let names: Vec<String> = groups.iter().map(|group| format!("'{group}'")).collect();
            print_line(&format!(
                "Deletion of requested consumer groups ({}) was successful.",
                names.join(", ")
            ))?;
        }
        Ok(0)
    }

    async fn list(&self, cluster: &mut Cluster) -> anyhow::Result<u8> {
        let groups = all(cluster).await?;
        if self.state {
            let rows: Vec<_> =
                groups.iter().map(|group| vec![group.group_id.clone(), group.group_state.clone()]).collect();
            print(&table(&[("GROUP", 25), ("STATE", 20)], &rows))?;
            return Ok(0);
        }
        for group in groups {
            print_line(&group.group_id)?;
        }
        Ok(0)
    }

    async fn describe(&self, cluster: &mut Cluster, name: &str) -> anyhow::Result<()> {
        let group = described(cluster, name).await?;
        if group.group_state == "Dead" {
            bail!("consumer group {name} does not exist");
        }
        if group.members.is_empty() && !self.state {
            tell(&format!("Consumer group '{name}' has no active members."));
        }
        let text = if self.members {
            let titles =
                [("GROUP", 15), ("CONSUMER-ID", 15), ("HOST", 15), ("CLIENT-ID", 15), ("#PARTITIONS", 15)];
            let row = |member: &DescribedGroupMember| {
                let count = assigned(member).map(|places| places.len())?;
                let member = member.clone();
                Ok(vec![
                    name.to_owned(),
                    member.member_id,
                    member.client_host,
                    member.client_id,
                    count.to_string(),
                ])
            };
            table(&titles, &group.members.iter().map(row).collect::<anyhow::Result<Vec<_>>>()?)
        } else if self.state {
            let node = cluster.coordinator(name).await?;
            let strategy = Some(group.protocol_data.clone()).filter(|text| !text.is_empty());
            let row = vec![
                name.to_owned(),
                format!("{}  ({node})", cluster.address(node)),
                strategy.unwrap_or_else(|| "-".to_owned()),
                group.group_state.clone(),
                group.members.len().to_string(),
            ];
            let titles = [
                ("GROUP", 15),
                ("COORDINATOR (ID)", 25),
                ("ASSIGNMENT-STRATEGY", 20),
                ("STATE", 20),
                ("#MEMBERS", 8),
            ];
            table(&titles, &[row])
        } else {
            let rows = lag(cluster, &group).await?;
            let titles = [
                ("GROUP", 15),
                ("TOPIC", 15),
                ("PARTITION", 10),
                ("CURRENT-OFFSET", 15),
                ("LOG-END-OFFSET", 15),
                ("LAG", 15),
                ("CONSUMER-ID", 15),
                ("HOST", 15),
                ("CLIENT-ID", 15),
            ];
            table(&titles, &rows)
        };
        print(&format!("\n{text}"))
    }
}

/// All groups, by name.
async fn all(cluster: &mut Cluster) -> anyhow::Result<Vec<ListedGroup>> {
    let answer: ListGroupsResponse = cluster.ask(&ListGroupsRequest::default(), i16::MAX).await?;
    check(answer.error_code, None, "list groups")?;
    let mut groups = answer.groups;
    groups.sort_by(|a, b| a.group_id.cmp(&b.group_id));
    Ok(groups)
}

pub(super) async fn described(cluster: &mut Cluster, name: &str) -> anyhow::Result<DescribedGroup> {
    let node = cluster.coordinator(name).await?;
    let request = DescribeGroupsRequest { groups: vec![name.to_owned()], ..Default::default() };
    let answer: DescribeGroupsResponse = cluster.ask_node(node, &request, i16::MAX).await?.read()?;
    let group = answer.groups.into_iter().next();
    let group = group.with_context(|| format!("the broker says nothing of group {name}"))?;
    check(group.error_code, group.error_message.as_deref(), &format!("describe group {name}"))?;
    Ok(group)
}

async fn remove(cluster: &mut Cluster, name: &str) -> anyhow::Result<()> {
    let node = cluster.coordinator(name).await?;
    let request = DeleteGroupsRequest { groups_names: vec![name.to_owned()] };
    let answer: DeleteGroupsResponse = cluster.ask_node(node, &request, i16::MAX).await?.read()?;
    answer
        .results
        .iter()
        .try_for_each(|result| check(result.error_code, None, &format!("delete group {}", result.group_id)))
}

/// The committed offsets of a group.
pub(super) async fn committed(
    cluster: &mut Cluster,
    group: &str,
    node: i32,
) -> anyhow::Result<BTreeMap<Place, i64>> {
    let request = OffsetFetchRequest { group_id: group.to_owned(), topics: None, ..Default::default() };
    let answer: OffsetFetchResponse = cluster.ask_node(node, &request, 7).await?.read()?;
    check(answer.error_code, None, &format!("read the offsets of group {group}"))?;
    let mut found = BTreeMap::new();
    for topic in answer.topics {
        for one in topic.partitions.iter().filter(|one| one.committed_offset >= 0) {
            found.insert((topic.name.clone(), one.partition_index), one.committed_offset);
        }
    }
    Ok(found)
}

/// The partitions that a member reads.
fn assigned(member: &DescribedGroupMember) -> anyhow::Result<Vec<Place>> {
    let bytes = &member.member_assignment;
    let Some((version, rest)) = bytes.split_first_chunk::<2>() else { return Ok(Vec::new()) };
    // Newer versions only add fields at the end.
    let version = i16::from_be_bytes(*version).clamp(0, 3);
    let assignment = ConsumerProtocolAssignment::decode(rest, version)
        .with_context(|| format!("the assignment of member {} cannot be read", member.member_id))?;
    let places = assignment.assigned_partitions.into_iter();
    Ok(places
        .flat_map(|topic| topic.partitions.into_iter().map(move |one| (topic.topic.clone(), one)))
        .collect())
}

/// A row for each partition that the group has read or is reading.
async fn lag(cluster: &mut Cluster, group: &DescribedGroup) -> anyhow::Result<Vec<Vec<String>>> {
    let name = &group.group_id;
    let node = cluster.coordinator(name).await?;
    let committed = committed(cluster, name, node).await?;
    let mut readers: BTreeMap<Place, &DescribedGroupMember> = BTreeMap::new();
    for member in &group.members {
        readers.extend(assigned(member)?.into_iter().map(|place| (place, member)));
    }
    let mut places: Vec<Place> = committed.keys().chain(readers.keys()).cloned().collect();
    places.sort();
    places.dedup();
    let wanted: Vec<_> = places.iter().map(|place| (place.clone(), LATEST)).collect();
    let ends = cluster.offsets(&wanted).await?;
    let dash = || "-".to_owned();
    Ok(places
        .into_iter()
        .map(|place| {
            let (current, end) = (committed.get(&place), ends.get(&place));
            let lag = current.zip(end).map_or_else(dash, |(current, end)| (end - current).max(0).to_string());
            let reader = readers.get(&place);
            let of = |pick: fn(&DescribedGroupMember) -> &String| {
                reader.map_or_else(dash, |one| pick(one).clone())
            };
            vec![
                name.clone(),
                place.0.clone(),
                place.1.to_string(),
                current.map_or_else(dash, ToString::to_string),
                end.map_or_else(dash, ToString::to_string),
                lag,
                of(|one| &one.member_id),
                of(|one| &one.client_host),
                of(|one| &one.client_id),
            ]
        })
        .collect())
}
