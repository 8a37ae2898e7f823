//! `kafka consume`: the words of `kafka-console-consumer.sh`.

use super::{
    Bootstrap,
    cluster::{Cluster, EARLIEST, LATEST, Place, check, says},
    groups,
    membership::Member,
    offsets,
    properties::Properties,
};
use crate::{client::Client, commands::tell};
use anyhow::{Context as _, bail};
use dhow_kafka::{
    Code,
    batch::{Record, batches},
    messages::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic, PartitionData},
};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io::Write as _,
    time::{Duration, Instant},
};

/// The newest version in which topics are named.
const VERSION: i16 = 12;
/// How long a broker waits for records: heartbeats, the clock and Ctrl-C are looked at as often.
const WAIT: Duration = Duration::from_millis(500);
const MAX_BYTES: i32 = 16 << 20;
const PARTITION_BYTES: i32 = 1 << 20;
/// A batch that becomes larger than this is refused.
const UNPACKED: usize = 512 << 20;
/// How often a group's offsets are committed.
const COMMIT: Duration = Duration::from_secs(5);
/// Before a leader is looked for again: no event tells.
const AGAIN: Duration = Duration::from_millis(100);

// Arguments of `kafka consume`.
#[derive(Debug, clap::Args)]
pub(crate) struct Consume {
    #[command(flatten)]
    bootstrap: Bootstrap,
    /// Topic
    #[arg(long)]
    topic: String,
    /// Only this partition
    #[arg(long)]
    partition: Option<i32>,
    /// Where to begin in --partition: a number, earliest or latest
    #[arg(long, requires = "partition", conflicts_with = "from_beginning")]
    offset: Option<String>,
    /// Begin with the first record, where the group has no offset
    #[arg(long)]
    from_beginning: bool,
    /// End after so many records
    #[arg(long)]
    max_messages: Option<u64>,
    /// End when no record has come for so many milliseconds
    #[arg(long)]
    timeout_ms: Option<u64>,
    /// Consumer group: partitions are shared with its other members, offsets are committed
    #[arg(long, conflicts_with = "partition")]
    group: Option<String>,
    /// How records are printed: print.key, print.value, print.timestamp, print.partition, print.offset, print.headers,
    /// key.separator, line.separator, headers.separator, null.literal; NAME=VALUE, may be given more than once
    #[arg(long, visible_alias = "formatter-property", value_name = "NAME=VALUE")]
    property: Vec<String>,
    /// read_committed: leave out what no transaction has committed
    #[arg(long, value_parser = ["read_uncommitted", "read_committed"], default_value = "read_uncommitted")]
    isolation_level: String,
}

/// How records are printed.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "Kafka's properties, one each")]
struct Format {
    timestamp: bool,
    partition: bool,
    offset: bool,
    headers: bool,
    key: bool,
    value: bool,
    separator: String,
    headers_separator: String,
    line: String,
    null: String,
}

impl Format {
    fn new(given: &[String]) -> anyhow::Result<Self> {
        let mut given = Properties::parse(given)?;
        let format = Self {
            timestamp: given.flag("print.timestamp", false)?,
            partition: given.flag("print.partition", false)?,
            offset: given.flag("print.offset", false)?,
            headers: given.flag("print.headers", false)?,
            key: given.flag("print.key", false)?,
            value: given.flag("print.value", true)?,
            separator: given.separator("key.separator", "\t"),
            headers_separator: given.separator("headers.separator", ","),
            line: given.separator("line.separator", "\n"),
            null: given.text("null.literal").unwrap_or_else(|| "null".to_owned()),
        };
        given.end()?;
        Ok(format)
    }

    /// In Kafka's order: time, partition, offset, headers, key, value.
    fn write(&self, out: &mut Vec<u8>, partition: i32, record: &Record<'_>, append_time: bool) {
        let mut parts: Vec<Vec<u8>> = Vec::new();
        if self.timestamp {
            let kind = if append_time { "LogAppendTime" } else { "CreateTime" };
            parts.push(format!("{kind}:{}", record.timestamp).into_bytes());
        }
        if self.partition {
            parts.push(format!("Partition:{partition}").into_bytes());
        }
        if self.offset {
            parts.push(format!("Offset:{}", record.offset).into_bytes());
        }
        let bytes = |field: Option<&[u8]>| field.unwrap_or(self.null.as_bytes()).to_vec();
        if self.headers {
            let one = |header: dhow_kafka::batch::RecordHeader<'_>| {
                [header.key.to_vec(), b":".to_vec(), bytes(header.value)].concat()
            };
            let all: Vec<Vec<u8>> = record.headers().map(one).collect();
            parts.push(if all.is_empty() {
                b"NO_HEADERS".to_vec()
            } else {
                all.join(self.headers_separator.as_bytes())
            });
        }
        if self.key {
            parts.push(bytes(record.key));
        }
        if self.value {
            parts.push(bytes(record.value));
        }
        out.extend(parts.join(self.separator.as_bytes()));
        out.extend(self.line.as_bytes());
    }
}

