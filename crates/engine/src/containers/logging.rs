//! Log drivers and their options. Bounded by default: an untouched install keeps at most 100 MB of a container's output, whatever the driver.

use super::{LogSpec, record::Record};
use crate::{
    Error, Kind, Result,
    sinks::{self, bytes},
};
use dhow_shim::LogConfig;
use std::{collections::BTreeMap, path::PathBuf};

/// Drivers that can be named.
pub const DRIVERS: [&str; 7] = ["fluentd", "gelf", "journald", "json-file", "local", "none", "syslog"];

const DEFAULT_SIZE: u64 = 20 << 20;
const DEFAULT_FILES: u32 = 5;
/// Drivers that docker has and we do not.
const ELSEWHERE: [&str; 5] = ["awslogs", "splunk", "etwlogs", "gcplogs", "logentries"];

/// Of every driver but `none`. The spool of those that send is docker's cache.
const BUILT_IN: [&str; 6] =
    ["mode", "max-buffer-size", "cache-disabled", "cache-max-size", "cache-max-file", "cache-compress"];
const LOCAL: [&str; 3] = ["max-size", "max-file", "compress"];
const ATTRIBUTES: [&str; 5] = ["labels", "labels-regex", "env", "env-regex", "tag"];

type Options = BTreeMap<String, String>;

fn invalid(message: impl Into<String>) -> Error {
    Error::new(Kind::Invalid, message)
}

