//! Relative paths of a file that is not in the project's folder: made absolute before its tree joins another.

use std::path::Path;

use super::decode::clean;
use crate::yaml::{Map, Node, Value};

/// Makes the paths of a canonical file absolute.
pub(super) fn absolute(root: &mut Node, base: &Path) {
    let Some(map) = root.as_map_mut() else { return };
    if let Some(services) = map.get_mut("services").and_then(Node::as_map_mut) {
        services.entries.iter_mut().for_each(|entry| service(&mut entry.node, base));
    }
    for section in ["secrets", "configs"] {
        let Some(items) = map.get_mut(section).and_then(Node::as_map_mut) else { continue };
        for item in items.entries.iter_mut().filter_map(|entry| entry.node.as_map_mut()) {
            join(item, "file", base);
        }
    }
}

/// Makes the paths of a canonical service absolute.
pub(super) fn service(node: &mut Node, base: &Path) {
    let Some(map) = node.as_map_mut() else { return };
    if let Some(build) = map.get_mut("build").and_then(Node::as_map_mut) {
        let remote = build
            .get("context")
            .and_then(Node::as_text)
            .is_some_and(|text| text.contains("://") || text.starts_with("git@"));
        if !remote {
            join(build, "context", base);
        }
    }
    items(map, "env_file", |item| join(item, "path", base));
    items(map, "volumes", |item| {
        if item.get("type").and_then(Node::as_text) == Some("bind") {
            join(item, "source", base);
        }
    });
    if let Some(Node { value: Value::List(files), .. }) = map.get_mut("label_file") {
        files.iter_mut().for_each(|file| join_node(file, base));
    }
}

fn items(map: &mut Map, key: &str, change: impl Fn(&mut Map)) {
    if let Some(Node { value: Value::List(list), .. }) = map.get_mut(key) {
        list.iter_mut().filter_map(Node::as_map_mut).for_each(change);
    }
}

fn join(map: &mut Map, key: &str, base: &Path) {
    if let Some(node) = map.get_mut(key) {
        join_node(node, base);
    }
}

fn join_node(node: &mut Node, base: &Path) {
    if let Value::Scalar { text, .. } = &mut node.value
        && !text.starts_with('~')
    {
        *text = clean(&base.join(&*text)).to_string_lossy().into_owned();
    }
}
