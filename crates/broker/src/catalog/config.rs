//! A topic's configuration: Kafka's words with types, defaults and limits, and what the log needs of them.

use crate::log::Config;
use std::collections::BTreeMap;

/// What kind of value a configuration has; the numbers are `DescribeConfigs`'.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "Kafka's names")]
#[repr(i8)]
pub(crate) enum Type {
    Boolean = 1,
    String = 2,
    Int = 3,
    Long = 5,
    Double = 6,
    List = 7,
}

/// One configuration that topics have.
#[derive(Debug)]
pub(crate) struct Known {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its type.
    pub(crate) kind: Type,
    /// What a topic has that says nothing.
    pub(crate) default: &'static str,
    /// What Kafka's brokers call their default for it.
    pub(crate) broker: &'static str,
    /// The values it can have.
    allowed: Allowed,
}

#[derive(Debug)]
enum Allowed {
    Any,
    /// Of these words; a list may have several.
    Words(&'static [&'static str]),
    /// Not less.
    Least(i64),
    /// Of a double: from 0 to 1.
    Share,
}

macro_rules! known {
    ($($name:literal $kind:ident $default:literal $broker:literal $allowed:expr;)*) => {
        /// Every configuration of Kafka's topics, and `flush`, which is ours.
        pub(crate) const KNOWN: &[Known] = &[$(Known {
            name: $name, kind: Type::$kind, default: $default, broker: $broker, allowed: $allowed,
        }),*];
    };
}

use Allowed::{Any, Least, Share, Words};

known! {
    "cleanup.policy" List "delete" "log.cleanup.policy" Words(&["delete", "compact"]);
    "compression.gzip.level" Int "-1" "compression.gzip.level" Least(-1);
    "compression.lz4.level" Int "9" "compression.lz4.level" Least(1);
    "compression.type" String "producer" "compression.type" Words(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]);
    "compression.zstd.level" Int "3" "compression.zstd.level" Least(-131_072);
    "delete.retention.ms" Long "86400000" "log.cleaner.delete.retention.ms" Least(0);
    "file.delete.delay.ms" Long "60000" "log.segment.delete.delay.ms" Least(0);
    "flush" String "disk" "" Words(&["disk", "kafka"]);
    "flush.messages" Long "9223372036854775807" "log.flush.interval.messages" Least(1);
    "flush.ms" Long "9223372036854775807" "log.flush.interval.ms" Least(0);
    "follower.replication.throttled.replicas" List "" "" Any;
    "index.interval.bytes" Int "4096" "log.index.interval.bytes" Least(0);
    "leader.replication.throttled.replicas" List "" "" Any;
    "local.retention.bytes" Long "-2" "log.local.retention.bytes" Least(-2);
    "local.retention.ms" Long "-2" "log.local.retention.ms" Least(-2);
    "max.compaction.lag.ms" Long "9223372036854775807" "log.cleaner.max.compaction.lag.ms" Least(1);
    "max.message.bytes" Int "1048588" "message.max.bytes" Least(0);
    "message.timestamp.after.max.ms" Long "3600000" "log.message.timestamp.after.max.ms" Least(0);
    "message.timestamp.before.max.ms" Long "9223372036854775807" "log.message.timestamp.before.max.ms" Least(0);
    "message.timestamp.type" String "CreateTime" "log.message.timestamp.type" Words(&["CreateTime", "LogAppendTime"]);
    "min.cleanable.dirty.ratio" Double "0.5" "log.cleaner.min.cleanable.ratio" Share;
    "min.compaction.lag.ms" Long "0" "log.cleaner.min.compaction.lag.ms" Least(0);
    "min.insync.replicas" Int "1" "min.insync.replicas" Least(1);
    "preallocate" Boolean "false" "log.preallocate" Any;
    "remote.log.copy.disable" Boolean "false" "" Any;
    "remote.log.delete.on.disable" Boolean "false" "" Any;
    "remote.storage.enable" Boolean "false" "" Words(&["false"]);
    "retention.bytes" Long "-1" "log.retention.bytes" Any;
    "retention.ms" Long "604800000" "log.retention.ms" Least(-1);
    "segment.bytes" Int "1073741824" "log.segment.bytes" Least(1024 * 1024);
    "segment.index.bytes" Int "10485760" "log.index.size.max.bytes" Least(4);
    "segment.jitter.ms" Long "0" "log.roll.jitter.ms" Least(0);
    "segment.ms" Long "604800000" "log.roll.ms" Least(1);
    "unclean.leader.election.enable" Boolean "false" "unclean.leader.election.enable" Any;
}

/// What a topic's owner has set.
pub(crate) type Overrides = BTreeMap<String, String>;

