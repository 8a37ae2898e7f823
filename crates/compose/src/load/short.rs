//! The short syntax of ports, volumes and devices.

use super::canonical::fail;
use crate::{
    error::Error,
    yaml::{Node, Value},
};

/// `[ip:][published[-end]:]target[-end][/protocol]` → one mapping per target port.
pub(super) fn port(node: &Node, path: &str) -> Result<Vec<Node>, Error> {
    let Some(text) = node.as_text() else { return Ok(vec![node.clone()]) };
    let bad = |why: &str| fail(node, path, format!("invalid port \"{text}\": {why}"));
    let (spec, protocol) = text.rsplit_once('/').unwrap_or((text, "tcp"));
    if !matches!(protocol, "tcp" | "udp" | "sctp") {
        return Err(bad("the protocol must be tcp, udp or sctp"));
    }
    let (head, target) = spec.rsplit_once(':').map_or((None, spec), |(head, target)| (Some(head), target));
    let (ip, published) = match head {
        None => (None, None),
        Some(head) => match head.rsplit_once(':') {
            None => (None, Some(head)),
            Some((ip, published)) => {
                (Some(ip.trim_start_matches('[').trim_end_matches(']')), Some(published))
            }
        },
    };
    if let Some(ip) = ip {
        ip.parse::<std::net::IpAddr>()
            .map_err(|_| bad("the part before the second colon must be an address"))?;
    }
    let (low, high) = range(target).ok_or_else(|| bad("the container's port must be 1-65535 or a range"))?;
    let published = published.filter(|text| !text.is_empty());
    let host = published
        .map(|text| range(text).ok_or_else(|| bad("the host's port must be 1-65535 or a range")))
        .transpose()?;
    let count = high - low;
    let one_for_one = host.is_some_and(|(first, last)| last - first == count);
    if host.is_some() && count > 0 && !one_for_one {
        return Err(bad("both ranges must be of one size"));
    }
    let ports = (low..=high).map(|target| {
        let mut entries = vec![
            ("mode".to_owned(), Node::text(&node.at, "ingress")),
            ("target".into(), Node::plain(&node.at, target.to_string())),
        ];
        if let Some((first, last)) = host {
            let text = match one_for_one {
                true => (first + (target - low)).to_string(),
                false => format!("{first}-{last}"),
            };
            entries.push(("published".into(), Node::text(&node.at, text)));
        }
        if let Some(ip) = ip {
            entries.push(("host_ip".into(), Node::text(&node.at, ip)));
        }
        entries.push(("protocol".into(), Node::text(&node.at, protocol)));
        Node::map(&node.at, entries)
    });
    Ok(ports.collect())
}

fn range(text: &str) -> Option<(u16, u16)> {
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let (low, high) = (low.parse().ok()?, high.parse().ok()?);
    (low <= high && (low > 0 || low == high)).then_some((low, high))
}

/// `[source:]target[:options]` → a mapping.
pub(super) fn volume(node: &Node, path: &str) -> Result<Node, Error> {
    let Some(text) = node.as_text() else { return Ok(node.clone()) };
    let bad = |why: &str| fail(node, path, format!("invalid volume \"{text}\": {why}"));
    let at = &node.at;
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, options) = match parts.as_slice() {
        [target] => (None, *target, ""),
        [source, target] => (Some(*source), *target, ""),
        [source, target, options] => (Some(*source), *target, *options),
        _ => return Err(bad("too many colons")),
    };
    if target.is_empty() || source == Some("") {
        return Err(bad("a part is empty"));
    }
    if !target.starts_with('/') {
        return Err(bad("the path in the container must be absolute"));
    }
    let is_path = source.is_some_and(|source| source.starts_with(['.', '/', '~']));
    let kind = if is_path { "bind" } else { "volume" };
    let mut entries = vec![("type".to_owned(), Node::text(at, kind))];
    if let Some(source) = source {
        entries.push(("source".into(), Node::text(at, source)));
    }
    entries.push(("target".into(), Node::text(at, target)));
    let mut bind = vec![("create_host_path".to_owned(), Node::plain(at, "true"))];
    let mut inner = Vec::new();
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" => entries.push(("read_only".into(), Node::plain(at, "true"))),
            "rw" => {}
            "z" | "Z" => bind.push(("selinux".into(), Node::text(at, option))),
            "nocopy" => inner.push(("nocopy".to_owned(), Node::plain(at, "true"))),
            "cached" | "delegated" | "consistent" => {
                entries.push(("consistency".into(), Node::text(at, option)))
            }
            "private" | "rprivate" | "shared" | "rshared" | "slave" | "rslave" => {
                bind.push(("propagation".into(), Node::text(at, option)))
            }
            _ => return Err(bad(&format!("unknown option \"{option}\""))),
        }
    }
    if kind == "bind" {
        entries.push(("bind".into(), Node::map(at, bind)));
    } else {
        entries.push(("volume".into(), Node::map(at, inner)));
    }
    Ok(Node::map(at, entries))
}

