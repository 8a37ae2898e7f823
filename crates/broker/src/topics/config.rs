//! Every configuration that a topic of Kafka 4.3 has, and ours.

use crate::{
    error::{Error, Kind, Result},
    log::Config,
};
use std::collections::BTreeMap;

/// Configured values by name.
pub type Values = BTreeMap<String, String>;

/// One configuration.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// `retention.ms`
    pub name: &'static str,
    /// What it may be.
    pub form: Form,
    /// What it is where nobody said anything.
    pub default: &'static str,
}

/// What values a configuration may have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Form {
    /// `true` or `false`
    Boolean,
    /// A number of 32 bits, at least this.
    Int(i64),
    /// A number of 64 bits, at least this.
    Long(i64),
    /// A number between 0 and 1.
    Ratio,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Some of these words, with commas between; any words where there is none.
    List(&'static [&'static str]),
}

const fn entry(name: &'static str, form: Form, default: &'static str) -> Entry {
    Entry { name, form, default }
}

const MAX: &str = "9223372036854775807";

/// All of them, sorted by name.
pub const ENTRIES: &[Entry] = &[
    entry("cleanup.policy", Form::List(&["compact", "delete"]), "delete"),
    entry("compression.gzip.level", Form::Int(-1), "-1"),
    entry("compression.lz4.level", Form::Int(1), "9"),
    entry(
        "compression.type",
        Form::Word(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]),
        "producer",
    ),
    entry("compression.zstd.level", Form::Int(-131_072), "3"),
    entry("delete.retention.ms", Form::Long(0), "86400000"),
    entry("file.delete.delay.ms", Form::Long(0), "60000"),
    // Ours: `disk` answers acks=all when the record is on disk, `kafka` when it is in the page cache.
    entry("flush", Form::Word(&["disk", "kafka"]), "disk"),
    entry("flush.messages", Form::Long(1), MAX),
    entry("flush.ms", Form::Long(0), MAX),
    entry("follower.replication.throttled.replicas", Form::List(&[]), ""),
    entry("index.interval.bytes", Form::Int(0), "4096"),
    entry("leader.replication.throttled.replicas", Form::List(&[]), ""),
    entry("local.retention.bytes", Form::Long(-2), "-2"),
    entry("local.retention.ms", Form::Long(-2), "-2"),
    entry("max.compaction.lag.ms", Form::Long(1), MAX),
    entry("max.message.bytes", Form::Int(0), "1048588"),
    entry("message.timestamp.after.max.ms", Form::Long(0), "3600000"),
    entry("message.timestamp.before.max.ms", Form::Long(0), MAX),
    entry("message.timestamp.type", Form::Word(&["CreateTime", "LogAppendTime"]), "CreateTime"),
    entry("min.cleanable.dirty.ratio", Form::Ratio, "0.5"),
    entry("min.compaction.lag.ms", Form::Long(0), "0"),
    entry("min.insync.replicas", Form::Int(1), "1"),
    entry("preallocate", Form::Boolean, "false"),
    entry("remote.log.copy.disable", Form::Boolean, "false"),
    entry("remote.log.delete.on.disable", Form::Boolean, "false"),
    entry("remote.storage.enable", Form::Boolean, "false"),
    entry("retention.bytes", Form::Long(-1), "-1"),
    entry("retention.ms", Form::Long(-1), "604800000"),
    entry("segment.bytes", Form::Int(1024 * 1024), "1073741824"),
    entry("segment.index.bytes", Form::Int(4), "10485760"),
    entry("segment.jitter.ms", Form::Long(0), "0"),
    entry("segment.ms", Form::Long(1), "604800000"),
    entry("unclean.leader.election.enable", Form::Boolean, "false"),
];

/// The entry of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Entry> {
    ENTRIES.binary_search_by(|entry| entry.name.cmp(name)).ok().map(|at| &ENTRIES[at])
}

/// Refuses names that are none and values that they cannot have.
///
/// # Errors
/// [`Kind::Invalid`] with the name.
pub fn check(values: &Values) -> Result<()> {
    for (name, value) in values {
        let refuse = |why: String| Error::new(Kind::Invalid, "configure", name, why);
        let entry = find(name).ok_or_else(|| refuse("no topic has such a configuration".to_owned()))?;
        entry.form.check(value).map_err(|why| refuse(format!("{value:?} is {why}")))?;
    }
    Ok(())
}

