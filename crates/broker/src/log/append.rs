//! What comes in: checks that need no lock, then the log.

use super::{Partition, Reported, config::Config, now, writer::Placed};
use crate::{
    error::{Error, Kind, Result},
    flush::Ticket,
};
use dhow_kafka::batch::{self, Batch, Builder, Compression, Marker};

/// Decompressed records of one batch are not looked at beyond this.
pub(super) const MOST_UNPACKED: usize = 256 * 1024 * 1024;

/// Whether somebody waits for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// `acks=all`: the ticket is waited for.
    Synced,
    /// `acks=0` and `acks=1`: on disk within a second, or when a consumer asks.
    Soon,
}

/// A batch in the log.
#[derive(Debug)]
pub struct Appended {
    /// Of its first record.
    pub base_offset: i64,
    /// Of its last record.
    pub last_offset: i64,
    /// The broker's time, if the topic's timestamps are that; else -1.
    pub append_time: i64,
    /// Where the log begins.
    pub log_start: i64,
    /// It was there before: the producer repeats itself.
    pub duplicate: bool,
    /// Kept when it is on disk; a producer with `acks=all` is not answered before. Kept at once on a topic with `flush=kafka`.
    pub ticket: Ticket,
}

impl Partition {
    /// Appends a producer's batch. `bytes` gets its offset, leader epoch and perhaps time in place.
    ///
    /// # Errors
    /// [`Kind::Corrupt`], [`Kind::InvalidRecord`], [`Kind::TooLarge`], [`Kind::InvalidTimestamp`] for what it is;
    /// [`Kind::OutOfOrderSequence`], [`Kind::InvalidProducerEpoch`], [`Kind::InvalidTxnState`] for when it comes;
    /// [`Kind::Storage`] if the disk is full or failed: then it is not in the log.
    pub fn append(&self, bytes: &mut [u8], durability: Durability) -> Result<Appended> {
        let config = self.0.config();
        let time = now();
        let refuse = |kind, why: &dyn std::fmt::Display| Error::new(kind, "append to", self.name(), why);
        if bytes.len() > config.max_message_bytes {
            return Err(refuse(
                Kind::TooLarge,
                &format!("{} bytes are more than max.message.bytes", bytes.len()),
            ));
        }
        let batch = Batch::produced(bytes).map_err(|why| refuse(kind_of(&why), &why))?;
        check(&batch, &config, time).map_err(|(kind, why)| refuse(kind, &why))?;
        if config.append_time {
            batch::stamp_append_time(bytes, time);
        }
        let appended = self.place(bytes, &config, time)?;
        self.report(&config, &appended, durability);
        Ok(appended)
    }

    /// Ends a producer's transaction here with a marker. `coordinator_epoch` is that of the transaction's coordinator.
    ///
    /// # Errors
    /// [`Kind::InvalidProducerEpoch`] or [`Kind::ProducerFenced`] if somebody newer was here; [`Kind::Storage`].
    pub fn end_transaction(
        &self,
        marker: Marker,
        producer: (i64, i16),
        coordinator_epoch: i32,
    ) -> Result<Appended> {
        let time = now();
        let built = Builder::control(marker, producer, coordinator_epoch, time).build();
        let mut bytes =
            built.map_err(|why| Error::new(Kind::Corrupt, "append a marker to", self.name(), why))?;
        let config = self.0.config();
        let appended = self.place(&mut bytes, &config, time)?;
        self.report(&config, &appended, Durability::Synced);
        Ok(appended)
    }

    fn place(&self, bytes: &mut [u8], config: &Config, time: i64) -> Result<Appended> {
        // The ticket is made under the lock: a sync that fails in between must break it.
        self.0.with(|log| {
            let placed = log.append(bytes, config, time)?;
            let (base_offset, last_offset, duplicate) = match placed {
                Placed::At(base) => (base, log.end - 1, false),
                Placed::Before(sent) => (sent.first_offset, sent.last_offset, true),
            };
            if config.page_cache {
                self.0.progress.advance(log.end);
            }
            let ticket = self.0.progress.ticket(last_offset + 1);
            let append_time = if config.append_time { time } else { -1 };
            Ok(Appended { base_offset, last_offset, append_time, log_start: log.start, duplicate, ticket })
        })
    }

    /// Tells the flusher of what was appended.
    fn report(&self, config: &Config, appended: &Appended, durability: Durability) {
        let urgent = !config.page_cache && (durability == Durability::Synced || self.0.progress.is_awaited());
        if !appended.ticket.is_done() || config.page_cache {
            self.0.report(if urgent { Reported::Now } else { Reported::Later });
        }
    }
}

fn kind_of(error: &batch::Error) -> Kind {
    match error {
        batch::Error::Invalid(_) | batch::Error::Record(_) => Kind::InvalidRecord,
        _ => Kind::Corrupt,
    }
}

/// What the topic asks of a batch.
fn check(batch: &Batch<'_>, config: &Config, time: i64) -> std::result::Result<(), (Kind, String)> {
    let header = batch.header();
    if !config.append_time {
        let late = header.max_timestamp.saturating_sub(time) > config.after_max_ms;
        let early =
            header.base_timestamp >= 0 && time.saturating_sub(header.base_timestamp) > config.before_max_ms;
        if late || early {
            let limit =
                if late { "message.timestamp.after.max.ms" } else { "message.timestamp.before.max.ms" };
            return Err((Kind::InvalidTimestamp, format!("a timestamp is further from now than {limit}")));
        }
    }
    if config.compact {
        let records = batch.records(MOST_UNPACKED).map_err(|why| (Kind::InvalidRecord, why.to_string()))?;
        if header.compression() != Some(Compression::None) {
            records.check().map_err(|why| (Kind::InvalidRecord, why.to_string()))?;
        }
        if records.iter().flatten().any(|record| record.key.is_none()) {
            return Err((Kind::InvalidRecord, "a compacted topic takes no record without a key".to_owned()));
        }
    }
    Ok(())
}
