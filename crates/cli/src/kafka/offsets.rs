//! Moving a group's offsets.

use super::{
    Bootstrap,
    cluster::{Cluster, EARLIEST, LATEST, Place, check},
    groups, one_action,
    table::table,
};
use crate::{client::Client, commands::print};
use anyhow::{Context as _, bail};
use dhow_kafka::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic, OffsetCommitResponse,
};
use std::collections::BTreeMap;

// Arguments of `kafka reset-offsets`.
#[derive(Debug, clap::Args)]
pub(crate) struct ResetOffsets {
    #[command(flatten)]
    bootstrap: Bootstrap,
    /// Group; may be given more than once
    #[arg(long, required = true)]
    group: Vec<String>,
    #[command(flatten)]
    to: Move,
}

// Which offsets move, and where to.
#[derive(Debug, clap::Args)]
pub(super) struct Move {
    /// Topic, or TOPIC:PARTITION,PARTITION; may be given more than once
    #[arg(long)]
    topic: Vec<String>,
    /// Every topic of which the group has offsets
    #[arg(long)]
    all_topics: bool,
    /// To the first record
    #[arg(long)]
    to_earliest: bool,
    /// Behind the last record
    #[arg(long)]
    to_latest: bool,
    /// Where they are
    #[arg(long)]
    to_current: bool,
    /// To this offset
    #[arg(long, value_name = "OFFSET")]
    to_offset: Option<i64>,
    /// By so many records, forwards or (negative) back
    #[arg(long, value_name = "RECORDS", allow_negative_numbers = true)]
    shift_by: Option<i64>,
    /// To the first record that is not older: 2026-11-21T08:00:00.000Z
    #[arg(long, value_name = "TIME")]
    to_datetime: Option<String>,
    /// Do it; without, it is only shown
    #[arg(long, conflicts_with = "dry_run")]
    execute: bool,
    /// Only show what would be done, which is the default
    #[arg(long)]
    dry_run: bool,
}

impl ResetOffsets {
    pub(super) async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        let mut cluster = self.bootstrap.connect(client).await?;
        reset(&mut cluster, &self.group, &self.to).await
    }
}

/// Moves the offsets of groups, or shows how they would be.
pub(super) async fn reset(cluster: &mut Cluster, names: &[String], to: &Move) -> anyhow::Result<u8> {
    one_action(&[
        ("--to-earliest", to.to_earliest),
        ("--to-latest", to.to_latest),
        ("--to-current", to.to_current),
        ("--to-offset", to.to_offset.is_some()),
        ("--shift-by", to.shift_by.is_some()),
        ("--to-datetime", to.to_datetime.is_some()),
    ])?;
    let mut rows = Vec::new();
    for name in names {
        let group = groups::described(cluster, name).await?;
        if !group.members.is_empty() {
            let state = &group.group_state;
            bail!(
                "cannot reset the offsets of group {name}: it has members (state {state}); stop them first"
            );
        }
        let node = cluster.coordinator(name).await?;
        let committed = groups::committed(cluster, name, node).await?;
        let places = to.places(cluster, &committed).await?;
        let new = to.offsets(cluster, name, &places, &committed).await?;
        if to.execute {
            commit(cluster, node, name, None, &new).await?;
        }
        rows.extend(new.into_iter().map(|((topic, partition), offset)| {
            vec![name.clone(), topic, partition.to_string(), offset.to_string()]
        }));
    }
    let titles = [("GROUP", 15), ("TOPIC", 15), ("PARTITION", 10), ("NEW-OFFSET", 15)];
    print(&format!("\n{}", table(&titles, &rows)))?;
    Ok(0)
}

impl Move {
    async fn places(
        &self,
        cluster: &mut Cluster,
        committed: &BTreeMap<Place, i64>,
    ) -> anyhow::Result<Vec<Place>> {
        if self.all_topics {
            return Ok(committed.keys().cloned().collect());
        }
        if self.topic.is_empty() {
            bail!("which offsets: --topic or --all-topics");
        }
        let mut places = Vec::new();
        for text in &self.topic {
            let (topic, chosen) = match text.split_once(':') {
                Some((topic, list)) => (topic, Some(list)),
                None => (text.as_str(), None),
            };
            let count = cluster.leaders(topic, false).await?.len();
            let all = 0..i32::try_from(count).unwrap_or(i32::MAX);
            match chosen {
                None => places.extend(all.map(|one| (topic.to_owned(), one))),
                Some(list) => {
                    for one in list.split(',') {
                        let one =
                            one.parse().with_context(|| format!("--topic {text:?}: partition {one:?}"))?;
                        if !all.contains(&one) {
                            bail!("topic {topic} has no partition {one}");
                        }
                        places.push((topic.to_owned(), one));
                    }
                }
            }
        }
        Ok(places)
    }

