//! The drivers that send, and their options: refused at create in docker's words, read into what the forwarder works with.

use super::{
    address::{self, Address},
    fluentd::Fluentd,
    gelf::{Compression, Gelf},
    syslog::{self, Syslog},
    words,
};
use dhow_registry::Trust;
use std::{
    collections::BTreeMap,
    io::ErrorKind,
    path::{Path, PathBuf},
    time::Duration,
};

/// Where records go and how.
#[derive(Debug, Clone)]
pub(crate) struct Driver {
    pub(super) address: Address,
    pub(super) format: Format,
    /// Before the second try to connect.
    pub(super) retry: Option<Duration>,
    pub(super) trust: Trust,
}

/// How a record looks on the wire.
#[derive(Debug, Clone)]
pub(super) enum Format {
    Syslog(Syslog),
    Gelf(Gelf),
    Fluentd(Fluentd),
    Journald,
}

type Options = BTreeMap<String, String>;

const COMMON: [&str; 5] = ["tag", "labels", "labels-regex", "env", "env-regex"];

/// Reads the options of one of our drivers that send; `None` for every other driver. The error is docker's sentence.
pub(crate) fn driver(name: &str, options: &Options) -> Option<Result<Driver, String>> {
    match name {
        "syslog" => Some(syslog(options)),
        "gelf" => Some(gelf(options)),
        "fluentd" => Some(fluentd(options)),
        "journald" => Some(journald(options)),
        _ => None,
    }
}

/// Whether the files that a driver names are there, as docker asks when a container is made. Later they may come and go.
pub(crate) fn files(driver: &Driver) -> Result<(), String> {
    let missing = |path: &Path| match std::fs::metadata(path) {
        Ok(_) => None,
        Err(error) if error.kind() == ErrorKind::NotFound => Some("no such file or directory".to_owned()),
        Err(error) => Some(error.to_string()),
    };
    let path = match &driver.address {
        Address::Unix(path) | Address::Unixgram(path) if matches!(driver.format, Format::Syslog(_)) => path,
        Address::Tls(_) => {
            let identity = driver.trust.identity.iter().flat_map(|(certificate, key)| [certificate, key]);
            let (ca, wrong) = ("could not read CA certificate", "could not load X509 key pair");
            let all = driver.trust.ca.iter().map(|path| (ca, path)).chain(identity.map(|path| (wrong, path)));
            for (what, path) in all {
                if let Some(why) = missing(path) {
                    let shown = path.display();
                    return Err(format!(
                        "failed to initialize logging driver: {what} \"{shown}\": open {shown}: {why}"
                    ));
                }
            }
            return Ok(());
        }
        _ => return Ok(()),
    };
    missing(path).map_or(Ok(()), |why| Err(format!("stat {}: {why}", path.display())))
}

fn known(driver: &str, options: &Options, own: &[&str]) -> Result<(), String> {
    match options.keys().find(|key| !COMMON.contains(&key.as_str()) && !own.contains(&key.as_str())) {
        Some(unknown) if driver == "gelf" => {
            Err(format!("unknown log opt \"{unknown}\" for gelf log driver"))
        }
        Some(unknown) => Err(format!("unknown log opt '{unknown}' for {driver} log driver")),
        None => Ok(()),
    }
}

fn text<'a>(options: &'a Options, key: &str) -> &'a str {
    options.get(key).map(String::as_str).unwrap_or_default()
}

fn verified() -> Trust {
    Trust { verify: true, ..Trust::default() }
}

fn journald(options: &Options) -> Result<Driver, String> {
    known("journald", options, &[])?;
    Ok(Driver { address: Address::Journal, format: Format::Journald, retry: None, trust: verified() })
}

fn syslog(options: &Options) -> Result<Driver, String> {
    let own = [
        "syslog-address",
        "syslog-facility",
        "syslog-format",
        "syslog-tls-ca-cert",
        "syslog-tls-cert",
        "syslog-tls-key",
        "syslog-tls-skip-verify",
    ];
    known("syslog", options, &own)?;
    let address = address::syslog(text(options, "syslog-address"))?;
    let facility = syslog::facility(text(options, "syslog-facility"))?;
    let shape = syslog::Shape::parse(text(options, "syslog-format"))?;
    let counted = matches!(address, Address::Tls(_)) && shape.is_rfc5424();
    let path = |key: &str| options.get(key).filter(|path| !path.is_empty()).map(PathBuf::from);
    let trust = Trust {
        ca: path("syslog-tls-ca-cert"),
        identity: path("syslog-tls-cert").zip(path("syslog-tls-key")),
        // As docker: that it is there is enough.
        verify: !options.contains_key("syslog-tls-skip-verify"),
    };
    Ok(Driver { address, format: Format::Syslog(Syslog { facility, shape, counted }), retry: None, trust })
}