/// `source[:target[:permissions]]` → a mapping.
pub(super) fn device(node: &Node, path: &str) -> Result<Node, Error> {
    let Some(text) = node.as_text() else { return Ok(node.clone()) };
    let at = &node.at;
    let parts: Vec<&str> = text.split(':').collect();
    let legal = |permissions: &str| {
        !permissions.is_empty() && permissions.chars().all(|c| matches!(c, 'r' | 'w' | 'm'))
    };
    let (source, target, permissions) = match parts.as_slice() {
        [source] => (*source, *source, "rwm"),
        [source, permissions] if legal(permissions) => (*source, *source, *permissions),
        [source, target] => (*source, *target, "rwm"),
        [source, target, permissions] if legal(permissions) => (*source, *target, *permissions),
        _ => {
            return Err(fail(
                node,
                path,
                format!("invalid device \"{text}\": must be source[:target[:rwm]]"),
            ));
        }
    };
    let entry = |key: &str, value: &str| (key.to_owned(), Node::text(at, value));
    Ok(Node::map(
        at,
        vec![entry("source", source), entry("target", target), entry("permissions", permissions)],
    ))
}

/// Is this text a scalar of a list? Used by merging to compare plain items.
pub(super) fn same_text(a: &Node, b: &Node) -> bool {
    matches!((&a.value, &b.value), (Value::Scalar { text: x, .. }, Value::Scalar { text: y, .. }) if x == y)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::parse;

    fn flat(node: &Node) -> String {
        match &node.value {
            Value::Null => "-".into(),
            Value::Scalar { text, .. } => text.clone(),
            Value::List(list) => list.iter().map(flat).collect::<Vec<_>>().join(","),
            Value::Map(map) => map
                .entries
                .iter()
                .map(|e| format!("{}={}", e.key, flat(&e.node)))
                .collect::<Vec<_>>()
                .join(" "),
        }
    }

    fn scalar(text: &str) -> Node {
        parse(&format!("'{text}'"), "c.yaml").unwrap()
    }

    #[test]
    fn ports() {
        for (text, want) in [
            ("80", "mode=ingress target=80 protocol=tcp"),
            ("8080:80", "mode=ingress target=80 published=8080 protocol=tcp"),
            ("127.0.0.1:8080:80/udp", "mode=ingress target=80 published=8080 host_ip=127.0.0.1 protocol=udp"),
            ("[::1]:8080:80", "mode=ingress target=80 published=8080 host_ip=::1 protocol=tcp"),
            ("127.0.0.1::80", "mode=ingress target=80 host_ip=127.0.0.1 protocol=tcp"),
            ("8000-8010:80", "mode=ingress target=80 published=8000-8010 protocol=tcp"),
            (
                "90-91:80-81",
                "mode=ingress target=80 published=90 protocol=tcp|mode=ingress target=81 published=91 protocol=tcp",
            ),
        ] {
            let nodes = port(&scalar(text), "p").unwrap();
            assert_eq!(nodes.iter().map(flat).collect::<Vec<_>>().join("|"), want, "{text}");
        }
        for (text, why) in [
            ("abc", "the container's port"),
            ("80/icmp", "the protocol"),
            ("x:80:80", "the part before"),
            ("1-3:1-2", "both ranges"),
            ("99999", "the container's port"),
            ("a:80", "the host's port"),
        ] {
            let error = port(&scalar(text), "services.web.ports[0]").unwrap_err().to_string();
            assert!(
                error.starts_with("c.yaml:1:1: services.web.ports[0]: invalid port") && error.contains(why),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn volumes() {
        for (text, want) in [
            ("/data", "type=volume target=/data volume="),
            ("db:/data:ro", "type=volume source=db target=/data read_only=true volume="),
            ("./x:/x", "type=bind source=./x target=/x bind=create_host_path=true"),
            (
                "~/x:/x:ro,z",
                "type=bind source=~/x target=/x read_only=true bind=create_host_path=true selinux=z",
            ),
        ] {
            assert_eq!(flat(&volume(&scalar(text), "v").unwrap()), want, "{text}");
        }
        for text in ["a:b:c:d", "a:b", ":/x", "a:/x:bad"] {
            assert!(volume(&scalar(text), "v").is_err(), "{text}");
        }
    }

    #[test]
    fn devices() {
        assert_eq!(
            flat(&device(&scalar("/dev/a"), "d").unwrap()),
            "source=/dev/a target=/dev/a permissions=rwm"
        );
        assert_eq!(
            flat(&device(&scalar("/dev/a:/dev/b:r"), "d").unwrap()),
            "source=/dev/a target=/dev/b permissions=r"
        );
        assert!(device(&scalar("/dev/a:/dev/b:q"), "d").is_err());
    }
}
