//! Where a sink is: each driver's notation, with docker's refusals.

use super::words::{split_host_port, transport, url_host};
use std::path::PathBuf;

/// A name or an address, and a port.
pub(super) type Host = (String, u16);

/// Where records are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    Udp(Host),
    Tcp(Host),
    Tls(Host),
    Unix(PathBuf),
    Unixgram(PathBuf),
    /// The machine's own syslog.
    Syslog,
    /// The machine's own journal.
    Journal,
}

fn port(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| format!("parsing port \"{text}\": invalid syntax"))
}

/// `syslog-address`.
pub(super) fn syslog(text: &str) -> Result<Address, String> {
    if text.is_empty() {
        return Ok(Address::Syslog);
    }
    let Some((scheme, rest)) = transport(text) else {
        return Err(format!("syslog-address should be in form proto://address, got {text}"));
    };
    if matches!(scheme, "unix" | "unixgram") {
        let path = PathBuf::from(rest);
        return Ok(if scheme == "unix" { Address::Unix(path) } else { Address::Unixgram(path) });
    }
    let host = match split_host_port(url_host(text)?) {
        Ok((host, text)) => (host, port(&text)?),
        Err(wrong) if wrong.missing_port => (bare(rest), 514),
        Err(wrong) => return Err(wrong.text),
    };
    Ok(match scheme {
        "udp" => Address::Udp(host),
        "tcp" => Address::Tcp(host),
        _ => Address::Tls(host),
    })
}

/// `gelf-address`.
pub(super) fn gelf(text: &str) -> Result<Address, String> {
    if text.is_empty() {
        return Err("gelf-address is a required parameter".to_owned());
    }
    let Some((scheme, _)) = transport(text) else {
        return Err(format!("gelf-address should be in form proto://address, got {text}"));
    };
    if !matches!(scheme, "udp" | "tcp") {
        return Err("gelf: endpoint needs to be TCP or UDP".to_owned());
    }
    let (host, text) = split_host_port(url_host(text)?)
        .map_err(|_| "gelf: please provide gelf-address as proto://host:port".to_owned())?;
    let host = (host, port(&text)?);
    Ok(if scheme == "udp" { Address::Udp(host) } else { Address::Tcp(host) })
}

/// `fluentd-address`.
pub(super) fn fluentd(given: &str) -> Result<Address, String> {
    const PORT: u16 = 24224;
    let invalid = |why: &str| format!("invalid fluentd-address {given}: {why}");
    let (scheme, address) = match transport(given) {
        Some(("unix" | "unixgram", path)) => return Ok(Address::Unix(PathBuf::from(path))),
        Some((scheme, _)) => (scheme, url_host(given).map_err(|why| invalid(&why))?),
        None => ("tcp", given),
    };
    let host = if address.is_empty() {
        ("127.0.0.1".to_owned(), PORT)
    } else {
        match split_host_port(address) {
            Ok((host, text)) => (host, port(&text).map_err(|why| invalid(&why))?),
            Err(wrong) if wrong.missing_port => (bare(address), PORT),
            Err(wrong) => return Err(invalid(&wrong.text)),
        }
    };
    match scheme {
        "tcp" => Ok(Address::Tcp(host)),
        other => Err(invalid(&format!("{other} is not supported, use tcp or unix"))),
    }
}

fn bare(host: &str) -> String {
    let host = host.split(['/', '?', '#']).next().unwrap_or_default();
    host.trim_start_matches('[').trim_end_matches(']').to_owned()
}
