//! Words of an instruction: quotes, escapes, and `$variables` as BuildKit expands them.

use std::iter::Peekable;
use std::str::Chars;

/// Looks a variable up; `None` is unset.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Expands variables and removes quotes: one word in, one out (`ENV`, `WORKDIR`, `COPY` arguments).
///
/// # Errors
/// A sentence: an unterminated quote or brace, an unset `${x:?message}`, a modifier that is none.
pub(crate) fn expand(text: &str, escape: char, lookup: Lookup<'_>) -> Result<String, String> {
    let mut words = Words { rest: text.chars().peekable(), escape, lookup, keep_quotes: false };
    words.until(None)
}

/// The same, but quotes and escapes stay: what is expanded inside a heredoc.
///
/// # Errors
/// As [`expand`].
pub(crate) fn expand_raw(text: &str, escape: char, lookup: Lookup<'_>) -> Result<String, String> {
    let mut words = Words { rest: text.chars().peekable(), escape, lookup, keep_quotes: true };
    words.until(None)
}

/// Splits at blanks outside quotes; quotes and escapes stay in the pieces.
///
/// # Errors
/// An unterminated quote.
pub(crate) fn split(text: &str, escape: char) -> Result<Vec<String>, String> {
    let (mut pieces, mut piece, mut quote) = (Vec::new(), String::new(), None);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match quote {
            None if c.is_whitespace() => {
                if !piece.is_empty() {
                    pieces.push(std::mem::take(&mut piece));
                }
                continue;
            }
            None if c == '"' || c == '\'' => quote = Some(c),
            Some(open) if c == open => quote = None,
            _ => {}
        }
        piece.push(c);
        if c == escape && quote != Some('\'') {
            piece.extend(chars.next());
        }
    }
    if let Some(open) = quote {
        return Err(format!(
            "unexpected end of statement while looking for matching {}",
            if open == '"' { "double-quote" } else { "single-quote" }
        ));
    }
    if !piece.is_empty() {
        pieces.push(piece);
    }
    Ok(pieces)
}

struct Words<'a> {
    rest: Peekable<Chars<'a>>,
    escape: char,
    lookup: Lookup<'a>,
    keep_quotes: bool,
}

impl Words<'_> {
    /// Up to (and without) `end`, or to the end of the text.
    fn until(&mut self, end: Option<char>) -> Result<String, String> {
        let mut out = String::new();
        loop {
            let Some(c) = self.rest.next() else {
                return match end {
                    None => Ok(out),
                    Some(_) => Err("syntax error: missing '}'".to_owned()),
                };
            };
            if Some(c) == end {
                return Ok(out);
            }
            match c {
                '$' => out.push_str(&self.variable()?),
                '\'' if !self.keep_quotes => self.single(&mut out)?,
                '"' if !self.keep_quotes => self.double(&mut out)?,
                c if c == self.escape => self.escaped(&mut out),
                c => out.push(c),
            }
        }
    }

    fn escaped(&mut self, out: &mut String) {
        match self.rest.next() {
            None => out.push(self.escape),
            Some(next) if self.keep_quotes && next != '$' => out.extend([self.escape, next]),
            Some(next) => out.push(next),
        }
    }

    fn single(&mut self, out: &mut String) -> Result<(), String> {
        for c in self.rest.by_ref() {
            if c == '\'' {
                return Ok(());
            }
            out.push(c);
        }
        Err("unexpected end of statement while looking for matching single-quote".to_owned())
    }

    fn double(&mut self, out: &mut String) -> Result<(), String> {
        while let Some(c) = self.rest.next() {
            match c {
                '"' => return Ok(()),
                '$' => out.push_str(&self.variable()?),
                c if c == self.escape => match self.rest.next() {
                    Some(next) if next == '"' || next == '$' || next == self.escape => out.push(next),
                    Some(next) => out.extend([self.escape, next]),
                    None => out.push(self.escape),
                },
                c => out.push(c),
            }
        }
        Err("unexpected end of statement while looking for matching double-quote".to_owned())
    }

    fn name(&mut self) -> String {
        let mut name = String::new();
        if let Some(c) = self.rest.next_if(char::is_ascii_digit) {
            // `$12` is `$1` and a 2, as in a shell
            name.push(c);
            return name;
        }
        while let Some(c) = self.rest.next_if(|c| c.is_alphanumeric() || *c == '_') {
            name.push(c);
        }
        name
    }

    fn variable(&mut self) -> Result<String, String> {
        if self.rest.next_if_eq(&'{').is_none() {
            let name = self.name();
            return Ok(if name.is_empty() {
                "$".to_owned()
            } else {
                (self.lookup)(&name).unwrap_or_default()
            });
        }
        let name = self.name();
        if name.is_empty() {
            return Err("bad substitution: ${} without a name".to_owned());
        }
        let value = (self.lookup)(&name);
        let Some(operator) = self.rest.next() else { return Err("syntax error: missing '}'".to_owned()) };
        let colon = operator == ':';
        let operator = if colon { self.rest.next().unwrap_or('}') } else { operator };
        let set = value.as_ref().is_some_and(|value| !colon || !value.is_empty());
        match operator {
            '}' if !colon => Ok(value.unwrap_or_default()),
            '-' => {
                let default = self.until(Some('}'))?;
                Ok(if set { value.unwrap_or_default() } else { default })
            }
            '+' => {
                let other = self.until(Some('}'))?;
                Ok(if set { other } else { String::new() })
            }
            '?' => {
                let message = self.until(Some('}'))?;
                let message =
                    if message.is_empty() { "is not allowed to be unset".to_owned() } else { message };
                if set { Ok(value.unwrap_or_default()) } else { Err(format!("{name}: {message}")) }
            }
            '#' | '%' if !colon => {
                let longest = self.rest.next_if_eq(&operator).is_some();
                let pattern = self.until(Some('}'))?;
                let value = value.unwrap_or_default();
                Ok(if operator == '#' {
                    strip_prefix(&value, &pattern, longest)
                } else {
                    strip_suffix(&value, &pattern, longest)
                })
            }
            '/' if !colon => {
                let all = self.rest.next_if_eq(&'/').is_some();
                let pattern = self.until_slash()?;
                let replacement = self.until(Some('}'))?;
                Ok(replace(&value.unwrap_or_default(), &pattern, &replacement, all))
            }
            other => Err(format!("unsupported modifier ({other}) in substitution of {name}")),
        }
    }

    fn until_slash(&mut self) -> Result<String, String> {
        let mut out = String::new();
        loop {
            match self.rest.next() {
                None => return Err("syntax error: missing '/' in ${}".to_owned()),
                Some('/') => return Ok(out),
                Some(c) if c == self.escape => out.extend(self.rest.next()),
                Some(c) => out.push(c),
            }
        }
    }
}