fn gelf(options: &Options) -> Result<Driver, String> {
    let address = address::gelf(text(options, "gelf-address"))?;
    let own = [
        "gelf-address",
        "gelf-compression-level",
        "gelf-compression-type",
        "gelf-tcp-max-reconnect",
        "gelf-tcp-reconnect-delay",
    ];
    known("gelf", options, &own)?;
    let udp = matches!(address, Address::Udp(_));
    let unknown = |key: &str, value: &str| {
        format!("unknown value \"{value}\" for log opt \"{key}\" for gelf log driver")
    };
    let mut level = 1;
    let mut compression = if udp { Compression::Gzip } else { Compression::None };
    for (key, value) in options {
        match key.as_str() {
            "gelf-compression-level" | "gelf-compression-type" if !udp => {
                return Err("compression is only supported on UDP".to_owned());
            }
            "gelf-compression-level" => {
                level = value
                    .parse::<i32>()
                    .ok()
                    .filter(|level| (-1..=9).contains(level))
                    .ok_or_else(|| unknown(key, value))?;
            }
            "gelf-compression-type" => {
                compression = match value.as_str() {
                    "gzip" => Compression::Gzip,
                    "zlib" => Compression::Zlib,
                    "none" => Compression::None,
                    _ => return Err(unknown(key, value)),
                };
            }
            "gelf-tcp-max-reconnect" | "gelf-tcp-reconnect-delay" if udp => {
                return Err(format!("\"{key}\" is only valid for TCP"));
            }
            "gelf-tcp-max-reconnect" | "gelf-tcp-reconnect-delay" if value.parse::<u32>().is_err() => {
                return Err(format!("\"{key}\" must be a positive integer"));
            }
            _ => {}
        }
    }
    let retry = options.get("gelf-tcp-reconnect-delay").and_then(|text| text.parse().ok());
    let format = Format::Gelf(Gelf { compression, level, udp });
    Ok(Driver { address, format, retry: retry.map(Duration::from_secs), trust: verified() })
}

