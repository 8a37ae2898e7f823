//! `$VAR`, `${VAR:-default}` and their kin, nested, in every value of a file.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    error::{Diagnostic, Error},
    yaml::{Node, Value},
};

/// Replaces variables in all values below a node. Names that are unset and have no default are collected in `unset`.
///
/// # Errors
/// A template that does not parse, or a required variable that is missing; with the place and the key.
pub fn interpolate(
    node: &mut Node,
    env: &BTreeMap<String, String>,
    unset: &mut BTreeSet<String>,
) -> Result<(), Error> {
    walk(node, "", env, unset)
}

fn walk(
    node: &mut Node,
    path: &str,
    env: &BTreeMap<String, String>,
    unset: &mut BTreeSet<String>,
) -> Result<(), Error> {
    match &mut node.value {
        Value::Null => {}
        Value::Scalar { text, .. } => {
            if text.contains('$') {
                *text = substitute(text, env, unset).map_err(|message| Diagnostic {
                    at: node.at.clone(),
                    path: path.to_owned(),
                    message,
                })?;
            }
        }
        Value::List(list) => {
            for (i, item) in list.iter_mut().enumerate() {
                walk(item, &format!("{path}[{i}]"), env, unset)?;
            }
        }
        Value::Map(map) => {
            for entry in &mut map.entries {
                if path.is_empty() && entry.key.starts_with("x-") {
                    continue;
                }
                let path = if path.is_empty() { entry.key.clone() } else { format!("{path}.{}", entry.key) };
                walk(&mut entry.node, &path, env, unset)?;
            }
        }
    }
    Ok(())
}

/// Replaces variables in one text.
///
/// # Errors
/// A sentence: what is wrong with the template or which variable is missing.
pub fn substitute(
    text: &str,
    env: &BTreeMap<String, String>,
    unset: &mut BTreeSet<String>,
) -> Result<String, String> {
    let mut template = Template { rest: text, whole: text, env, unset };
    template.run(false)
}

struct Template<'a> {
    rest: &'a str,
    whole: &'a str,
    env: &'a BTreeMap<String, String>,
    unset: &'a mut BTreeSet<String>,
}

