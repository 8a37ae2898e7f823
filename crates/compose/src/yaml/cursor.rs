//! Typed access to a [`Node`]: what is asked for is either there with the right type, or the error says which key is wrong.

use std::collections::BTreeMap;

use super::node::{Map, Node, Position, Value};
use crate::{
    error::{Diagnostic, Error},
    units,
};

/// A node and the dotted path that leads to it.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    /// The node.
    pub node: &'a Node,
    /// `services.web.ports[0]`.
    pub path: String,
}

/// The keys of a mapping, checked against those that are known.
#[derive(Debug)]
pub struct Fields<'a> {
    map: &'a Map,
    path: String,
}

impl<'a> Cursor<'a> {
    /// The whole document.
    #[must_use]
    pub fn root(node: &'a Node) -> Self {
        Self { node, path: String::new() }
    }

    /// A fault at this place.
    #[must_use]
    pub fn fail(&self, message: impl Into<String>) -> Error {
        Diagnostic { at: self.node.at.clone(), path: self.path.clone(), message: message.into() }.into()
    }

    fn expected(&self, what: &str) -> Error {
        self.fail(format!("must be {what}, not {}", self.node.kind()))
    }

    /// The mapping, whatever its keys.
    ///
    /// # Errors
    /// It is something else.
    pub fn map(&self) -> Result<&'a Map, Error> {
        self.node.as_map().ok_or_else(|| self.expected("a mapping"))
    }

    /// Every key with its value, `x-…` included.
    ///
    /// # Errors
    /// It is no mapping.
    pub fn entries(&self) -> Result<Vec<(&'a str, Cursor<'a>)>, Error> {
        let child =
            |key: &str| if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        Ok(self
            .map()?
            .entries
            .iter()
            .map(|entry| (entry.key.as_str(), Cursor { node: &entry.node, path: child(&entry.key) }))
            .collect())
    }

    /// The mapping, of which only these keys (and `x-…`) are known.
    ///
    /// # Errors
    /// It is no mapping, or has another key: the error names it and the nearest known one.
    pub fn fields(&self, known: &[&str]) -> Result<Fields<'a>, Error> {
        let map = self.map()?;
        if let Some(entry) = map
            .entries
            .iter()
            .find(|entry| !entry.key.starts_with("x-") && !known.contains(&entry.key.as_str()))
        {
            let hint = suggestion(&entry.key, known)
                .map(|near| format!(", did you mean \"{near}\"?"))
                .unwrap_or_default();
            let message = format!("unknown key \"{}\"{hint}", entry.key);
            return Err(Diagnostic { at: entry.at.clone(), path: self.path.clone(), message }.into());
        }
        Ok(Fields { map, path: self.path.clone() })
    }

    /// The items of a list.
    ///
    /// # Errors
    /// It is something else.
    pub fn list(&self) -> Result<Vec<Cursor<'a>>, Error> {
        match &self.node.value {
            Value::List(list) => Ok(self.items(list)),
            _ => Err(self.expected("a list")),
        }
    }

    fn items(&self, list: &'a [Node]) -> Vec<Cursor<'a>> {
        list.iter()
            .enumerate()
            .map(|(i, node)| Cursor { node, path: format!("{}[{i}]", self.path) })
            .collect()
    }

    /// The text of a scalar.
    ///
    /// # Errors
    /// It is something else.
    pub fn text(&self) -> Result<&'a str, Error> {
        self.node.as_text().ok_or_else(|| self.expected("a string"))
    }

    /// The text, owned.
    ///
    /// # Errors
    /// See [`Self::text`].
    pub fn string(&self) -> Result<String, Error> {
        self.text().map(str::to_owned)
    }

    /// One string or a list of them.
    ///
    /// # Errors
    /// It is something else.
    pub fn strings(&self) -> Result<Vec<String>, Error> {
        match &self.node.value {
            Value::Scalar { text, .. } => Ok(vec![text.clone()]),
            Value::List(list) => self.items(list).iter().map(Cursor::string).collect(),
            _ => Err(self.expected("a string or a list of strings")),
        }
    }

    /// A mapping to text; a key without a value has none.
    ///
    /// # Errors
    /// It is no mapping, or a value is a list or a mapping.
    pub fn pairs(&self) -> Result<BTreeMap<String, Option<String>>, Error> {
        let pair = |(key, value): (&str, Cursor<'a>)| match value.node.is_null() {
            true => Ok((key.to_owned(), None)),
            false => Ok((key.to_owned(), Some(value.string()?))),
        };
        self.entries()?.into_iter().map(pair).collect()
    }

    /// A mapping to text, where a key without a value means the empty string.
    ///
    /// # Errors
    /// See [`Self::pairs`].
    pub fn labels(&self) -> Result<BTreeMap<String, String>, Error> {
        Ok(self.pairs()?.into_iter().map(|(key, value)| (key, value.unwrap_or_default())).collect())
    }

    /// A boolean, quoted or not: `${VAR}` brings text.
    ///
    /// # Errors
    /// It is something else.
    pub fn boolean(&self) -> Result<bool, Error> {
        match self.text()?.to_ascii_lowercase().as_str() {
            "true" | "yes" | "y" | "on" | "1" => Ok(true),
            "false" | "no" | "n" | "off" | "0" => Ok(false),
            other => Err(self.fail(format!("must be true or false, not \"{other}\""))),
        }
    }

    /// A whole number.
    ///
    /// # Errors
    /// It is something else or out of bounds.
    pub fn integer<T: TryFrom<i64>>(&self) -> Result<T, Error> {
        let text = self.text()?;
        let wide =
            text.parse::<i64>().map_err(|_| self.fail(format!("must be a whole number, not \"{text}\"")))?;
        T::try_from(wide).map_err(|_| self.fail(format!("{wide} is out of range")))
    }

    /// A number.
    ///
    /// # Errors
    /// It is something else.
    pub fn number(&self) -> Result<f64, Error> {
        let text = self.text()?;
        text.parse::<f64>()
            .ok()
            .filter(|n| n.is_finite())
            .ok_or_else(|| self.fail(format!("must be a number, not \"{text}\"")))
    }

    /// An amount of bytes: `64m`, `1.5gb`, `1048576`.
    ///
    /// # Errors
    /// It is something else.
    pub fn bytes(&self) -> Result<i64, Error> {
        let text = self.text()?;
        units::bytes(text).ok_or_else(|| self.fail(format!("invalid size \"{text}\" (examples: 64m, 1.5gb)")))
    }

    /// A duration in nanoseconds: `1m30s`.
    ///
    /// # Errors
    /// It is something else.
    pub fn duration(&self) -> Result<units::Nanoseconds, Error> {
        let text = self.text()?;
        units::duration(text)
            .ok_or_else(|| self.fail(format!("invalid duration \"{text}\" (examples: 10s, 1m30s)")))
    }

    /// An octal file mode as Compose writes it.
    ///
    /// # Errors
    /// It is something else.
    pub fn mode(&self) -> Result<u32, Error> {
        let text = self.text()?;
        let digits = text.strip_prefix("0o").unwrap_or(text);
        let radix = if text.starts_with('0') || matches!(self.node.value, Value::Scalar { plain: false, .. })
        {
            8
        } else {
            10
        };
        u32::from_str_radix(digits, radix)
            .map_err(|_| self.fail(format!("invalid file mode \"{text}\" (example: 0440)")))
    }

    /// One word out of a few.
    ///
    /// # Errors
    /// It is another.
    pub fn word(&self, allowed: &[&str]) -> Result<String, Error> {
        let text = self.text()?;
        if allowed.contains(&text) {
            return Ok(text.to_owned());
        }
        Err(self.fail(format!("must be one of {}, not \"{text}\"", allowed.join(", "))))
    }

    /// A command: words, or a line to be split as a shell would; nothing said is `None`, `[]` and `""` clear the image's.
    ///
    /// # Errors
    /// It is neither, or the quotes are open.
    pub fn command(&self) -> Result<Option<Vec<String>>, Error> {
        match &self.node.value {
            Value::Null => Ok(None),
            Value::Scalar { text, .. } => match shlex::split(text) {
                Some(words) => Ok(Some(words)),
                None => Err(self.fail("a quote is not closed")),
            },
            _ => Ok(Some(self.strings()?)),
        }
    }
}

