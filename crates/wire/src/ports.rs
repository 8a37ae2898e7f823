//! `-p` and `--expose`: docker's port notation (docker/go-connections `nat`).

use crate::Malformed;
use std::net::IpAddr;

/// One port mapping after ranges are spread.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mapping {
    /// Empty: every address.
    pub host_ip: String,
    /// Empty: any port; `8000-8010`: one of these (a host range for one container port); else one number.
    pub host_port: String,
    /// In the container.
    pub container_port: u16,
    /// `tcp`, `udp`, `sctp`.
    pub protocol: String,
}

impl Mapping {
    /// `80/tcp`: the key of `ExposedPorts` and `PortBindings`.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}/{}", self.container_port, self.protocol)
    }
}

/// Reads `[ip:][host[-host]:]container[-container][/protocol]`; an IPv6 address stands in brackets.
///
/// # Errors
/// docker's sentences: `invalid containerPort: x`, `invalid hostPort: x`, `invalid IP address: x`, unequal ranges.
pub fn parse(text: &str) -> Result<Vec<Mapping>, Malformed> {
    let (text_ports, protocol) = split_protocol(text)?;
    let (host_ip, host, container) = split_parts(text_ports, text)?;
    if container.is_empty() {
        return Err(Malformed(format!("no port specified: {text}<empty>")));
    }
    let (first, last) =
        range(container).ok_or_else(|| Malformed(format!("invalid containerPort: {container}")))?;
    let host_range = match host {
        "" => None,
        host => Some(range_with_zero(host).ok_or_else(|| Malformed(format!("invalid hostPort: {host}")))?),
    };
    if let Some((low, high)) = host_range
        && high - low != last - first
        && first != last
    {
        return Err(Malformed(format!(
            "invalid ranges specified for container and host Ports: {container} and {host}"
        )));
    }
    let mapping = |port: u16| Mapping {
        host_ip: host_ip.clone(),
        host_port: match host_range {
            None => String::new(),
            Some((low, high)) if first == last && low != high => format!("{low}-{high}"),
            Some((low, _)) => (low + (port - first)).to_string(),
        },
        container_port: port,
        protocol: protocol.clone(),
    };
    Ok((first..=last).map(mapping).collect())
}

/// Reads `80`, `80/udp`, `8000-8010/tcp` (`--expose`, keys of `ExposedPorts`): ports and protocol.
///
/// # Errors
/// docker's `invalid containerPort`, `invalid proto`.
pub fn exposed(text: &str) -> Result<Vec<(u16, String)>, Malformed> {
    let (ports, protocol) = split_protocol(text)?;
    let (first, last) = range(ports).ok_or_else(|| Malformed(format!("invalid containerPort: {ports}")))?;
    Ok((first..=last).map(|port| (port, protocol.clone())).collect())
}

fn split_protocol(text: &str) -> Result<(&str, String), Malformed> {
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = if protocol.is_empty() { "tcp".to_owned() } else { protocol.to_ascii_lowercase() };
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(Malformed(format!("invalid proto: {protocol}")));
    }
    Ok((ports, protocol))
}

/// (address, host ports, container ports).
fn split_parts<'a>(ports: &'a str, whole: &str) -> Result<(String, &'a str, &'a str), Malformed> {
    let (left, container) = ports.rsplit_once(':').unwrap_or(("", ports));
    if !ports.contains(':') {
        return Ok((String::new(), "", container));
    }
    let (ip, host) = left.rsplit_once(':').map_or(("", left), |(ip, host)| (ip, host));
    // `[::1]::80`, `::1::80`: what is left of the last two colons is the address.
    let bare = ip.strip_prefix('[').and_then(|ip| ip.strip_suffix(']')).unwrap_or(ip);
    if !bare.is_empty() && bare.parse::<IpAddr>().is_err() {
        return Err(Malformed(format!("invalid IP address: {bare} (in {whole:?})")));
    }
    Ok((bare.to_owned(), host, container))
}

fn range(text: &str) -> Option<(u16, u16)> {
    range_with_zero(text).filter(|(first, _)| *first > 0)
}

fn range_with_zero(text: &str) -> Option<(u16, u16)> {
    let port =
        |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u16>().ok()).flatten();
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (port(first)?, port(last)?),
        None => (port(text)?, port(text)?),
    };
    (first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(ip: &str, host: &str, port: u16, protocol: &str) -> Mapping {
        Mapping {
            host_ip: ip.into(),
            host_port: host.into(),
            container_port: port,
            protocol: protocol.into(),
        }
    }

    #[test]
    fn every_form_reads() {
        for (text, wanted) in [
            ("80", vec![one("", "", 80, "tcp")]),
            ("53/udp", vec![one("", "", 53, "udp")]),
            ("8080:80", vec![one("", "8080", 80, "tcp")]),
            ("0:80", vec![one("", "0", 80, "tcp")]),
            ("127.0.0.1:8080:80/TCP", vec![one("127.0.0.1", "8080", 80, "tcp")]),
            ("127.0.0.1::80", vec![one("127.0.0.1", "", 80, "tcp")]),
            ("[::1]:8080:80", vec![one("::1", "8080", 80, "tcp")]),
            ("[::1]::80", vec![one("::1", "", 80, "tcp")]),
            ("8000-8010:80", vec![one("", "8000-8010", 80, "tcp")]),
            ("1000-1001:2000-2001", vec![one("", "1000", 2000, "tcp"), one("", "1001", 2001, "tcp")]),
            ("2000-2001", vec![one("", "", 2000, "tcp"), one("", "", 2001, "tcp")]),
        ] {
            assert_eq!(parse(text), Ok(wanted), "{text}");
        }
        assert_eq!(exposed("10-11/sctp"), Ok(vec![(10, "sctp".into()), (11, "sctp".into())]));
        assert_eq!(one("", "", 80, "tcp").key(), "80/tcp");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, words) in [
            ("", "no port specified"),
            ("x", "invalid containerPort: x"),
            ("0", "invalid containerPort: 0"),
            ("70000", "invalid containerPort"),
            ("y:80", "invalid hostPort: y"),
            ("80/icmp", "invalid proto: icmp"),
            ("1.2.3:80:80", "invalid IP address: 1.2.3"),
            ("1-3:1-2", "invalid ranges"),
            ("3-1", "invalid containerPort"),
        ] {
            assert!(parse(text).is_err_and(|e| e.0.contains(words)), "{text}");
        }
    }
}
