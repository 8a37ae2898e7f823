//! Short syntax → long syntax, on the tree, so that merging and decoding know one form only.

use super::short;
use crate::{
    error::{Diagnostic, Error},
    yaml::{Cursor, Entry, Map, Node, Tag, Value},
};

/// Rewrites the short forms of a whole file.
///
/// # Errors
/// A short form that does not parse, with its place and key.
pub fn canonical(root: &mut Node) -> Result<(), Error> {
    let Some(map) = root.as_map_mut() else { return Ok(()) };
    if let Some(services) = map.get_mut("services").and_then(Node::as_map_mut) {
        for entry in &mut services.entries {
            service(&mut entry.node, &format!("services.{}", entry.key))?;
        }
    }
    for section in ["networks", "volumes", "secrets", "configs"] {
        let Some(items) = map.get_mut(section).and_then(Node::as_map_mut) else { continue };
        for entry in &mut items.entries {
            let path = format!("{section}.{}", entry.key);
            let Some(item) = entry.node.as_map_mut() else { continue };
            pairs(item, "labels", &path)?;
            external(item);
        }
    }
    Ok(())
}

/// Rewrites the short forms of one service.
///
/// # Errors
/// See [`canonical`].
pub fn service(node: &mut Node, path: &str) -> Result<(), Error> {
    let Some(map) = node.as_map_mut() else { return Ok(()) };
    for key in ["environment", "labels", "annotations", "sysctls"] {
        pairs(map, key, path)?;
    }
    for key in ["dns", "dns_search", "tmpfs", "label_file"] {
        single(map, key);
    }
    each(map, "env_file", true, path, |node, _| Ok(wrap(node, "path")))?;
    each(map, "ports", false, path, short::port)?;
    each(map, "volumes", false, path, |node, path| short::volume(node, path).map(|volume| vec![volume]))?;
    if let Some(Node { value: Value::List(volumes), .. }) = map.get_mut("volumes") {
        for (i, volume) in volumes.iter_mut().enumerate() {
            let inner =
                volume.as_map_mut().and_then(|volume| volume.get_mut("volume")).and_then(Node::as_map_mut);
            if let Some(inner) = inner {
                pairs(inner, "labels", &format!("{path}.volumes[{i}].volume"))?;
            }
        }
    }
    each(map, "devices", false, path, |node, path| short::device(node, path).map(|device| vec![device]))?;
    for key in ["secrets", "configs"] {
        each(map, key, false, path, |node, _| Ok(wrap(node, "source")))?;
    }
    if let Some(node) = map.get_mut("depends_on") {
        keyed(node, |at| Node::map(at, vec![("condition".into(), Node::text(at, "service_started"))]));
    }
    if let Some(networks) = map.get_mut("networks") {
        keyed(networks, |at| Node::new(at, Value::Null));
    }
    for (key, inner) in [("build", "context"), ("extends", "service")] {
        if let Some(node) = map.get_mut(key).filter(|node| node.as_text().is_some()) {
            *node = wrap(node, inner).remove(0);
        }
    }
    if let Some(gpus) = map.get_mut("gpus").filter(|node| node.as_text() == Some("all")) {
        let at = gpus.at.clone();
        gpus.value = Value::List(vec![Node::map(&at, vec![("count".into(), Node::plain(&at, "-1"))])]);
    }
    hosts(map, path)?;
    if let Some(build) = map.get_mut("build").and_then(Node::as_map_mut) {
        let path = format!("{path}.build");
        for key in ["args", "labels", "additional_contexts"] {
            pairs(build, key, &path)?;
        }
        each(build, "secrets", false, &path, |node, _| Ok(wrap(node, "source")))?;
        single(build, "ssh");
        hosts(build, &path)?;
    }
    if let Some(deploy) = map.get_mut("deploy").and_then(Node::as_map_mut) {
        pairs(deploy, "labels", &format!("{path}.deploy"))?;
    }
    Ok(())
}

/// `- KEY=value` → `KEY: value`; `- KEY` → `KEY:`.
fn pairs(map: &mut Map, key: &str, path: &str) -> Result<(), Error> {
    let Some(node) = map.get_mut(key) else { return Ok(()) };
    let Value::List(list) = &node.value else { return Ok(()) };
    let mut out = Map::default();
    for (i, item) in list.iter().enumerate() {
        let text = Cursor { node: item, path: format!("{path}.{key}[{i}]") }.text()?.to_owned();
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Node::text(&item.at, value)),
            None => (text.as_str(), Node::new(&item.at, Value::Null)),
        };
        out.set(name, item.at.clone(), value);
    }
    node.value = Value::Map(out);
    Ok(())
}