impl<'a> Fields<'a> {
    /// The value of a key; nothing and null are the same here.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Cursor<'a>> {
        self.any(key).filter(|cursor| !cursor.node.is_null())
    }

    /// The value of a key even when null.
    #[must_use]
    pub fn any(&self, key: &str) -> Option<Cursor<'a>> {
        let node = self.map.get(key)?;
        let path = if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        Some(Cursor { node, path })
    }

    /// Reads a key if it is there.
    ///
    /// # Errors
    /// What the reader says.
    pub fn read<T>(
        &self,
        key: &str,
        reader: impl FnOnce(&Cursor<'a>) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        self.get(key).map(|cursor| reader(&cursor)).transpose()
    }

    /// Reads a key, or takes the type's empty value.
    ///
    /// # Errors
    /// What the reader says.
    pub fn or_default<T: Default>(
        &self,
        key: &str,
        reader: impl FnOnce(&Cursor<'a>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.read(key, reader).map(Option::unwrap_or_default)
    }

    /// Where a key stands.
    #[must_use]
    pub fn place(&self, key: &str) -> Option<&'a Position> {
        self.map.entries.iter().find(|entry| entry.key == key).map(|entry| &entry.at)
    }
}

/// The known word nearest to a mistyped one, if any is near.
#[must_use]
pub fn suggestion<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let limit = (word.chars().count() / 3).max(1);
    known
        .iter()
        .map(|candidate| (distance(word, candidate), *candidate))
        .filter(|(far, _)| *far <= limit)
        .min()
        .map(|(_, near)| near)
}

/// Optimal string alignment: insert, delete, replace, swap of neighbours.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let same = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (rows[i - 1][j] + 1).min(row[j - 1] + 1).min(rows[i - 1][j - 1] + same);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::parse;

    #[test]
    fn an_unknown_key_names_its_place_and_the_nearest() {
        let node = parse("ports: []\nvolums: []\n", "c.yaml").unwrap();
        let error = Cursor::root(&node).fields(&["ports", "volumes"]).unwrap_err();
        assert_eq!(error.to_string(), "c.yaml:2:1: unknown key \"volums\", did you mean \"volumes\"?");
    }

    #[test]
    fn extensions_pass() {
        let node = parse("x-any: 1\n", "c.yaml").unwrap();
        assert!(Cursor::root(&node).fields(&[]).is_ok());
    }

    #[test]
    fn modes_are_octal_when_they_look_so() {
        for (text, mode) in [("0440", 0o440), ("0o440", 0o440), ("\"0440\"", 0o440), ("288", 288)] {
            let node = parse(text, "c.yaml").unwrap();
            assert_eq!(Cursor::root(&node).mode().unwrap(), mode, "{text}");
        }
    }

    #[test]
    fn far_words_are_not_suggested() {
        assert_eq!(suggestion("zzz", &["ports"]), None);
        assert_eq!(suggestion("prots", &["ports", "pid"]), Some("ports"));
        assert_eq!(suggestion("enviroment", &["environment", "env_file"]), Some("environment"));
    }
}
