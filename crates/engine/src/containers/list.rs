//! `docker ps`: which containers pass, newest first. Reads published views only.

use super::{List, Status, View, ports};
use crate::{Error, Kind, Result, shared::Shared};
use std::sync::Arc;

const KNOWN: [&str; 15] = [
    "ancestor",
    "before",
    "exited",
    "expose",
    "health",
    "id",
    "is-task",
    "isolation",
    "label",
    "label!",
    "name",
    "network",
    "publish",
    "since",
    "status",
];

/// See the module.
pub(super) fn list(shared: &Shared, wanted: &List) -> Result<Vec<Arc<View>>> {
    let filters = &wanted.filters;
    let mut known = KNOWN.to_vec();
    known.push("volume");
    filters.only(&known)?;
    let mut views = shared.containers.views();
    views.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| b.id.cmp(&a.id)));
    let of = |key: &str| -> Result<Option<Arc<View>>> {
        filters.all(key).first().map(|name| shared.containers.find(name).map(|h| h.view())).transpose()
    };
    let (before, since) = (of("before")?, of("since")?);
    let ancestors: Vec<dhow_oci::Digest> = filters
        .all("ancestor")
        .iter()
        .filter_map(|name| shared.store.image(name).ok())
        .map(|i| i.id.clone())
        .collect();
    for status in filters.all("status") {
        let known = ["created", "restarting", "running", "removing", "paused", "exited", "dead"];
        if !known.contains(&status.as_str()) {
            return Err(Error::new(Kind::Invalid, format!("invalid filter 'status={status}'")));
        }
    }
    let mut exits = Vec::new();
    for code in filters.all("exited") {
        let wrong = |_| Error::new(Kind::Invalid, format!("invalid filter 'exited={code}'"));
        exits.push(code.parse::<i32>().map_err(wrong)?);
    }
    let everything = wanted.all || wanted.limit.is_some() || !filters.all("status").is_empty();
    let passes = |view: &View| {
        (everything || view.status.is_up())
            && filters.any("id", |id| view.id.starts_with(id.as_str()))
            && filters.any("name", |name| named(&view.name, name))
            && filters.any("status", |status| view.status.word() == status)
            && filters.labels(&view.spec.labels)
            && filters.any("health", |h| view.health.as_ref().map_or("none", |x| x.status.as_str()) == h)
            && filters.any("network", |n| {
                view.networks.iter().any(|(name, e)| name == n || e.network_id.starts_with(n.as_str()))
            })
            && filters.any("volume", |v| {
                view.mounts.iter().any(|m| m.name == *v || m.target == *v || m.source.to_str() == Some(v))
            })
            && filters.any("is-task", |v| v == "false")
            && (filters.all("ancestor").is_empty() || ancestors.contains(&view.image))
            && (exits.is_empty()
                || (matches!(view.status, Status::Exited | Status::Dead) && exits.contains(&view.exit_code)))
            && before.as_ref().is_none_or(|b| view.created < b.created)
            && since.as_ref().is_none_or(|s| view.created > s.created)
            && filters.any("publish", |p| view.ports.iter().any(|x| port(p, x.host_port, x.protocol)))
            && filters.any("expose", |p| {
                let wanted = ports::canonical(p);
                view.spec.exposed_ports.iter().any(|exposed| ports::canonical(exposed) == wanted)
            })
    };
    views.retain(|view| passes(view));
    if let Some(limit) = wanted.limit.filter(|n| *n > 0) {
        views.truncate(limit);
    }
    Ok(views)
}

fn port(wanted: &str, port: u16, protocol: dhow_net::Protocol) -> bool {
    let word = match protocol {
        dhow_net::Protocol::Tcp => "tcp",
        dhow_net::Protocol::Udp => "udp",
        dhow_net::Protocol::Sctp => "sctp",
    };
    let (number, kind) = wanted.split_once('/').unwrap_or((wanted, "tcp"));
    let (first, last) = number.split_once('-').unwrap_or((number, number));
    kind == word && first.parse().is_ok_and(|f: u16| f <= port) && last.parse().is_ok_and(|l: u16| port <= l)
}

/// docker matches names as regular expressions; what users write are plain parts with `^` and `$`.
fn named(name: &str, wanted: &str) -> bool {
    let (start, rest) = wanted.strip_prefix('^').map_or((false, wanted), |rest| (true, rest));
    let (end, part) = rest.strip_suffix('$').map_or((false, rest), |part| (true, part));
    let (slashed, part) = match part.strip_prefix('/') {
        Some(part) => (true, part),
        None => (false, part),
    };
    match (start || slashed, end) {
        (true, true) => name == part,
        (true, false) => name.starts_with(part),
        (false, true) => name.ends_with(part),
        (false, false) => name.contains(part),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_ports() {
        assert!(
            named("web-1", "web")
                && named("web-1", "^/web-1$")
                && named("web-1", "-1$")
                && !named("web-1", "^eb")
        );
        assert!(
            port("8080", 8080, dhow_net::Protocol::Tcp)
                && port("8000-9000/udp", 8080, dhow_net::Protocol::Udp)
        );
        assert!(!port("8080", 8080, dhow_net::Protocol::Udp));
    }
}
