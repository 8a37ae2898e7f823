//! `Fetch`: whole batches out of partitions, from the files they are in. Who finds nothing waits until there is something.

use super::{Call, note};
use crate::{
    error::{Kind, Result},
    flush::Ticket,
    log::{Isolation, Partition, Slice},
    topics::Topic,
};
use dhow_kafka::{
    Code, Records, Uuid,
    messages::fetch::{
        AbortedTransaction, FetchPartition, FetchRequest, FetchResponse, FetchableTopicResponse,
        PartitionData,
    },
};
use std::{future::poll_fn, pin::Pin, sync::Arc, task::Poll, time::Duration};
use tokio::time::{Instant, timeout_at};

/// No answer has more records than this, whatever is asked for.
const MOST: usize = 64 * 1024 * 1024;
/// No client waits longer.
const LONGEST: Duration = Duration::from_mins(10);

/// A topic of a request.
struct Wanted {
    name: String,
    id: Uuid,
    topic: Option<Arc<Topic>>,
    partitions: Vec<FetchPartition>,
}

/// One look at everything that is wanted.
struct Seen {
    topics: Vec<FetchableTopicResponse<'static>>,
    slices: Vec<Slice>,
    /// Of records.
    bytes: usize,
    /// Something is wrong somewhere: the client has to know.
    failed: bool,
    /// The partitions, and up to where they were seen.
    waiting: Vec<(Partition, i64)>,
}

/// The response, and the records that belong into it.
pub(crate) async fn fetch(call: &Call<'_>, request: FetchRequest) -> (FetchResponse<'static>, Vec<Slice>) {
    if let Some(code) = session(&request) {
        let response = FetchResponse { error_code: code.code(), ..FetchResponse::default() };
        return (response, Vec::new());
    }
    let isolation = if request.isolation_level == 1 { Isolation::Committed } else { Isolation::Uncommitted };
    let most = usize::try_from(request.max_bytes).unwrap_or(0).min(MOST);
    let least = usize::try_from(request.min_bytes).unwrap_or(0).min(most);
    let patience = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)).min(LONGEST);
    let until = Instant::now() + patience;
    let wanted: Vec<Wanted> = request
        .topics
        .into_iter()
        .map(|topic| {
            let (name, id) = (topic.topic, topic.topic_id);
            let found = call.broker.topic((call.version < 13).then_some(&name), id);
            Wanted { name, id, topic: found, partitions: topic.partitions }
        })
        .collect();
    loop {
        let seen = look(call, &wanted, isolation, most);
        let enough = seen.failed || seen.bytes >= least;
        if enough || seen.waiting.is_empty() || timeout_at(until, any_grows(&seen.waiting)).await.is_err() {
            let response = FetchResponse { responses: seen.topics, ..FetchResponse::default() };
            return (response, seen.slices);
        }
    }
}

/// There are no sessions: a client that wants one gets number 0, which means none, and asks in full every time.
fn session(request: &FetchRequest) -> Option<Code> {
    const FULL: [i32; 2] = [0, -1];
    if request.session_id != 0 {
        Some(Code::FetchSessionIdNotFound)
    } else if FULL.contains(&request.session_epoch) {
        None
    } else {
        Some(Code::InvalidFetchSessionEpoch)
    }
}

fn look(call: &Call<'_>, wanted: &[Wanted], isolation: Isolation, most: usize) -> Seen {
    let mut seen =
        Seen { topics: Vec::new(), slices: Vec::new(), bytes: 0, failed: false, waiting: Vec::new() };
    for topic in wanted {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for ask in &topic.partitions {
            partitions.push(seen.read(call, topic, ask, isolation, most));
        }
        seen.topics.push(FetchableTopicResponse {
            topic: topic.name.clone(),
            topic_id: topic.id,
            partitions,
        });
    }
    seen
}

impl Seen {
    fn read(
        &mut self,
        call: &Call<'_>,
        topic: &Wanted,
        ask: &FetchPartition,
        isolation: Isolation,
        most: usize,
    ) -> PartitionData<'static> {
        let missing = if call.version >= 13 && topic.topic.is_none() {
            Code::UnknownTopicId
        } else {
            Code::UnknownTopicOrPartition
        };
        let partition = topic.topic.as_ref().and_then(|topic| topic.partition(ask.partition));
        let Some(partition) = partition else { return self.fail(ask, missing) };
        if let Some(code) = fenced(partition, ask.current_leader_epoch) {
            return self.fail(ask, code);
        }
        let left = most.saturating_sub(self.bytes);
        let size = usize::try_from(ask.partition_max_bytes).unwrap_or(0).min(left);
        // the first batch of an answer is given whole, however large it is: or a client would never get beyond it
        match partition.read(ask.fetch_offset, size, isolation, self.bytes == 0) {
            Ok(slice) => self.take(ask, partition, slice, isolation),
            Err(error) if error.kind == Kind::NotFound => self.fail(ask, missing),
            Err(error) => {
                let code = note(&error);
                self.fail(ask, code)
            }
        }
    }

    fn fail(&mut self, ask: &FetchPartition, code: Code) -> PartitionData<'static> {
        self.failed = true;
        PartitionData {
            partition_index: ask.partition,
            error_code: code.code(),
            high_watermark: -1,
            records: Records::Here(&[]),
            ..PartitionData::default()
        }
    }

    fn take(
        &mut self,
        ask: &FetchPartition,
        partition: &Partition,
        slice: Slice,
        isolation: Isolation,
    ) -> PartitionData<'static> {
        let aborted = (isolation == Isolation::Committed).then(|| {
            let aborted = slice.aborted.iter();
            aborted
                .map(|one| AbortedTransaction {
                    producer_id: one.producer_id,
                    first_offset: one.first_offset,
                })
                .collect()
        });
        let mut data = PartitionData {
            partition_index: ask.partition,
            high_watermark: slice.high,
            last_stable_offset: slice.stable,
            log_start_offset: slice.log_start,
            aborted_transactions: aborted,
            records: Records::Here(&[]),
            ..PartitionData::default()
        };
        self.bytes += slice.length;
        self.waiting.push((partition.clone(), slice.high.max(ask.fetch_offset)));
        if slice.file.is_some() {
            data.records = Records::Elsewhere(slice.length);
            self.slices.push(slice);
        }
        data
    }
}

/// Whether a client knows another leader than this: an older one must ask again where the log was cut.
fn fenced(partition: &Partition, epoch: i32) -> Option<Code> {
    if epoch < 0 {
        return None;
    }
    match epoch.cmp(&partition.epoch()) {
        std::cmp::Ordering::Less => Some(Code::FencedLeaderEpoch),
        std::cmp::Ordering::Equal => None,
        std::cmp::Ordering::Greater => Some(Code::UnknownLeaderEpoch),
    }
}

/// Waits until one of the partitions has more than was seen, or is gone.
async fn any_grows(waiting: &[(Partition, i64)]) {
    let tickets: Result<Vec<Ticket>> =
        waiting.iter().map(|(partition, seen)| partition.grown(*seen)).collect();
    // an error is what the next look finds, and says
    let Ok(mut tickets) = tickets else { return };
    poll_fn(|context| {
        let any = tickets.iter_mut().any(|ticket| Pin::new(ticket).poll(context).is_ready());
        if any { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