/// The daemon's defaults below the container's; refuses what is unknown. Returns warnings.
pub(crate) fn settle(wanted: &mut LogSpec, default: &LogSpec) -> Result<Vec<String>> {
    let standard = if default.driver.is_empty() { "json-file" } else { &default.driver };
    if wanted.driver.is_empty() {
        wanted.driver = standard.to_owned();
    }
    for (key, value) in &default.options {
        if wanted.driver == standard || wanted.driver != "none" && key.starts_with("cache-") {
            wanted.options.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
    check(wanted)?;
    if let Some(Ok(driver)) = sinks::driver(&wanted.driver, &own_options(&wanted.options)) {
        sinks::files(&driver).map_err(invalid)?;
    }
    let compressed = wanted.options.get("compress").is_some_and(|v| v == "true");
    Ok(if compressed {
        vec!["log option compress: rotated files are kept uncompressed by this engine".to_owned()]
    } else {
        Vec::new()
    })
}

/// Whether a driver exists and takes its options.
///
/// # Errors
/// What docker would say.
pub fn check(log: &LogSpec) -> Result<()> {
    let driver = log.driver.as_str();
    if driver == "none" {
        return Ok(());
    }
    if ELSEWHERE.contains(&driver) {
        return Err(Error::new(
            Kind::Unsupported,
            format!(
                "log driver \"{driver}\" is not supported by this engine: use one of {}",
                DRIVERS.join(", ")
            ),
        ));
    }
    if !DRIVERS.contains(&driver) {
        return Err(invalid(format!("logger: no log driver named '{driver}' is registered")));
    }
    built_in(&log.options)?;
    let own = own_options(&log.options);
    let unknown = |known: &[&[&str]]| own.keys().find(|key| !known.concat().contains(&key.as_str()));
    match driver {
        "json-file" => {
            if let Some(key) = unknown(&[&LOCAL, &ATTRIBUTES]) {
                return Err(invalid(format!("unknown log opt '{key}' for json-file log driver")));
            }
        }
        "local" => {
            if let Some(key) = unknown(&[&LOCAL]) {
                return Err(invalid(format!("unknown log opt '{key}' for log driver local")));
            }
        }
        sending => {
            sinks::driver(sending, &own).transpose().map_err(invalid)?;
        }
    }
    limits(log)?;
    sinks::check(&log.options)
}

/// Those that the driver itself takes.
pub(crate) fn own_options(options: &Options) -> Options {
    let own = options.iter().filter(|(key, _)| !BUILT_IN.contains(&key.as_str()));
    own.map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Options that do not depend on the driver. Every driver is non-blocking here: the spool is on disk.
fn built_in(options: &Options) -> Result<()> {
    let text = |key: &str| options.get(key).map(String::as_str);
    let mode = text("mode").unwrap_or_default();
    if !matches!(mode, "" | "blocking" | "non-blocking") {
        return Err(invalid(format!("logger: logging mode not supported: {mode}")));
    }
    if let Some(size) = text("max-buffer-size") {
        if mode != "non-blocking" {
            return Err(invalid("logger: max-buffer-size option is only supported with 'mode=non-blocking'"));
        }
        if bytes(size).is_none() {
            return Err(invalid(format!("error parsing option max-buffer-size: invalid size: '{size}'")));
        }
    }
    match text("cache-disabled") {
        Some(value) if sinks::boolean(value).is_none() => {
            Err(invalid(format!("invalid value for option cache-disabled: {value}")))
        }
        _ => Ok(()),
    }
}

/// Bytes and files of the log on disk.
fn limits(log: &LogSpec) -> Result<(u64, u32)> {
    let local = matches!(log.driver.as_str(), "json-file" | "local");
    let (size_key, file_key) =
        if local { ("max-size", "max-file") } else { ("cache-max-size", "cache-max-file") };
    let size = match log.options.get(size_key).map(String::as_str) {
        None | Some("") => DEFAULT_SIZE,
        Some("-1") if local => 0,
        Some(text) => bytes(text).ok_or_else(|| invalid(format!("invalid value for {size_key}: {text}")))?,
    };
    let files = match log.options.get(file_key).map(String::as_str) {
        None | Some("") => DEFAULT_FILES,
        Some(text) => text
            .parse()
            .ok()
            .filter(|n| *n >= 1)
            .ok_or_else(|| invalid(format!("{file_key} cannot be less than 1")))?,
    };
    // A spool of one file would be emptied before it was sent, and nobody could count it.
    Ok((size, if local { files } else { files.max(2) }))
}

/// What the shim is told.
pub(crate) fn config(record: &Record, path: PathBuf) -> Result<LogConfig> {
    let log = &record.spec.host.log;
    if log.driver == "none" {
        return Ok(LogConfig::None);
    }
    let (max_size, max_files) = limits(log)?;
    let mut attributes = sinks::extra(&record.spec)?;
    if log.driver == "json-file" {
        attributes.extend(sinks::tag(record)?.map(|tag| ("tag".to_owned(), tag)));
    }
    let attrs = if attributes.is_empty() {
        String::new()
    } else {
        serde_json::to_string(&attributes).map_err(|e| invalid(format!("log attributes: {e}")))?
    };
    Ok(LogConfig::JsonFile { path, max_size, max_files, attrs })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(driver: &str, options: &[(&str, &str)]) -> LogSpec {
        let options = options.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        LogSpec { driver: driver.to_owned(), options }
    }

    fn refused(driver: &str, options: &[(&str, &str)]) -> String {
        settle(&mut log(driver, options), &LogSpec::default()).unwrap_err().message
    }

    #[test]
    fn bounded_by_default() {
        for (driver, options, expected) in [
            ("", &[][..], (20 << 20, 5)),
            ("local", &[], (20 << 20, 5)),
            ("syslog", &[], (20 << 20, 5)),
            ("journald", &[("cache-max-size", "1m"), ("cache-max-file", "1")], (1 << 20, 2)),
            ("json-file", &[("max-size", "10m"), ("max-file", "1")], (10 << 20, 1)),
            ("json-file", &[("max-size", "-1")], (0, 5)),
        ] {
            let mut spec = log(driver, options);
            settle(&mut spec, &LogSpec::default()).unwrap();
            assert_eq!(limits(&spec).unwrap(), expected, "{driver}");
        }
    }

    /// What dockerd 20.10.24 answers to the same `create`.
    #[test]
    fn options_are_refused_in_dockers_words() {
        for (driver, options, expected) in [
            ("", &[("nope", "1")][..], "unknown log opt 'nope' for json-file log driver"),
            ("local", &[("labels", "a")], "unknown log opt 'labels' for log driver local"),
            ("syslog", &[("mode", "foo")], "logger: logging mode not supported: foo"),
            (
                "syslog",
                &[("max-buffer-size", "4m")],
                "logger: max-buffer-size option is only supported with 'mode=non-blocking'",
            ),
            (
                "syslog",
                &[("mode", "non-blocking"), ("max-buffer-size", "foo")],
                "error parsing option max-buffer-size: invalid size: 'foo'",
            ),
            ("syslog", &[("cache-disabled", "foo")], "invalid value for option cache-disabled: foo"),
            ("syslog", &[("cache-nope", "foo")], "unknown log opt 'cache-nope' for syslog log driver"),
            ("nope", &[], "logger: no log driver named 'nope' is registered"),
        ] {
            assert_eq!(refused(driver, options), expected, "{driver} {options:?}");
        }
        assert!(refused("", &[("max-size", "ten")]).contains("max-size"));
        assert!(refused("", &[("max-file", "0")]).contains("max-file"));
        assert!(refused("syslog", &[("tag", "{{.Nope}}")]).contains("log-tag"));
        for driver in ELSEWHERE {
            let refusal = settle(&mut log(driver, &[]), &LogSpec::default()).unwrap_err();
            assert_eq!(refusal.kind, Kind::Unsupported);
            assert!(refusal.message.contains("not supported by this engine"), "{}", refusal.message);
        }
    }

    #[test]
    fn the_daemons_options_are_the_drivers() {
        let default = log("syslog", &[("syslog-facility", "mail"), ("cache-max-file", "3")]);
        let settled = |driver: &str, options: &[(&str, &str)]| {
            let mut wanted = log(driver, options);
            settle(&mut wanted, &default).map(|_| wanted)
        };
        let own = settled("", &[("tag", "x")]).unwrap();
        assert_eq!((own.driver.as_str(), own.options.len()), ("syslog", 3));
        let other = settled("journald", &[]).unwrap();
        assert_eq!(other.options.into_keys().collect::<Vec<_>>(), ["cache-max-file"]);
        assert!(settled("none", &[]).unwrap().options.is_empty());
    }
}