/// A consumer at work.
struct Reading<'a> {
    args: &'a Consume,
    format: Format,
    cluster: Cluster,
    member: Option<Member>,
    /// The next offset of each partition that is read.
    next: BTreeMap<Place, i64>,
    leaders: HashMap<i32, i32>,
    committed: Instant,
    count: u64,
}

impl Consume {
    pub(super) async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        let format = Format::new(&self.property)?;
        let mut cluster = self.bootstrap.connect(client).await?;
        let member = match &self.group {
            Some(group) => Some(Member::new(&mut cluster, group).await?),
            None => None,
        };
        let mut reading = Reading {
            args: self,
            format,
            cluster,
            member,
            next: BTreeMap::new(),
            leaders: HashMap::new(),
            committed: Instant::now(),
            count: 0,
        };
        let stop = tokio::signal::ctrl_c();
        let read = tokio::select! {
            read = reading.read() => read,
            stopped = stop => stopped.context("cannot wait for Ctrl-C"),
        };
        reading.cluster.hang_up();
        // What was printed counts as read, also when it ended badly.
        let left = reading.leave().await;
        tell(&format!("Processed a total of {} messages", reading.count));
        read.and(left).map(|()| 0)
    }

    /// Where a partition without a committed offset begins.
    fn start(&self) -> i64 {
        if self.from_beginning { EARLIEST } else { LATEST }
    }
}

