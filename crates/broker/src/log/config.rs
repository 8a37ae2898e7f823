//! What a partition needs to know of its topic's configuration.

/// Kafka's words and defaults; `None` is Kafka's -1: no limit.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// `segment.bytes`: a segment does not grow past it.
    pub segment_bytes: u64,
    /// `segment.ms`: a segment is closed when its first record is that old.
    pub segment_ms: i64,
    /// `cleanup.policy` has `delete`: retention holds.
    pub delete: bool,
    /// `cleanup.policy` has `compact`.
    pub compact: bool,
    /// `retention.ms`
    pub retention_ms: Option<i64>,
    /// `retention.bytes`
    pub retention_bytes: Option<u64>,
    /// `max.message.bytes`, of a batch as it is on the wire.
    pub max_message_bytes: usize,
    /// `message.timestamp.type` is `LogAppendTime`.
    pub append_time: bool,
    /// `message.timestamp.before.max.ms`
    pub before_max_ms: i64,
    /// `message.timestamp.after.max.ms`
    pub after_max_ms: i64,
    /// `min.compaction.lag.ms`
    pub min_compaction_lag_ms: i64,
    /// `max.compaction.lag.ms`
    pub max_compaction_lag_ms: i64,
    /// `min.cleanable.dirty.ratio`
    pub min_dirty_ratio: f64,
    /// `delete.retention.ms`: how long a tombstone stays.
    pub delete_retention_ms: i64,
    /// `flush=kafka`: acknowledged and readable from the page cache, on disk a second later.
    pub page_cache: bool,
    /// `producer.id.expiration.ms`
    pub producer_expiration_ms: i64,
}

const DAY: i64 = 24 * 60 * 60 * 1000;

impl Default for Config {
    fn default() -> Self {
        Self {
            segment_bytes: 1024 * 1024 * 1024,
            segment_ms: 7 * DAY,
            delete: true,
            compact: false,
            retention_ms: Some(7 * DAY),
            retention_bytes: None,
            max_message_bytes: 1_048_588,
            append_time: false,
            before_max_ms: i64::MAX,
            after_max_ms: 60 * 60 * 1000,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: i64::MAX,
            min_dirty_ratio: 0.5,
            delete_retention_ms: DAY,
            page_cache: false,
            producer_expiration_ms: DAY,
        }
    }
}