impl Form {
    fn check(self, value: &str) -> std::result::Result<(), String> {
        let number = |least: i64, most: i64| match value.trim().parse::<i64>() {
            Ok(number) if (least..=most).contains(&number) => Ok(()),
            Ok(_) => Err(format!("not between {least} and {most}")),
            Err(_) => Err("not a number".to_owned()),
        };
        match self {
            Self::Boolean if ["true", "false"].contains(&value.to_lowercase().as_str()) => Ok(()),
            Self::Boolean => Err("neither true nor false".to_owned()),
            Self::Int(least) => number(least, i64::from(i32::MAX)),
            Self::Long(least) => number(least, i64::MAX),
            Self::Ratio => match value.trim().parse::<f64>() {
                Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(()),
                _ => Err("not a number between 0 and 1".to_owned()),
            },
            Self::Word(words) if words.contains(&value) => Ok(()),
            Self::Word(words) => Err(format!("none of {}", words.join(", "))),
            Self::List(words) => {
                let strange = words_of(value).find(|word| !words.is_empty() && !words.contains(word));
                strange.map_or(Ok(()), |_| Err(format!("not made of {}", words.join(", "))))
            }
        }
    }
}

fn words_of(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|word| !word.is_empty())
}

/// What the log needs of a topic's `values`, over those that the broker has for all topics. Both have been checked.
#[must_use]
pub fn compile(values: &Values, defaults: &Values) -> Config {
    let value = |name: &str| {
        let set = values.get(name).or_else(|| defaults.get(name)).map(String::as_str);
        set.or_else(|| find(name).map(|entry| entry.default)).unwrap_or_default().trim()
    };
    let long = |name| value(name).parse::<i64>().unwrap_or(i64::MAX);
    let policy: Vec<&str> = words_of(value("cleanup.policy")).collect();
    Config {
        segment_bytes: long("segment.bytes").unsigned_abs(),
        segment_ms: long("segment.ms"),
        delete: policy.contains(&"delete"),
        compact: policy.contains(&"compact"),
        retention_ms: Some(long("retention.ms")).filter(|&kept| kept >= 0),
        retention_bytes: u64::try_from(long("retention.bytes")).ok(),
        max_message_bytes: usize::try_from(long("max.message.bytes")).unwrap_or(usize::MAX),
        append_time: value("message.timestamp.type") == "LogAppendTime",
        before_max_ms: long("message.timestamp.before.max.ms"),
        after_max_ms: long("message.timestamp.after.max.ms"),
        min_compaction_lag_ms: long("min.compaction.lag.ms"),
        max_compaction_lag_ms: long("max.compaction.lag.ms"),
        min_dirty_ratio: value("min.cleanable.dirty.ratio").parse().unwrap_or(0.5),
        delete_retention_ms: long("delete.retention.ms"),
        page_cache: value("flush") == "kafka",
        ..Config::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(pairs: &[(&str, &str)]) -> Values {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_table_is_sorted_and_its_defaults_are_valid() {
        assert!(ENTRIES.windows(2).all(|pair| pair[0].name < pair[1].name));
        for entry in ENTRIES {
            entry.form.check(entry.default).unwrap();
        }
        assert_eq!(compile(&Values::new(), &Values::new()), Config::default());
    }

    #[test]
    fn unknown_names_and_bad_values_are_refused_by_name() {
        check(&values(&[
            ("cleanup.policy", "compact, delete"),
            ("retention.ms", "-1"),
            ("preallocate", "True"),
        ]))
        .unwrap();
        for (name, value) in [
            ("retention.msec", "1"),
            ("retention.ms", "-2"),
            ("retention.ms", "1h"),
            ("max.message.bytes", "2147483648"),
            ("cleanup.policy", "compact,keep"),
            ("compression.type", "brotli"),
            ("min.cleanable.dirty.ratio", "1.5"),
            ("preallocate", "yes"),
        ] {
            let error = check(&values(&[(name, value)])).unwrap_err();
            assert!(error.kind == Kind::Invalid && error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn a_topics_own_value_wins_over_the_brokers() {
        let own = values(&[("cleanup.policy", "compact"), ("flush", "kafka"), ("retention.ms", "-1")]);
        let config = compile(&own, &values(&[("retention.ms", "5"), ("segment.ms", "7")]));
        assert!(config.compact && !config.delete && config.page_cache);
        assert_eq!((config.retention_ms, config.segment_ms), (None, 7));
    }
}
