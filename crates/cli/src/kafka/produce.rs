//! `kafka produce`: the words of `kafka-console-producer.sh`. A line is a record.

use super::{
    Bootstrap,
    cluster::{Cluster, check},
    now, pair, partitions,
    properties::Properties,
};
use crate::client::Client;
use anyhow::{Context as _, bail};
use dhow_kafka::{
    Code, Records,
    batch::{Builder, Compression},
    messages::produce::{PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData},
};
use std::{
    collections::BTreeMap,
    io::BufRead as _,
    time::{Duration, Instant},
};
use tokio::sync::mpsc;

/// A request has at most about so many bytes of records, and so many records; one that is larger goes alone.
const BATCH: usize = 512 << 10;
const MANY: usize = 10_000;
/// The newest version in which topics are named.
const VERSION: i16 = 12;
const TIMEOUT_MS: i32 = 30_000;
/// How long a partition may be without leader, and before it is tried again: no event tells.
const PATIENCE: Duration = Duration::from_secs(30);
const AGAIN: Duration = Duration::from_millis(100);

// Arguments of `kafka produce`.
#[derive(Debug, clap::Args)]
pub(crate) struct Produce {
    #[command(flatten)]
    bootstrap: Bootstrap,
    /// Topic
    #[arg(long)]
    topic: String,
    /// How lines are read: parse.key, key.separator, parse.headers, headers.delimiter, headers.separator,
    /// headers.key.separator, null.marker, ignore.error; NAME=VALUE, may be given more than once
    #[arg(long, visible_alias = "reader-property", value_name = "NAME=VALUE")]
    property: Vec<String>,
    /// How it sends: acks, compression.type; NAME=VALUE, may be given more than once
    #[arg(long, visible_alias = "command-property", value_name = "NAME=VALUE")]
    producer_property: Vec<String>,
    /// Who must have a record before it counts as sent: all or -1, 1, 0
    #[arg(long, value_name = "ACKS", allow_negative_numbers = true)]
    request_required_acks: Option<String>,
    /// none, gzip, snappy, lz4, zstd
    #[arg(long, value_name = "CODEC", num_args = 0..=1, default_missing_value = "gzip")]
    compression_codec: Option<String>,
}

/// How lines become records.
#[derive(Debug)]
struct Reader {
    key: Option<String>,
    headers: Option<HeaderWords>,
    null: Option<String>,
    lenient: bool,
}

#[derive(Debug)]
struct HeaderWords {
    delimiter: String,
    separator: String,
    key_separator: String,
}

/// What was read.
#[derive(Debug, PartialEq, Eq)]
struct Record {
    key: Option<String>,
    value: Option<String>,
    headers: Vec<(String, Option<String>)>,
}

impl Record {
    fn size(&self) -> usize {
        let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        length(&self.key) + length(&self.value)
    }
}

impl Reader {
    fn new(given: &[String]) -> anyhow::Result<Self> {
        let mut given = Properties::parse(given)?;
        let key = given.flag("parse.key", false)?;
        let headers = given.flag("parse.headers", false)?;
        let separator = given.separator("key.separator", "\t");
        let words = HeaderWords {
            delimiter: given.separator("headers.delimiter", "\t"),
            separator: given.separator("headers.separator", ","),
            key_separator: given.separator("headers.key.separator", ":"),
        };
        let (null, lenient) = (given.text("null.marker"), given.flag("ignore.error", false)?);
        given.end()?;
        Ok(Self { key: key.then_some(separator), headers: headers.then_some(words), null, lenient })
    }

    fn read(&self, line: &str, number: usize) -> anyhow::Result<Record> {
        let mut rest = line;
        let mut headers = Vec::new();
        if let Some(words) = &self.headers {
            match rest.split_once(&words.delimiter) {
                Some((text, after)) => {
                    rest = after;
                    if Some(text) != self.null.as_deref() {
                        headers = words.read(text, number)?;
                    }
                }
                None if self.lenient => {}
                None => bail!(
                    "no headers delimiter {:?} found on line number {number}: {line:?}",
                    words.delimiter
                ),
            }
        }
        let mut key = None;
        if let Some(separator) = &self.key {
            match rest.split_once(separator) {
                Some((text, after)) => (key, rest) = (self.text(text), after),
                None if self.lenient => {}
                None => bail!("no key separator {separator:?} found on line number {number}: {line:?}"),
            }
        }
        Ok(Record { key, value: self.text(rest), headers })
    }

