//! `-p` and `-P`: docker's words → what the network publishes. Pure.

use super::Spec;
use crate::{Error, Kind, Result};
use dhow_net::{Protocol, Publish};

/// `80/tcp`, `53/udp`, `80`.
pub(crate) fn port(text: &str) -> Result<(u16, Protocol)> {
    let wrong = || Error::new(Kind::Invalid, format!("invalid port specification: \"{text}\""));
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = match protocol.to_ascii_lowercase().as_str() {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "sctp" => Protocol::Sctp,
        other => return Err(Error::new(Kind::Invalid, format!("invalid proto: {other}"))),
    };
    let number = number.parse::<u16>().ok().filter(|n| *n > 0).ok_or_else(wrong)?;
    Ok((number, protocol))
}

/// A port as docker's maps name it: `80/tcp` for `80`, too.
#[must_use]
pub fn canonical(text: &str) -> String {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    format!("{number}/{}", protocol.to_ascii_lowercase())
}

/// Everything a container publishes.
pub(crate) fn publishes(spec: &Spec) -> Result<Vec<Publish>> {
    let mut all = Vec::new();
    for (inside, bindings) in &spec.host.port_bindings {
        let (container_port, protocol) = port(inside)?;
        for binding in bindings {
            let host_ip = match binding.host_ip.as_str() {
                "" => None,
                text => Some(
                    text.parse()
                        .map_err(|_| Error::new(Kind::Invalid, format!("invalid IP address: {text}")))?,
                ),
            };
            all.push(Publish { container_port, protocol, host_ip, host_port: range(&binding.host_port)? });
        }
        if bindings.is_empty() {
            all.push(Publish { container_port, protocol, host_ip: None, host_port: (0, 0) });
        }
    }
    if spec.host.publish_all {
        for exposed in &spec.exposed_ports {
            let (container_port, protocol) = port(exposed)?;
            if !all.iter().any(|p| p.container_port == container_port && p.protocol == protocol) {
                all.push(Publish { container_port, protocol, host_ip: None, host_port: (0, 0) });
            }
        }
    }
    Ok(all)
}

fn range(text: &str) -> Result<(u16, u16)> {
    if text.is_empty() {
        return Ok((0, 0));
    }
    let parse = || {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last) = (first.parse::<u16>().ok()?, last.parse::<u16>().ok()?);
        (first <= last).then_some((first, last))
    };
    parse().ok_or_else(|| Error::new(Kind::Invalid, format!("invalid port specification: \"{text}\"")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::containers::PortBinding;

    #[test]
    fn bindings_ranges_and_exposed() {
        let mut spec = Spec { exposed_ports: vec!["80/tcp".into(), "53/udp".into()], ..Spec::default() };
        let binding = |ip: &str, port: &str| PortBinding { host_ip: ip.into(), host_port: port.into() };
        spec.host
            .port_bindings
            .insert("80/tcp".into(), vec![binding("127.0.0.1", "8080"), binding("", "9000-9010")]);
        assert_eq!(publishes(&spec).unwrap().len(), 2);
        spec.host.publish_all = true;
        let all = publishes(&spec).unwrap();
        assert_eq!((all.len(), all[1].host_port, all[2].container_port), (3, (9000, 9010), 53));
        spec.host.port_bindings.insert("80/tcp".into(), vec![binding("nowhere", "1")]);
        assert!(publishes(&spec).is_err());
        assert_eq!(["80", "53/UDP", "1/tcp"].map(canonical), ["80/tcp", "53/udp", "1/tcp"]);
        assert!(port("80/xyz").is_err() && port("0").is_err() && range("9-1").is_err());
    }
}