impl Reading<'_> {
    async fn read(&mut self) -> anyhow::Result<()> {
        self.begin().await?;
        let mut heard = Instant::now();
        loop {
            if self.args.max_messages.is_some_and(|most| self.count >= most) {
                return Ok(());
            }
            if let Some(member) = &mut self.member
                && member.beat(&mut self.cluster).await?
            {
                self.begin().await?;
            }
            let silence = self.args.timeout_ms.map(Duration::from_millis);
            let left = silence.map(|silence| silence.saturating_sub(heard.elapsed()));
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(());
            }
            let before = self.count;
            self.fetch(left.map_or(WAIT, |left| left.min(WAIT))).await?;
            if self.count > before {
                heard = Instant::now();
            }
            if self.committed.elapsed() >= COMMIT {
                self.commit().await?;
            }
        }
    }

    /// Finds out what to read, and from where.
    async fn begin(&mut self) -> anyhow::Result<()> {
        let topic = self.args.topic.clone();
        self.find_leaders().await?;
        let mut committed = BTreeMap::new();
        let places: Vec<Place> = match (&mut self.member, self.args.partition) {
            (Some(member), _) => {
                // Commits need the old generation, and positions are worth nothing afterwards.
                if let (_, 0..) = member.identity()
                    && !self.next.is_empty()
                {
                    let gone = [Code::RebalanceInProgress, Code::IllegalGeneration, Code::UnknownMemberId];
                    match commit_as(member, &mut self.cluster, &self.next).await {
                        Err(error) if says(&error, &gone) => {
                            tell(&format!("{error}: what was printed since the last commit may come again"));
                        }
                        committed => committed?,
                    }
                }
                let places = member.join(&mut self.cluster, &topic).await?;
                committed = groups::committed(&mut self.cluster, &member.group, member.node).await?;
                places
            }
            (None, Some(partition)) => {
                if !self.leaders.contains_key(&partition) {
                    bail!("topic {topic} has no partition {partition}");
                }
                vec![(topic, partition)]
            }
            (None, None) => self.leaders.keys().map(|partition| (topic.clone(), *partition)).collect(),
        };
        let start = match self.args.offset.as_deref() {
            None => self.args.start(),
            Some("earliest") => EARLIEST,
            Some("latest") => LATEST,
            Some(number) => {
                let offset = number.parse::<i64>().ok().filter(|offset| *offset >= 0);
                let offset =
                    offset.with_context(|| format!("--offset {number:?}: a number, earliest or latest"))?;
                self.next = places.into_iter().map(|place| (place, offset)).collect();
                return Ok(());
            }
        };
        let unknown: Vec<(Place, i64)> = places
            .iter()
            .filter(|place| !committed.contains_key(*place))
            .map(|place| (place.clone(), start))
            .collect();
        let found = if unknown.is_empty() { BTreeMap::new() } else { self.cluster.offsets(&unknown).await? };
        let at = |place: &Place| committed.get(place).or(found.get(place)).copied().unwrap_or(0);
        self.next = places.iter().map(|place| (place.clone(), at(place))).collect();
        Ok(())
    }

    async fn find_leaders(&mut self) -> anyhow::Result<()> {
        let leaders = self.cluster.leaders(&self.args.topic, true).await?;
        self.leaders = (0..).zip(leaders).collect();
        Ok(())
    }

    /// One question to each leader, one after the other; only the last may wait.
    async fn fetch(&mut self, wait: Duration) -> anyhow::Result<()> {
        let mut by_leader: BTreeMap<i32, Vec<FetchPartition>> = BTreeMap::new();
        for ((_, partition), offset) in &self.next {
            let leader = self.leaders.get(partition).copied().unwrap_or(-1);
            by_leader.entry(leader).or_default().push(FetchPartition {
                partition: *partition,
                current_leader_epoch: -1,
                fetch_offset: *offset,
                partition_max_bytes: PARTITION_BYTES,
                ..Default::default()
            });
        }
        if by_leader.is_empty() {
            // A member without partitions.
            tokio::time::sleep(wait).await;
            return Ok(());
        }
        let count = u32::try_from(by_leader.len()).unwrap_or(1);
        let wait = i32::try_from((wait / count).as_millis()).unwrap_or(0);
        for (leader, partitions) in by_leader {
            let topic = FetchTopic { topic: self.args.topic.clone(), partitions, ..Default::default() };
            let request = FetchRequest {
                replica_id: -1,
                max_wait_ms: wait,
                min_bytes: 1,
                max_bytes: MAX_BYTES,
                isolation_level: i8::from(self.args.isolation_level == "read_committed"),
                session_epoch: -1,
                topics: vec![topic],
                ..Default::default()
            };
            let answer = self.cluster.ask_node(leader, &request, VERSION).await?;
            let answer: FetchResponse<'_> = answer.read()?;
            check(answer.error_code, None, &format!("read topic {}", self.args.topic))?;
            let mut out = Vec::new();
            let mut lost = Vec::new();
            let mut moved = false;
            for data in answer.responses.iter().flat_map(|topic| &topic.partitions) {
                match Code::from_code(data.error_code) {
                    Some(Code::None) => self.print(&mut out, data)?,
                    Some(Code::OffsetOutOfRange) if self.args.offset.is_none() => {
                        lost.push(data.partition_index)
                    }
                    Some(code) if code.retriable() => moved = true,
                    _ => {
                        let (topic, partition) = (&self.args.topic, data.partition_index);
                        check(data.error_code, None, &format!("read topic {topic}, partition {partition}"))?;
                    }
                }
            }
            let mut stdout = std::io::stdout().lock();
            stdout.write_all(&out).and_then(|()| stdout.flush())?;
            drop(stdout);
            // Only now: what was read but not printed must not be given up.
            if moved {
                tokio::time::sleep(AGAIN).await;
                self.find_leaders().await?;
            }
            self.find_again(lost).await?;
        }
        Ok(())
    }

    /// Partitions whose offset is gone begin again where one without an offset would.
    async fn find_again(&mut self, partitions: Vec<i32>) -> anyhow::Result<()> {
        if partitions.is_empty() {
            return Ok(());
        }
        let wanted: Vec<_> =
            partitions.into_iter().map(|one| ((self.args.topic.clone(), one), self.args.start())).collect();
        self.next.extend(self.cluster.offsets(&wanted).await?);
        Ok(())
    }

    fn print(&mut self, out: &mut Vec<u8>, data: &PartitionData<'_>) -> anyhow::Result<()> {
        let partition = data.partition_index;
        let Some(next) = self.next.get_mut(&(self.args.topic.clone(), partition)) else { return Ok(()) };
        let mut aborting = Aborting::new(data);
        for batch in batches(data.records.bytes()) {
            let batch = match batch {
                Ok(batch) => batch,
                // The last one of an answer may be cut off.
                Err(dhow_kafka::batch::Error::Short { .. }) => break,
                Err(error) => {
                    return Err(error)
                        .with_context(|| format!("topic {}, partition {partition}", self.args.topic));
                }
            };
            let place = || format!("topic {}, partition {partition}, offset {next}", self.args.topic);
            batch.check_sum().with_context(place)?;
            let header = *batch.header();
            let seen = aborting.sees(&batch).with_context(place)?;
            if seen {
                for record in batch.records(UNPACKED).with_context(place)?.iter() {
                    let record = record?;
                    if record.offset < *next {
                        continue;
                    }
                    if self.args.max_messages.is_some_and(|most| self.count >= most) {
                        return Ok(());
                    }
                    self.format.write(out, partition, &record, header.log_append_time());
                    self.count += 1;
                    *next = record.offset + 1;
                }
            }
            *next = header.next_offset().max(*next);
        }
        Ok(())
    }

    async fn commit(&mut self) -> anyhow::Result<()> {
        self.committed = Instant::now();
        match &self.member {
            Some(member) if !self.next.is_empty() => {
                match commit_as(member, &mut self.cluster, &self.next).await {
                    // The next heartbeat says so too, and then it is done.
                    Err(error) if says(&error, &[Code::RebalanceInProgress]) => Ok(()),
                    committed => committed,
                }
            }
            _ => Ok(()),
        }
    }

    async fn leave(&mut self) -> anyhow::Result<()> {
        self.commit().await?;
        match &self.member {
            Some(member) => member.leave(&mut self.cluster).await,
            None => Ok(()),
        }
    }
}