/// `extra_hosts`: `- name:ip` or `name: ip` → `name: [ip]`.
fn hosts(map: &mut Map, path: &str) -> Result<(), Error> {
    let Some(node) = map.get_mut("extra_hosts") else { return Ok(()) };
    let mut out = Map::default();
    match &node.value {
        Value::List(list) => {
            for (i, item) in list.iter().enumerate() {
                let cursor = Cursor { node: item, path: format!("{path}.extra_hosts[{i}]") };
                let text = cursor.text()?;
                let (name, ip) = text
                    .split_once('=')
                    .or_else(|| text.split_once(':'))
                    .ok_or_else(|| cursor.fail("must be \"name=address\""))?;
                let ip = Node::text(&item.at, ip.trim_start_matches('[').trim_end_matches(']'));
                match out.get_mut(name) {
                    Some(Node { value: Value::List(known), .. }) => known.push(ip),
                    _ => out.set(name, item.at.clone(), Node::new(&item.at, Value::List(vec![ip]))),
                }
            }
        }
        Value::Map(known) => {
            for entry in &known.entries {
                let list = if entry.node.as_text().is_some() {
                    Node::new(&entry.node.at, Value::List(vec![entry.node.clone()]))
                } else {
                    entry.node.clone()
                };
                out.set(&entry.key, entry.at.clone(), list);
            }
        }
        _ => return Ok(()),
    }
    node.value = Value::Map(out);
    Ok(())
}

/// One string → a list of it.
fn single(map: &mut Map, key: &str) {
    if let Some(node) = map.get_mut(key).filter(|node| node.as_text().is_some()) {
        let inner = node.clone();
        node.value = Value::List(vec![inner]);
    }
}

/// Rewrites each item of a list; with `lone`, a single item need not be in a list.
fn each(
    map: &mut Map,
    key: &str,
    lone: bool,
    path: &str,
    rewrite: impl Fn(&Node, &str) -> Result<Vec<Node>, Error>,
) -> Result<(), Error> {
    let Some(node) = map.get_mut(key) else { return Ok(()) };
    if lone && !matches!(node.value, Value::List(_) | Value::Null) {
        let inner = node.clone();
        node.value = Value::List(vec![inner]);
    }
    let Value::List(list) = &mut node.value else { return Ok(()) };
    let mut out = Vec::with_capacity(list.len());
    for (i, item) in list.iter().enumerate() {
        out.extend(rewrite(item, &format!("{path}.{key}[{i}]"))?);
    }
    *list = out;
    Ok(())
}

/// A scalar → `{key: scalar}`.
fn wrap(node: &Node, key: &str) -> Vec<Node> {
    match node.value {
        Value::Scalar { .. } => {
            let mut inner = node.clone();
            inner.tag = None;
            let mut out = Node::map(&node.at, vec![(key.to_owned(), inner)]);
            out.tag = node.tag;
            vec![out]
        }
        _ => vec![node.clone()],
    }
}

/// A list of names → a mapping from them.
fn keyed(node: &mut Node, value: impl Fn(&crate::yaml::Position) -> Node) {
    let Value::List(list) = &node.value else { return };
    if !list.iter().all(|item| item.as_text().is_some()) {
        return;
    }
    let mut out = Map::default();
    for item in list {
        if let Some(name) = item.as_text() {
            out.set(name, item.at.clone(), value(&item.at));
        }
    }
    node.value = Value::Map(out);
}

/// `external: {name: x}` (old) → `external: true`, `name: x`.
fn external(map: &mut Map) {
    let Some(Node { value: Value::Map(inner), at, .. }) = map.get("external") else { return };
    let (name, at) = (inner.get("name").cloned(), at.clone());
    map.set("external", at.clone(), Node::plain(&at, "true"));
    if let Some(name) = name {
        map.entries.push(Entry { key: "name".into(), at, node: name });
    }
}

/// Drops what `!reset` names, and the tags with it.
pub fn strip_tags(node: &mut Node) {
    node.tag = None;
    match &mut node.value {
        Value::Map(map) => {
            map.entries.retain(|entry| entry.node.tag != Some(Tag::Reset));
            map.entries.iter_mut().for_each(|entry| strip_tags(&mut entry.node));
        }
        Value::List(list) => {
            list.retain(|item| item.tag != Some(Tag::Reset));
            list.iter_mut().for_each(strip_tags);
        }
        Value::Null | Value::Scalar { .. } => {}
    }
}

/// A fault at a node of a known path.
pub(super) fn fail(node: &Node, path: &str, message: impl Into<String>) -> Error {
    Diagnostic { at: node.at.clone(), path: path.to_owned(), message: message.into() }.into()
}