    fn text(&self, text: &str) -> Option<String> {
        (Some(text) != self.null.as_deref()).then(|| text.to_owned())
    }
}

impl HeaderWords {
    fn read(&self, text: &str, number: usize) -> anyhow::Result<Vec<(String, Option<String>)>> {
        let one = |pair: &str| match pair.split_once(&self.key_separator) {
            Some((name, value)) => Ok((name.to_owned(), Some(value.to_owned()))),
            None => bail!(
                "no header key separator {:?} found in {pair:?} on line number {number}",
                self.key_separator
            ),
        };
        text.split(&self.separator).map(one).collect()
    }
}

/// How records are sent.
#[derive(Debug)]
struct Sending {
    acks: i16,
    compression: Compression,
}

impl Produce {
    fn sending(&self) -> anyhow::Result<Sending> {
        let mut acks = self.request_required_acks.clone();
        let mut codec = self.compression_codec.clone();
        for text in &self.producer_property {
            let (name, value) = pair(text)?;
            match name.as_str() {
                "acks" => acks = Some(value),
                "compression.type" => codec = Some(value),
                // A line at a time, and as many as wait: there is nothing to tune.
                "linger.ms" | "batch.size" | "client.id" => {}
                other => bail!("unknown producer property {other}"),
            }
        }
        let acks = match acks.as_deref() {
            None | Some("all" | "-1") => -1,
            Some("1") => 1,
            Some("0") => bail!("acks=0 is not supported: a line whose fate nobody knows is not sent"),
            Some(other) => bail!("acks {other:?}: all, -1 or 1"),
        };
        let codec = codec.as_deref().unwrap_or("none");
        let compression = if codec == "none" {
            Compression::None
        } else {
            Compression::from_word(codec)
                .with_context(|| format!("compression {codec:?}: none, gzip, snappy, lz4 or zstd"))?
        };
        Ok(Sending { acks, compression })
    }

    pub(super) async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        let reader = Reader::new(&self.property)?;
        let sending = self.sending()?;
        let mut cluster = self.bootstrap.connect(client).await?;
        let mut leaders = cluster.leaders(&self.topic, true).await?;
        let mut lines = lines();
        // Records without a key: each request's to another partition.
        let mut turn = usize::try_from(now()).unwrap_or(0);
        let (mut number, mut sent) = (0, 0);
        while let Some(first) = lines.recv().await {
            let (mut batch, mut size) = (Vec::new(), 0);
            let mut next = Some(first);
            while let Some(line) = next.take() {
                number += 1;
                let record = reader.read(&line.context("cannot read standard input")?, number)?;
                size += record.size();
                batch.push(record);
                if size < BATCH && batch.len() < MANY {
                    next = lines.try_recv().ok();
                }
            }
            turn = turn.wrapping_add(1);
            let count = batch.len();
            self.send(&mut cluster, &mut leaders, &sending, batch, turn)
                .await
                .with_context(|| format!("after {sent} records that were acknowledged"))?;
            sent += count;
        }
        Ok(0)
    }

    /// Sends records and waits until each is acknowledged. A partition whose leader changes is tried again.
    async fn send(
        &self,
        cluster: &mut Cluster,
        leaders: &mut Vec<i32>,
        sending: &Sending,
        records: Vec<Record>,
        turn: usize,
    ) -> anyhow::Result<()> {
        let mut waiting: BTreeMap<usize, Vec<u8>> =
            batches(records, leaders.len(), turn, sending.compression)?;
        let until = Instant::now() + PATIENCE;
        loop {
            let mut again = None;
            for (partition, batch) in std::mem::take(&mut waiting) {
                let leader = *leaders.get(partition).context("the topic has lost partitions")?;
                let index = i32::try_from(partition)?;
                let data = PartitionProduceData { index, records: Records::Here(&batch) };
                let topic = TopicProduceData {
                    name: self.topic.clone(),
                    partition_data: vec![data],
                    ..Default::default()
                };
                let request = ProduceRequest {
                    transactional_id: None,
                    acks: sending.acks,
                    timeout_ms: TIMEOUT_MS,
                    topic_data: vec![topic],
                };
                let answer = cluster.ask_node(leader, &request, VERSION).await?;
                let answer: ProduceResponse = answer.read()?;
                let result = answer.responses.first().and_then(|topic| topic.partition_responses.first());
                let result = result.context("the broker's answer names no partition")?;
                let known = Code::from_code(result.error_code);
                if result.error_code != 0 && known.is_some_and(Code::retriable) && Instant::now() < until {
                    waiting.insert(partition, batch);
                    again = Some(());
                    continue;
                }
                let what = format!("write to topic {}, partition {partition}", self.topic);
                let reason =
                    result.record_errors.first().and_then(|one| one.batch_index_error_message.as_deref());
                check(result.error_code, reason.or(result.error_message.as_deref()), &what)?;
            }
            if again.is_none() {
                return Ok(());
            }
            tokio::time::sleep(AGAIN).await;
            *leaders = cluster.leaders(&self.topic, true).await?;
        }
    }
}