impl Known {
    /// The configuration of that name.
    #[must_use]
    pub(crate) fn find(name: &str) -> Option<&'static Self> {
        KNOWN.iter().find(|known| known.name == name)
    }

    fn check(&self, value: &str) -> Result<(), String> {
        let refuse = |why: &str| Err(format!("Invalid value {value} for configuration {}: {why}", self.name));
        let words: Vec<&str> = match self.kind {
            Type::List => value.split(',').map(str::trim).collect(),
            _ => vec![value],
        };
        let number = match self.kind {
            Type::Boolean if !matches!(value, "true" | "false") => {
                return refuse("Expected value to be either true or false");
            }
            Type::Int => value.parse::<i32>().map(i64::from).ok(),
            Type::Long => value.parse::<i64>().ok(),
            _ => Some(0),
        };
        let Some(number) = number else { return refuse("Not a number of its type") };
        match self.allowed {
            Allowed::Words(known) if words.iter().any(|word| !known.contains(word)) => {
                refuse(&format!("String must be one of: {}", known.join(", ")))
            }
            Allowed::Least(least) if number < least => refuse(&format!("Value must be at least {least}")),
            Allowed::Share if !value.parse::<f64>().is_ok_and(|share| (0.0..=1.0).contains(&share)) => {
                refuse("Value must be from 0 to 1")
            }
            _ => Ok(()),
        }
    }
}

/// Whether a topic can have these; the sentence says why not.
///
/// # Errors
/// If a name is unknown or a value is not one of its type.
pub(crate) fn check(overrides: &Overrides) -> Result<(), String> {
    for (name, value) in overrides {
        let known = Known::find(name).ok_or_else(|| format!("Unknown topic config name: {name}"))?;
        known.check(value)?;
    }
    let long = |name| value(overrides, name).parse::<i64>().unwrap_or_default();
    if long("min.compaction.lag.ms") > long("max.compaction.lag.ms") {
        return Err("min.compaction.lag.ms must not be greater than max.compaction.lag.ms".to_owned());
    }
    Ok(())
}

/// The value that holds.
#[must_use]
pub(crate) fn value<'a>(overrides: &'a Overrides, name: &str) -> &'a str {
    let set = overrides.get(name).map(String::as_str);
    set.or_else(|| Known::find(name).map(|known| known.default)).unwrap_or_default()
}

/// What the log needs of them; they have been checked.
#[must_use]
pub(crate) fn log(overrides: &Overrides) -> Config {
    let long = |name| value(overrides, name).parse::<i64>().unwrap_or_default();
    let size = |name| u64::try_from(long(name)).ok();
    let policy: Vec<&str> = value(overrides, "cleanup.policy").split(',').map(str::trim).collect();
    Config {
        segment_bytes: size("segment.bytes").unwrap_or(u64::MAX),
        segment_ms: long("segment.ms"),
        delete: policy.contains(&"delete"),
        compact: policy.contains(&"compact"),
        retention_ms: Some(long("retention.ms")).filter(|&limit| limit >= 0),
        retention_bytes: size("retention.bytes"),
        max_message_bytes: usize::try_from(long("max.message.bytes")).unwrap_or_default(),
        append_time: value(overrides, "message.timestamp.type") == "LogAppendTime",
        before_max_ms: long("message.timestamp.before.max.ms"),
        after_max_ms: long("message.timestamp.after.max.ms"),
        min_compaction_lag_ms: long("min.compaction.lag.ms"),
        max_compaction_lag_ms: long("max.compaction.lag.ms"),
        min_dirty_ratio: value(overrides, "min.cleanable.dirty.ratio").parse().unwrap_or(0.5),
        delete_retention_ms: long("delete.retention.ms"),
        page_cache: value(overrides, "flush") == "kafka",
        ..Config::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str, value: &str) -> Overrides {
        Overrides::from([(name.to_owned(), value.to_owned())])
    }

    #[test]
    fn defaults_are_those_of_the_log() {
        assert_eq!(log(&Overrides::new()), Config::default());
        for known in KNOWN {
            assert_eq!(
                check(&one(known.name, known.default)),
                Ok(()).or_else(|e: String| {
                    // a list may be empty by default
                    if known.default.is_empty() { Ok(()) } else { Err(e) }
                }),
                "{}",
                known.name
            );
        }
    }

    #[test]
    fn what_is_set_is_checked() {
        for (name, value) in [
            ("retention.ms", "-2"),
            ("retention.ms", "soon"),
            ("cleanup.policy", "delete,shred"),
            ("segment.bytes", "2147483648"),
            ("min.cleanable.dirty.ratio", "1.5"),
            ("preallocate", "yes"),
            ("colour", "blue"),
        ] {
            assert!(check(&one(name, value)).unwrap_err().contains(name), "{name}={value}");
        }
        assert_eq!(check(&one("cleanup.policy", "compact,delete")), Ok(()));
        let config = log(&one("cleanup.policy", "compact"));
        assert!(config.compact && !config.delete);
        assert_eq!(log(&one("retention.ms", "-1")).retention_ms, None);
    }
}