    /// The new offset of each partition, within what the partition has.
    async fn offsets(
        &self,
        cluster: &mut Cluster,
        group: &str,
        places: &[Place],
        committed: &BTreeMap<Place, i64>,
    ) -> anyhow::Result<BTreeMap<Place, i64>> {
        let at = |time: i64| places.iter().map(|place| (place.clone(), time)).collect::<Vec<_>>();
        let first = cluster.offsets(&at(EARLIEST)).await?;
        let end = cluster.offsets(&at(LATEST)).await?;
        let timed = match &self.to_datetime {
            Some(text) => cluster.offsets(&at(time(text)?)).await?,
            None => BTreeMap::new(),
        };
        let mut new = BTreeMap::new();
        for place in places {
            let (from, to) = (first.get(place).copied().unwrap_or(0), end.get(place).copied().unwrap_or(0));
            let current = || {
                committed.get(place).copied().with_context(|| {
                    format!("group {group} has no offset of topic {}, partition {}", place.0, place.1)
                })
            };
            let wanted = if self.to_earliest {
                from
            } else if self.to_latest {
                to
            } else if let Some(offset) = self.to_offset {
                offset
            } else if let Some(by) = self.shift_by {
                current()?.saturating_add(by)
            } else if self.to_datetime.is_some() {
                timed.get(place).copied().filter(|offset| *offset >= 0).unwrap_or(to)
            } else {
                current()?
            };
            new.insert(place.clone(), wanted.clamp(from, to));
        }
        Ok(new)
    }
}

/// Milliseconds since 1970.
fn time(text: &str) -> anyhow::Result<i64> {
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Ok(time.as_millisecond());
    }
    // Without a zone, Kafka takes it as UTC.
    let time: jiff::civil::DateTime =
        text.parse().with_context(|| format!("--to-datetime {text:?} is not YYYY-MM-DDTHH:mm:SS.sss"))?;
    Ok(time.to_zoned(jiff::tz::TimeZone::UTC).context("--to-datetime")?.timestamp().as_millisecond())
}

/// Commits offsets for a group: as its member of a generation, or for one that has none.
pub(super) async fn commit(
    cluster: &mut Cluster,
    node: i32,
    group: &str,
    member: Option<(&str, i32)>,
    offsets: &BTreeMap<Place, i64>,
) -> anyhow::Result<()> {
    let mut topics: BTreeMap<&str, Vec<OffsetCommitRequestPartition>> = BTreeMap::new();
    for ((topic, partition), offset) in offsets {
        topics.entry(topic).or_default().push(OffsetCommitRequestPartition {
            partition_index: *partition,
            committed_offset: *offset,
            committed_leader_epoch: -1,
            committed_metadata: Some(String::new()),
        });
    }
    let topic = |(name, partitions): (&str, _)| OffsetCommitRequestTopic {
        name: name.to_owned(),
        partitions,
        ..Default::default()
    };
    let (member_id, generation) = member.unwrap_or(("", -1));
    let request = OffsetCommitRequest {
        group_id: group.to_owned(),
        generation_id_or_member_epoch: generation,
        member_id: member_id.to_owned(),
        retention_time_ms: -1,
        topics: topics.into_iter().map(topic).collect(),
        ..Default::default()
    };
    let answer: OffsetCommitResponse = cluster.ask_node(node, &request, 9).await?.read()?;
    for topic in answer.topics {
        for one in topic.partitions {
            let (name, partition) = (&topic.name, one.partition_index);
            let what = format!("commit offsets of group {group} in topic {name}, partition {partition}");
            check(one.error_code, None, &what)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_unless_they_say_otherwise() {
        assert_eq!(time("1970-01-01T00:00:01.500Z").unwrap(), 1500);
        assert_eq!(time("1970-01-01T00:00:01.500").unwrap(), 1500);
        assert_eq!(time("1970-01-01T01:00:00+01:00").unwrap(), 0);
        assert!(time("yesterday").is_err());
    }
}