fn fluentd(options: &Options) -> Result<Driver, String> {
    let own = [
        "fluentd-address",
        "fluentd-async",
        "fluentd-async-connect",
        "fluentd-async-reconnect-interval",
        "fluentd-buffer-limit",
        "fluentd-max-retries",
        "fluentd-read-timeout",
        "fluentd-request-ack",
        "fluentd-retry-wait",
        "fluentd-sub-second-precision",
        "fluentd-write-timeout",
    ];
    known("fluentd", options, &own)?;
    let address = address::fluentd(text(options, "fluentd-address"))?;
    let set = |key: &str| options.get(key).filter(|text| !text.is_empty());
    if let Some(limit) = set("fluentd-buffer-limit")
        && words::bytes(limit).is_none()
    {
        return Err(format!("invalid size: '{limit}'"));
    }
    let duration = |key: &str| match set(key) {
        None => Ok(None),
        Some(text) => {
            words::duration(text).map(Some).ok_or_else(|| format!("time: invalid duration \"{text}\""))
        }
    };
    let retry = duration("fluentd-retry-wait")?;
    for key in ["fluentd-async-reconnect-interval", "fluentd-read-timeout", "fluentd-write-timeout"] {
        duration(key)?;
    }
    if let Some(retries) = set("fluentd-max-retries")
        && retries.parse::<u64>().is_err()
    {
        return Err(format!("strconv.ParseUint: parsing \"{retries}\": invalid syntax"));
    }
    if set("fluentd-async").is_some() && set("fluentd-async-connect").is_some() {
        return Err(
            "conflicting options: cannot specify both 'fluentd-async' and 'fluentd-async-connect".to_owned()
        );
    }
    let flag = |key: &str| match set(key) {
        None => Ok(false),
        Some(text) => words::boolean(text)
            .ok_or_else(|| format!("strconv.ParseBool: parsing \"{text}\": invalid syntax")),
    };
    flag("fluentd-async")?;
    flag("fluentd-async-connect")?;
    let format = Format::Fluentd(Fluentd {
        precise: flag("fluentd-sub-second-precision")?,
        acknowledged: flag("fluentd-request-ack")?,
    });
    Ok(Driver { address, format, retry, trust: verified() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(name: &str, options: &[&str]) -> String {
        let options =
            options.iter().filter_map(|o| o.split_once('=')).map(|(k, v)| (k.into(), v.into())).collect();
        driver(name, &options).unwrap().and_then(|driver| files(&driver)).unwrap_err()
    }

    /// What dockerd 20.10.24 answers to the same `create` (or, of the certificate, `start`).
    const REFUSED: &[(&str, &[&str], &str)] = &[
        ("syslog", &["nope=1"], "unknown log opt 'nope' for syslog log driver"),
        ("syslog", &["max-size=1m"], "unknown log opt 'max-size' for syslog log driver"),
        ("syslog", &["syslog-address=foo"], "syslog-address should be in form proto://address, got foo"),
        (
            "syslog",
            &["syslog-address=http://foo"],
            "syslog-address should be in form proto://address, got http://foo",
        ),
        ("syslog", &["syslog-address=unix:///nonexist"], "stat /nonexist: no such file or directory"),
        ("syslog", &["syslog-address=tcp://a:b:c"], "parse \"tcp://a:b:c\": invalid port \":c\" after host"),
        ("syslog", &["syslog-facility=foo"], "invalid syslog facility"),
        ("syslog", &["syslog-facility=24"], "invalid syslog facility"),
        ("syslog", &["syslog-format=foo"], "Invalid syslog format"),
        (
            "syslog",
            &["syslog-address=tcp+tls://127.0.0.1:1", "syslog-tls-ca-cert=/nonexist"],
            "failed to initialize logging driver: could not read CA certificate \"/nonexist\": open /nonexist: no such file or directory",
        ),
        ("journald", &["nope=1"], "unknown log opt 'nope' for journald log driver"),
        ("gelf", &[], "gelf-address is a required parameter"),
        ("gelf", &["gelf-address=foo"], "gelf-address should be in form proto://address, got foo"),
        ("gelf", &["gelf-address=unix:///foo"], "gelf: endpoint needs to be TCP or UDP"),
        ("gelf", &["gelf-address=udp://foo"], "gelf: please provide gelf-address as proto://host:port"),
        ("gelf", &["gelf-address=udp://foo:1", "nope=1"], "unknown log opt \"nope\" for gelf log driver"),
        (
            "gelf",
            &["gelf-address=udp://foo:1", "gelf-compression-type=foo"],
            "unknown value \"foo\" for log opt \"gelf-compression-type\" for gelf log driver",
        ),
        (
            "gelf",
            &["gelf-address=udp://foo:1", "gelf-compression-level=10"],
            "unknown value \"10\" for log opt \"gelf-compression-level\" for gelf log driver",
        ),
        (
            "gelf",
            &["gelf-address=tcp://foo:1", "gelf-compression-level=1"],
            "compression is only supported on UDP",
        ),
        (
            "gelf",
            &["gelf-address=udp://foo:1", "gelf-tcp-max-reconnect=1"],
            "\"gelf-tcp-max-reconnect\" is only valid for TCP",
        ),
        (
            "gelf",
            &["gelf-address=tcp://foo:1", "gelf-tcp-max-reconnect=-1"],
            "\"gelf-tcp-max-reconnect\" must be a positive integer",
        ),
        ("fluentd", &["nope=1"], "unknown log opt 'nope' for fluentd log driver"),
        (
            "fluentd",
            &["fluentd-address=a:b:c"],
            "invalid fluentd-address a:b:c: address a:b:c: too many colons in address",
        ),
        (
            "fluentd",
            &["fluentd-address=tcp://a:x"],
            "invalid fluentd-address tcp://a:x: parse \"tcp://a:x\": invalid port \":x\" after host",
        ),
        (
            "fluentd",
            &["fluentd-address=tls://a:1"],
            "invalid fluentd-address tls://a:1: address tls://a:1: too many colons in address",
        ),
        ("fluentd", &["fluentd-buffer-limit=x"], "invalid size: 'x'"),
        ("fluentd", &["fluentd-retry-wait=x"], "time: invalid duration \"x\""),
        ("fluentd", &["fluentd-max-retries=x"], "strconv.ParseUint: parsing \"x\": invalid syntax"),
        ("fluentd", &["fluentd-async=x"], "strconv.ParseBool: parsing \"x\": invalid syntax"),
        (
            "fluentd",
            &["fluentd-async=true", "fluentd-async-connect=true"],
            "conflicting options: cannot specify both 'fluentd-async' and 'fluentd-async-connect",
        ),
        ("fluentd", &["fluentd-request-ack=x"], "strconv.ParseBool: parsing \"x\": invalid syntax"),
    ];

    #[test]
    fn options_are_refused_in_dockers_words() {
        for (name, options, expected) in REFUSED {
            assert_eq!(refused(name, options), *expected, "{name} {options:?}");
        }
    }

    #[test]
    fn defaults_are_dockers() {
        let read = |name: &str, options: &[(&str, &str)]| {
            let options = options.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            driver(name, &options).unwrap().unwrap()
        };
        assert_eq!(read("syslog", &[]).address, Address::Syslog);
        assert_eq!(
            read("syslog", &[("syslog-address", "udp://log")]).address,
            Address::Udp(("log".to_owned(), 514))
        );
        assert_eq!(read("fluentd", &[]).address, Address::Tcp(("127.0.0.1".to_owned(), 24224)));
        assert_eq!(
            read("fluentd", &[("fluentd-address", "[::1]")]).address,
            Address::Tcp(("::1".to_owned(), 24224))
        );
        let gelf = read("gelf", &[("gelf-address", "tcp://g:12201"), ("gelf-tcp-reconnect-delay", "3")]);
        assert_eq!(gelf.retry, Some(Duration::from_secs(3)));
        assert!(driver("json-file", &BTreeMap::new()).is_none());
        assert!(!read("syslog", &[("syslog-tls-skip-verify", "false")]).trust.verify);
    }
}
