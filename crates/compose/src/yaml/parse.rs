//! Events of the YAML parser → [`Node`]s: anchors, merge keys, duplicate keys, and bounds against alias bombs.

use std::{collections::HashMap, sync::Arc};

use granit_parser::{Event, Marker, Parser, ScalarStyle, Tag as YamlTag};

use super::node::{Entry, Map, Node, Position, Tag, Value};
use crate::error::{Diagnostic, Error};

/// No real compose file comes near it; an alias bomb passes it at once.
const MAX_NODES: usize = 50_000;
/// Deeper than any schema.
const MAX_DEPTH: usize = 64;

/// Reads one document. `file` is the name that positions carry.
///
/// # Errors
/// What is not YAML, a second document, a key given twice, or a tree beyond all bounds, each with its place.
pub fn parse(text: &str, file: &str) -> Result<Node, Error> {
    let mut reader = Reader {
        parser: Parser::new_from_str(text),
        file: Arc::from(file),
        anchors: HashMap::new(),
        nodes: 0,
    };
    let (mut document, mut seen) = (None, false);
    while let Some((event, at)) = reader.next()? {
        match event {
            Event::StreamStart | Event::DocumentEnd => {}
            Event::StreamEnd => break,
            Event::DocumentStart(..) if seen => {
                return Err(reader.fail(&at, "a second document in one file; give each its own file"));
            }
            Event::DocumentStart(..) => seen = true,
            event => document = Some(reader.node(event, at, 0)?),
        }
    }
    let start = Position { file: Arc::from(file), line: 1, column: 1 };
    Ok(document.unwrap_or_else(|| Node::new(&start, Value::Null)))
}

struct Reader<'a> {
    parser: Parser<'a, granit_parser::StrInput<'a>>,
    file: Arc<str>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
}

impl<'a> Reader<'a> {
    fn position(&self, mark: &Marker) -> Position {
        Position { file: Arc::clone(&self.file), line: mark.line(), column: mark.col() + 1 }
    }

    fn fail(&self, at: &Position, message: impl Into<String>) -> Error {
        Diagnostic { at: at.clone(), path: String::new(), message: message.into() }.into()
    }

    fn next(&mut self) -> Result<Option<(Event<'a>, Position)>, Error> {
        match self.parser.next_event() {
            None => Ok(None),
            Some(Ok((event, span))) => {
                let at = self.position(&span.start);
                Ok(Some((event, at)))
            }
            Some(Err(error)) => {
                let at = self.position(error.marker());
                Err(self.fail(&at, format!("not valid YAML: {}", error.info())))
            }
        }
    }

    fn expect(&mut self, at: &Position) -> Result<(Event<'a>, Position), Error> {
        match self.next()? {
            Some(event) => Ok(event),
            None => Err(self.fail(at, "the file ends in the middle of a value")),
        }
    }

    fn node(&mut self, event: Event<'a>, at: Position, depth: usize) -> Result<Node, Error> {
        self.count(1, &at)?;
        if depth > MAX_DEPTH {
            return Err(self.fail(&at, "nested too deeply"));
        }
        match event {
            Event::Alias(id) => {
                let Some(target) = self.anchors.get(&id).cloned() else {
                    return Err(self.fail(&at, "an alias inside the value that it stands for"));
                };
                self.count(size(&target), &at)?;
                Ok(target)
            }
            Event::Scalar(text, style, anchor, tag) => {
                let node = self.scalar(text.into_owned(), style, tag.as_deref(), at)?;
                Ok(self.anchored(anchor, node))
            }
            Event::SequenceStart(_, anchor, tag) => {
                let tag = self.tag(tag.as_deref(), &at)?;
                let mut list = Vec::new();
                loop {
                    match self.expect(&at)? {
                        (Event::SequenceEnd, _) => break,
                        (event, place) => list.push(self.node(event, place, depth + 1)?),
                    }
                }
                Ok(self.anchored(anchor, Node { at, tag, value: Value::List(list) }))
            }
            Event::MappingStart(_, anchor, tag) => {
                let tag = self.tag(tag.as_deref(), &at)?;
                let map = self.mapping(&at, depth)?;
                Ok(self.anchored(anchor, Node { at, tag, value: Value::Map(map) }))
            }
            _ => Err(self.fail(&at, "a value was expected here")),
        }
    }

    fn mapping(&mut self, start: &Position, depth: usize) -> Result<Map, Error> {
        let mut map = Map::default();
        let mut merged = Vec::new();
        loop {
            let (key, at) = match self.expect(start)? {
                (Event::MappingEnd, _) => break,
                (Event::Scalar(text, ..), at) => (text.into_owned(), at),
                (Event::Alias(id), at) => match self.anchors.get(&id).and_then(Node::as_text) {
                    Some(text) => (text.to_owned(), at),
                    None => return Err(self.fail(&at, "a key must be text")),
                },
                (_, at) => return Err(self.fail(&at, "a key must be text")),
            };
            let (event, place) = self.expect(&at)?;
            let node = self.node(event, place, depth + 1)?;
            if key == "<<" {
                merged.push(node);
                continue;
            }
            if let Some(first) = map.entries.iter().find(|entry| entry.key == key) {
                return Err(
                    self.fail(&at, format!("key \"{key}\" is given twice, first in line {}", first.at.line))
                );
            }
            map.entries.push(Entry { key, at, node });
        }
        for node in merged {
            self.merge_key(&mut map, node)?;
        }
        Ok(map)
    }

