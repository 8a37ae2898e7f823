//! Log drivers and their options. Bounded by default: an untouched install keeps at most 100 MB of a container's output.

use super::{LogSpec, Spec};
use crate::{Error, Kind, Result};
use dhow_shim::LogConfig;
use std::{collections::BTreeMap, path::PathBuf};

const DEFAULT_SIZE: u64 = 20 << 20;
const DEFAULT_FILES: u32 = 5;
/// Drivers that docker has and we do not.
const ELSEWHERE: [&str; 9] =
    ["syslog", "journald", "gelf", "fluentd", "awslogs", "splunk", "etwlogs", "gcplogs", "logentries"];

const OPTIONS: [&str; 9] =
    ["max-size", "max-file", "compress", "labels", "env", "tag", "mode", "max-buffer-size", "labels-regex"];

fn invalid(message: String) -> Error {
    Error::new(Kind::Invalid, message)
}

/// The daemon's defaults below the container's; refuses what is unknown. Returns warnings.
pub(crate) fn settle(wanted: &mut LogSpec, default: &LogSpec) -> Result<Vec<String>> {
    if wanted.driver.is_empty() {
        wanted.driver =
            if default.driver.is_empty() { "json-file".to_owned() } else { default.driver.clone() };
    }
    if wanted.driver == default.driver || default.driver.is_empty() && wanted.driver == "json-file" {
        for (key, value) in &default.options {
            wanted.options.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
    match wanted.driver.as_str() {
        "json-file" | "local" => {}
        "none" => return Ok(Vec::new()),
        other if !ELSEWHERE.contains(&other) => {
            return Err(invalid(format!("logger: no log driver named '{other}' is registered")));
        }
        other => {
            return Err(Error::new(
                Kind::Unsupported,
                format!(
                    "log driver \"{other}\" is not supported by this engine: use json-file, local or none"
                ),
            ));
        }
    }
    if let Some(unknown) = wanted.options.keys().find(|key| !OPTIONS.contains(&key.as_str())) {
        return Err(invalid(format!("unknown log opt '{unknown}' for {} log driver", wanted.driver)));
    }
    limits(&wanted.options)?;
    let compressed = wanted.options.get("compress").is_some_and(|v| v == "true");
    Ok(if compressed {
        vec!["log option compress: rotated files are kept uncompressed by this engine".to_owned()]
    } else {
        Vec::new()
    })
}

/// Bytes and files.
fn limits(options: &BTreeMap<String, String>) -> Result<(u64, u32)> {
    let size = match options.get("max-size").map(String::as_str) {
        None | Some("") => DEFAULT_SIZE,
        Some("-1") => 0,
        Some(text) => bytes(text).ok_or_else(|| invalid(format!("invalid value for max-size: {text}")))?,
    };
    let files = match options.get("max-file").map(String::as_str) {
        None | Some("") => DEFAULT_FILES,
        Some(text) => text
            .parse()
            .ok()
            .filter(|n| *n >= 1)
            .ok_or_else(|| invalid("max-file cannot be less than 1".to_owned()))?,
    };
    Ok((size, files))
}

/// `10m`, `1g`, `512k`, `100`.
fn bytes(text: &str) -> Option<u64> {
    let lower = text.trim().to_ascii_lowercase();
    let bare = lower.trim_end_matches('b').trim_end_matches('i');
    let (digits, shift) = match bare.as_bytes().last()? {
        b'k' => (&bare[..bare.len() - 1], 10),
        b'm' => (&bare[..bare.len() - 1], 20),
        b'g' => (&bare[..bare.len() - 1], 30),
        b't' => (&bare[..bare.len() - 1], 40),
        _ => (bare, 0),
    };
    let number: f64 = digits.trim().parse().ok().filter(|n: &f64| *n > 0.0 && n.is_finite())?;
    Some((number * (1u64 << shift) as f64) as u64)
}

/// What the shim is told.
pub(crate) fn config(spec: &Spec, path: PathBuf) -> Result<LogConfig> {
    let log = &spec.host.log;
    if log.driver == "none" {
        return Ok(LogConfig::None);
    }
    let (max_size, max_files) = limits(&log.options)?;
    let mut attributes = BTreeMap::new();
    let listed = |key: &str| {
        log.options.get(key).map(|v| v.split(',').map(str::to_owned).collect::<Vec<_>>()).unwrap_or_default()
    };
    for name in listed("labels") {
        if let Some(value) = spec.labels.get(&name) {
            attributes.insert(name, value.clone());
        }
    }
    for name in listed("env") {
        if let Some((_, value)) = spec.env.iter().filter_map(|e| e.split_once('=')).find(|(k, _)| *k == name)
        {
            attributes.insert(name, value.to_owned());
        }
    }
    if let Some(tag) = log.options.get("tag").filter(|t| !t.is_empty()) {
        attributes.insert("tag".to_owned(), tag.clone());
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

    #[test]
    fn bounded_by_default() {
        let mut spec = Spec::default();
        settle(&mut spec.host.log, &LogSpec::default()).unwrap();
        let made = config(&spec, PathBuf::from("/l")).unwrap();
        assert_eq!(
            made,
            LogConfig::JsonFile { path: "/l".into(), max_size: 20 << 20, max_files: 5, attrs: String::new() }
        );
    }

    #[test]
    fn options_are_checked() {
        let with = |driver: &str, key: &str, value: &str| {
            let mut log =
                LogSpec { driver: driver.into(), options: BTreeMap::from([(key.into(), value.into())]) };
            settle(&mut log, &LogSpec::default()).map_err(|e| e.message)
        };
        assert!(with("json-file", "max-size", "10m").is_ok());
        assert!(with("json-file", "max-size", "ten").is_err());
        assert!(with("", "max-file", "0").is_err());
        assert_eq!(with("", "nope", "1").unwrap_err(), "unknown log opt 'nope' for json-file log driver");
        assert!(with("syslog", "a", "b").unwrap_err().contains("not supported"));
        assert_eq!(bytes("1.5k"), Some(1536));
        assert_eq!(bytes("10MB"), Some(10 << 20));
    }
}
