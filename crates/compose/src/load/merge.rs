//! Merging of canonical trees: mappings by key, lists by their identity, the rest by replacement.

use super::short::same_text;
use crate::yaml::{Map, Node, Tag, Value};

/// How two lists become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// The later one alone.
    Replace,
    /// Both, an equal text once.
    Unique,
    /// Both, items with the same value of these keys being one item; the later wins.
    Keyed(&'static [&'static str]),
}

/// Lays `over` upon `base`.
pub fn merge(base: &mut Node, over: Node) {
    merge_at(base, over, &mut Vec::new());
}

/// Lays one service upon another, as `extends` does.
pub fn merge_service(base: &mut Node, over: Node) {
    merge_at(base, over, &mut vec!["services".into(), "*".into()]);
}

fn merge_at(base: &mut Node, over: Node, path: &mut Vec<String>) {
    match over.tag {
        Some(Tag::Override) | Some(Tag::Reset) => {
            *base = over;
            return;
        }
        None => {}
    }
    let at = over.at.clone();
    match (&mut base.value, over.value) {
        (Value::Map(below), Value::Map(above)) => merge_map(below, above, path),
        (Value::List(below), Value::List(above)) => match rule(path) {
            Rule::Replace => *below = above,
            Rule::Unique => {
                for item in above {
                    if !below.iter().any(|known| same_text(known, &item)) {
                        below.push(item);
                    }
                }
            }
            Rule::Keyed(keys) => merge_keyed(below, above, keys),
        },
        // A key without a value says nothing.
        (_, Value::Null) => return,
        (_, value) => base.value = value,
    }
    base.at = at;
}

fn merge_map(below: &mut Map, above: Map, path: &mut Vec<String>) {
    // Another logging driver makes the options of the first one meaningless.
    if matches!(path.as_slice(), [_, _, last] if last == "logging") {
        let driver = |map: &Map| map.get("driver").and_then(Node::as_text).map(str::to_owned);
        if driver(&above).is_some() && driver(below).is_some() && driver(&above) != driver(below) {
            *below = above;
            return;
        }
    }
    for entry in above.entries {
        match below.get_mut(&entry.key) {
            Some(known) => {
                path.push(entry.key);
                merge_at(known, entry.node, path);
                path.pop();
            }
            None => below.entries.push(entry),
        }
    }
}

fn merge_keyed(below: &mut Vec<Node>, above: Vec<Node>, keys: &[&str]) {
    let identity = |node: &Node| -> Vec<String> {
        let text = |key: &&str| {
            node.as_map().and_then(|map| map.get(key)).and_then(Node::as_text).unwrap_or_default().to_owned()
        };
        keys.iter().map(text).collect()
    };
    for item in above {
        match below.iter_mut().find(|known| item.as_map().is_some() && identity(known) == identity(&item)) {
            Some(known) => *known = item,
            None => below.push(item),
        }
    }
}

fn rule(path: &[String]) -> Rule {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match path.as_slice() {
        ["services", _, "command" | "entrypoint"] | ["services", _, "healthcheck", "test"] => Rule::Replace,
        ["services", _, "ports"] => Rule::Keyed(&["host_ip", "target", "published", "protocol"]),
        ["services", _, "volumes"] => Rule::Keyed(&["target"]),
        ["services", _, "devices"] => Rule::Keyed(&["target"]),
        ["services", _, "secrets" | "configs"] => Rule::Keyed(&["source", "target"]),
        ["services", _, "build", "secrets"] => Rule::Keyed(&["source", "target"]),
        ["services", _, "env_file"] => Rule::Keyed(&["path"]),
        ["networks", _, "ipam", "config"] => Rule::Keyed(&["subnet"]),
        _ => Rule::Unique,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{load::canonical, yaml::parse};

    /// Merges the files in order and prints the result as one line of flow YAML.
    fn merged(files: &[&str]) -> String {
        let mut trees = files.iter().map(|text| {
            let mut node = parse(text, "c.yaml").unwrap();
            canonical::canonical(&mut node).unwrap();
            node
        });
        let mut base = trees.next().unwrap();
        trees.for_each(|over| merge(&mut base, over));
        canonical::strip_tags(&mut base);
        let service = base.as_map().unwrap().get("services").unwrap().as_map().unwrap().get("a").unwrap();
        flat(service)
    }

    fn flat(node: &Node) -> String {
        match &node.value {
            Value::Null => "null".into(),
            Value::Scalar { text, .. } => text.clone(),
            Value::List(list) => format!("[{}]", list.iter().map(flat).collect::<Vec<_>>().join(", ")),
            Value::Map(map) => format!(
                "{{{}}}",
                map.entries
                    .iter()
                    .map(|e| format!("{}: {}", e.key, flat(&e.node)))
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
        }
    }

    #[test]
    fn rules() {
        let s = |body: &str| format!("services:\n  a: {body}\n");
        for (one, two, want) in [
            ("{image: x}", "{image: y}", "{image: y}"),
            ("{command: [a, b]}", "{command: [c]}", "{command: [c]}"),
            ("{environment: [A=1, B=2]}", "{environment: {B: 3}}", "{environment: {A: 1, B: 3}}"),
            ("{cap_add: [X, Y]}", "{cap_add: [Y, Z]}", "{cap_add: [X, Y, Z]}"),
            ("{dns: 1.1.1.1}", "{dns: [8.8.8.8]}", "{dns: [1.1.1.1, 8.8.8.8]}"),
            (
                "{ports: ['80:80']}",
                "{ports: !override ['81:80']}",
                "{ports: [{mode: ingress, target: 80, published: 81, protocol: tcp}]}",
            ),
            ("{ports: ['80:80'], image: x}", "{ports: !reset []}", "{image: x}"),
            (
                "{depends_on: [db]}",
                "{depends_on: {db: {condition: service_healthy}}}",
                "{depends_on: {db: {condition: service_healthy}}}",
            ),
            ("{logging: {driver: a, options: {x: 1}}}", "{logging: {driver: b}}", "{logging: {driver: b}}"),
            (
                "{logging: {driver: a, options: {x: 1}}}",
                "{logging: {options: {y: 2}}}",
                "{logging: {driver: a, options: {x: 1, y: 2}}}",
            ),
            (
                "{healthcheck: {test: [CMD, a], retries: 1}}",
                "{healthcheck: {test: [CMD, b]}}",
                "{healthcheck: {test: [CMD, b], retries: 1}}",
            ),
            ("{environment: {A: 1}}", "{environment: !reset null}", "{}"),
        ] {
            assert_eq!(merged(&[&s(one), &s(two)]), want, "{one} + {two}");
        }
    }

    #[test]
    fn volumes_merge_by_target() {
        let got =
            merged(&["services: {a: {volumes: ['x:/d', 'z:/e']}}", "services: {a: {volumes: ['y:/d']}}"]);
        assert_eq!(
            got,
            "{volumes: [{type: volume, source: y, target: /d, volume: {}}, {type: volume, source: z, target: /e, volume: {}}]}"
        );
    }
}