    /// `<<`: what the mapping says itself wins, then the earlier of several.
    fn merge_key(&self, map: &mut Map, node: Node) -> Result<(), Error> {
        match node.value {
            Value::Map(other) => {
                for entry in other.entries {
                    if map.get(&entry.key).is_none() {
                        map.entries.push(entry);
                    }
                }
                Ok(())
            }
            Value::List(list) => list.into_iter().try_for_each(|node| self.merge_key(map, node)),
            _ => Err(self.fail(&node.at, "\"<<\" merges mappings only")),
        }
    }

    fn scalar(
        &self,
        text: String,
        style: ScalarStyle,
        tag: Option<&YamlTag>,
        at: Position,
    ) -> Result<Node, Error> {
        let core = tag.and_then(YamlTag::core_suffix);
        let plain = style == ScalarStyle::Plain && core != Some("str");
        let null = plain && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL");
        let value = if null { Value::Null } else { Value::Scalar { text, plain } };
        let tag = self.tag(tag, &at)?;
        Ok(Node { at, tag, value })
    }

    fn tag(&self, tag: Option<&YamlTag>, at: &Position) -> Result<Option<Tag>, Error> {
        let Some(tag) = tag else { return Ok(None) };
        if tag.core_suffix().is_some() {
            return Ok(None);
        }
        match tag.original().as_str() {
            "!reset" => Ok(Some(Tag::Reset)),
            "!override" => Ok(Some(Tag::Override)),
            "!" => Ok(None),
            other => Err(self.fail(at, format!("unknown tag {other}; compose knows !reset and !override"))),
        }
    }

    fn anchored(&mut self, anchor: usize, node: Node) -> Node {
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        node
    }

    fn count(&mut self, nodes: usize, at: &Position) -> Result<(), Error> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            return Err(self.fail(at, format!("more than {MAX_NODES} values after aliases are followed")));
        }
        Ok(())
    }
}

fn size(node: &Node) -> usize {
    match &node.value {
        Value::Null | Value::Scalar { .. } => 1,
        Value::List(list) => 1 + list.iter().map(size).sum::<usize>(),
        Value::Map(map) => 1 + map.entries.iter().map(|entry| size(&entry.node)).sum::<usize>(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        parse(text, "c.yaml").expect_err("must fail").to_string()
    }

    #[test]
    fn keys_and_values_have_places() {
        let node = parse("a:\n  b: [x, 'y']\n", "c.yaml").unwrap();
        let a = &node.as_map().unwrap().entries[0];
        let b = &a.node.as_map().unwrap().entries[0];
        assert_eq!(b.at.to_string(), "c.yaml:2:3");
        let Value::List(list) = &b.node.value else { panic!("a list") };
        assert_eq!(list[1].at.to_string(), "c.yaml:2:10");
        assert_eq!(list[0].value, Value::Scalar { text: "x".into(), plain: true });
        assert_eq!(list[1].value, Value::Scalar { text: "y".into(), plain: false });
    }

    #[test]
    fn merge_keys_yield_to_own_keys_and_to_earlier_ones() {
        let text = "x: &x {a: 1, b: 2}\ny: &y {b: 3, c: 4}\nz:\n  <<: [*x, *y]\n  a: 9\n";
        let node = parse(text, "c.yaml").unwrap();
        let z = node.as_map().unwrap().get("z").unwrap().as_map().unwrap().clone();
        let pairs: Vec<_> =
            z.entries.iter().map(|e| format!("{}={}", e.key, e.node.as_text().unwrap())).collect();
        assert_eq!(pairs, ["a=9", "b=2", "c=4"]);
    }

    #[test]
    fn tags_of_compose_are_kept_and_others_refused() {
        let node = parse("a: !reset null\nb: !override [1]\n", "c.yaml").unwrap();
        let map = node.as_map().unwrap();
        assert_eq!(map.get("a").unwrap().tag, Some(Tag::Reset));
        assert_eq!(map.get("b").unwrap().tag, Some(Tag::Override));
        assert!(error("a: !nope x\n").starts_with("c.yaml:1:"), "{}", error("a: !nope x\n"));
    }

    #[test]
    fn errors_name_the_place() {
        assert_eq!(error("a: 1\nb: 2\na: 3\n"), "c.yaml:3:1: key \"a\" is given twice, first in line 1");
        assert_eq!(
            error("a: 1\n---\nb: 1\n"),
            "c.yaml:2:1: a second document in one file; give each its own file"
        );
        assert!(error("a: [1\n").starts_with("c.yaml:"), "{}", error("a: [1\n"));
        assert!(error("a:\n\t- b\n").starts_with("c.yaml:2:"), "{}", error("a:\n\t- b\n"));
    }

    #[test]
    fn an_alias_bomb_is_refused_quickly() {
        let mut text = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
        for i in 1..9 {
            let refs = vec![format!("*a{}", i - 1); 9].join(",");
            text.push_str(&format!("a{i}: &a{i} [{refs}]\n"));
        }
        assert!(error(&text).contains("more than 50000 values"), "{}", error(&text));
    }
}