impl Template<'_> {
    fn bad(&self) -> String {
        format!("invalid interpolation format \"{}\" (a literal dollar sign is written $$)", self.whole)
    }

    /// Up to the end, or up to the brace that closes a nested default.
    fn run(&mut self, nested: bool) -> Result<String, String> {
        let mut out = String::new();
        while let Some(c) = self.rest.chars().next() {
            match c {
                '}' if nested => return Ok(out),
                '$' => {
                    self.rest = &self.rest[1..];
                    self.dollar(&mut out)?;
                }
                _ => {
                    out.push(c);
                    self.rest = &self.rest[c.len_utf8()..];
                }
            }
        }
        if nested { Err(self.bad()) } else { Ok(out) }
    }

    fn name(&mut self) -> String {
        let starts = |c: char| c == '_' || c.is_ascii_alphabetic();
        let end = match self.rest.chars().next() {
            Some(c) if starts(c) => {
                self.rest.find(|c: char| !starts(c) && !c.is_ascii_digit()).unwrap_or(self.rest.len())
            }
            _ => 0,
        };
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        name.to_owned()
    }

    fn dollar(&mut self, out: &mut String) -> Result<(), String> {
        if let Some(rest) = self.rest.strip_prefix('$') {
            self.rest = rest;
            out.push('$');
            return Ok(());
        }
        if let Some(rest) = self.rest.strip_prefix('{') {
            self.rest = rest;
            let value = self.braced()?;
            out.push_str(&value);
            return Ok(());
        }
        let name = self.name();
        if name.is_empty() {
            return Err(self.bad());
        }
        out.push_str(&self.plain(&name));
        Ok(())
    }

    fn plain(&mut self, name: &str) -> String {
        self.env.get(name).cloned().unwrap_or_else(|| {
            self.unset.insert(name.to_owned());
            String::new()
        })
    }

    fn braced(&mut self) -> Result<String, String> {
        let name = self.name();
        if name.is_empty() {
            return Err(self.bad());
        }
        let operators = [":-", "-", ":?", "?", ":+", "+"];
        let operator = operators.into_iter().find(|op| self.rest.starts_with(op)).unwrap_or("");
        self.rest = &self.rest[operator.len()..];
        let value = self.env.get(&name).cloned();
        let present = value.as_ref().is_some_and(|value| !operator.starts_with(':') || !value.is_empty());
        let result = match operator.trim_start_matches(':') {
            "" => self.plain(&name),
            "-" => match value.filter(|_| present) {
                Some(value) => self.skipped(value)?,
                None => self.run(true)?,
            },
            "+" => match present {
                true => self.run(true)?,
                false => self.skipped(String::new())?,
            },
            _ => match value.filter(|_| present) {
                Some(value) => self.skipped(value)?,
                None => {
                    let message = self.run(true)?;
                    let message = if message.is_empty() { String::new() } else { format!(": {message}") };
                    return Err(format!("required variable {name} is missing a value{message}"));
                }
            },
        };
        match self.rest.strip_prefix('}') {
            Some(rest) => self.rest = rest,
            None => return Err(self.bad()),
        }
        Ok(result)
    }

    /// Walks over an operand that is not used: its own missing variables do not count.
    fn skipped(&mut self, value: String) -> Result<String, String> {
        let (env, mut ignored) = (self.env, BTreeSet::new());
        let mut inner = Template { rest: self.rest, whole: self.whole, env, unset: &mut ignored };
        // A required variable inside an operand that is not used is not missed.
        let end = inner.brace_end().ok_or_else(|| self.bad())?;
        self.rest = &self.rest[end..];
        Ok(value)
    }

    /// Where the brace that closes this level stands.
    fn brace_end(&mut self) -> Option<usize> {
        let (mut depth, mut previous) = (0usize, ' ');
        for (i, c) in self.rest.char_indices() {
            match c {
                '{' if previous == '$' => depth += 1,
                '}' if depth == 0 => return Some(i),
                '}' => depth -= 1,
                _ => {}
            }
            previous = c;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::parse;

    fn env() -> BTreeMap<String, String> {
        [("A", "1"), ("EMPTY", ""), ("NAME", "web")]
            .into_iter()
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .collect()
    }

    #[test]
    fn table() {
        for (text, want) in [
            ("plain", "plain"),
            ("$A", "1"),
            ("${A}", "1"),
            ("a$${A}", "a${A}"),
            ("$$A", "$A"),
            ("${NO:-d}", "d"),
            ("${NO-d}", "d"),
            ("${EMPTY:-d}", "d"),
            ("${EMPTY-d}", ""),
            ("${A:+r}", "r"),
            ("${NO:+r}", ""),
            ("${EMPTY:+r}", ""),
            ("${EMPTY+r}", "r"),
            ("${A:?must}", "1"),
            ("${NO:-${A}}", "1"),
            ("${NO:-${NO2:-${NAME}}}x", "webx"),
            ("${A:-${NO:?never}}", "1"),
            ("${NO:-a:b}", "a:b"),
            ("$NAME.txt", "web.txt"),
            ("${NO:-}", ""),
            ("ü$A", "ü1"),
        ] {
            assert_eq!(substitute(text, &env(), &mut BTreeSet::new()).as_deref(), Ok(want), "{text}");
        }
    }

    #[test]
    fn wrong_templates_are_refused() {
        for text in ["$", "${", "${}", "${A", "$1", "${A!}", "${NO:-x", "a $ b"] {
            let error = substitute(text, &env(), &mut BTreeSet::new()).unwrap_err();
            assert!(error.starts_with("invalid interpolation format"), "{text}: {error}");
        }
    }

    #[test]
    fn missing_variables_are_collected_or_required() {
        let mut unset = BTreeSet::new();
        assert_eq!(substitute("$NO ${NO2:-x} ${NO3}", &env(), &mut unset).as_deref(), Ok(" x "));
        assert_eq!(unset.into_iter().collect::<Vec<_>>(), ["NO", "NO3"]);
        let mut node = parse("services:\n  web:\n    image: ${TAG:?set it}\n", "c.yaml").unwrap();
        let error = interpolate(&mut node, &env(), &mut BTreeSet::new()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "c.yaml:3:12: services.web.image: required variable TAG is missing a value: set it"
        );
    }
}