/// Shell patterns: `*` and `?`.
fn matches(pattern: &[char], text: &[char]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((&'*', rest)), _) => (0..=text.len()).any(|n| matches(rest, text.get(n..).unwrap_or_default())),
        (Some((&'?', rest)), Some((_, tail))) => matches(rest, tail),
        (Some((p, rest)), Some((t, tail))) if p == t => matches(rest, tail),
        _ => false,
    }
}

fn cut(value: &str, pattern: &str) -> (Vec<char>, Vec<char>) {
    (value.chars().collect(), pattern.chars().collect())
}

fn strip_prefix(value: &str, pattern: &str, longest: bool) -> String {
    let (text, pattern) = cut(value, pattern);
    let mut lengths: Vec<usize> = (0..=text.len()).collect();
    if longest {
        lengths.reverse();
    }
    let found = lengths.into_iter().find(|&n| matches(&pattern, text.get(..n).unwrap_or_default()));
    text.iter().skip(found.unwrap_or(0)).collect()
}

fn strip_suffix(value: &str, pattern: &str, longest: bool) -> String {
    let (text, pattern) = cut(value, pattern);
    let mut starts: Vec<usize> = (0..=text.len()).rev().collect();
    if longest {
        starts.reverse();
    }
    let found = starts.into_iter().find(|&n| matches(&pattern, text.get(n..).unwrap_or_default()));
    text.iter().take(found.unwrap_or(text.len())).collect()
}

fn replace(value: &str, pattern: &str, replacement: &str, all: bool) -> String {
    let (text, pattern) = cut(value, pattern);
    let (mut out, mut at, mut done) = (String::new(), 0, false);
    while at < text.len() {
        let longest =
            (at + 1..=text.len()).rev().find(|&end| matches(&pattern, text.get(at..end).unwrap_or_default()));
        match longest.filter(|_| !done || all) {
            Some(end) => {
                out.push_str(replacement);
                at = end;
                done = true;
            }
            None => {
                out.extend(text.get(at));
                at += 1;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str) -> Option<String> {
        match name {
            "A" => Some("one".into()),
            "E" => Some(String::new()),
            "P" => Some("/usr/local/lib.tar.gz".into()),
            _ => None,
        }
    }

    #[test]
    fn variables_expand_as_buildkits() {
        for (text, wanted) in [
            ("$A ${A}x $Ax", "one onex "),
            ("${U:-d} ${U-d} ${E:-d} ${E-d} ${A:-d}", "d d d  one"),
            ("${A:+y} ${U:+y} ${E+y} ${E:+y}", "y  y "),
            ("${U:-${A}}", "one"),
            ("'$A' \"$A\" \\$A", "$A one $A"),
            ("\"a\\\"b\\c\"", "a\"b\\c"),
            (
                "${P#*/} ${P##*/} ${P%.*} ${P%%.*}",
                "usr/local/lib.tar.gz lib.tar.gz /usr/local/lib.tar /usr/local/lib",
            ),
            ("${P/local/x} ${P//[/] $", ""),
            ("${A/n/m} ${P//\\//_}", "ome _usr_local_lib.tar.gz"),
        ] {
            match expand(text, '\\', &lookup) {
                Ok(out) => assert_eq!(out, wanted, "{text}"),
                Err(error) => assert!(wanted.is_empty(), "{text}: {error}"),
            }
        }
        assert_eq!(expand("${U:?is needed}", '\\', &lookup).unwrap_err(), "U: is needed");
        for bad in ["${A", "'a", "\"a", "${}", "${A:x}"] {
            assert!(expand(bad, '\\', &lookup).is_err(), "{bad}");
        }
        assert_eq!(expand_raw("\"$A\" \\$A \\n", '\\', &lookup).unwrap(), "\"one\" $A \\n");
    }

    #[test]
    fn pieces_keep_their_quotes() {
        assert_eq!(split("a \"b c\" 'd e'f g\\ h", '\\').unwrap(), ["a", "\"b c\"", "'d e'f", "g\\ h"]);
        assert!(split("a 'b", '\\').is_err());
    }
}