/// A batch for each partition, records in the order of their lines.
fn batches(
    records: Vec<Record>,
    partitions: usize,
    turn: usize,
    compression: Compression,
) -> anyhow::Result<BTreeMap<usize, Vec<u8>>> {
    let mut builders: BTreeMap<usize, Builder> = BTreeMap::new();
    let time = now();
    for record in records {
        let partition = match &record.key {
            Some(key) => partitions::of_key(key.as_bytes(), partitions),
            None => turn % partitions.max(1),
        };
        let headers: Vec<(&str, Option<&[u8]>)> = record
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_deref().map(str::as_bytes)))
            .collect();
        builders.entry(partition).or_insert_with(|| Builder::new().compression(compression)).push(
            time,
            record.key.as_deref().map(str::as_bytes),
            record.value.as_deref().map(str::as_bytes),
            &headers,
        );
    }
    builders.into_iter().map(|(partition, builder)| Ok((partition, builder.build()?))).collect()
}

/// The lines of standard input, as they come.
fn lines() -> mpsc::Receiver<std::io::Result<String>> {
    let (sender, receiver) = mpsc::channel(MANY);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(properties: &[&str], line: &str) -> anyhow::Result<Record> {
        let given: Vec<String> = properties.iter().map(|text| (*text).to_owned()).collect();
        Reader::new(&given)?.read(line, 3)
    }

    fn record(key: Option<&str>, value: Option<&str>) -> Record {
        Record { key: key.map(str::to_owned), value: value.map(str::to_owned), headers: Vec::new() }
    }

    #[test]
    fn lines_are_read_as_the_properties_say() {
        assert_eq!(read(&[], "a\tb").unwrap(), record(None, Some("a\tb")));
        assert_eq!(read(&["parse.key=true"], "a\tb").unwrap(), record(Some("a"), Some("b")));
        let colon = ["parse.key=true", "key.separator=:", "null.marker=NULL"];
        assert_eq!(read(&colon, "a:b:c").unwrap(), record(Some("a"), Some("b:c")));
        assert_eq!(read(&colon, "a:NULL").unwrap(), record(Some("a"), None));
        let error = read(&colon, "abc").unwrap_err().to_string();
        assert_eq!(error, "no key separator \":\" found on line number 3: \"abc\"");
        let all = read(&["parse.headers=true", "parse.key=true"], "h:1,i:2\tk\tv").unwrap();
        assert_eq!(all.headers[1], ("i".to_owned(), Some("2".to_owned())));
        assert_eq!((all.key.as_deref(), all.value.as_deref()), (Some("k"), Some("v")));
        assert_eq!(read(&["parse.kee=true"], "").unwrap_err().to_string(), "unknown property parse.kee");
    }

    #[test]
    fn a_key_has_one_partition_and_records_without_stay_together() {
        let some =
            || vec![record(Some("k"), Some("1")), record(None, Some("2")), record(Some("k"), Some("3"))];
        let all = batches(some(), 1, 7, Compression::None).unwrap();
        assert_eq!(all.len(), 1);
        let of_key = partitions::of_key(b"k", 4);
        let all = batches(some(), 4, of_key + 1, Compression::Lz4).unwrap();
        assert_eq!(all.keys().copied().collect::<Vec<_>>().len(), 2);
        let batch = dhow_kafka::batch::Batch::produced(&all[&of_key]).unwrap();
        assert_eq!(batch.header().count, 2);
    }
}
