//! What differs from run to run, levelled; and two documents compared.

use serde_json::{Map, Value, json};

/// Places whose difference is meant: `docs/compat.md` says why.
pub(super) const DEFENDED: &[&str] = &[
    // Newer docker's ways.
    ".HostConfig.MaskedPaths",
    ".HostConfig.RestartPolicy.Name",
    ".NetworkID",
    "Networks.n1.Aliases",
    "Networks.n2.Aliases",
    ".IPAM.Config",
    // After a start that failed dockerd has files, and an address, that it never gives back.
    "GET /containers/json: [].NetworkSettings.Networks.",
    ".HostnamePath",
    ".HostsPath",
    ".LogPath",
    ".ResolvConfPath",
    ".Mounts[].Source",
    // dockerd notes a network that there is none of for a container that does not run.
    "POST /networks/{}/connect: status",
    // dockerd holds volumes that no container of its list has; seen after creates that failed.
    "POST /volumes/prune: .VolumesDeleted",
    // Not kept, or of our own.
    ".HostConfig.OomKillDisable",
    ".NetworkSettings.SandboxID",
    ".NetworkSettings.SandboxKey",
    ".Options.com.docker.network.bridge.name",
    "DELETE /images/{}: ",
    "POST /images/prune: ",
    "GET /images/{}/json: .DockerVersion",
    "GET /images/{}/json: .Metadata.LastTagTime",
];

/// Figures and names that are of this run, or of this engine's folders.
const OF_THE_RUN: &[&str] = &[
    "Created",
    "CreatedAt",
    "Pid",
    "SizeRw",
    "SizeRootFs",
    "Size",
    "VirtualSize",
    "SpaceReclaimed",
    "StartedAt",
    "FinishedAt",
    "Start",
    "End",
    "ResolvConfPath",
    "HostnamePath",
    "HostsPath",
    "LogPath",
    "Mountpoint",
    "SandboxKey",
    "GraphDriver",
    "LastTagTime",
    "DockerVersion",
    "HostPort",
    "PublicPort",
    "Source",
    "Container",
    "Status",
    "read",
    "preread",
    "cpu_stats",
    "precpu_stats",
    "memory_stats",
    "blkio_stats",
    "networks",
    "pids_stats",
    "Processes",
];

/// A document without what is of the run.
pub(super) fn document(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(key, value)| {
                let value = if OF_THE_RUN.contains(&key.as_str()) { level(value) } else { document(value) };
                (text(key), value)
            });
            Value::Object(fields.collect::<Map<_, _>>())
        }
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(document).collect();
            // Lists of objects have no order that both keep.
            if items.iter().all(Value::is_object) {
                items.sort_by_key(|item| {
                    ["Names", "Name", "RepoTags", "Destination", "PrivatePort"]
                        .map(|key| item[key].to_string())
                });
            }
            Value::Array(items)
        }
        Value::String(words) => json!(text(words)),
        other => other.clone(),
    }
}

/// Only whether there is something.
fn level(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(if number.as_i64() == Some(0) { 0 } else { 1 }),
        Value::String(text) if text.is_empty() || text.starts_with("0001-01-01") => value.clone(),
        Value::Null => Value::Null,
        _ => json!("…"),
    }
}

/// Ids, addresses, hardware addresses, temporary folders.
fn text(words: &str) -> String {
    let mut out = String::new();
    let mut word = String::new();
    for char in words.chars().chain([' ']) {
        if char.is_ascii_alphanumeric() || matches!(char, '.' | ':') {
            word.push(char);
            continue;
        }
        out.push_str(&levelled(&word));
        word.clear();
        out.push(char);
    }
    out.pop();
    for said_once in ["runc create failed: ", "failed to create task for container: "] {
        out = out.replace(said_once, "");
    }
    out
}

fn levelled(word: &str) -> String {
    let bare = word.trim_start_matches("sha256:").trim_end_matches([':', '.']);
    let hexadecimal = |text: &str| text.bytes().all(|b| b.is_ascii_hexdigit());
    if matches!(bare.len(), 12 | 64) && hexadecimal(bare) {
        return word.replace(bare, "ID");
    }
    if bare.split(':').count() == 6 && bare.split(':').all(|part| part.len() == 2 && hexadecimal(part)) {
        return "MAC".to_owned();
    }
    if bare.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| ip.octets()[0] == 172 || ip.octets()[0] == 192) {
        return "IP".to_owned();
    }
    word.to_owned()
}

/// Whether two refusals say the same: docker's later words for its earlier ones, whatever a sentence begins with.
pub(super) fn same_refusal(ours: &str, theirs: &str) -> bool {
    let plain = |words: &str| {
        text(words)
            .to_lowercase()
            .replace("pathcannot", "path cannot")
            .replace("security-opt 1:", "security-opt:")
            .replace("to the network", "to network")
    };
    let (ours, theirs) = (plain(ours), plain(theirs));
    let both = |beginning: &str| ours.starts_with(beginning) && theirs.starts_with(beginning);
    // Go's own words about a number or JSON; docker 20.10 saying a thing twice; a name, of which ours tells more.
    // Newer docker's words for the same.
    let newer = [
        ("invalid subnet", "invalid subnet"),
        ("invalid restart policy: maximum retry", "maximum retry count cannot"),
        ("cannot remove container", "you cannot remove a running container"),
    ];
    let newer = newer.iter().any(|(mine, other)| ours.starts_with(mine) && theirs.starts_with(other));
    let go = ["strconv.", "invalid character"].iter().any(|words| theirs.starts_with(words));
    ours == theirs
        || go
        || newer
        || theirs.ends_with(&format!(": {ours}"))
        || ["invalid reference format", "invalid restart policy"].iter().any(|beginning| both(beginning))
        || theirs.split(" (strconv.").next() == Some(&ours)
}

/// Whether a call had two faults, one of which each engine told.
pub(super) fn two_faults(ours: &str, theirs: &str) -> bool {
    let lookup = |words: &str| {
        ["No such", "no such", "not found", "already in use", "already exists", "predefined"]
            .iter()
            .any(|about| words.contains(about))
    };
    lookup(ours) || lookup(theirs)
}

/// Places where two documents differ, with both values. `null`, nothing, an empty list and an empty map are one.
pub(super) fn compare(ours: &Value, theirs: &Value, at: &str, found: &mut Vec<(String, String, String)>) {
    match (ours, theirs) {
        (Value::Object(mine), Value::Object(other)) => {
            let keys: std::collections::BTreeSet<&String> = mine.keys().chain(other.keys()).collect();
            for key in keys {
                let [mine, other] = [mine, other].map(|fields| fields.get(key).unwrap_or(&Value::Null));
                compare(mine, other, &format!("{at}.{key}"), found);
            }
        }
        (Value::Array(mine), Value::Array(other)) if mine.len() == other.len() => {
            for (mine, other) in mine.iter().zip(other) {
                compare(mine, other, &format!("{at}[]"), found);
            }
        }
        _ if ours == theirs || (empty(ours) && empty(theirs)) => {}
        _ => found.push((at.to_owned(), ours.to_string(), theirs.to_string())),
    }
}

fn empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}
