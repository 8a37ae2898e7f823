//! The tree a YAML file is read into: every key and every value knows where it was written.

use std::{fmt, sync::Arc};

/// Where a key or a value begins: file, line and column, both counted from one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The file as the user named it.
    pub file: Arc<str>,
    /// The line, from one.
    pub line: usize,
    /// The column in characters, from one.
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// Compose's own tags, which steer merging.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    /// `!reset`: forget what earlier files said.
    Reset,
    /// `!override`: take this value whole instead of merging.
    Override,
}

/// A value with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Where it begins.
    pub at: Position,
    /// `!reset` or `!override`.
    pub tag: Option<Tag>,
    /// What it is.
    pub value: Value,
}

/// What a node holds. Scalars stay text: `0644`, `22:22` and `1.10` are what was written until a key's type is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// Text; `plain` when it was written without quotes and may thus mean a number or a boolean.
    Scalar {
        /// The text after YAML's escapes.
        text: String,
        /// Written without quotes.
        plain: bool,
    },
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in the order it was written.
    Map(Map),
}

/// A mapping in file order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Map {
    /// The entries, keys being unique.
    pub entries: Vec<Entry>,
}

/// One key of a mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub at: Position,
    /// Its value.
    pub node: Node,
}

impl Map {
    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries.iter().find(|entry| entry.key == key).map(|entry| &entry.node)
    }

    /// The value of a key, to change it.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.entries.iter_mut().find(|entry| entry.key == key).map(|entry| &mut entry.node)
    }

    /// Takes a key out.
    pub fn remove(&mut self, key: &str) -> Option<Entry> {
        let index = self.entries.iter().position(|entry| entry.key == key)?;
        Some(self.entries.remove(index))
    }

    /// Sets a key, at its old place when it was there.
    pub fn set(&mut self, key: &str, at: Position, node: Node) {
        match self.entries.iter_mut().find(|entry| entry.key == key) {
            Some(entry) => {
                entry.node = node;
                entry.at = at;
            }
            None => self.entries.push(Entry { key: key.to_owned(), at, node }),
        }
    }
}

impl Node {
    /// A node that stands where another does.
    #[must_use]
    pub fn new(at: &Position, value: Value) -> Self {
        Self { at: at.clone(), tag: None, value }
    }

    /// Text at a place, as if it had been quoted.
    #[must_use]
    pub fn text(at: &Position, text: impl Into<String>) -> Self {
        Self::new(at, Value::Scalar { text: text.into(), plain: false })
    }

    /// Text at a place, as if written without quotes.
    #[must_use]
    pub fn plain(at: &Position, text: impl Into<String>) -> Self {
        Self::new(at, Value::Scalar { text: text.into(), plain: true })
    }

    /// A mapping at a place, from keys that stand there too.
    #[must_use]
    pub fn map(at: &Position, entries: Vec<(String, Node)>) -> Self {
        let entries = entries.into_iter().map(|(key, node)| Entry { key, at: at.clone(), node }).collect();
        Self::new(at, Value::Map(Map { entries }))
    }

    /// The mapping, if it is one.
    #[must_use]
    pub fn as_map(&self) -> Option<&Map> {
        match &self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The mapping, to change it.
    pub fn as_map_mut(&mut self) -> Option<&mut Map> {
        match &mut self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The text, if it is a scalar.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// Nothing there?
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.value == Value::Null
    }

    /// What kind of thing it is, for an error.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Scalar { text, plain: true } if text.parse::<f64>().is_ok() => "a number",
            Value::Scalar { text, plain: true } if matches!(text.as_str(), "true" | "false") => "a boolean",
            Value::Scalar { .. } => "a string",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }
}