async fn commit_as(
    member: &Member,
    cluster: &mut Cluster,
    next: &BTreeMap<Place, i64>,
) -> anyhow::Result<()> {
    offsets::commit(cluster, member.node, &member.group, Some(member.identity()), next).await
}

/// Which transactions of an answer were aborted, while it is walked through.
struct Aborting {
    /// By their first offset.
    coming: Vec<(i64, i64)>,
    open: HashSet<i64>,
}

impl Aborting {
    fn new(data: &PartitionData<'_>) -> Self {
        let aborted = data.aborted_transactions.iter().flatten();
        let mut coming: Vec<_> = aborted.map(|one| (one.first_offset, one.producer_id)).collect();
        coming.sort_unstable_by(|a, b| b.cmp(a));
        Self { coming, open: HashSet::new() }
    }

    /// Whether a batch has records for the user.
    fn sees(&mut self, batch: &dhow_kafka::batch::Batch<'_>) -> Result<bool, dhow_kafka::batch::Error> {
        let header = batch.header();
        while let Some((_, producer)) = self.coming.pop_if(|(first, _)| *first <= header.last_offset()) {
            self.open.insert(producer);
        }
        if header.control() {
            // The second number of the key: 0 ends a transaction by aborting it.
            let records = batch.records(UNPACKED)?;
            let abort = |record: &Record<'_>| record.key.is_some_and(|key| key.get(2..4) == Some(&[0, 0]));
            if records.iter().next().transpose()?.is_some_and(|record| abort(&record)) {
                self.open.remove(&header.producer_id);
            }
            return Ok(false);
        }
        Ok(!(header.transactional() && self.open.contains(&header.producer_id)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dhow_kafka::{
        Records,
        batch::{Batch, Builder, Marker},
        messages::fetch::AbortedTransaction,
    };

    fn printed(properties: &[&str], key: Option<&[u8]>) -> String {
        let given: Vec<String> = properties.iter().map(|text| (*text).to_owned()).collect();
        let mut builder = Builder::new().base_offset(5);
        builder.push(1000, key, Some(b"v"), &[("h", Some(b"1"))]);
        let bytes = builder.build().unwrap();
        let batch = Batch::produced(&bytes).unwrap();
        let mut out = Vec::new();
        let records = batch.records(0).unwrap();
        let record = records.iter().next().unwrap().unwrap();
        Format::new(&given).unwrap().write(&mut out, 3, &record, false);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn records_are_printed_as_the_properties_say() {
        assert_eq!(printed(&[], None), "v\n");
        assert_eq!(printed(&["print.key=true", "key.separator=:"], None), "null:v\n");
        let all = [
            "print.timestamp=true",
            "print.partition=true",
            "print.offset=true",
            "print.headers=true",
            "print.key=true",
        ];
        assert_eq!(printed(&all, Some(b"k")), "CreateTime:1000\tPartition:3\tOffset:5\th:1\tk\tv\n");
        assert!(Format::new(&["print.keys=true".to_owned()]).is_err());
    }

    #[test]
    fn aborted_records_are_not_seen() {
        let data = |producer: i64, offset| {
            let mut builder = Builder::new().base_offset(offset).producer(producer, 0, 0).transactional();
            builder.push(1, None, Some(b"v"), &[]);
            builder.build().unwrap()
        };
        // The batch of a marker has no offset of its own here: what matters is whose it is.
        let marker = Builder::control(Marker::Abort, (7, 0), 0, 1).base_offset(2).build().unwrap();
        let bytes = [data(7, 0), data(8, 1), marker, data(7, 3)].concat();
        let aborted = AbortedTransaction { producer_id: 7, first_offset: 0 };
        let partition = PartitionData {
            aborted_transactions: Some(vec![aborted]),
            records: Records::Here(&bytes),
            ..Default::default()
        };
        let mut aborting = Aborting::new(&partition);
        let seen: Vec<bool> = batches(&bytes).map(|batch| aborting.sees(&batch.unwrap()).unwrap()).collect();
        assert_eq!(seen, [false, true, false, true]);
    }
}
