//! `.env` files: `KEY=value`, quotes, `export`, comments, variables.

use std::collections::{BTreeMap, BTreeSet};

use super::interpolate::substitute;

/// Reads a `.env` file. Variables may use those before them in the file and those of `outer`, which win.
/// A key without `=` takes its value from `outer`, and is left out when that has none.
///
/// # Errors
/// `line N: …`.
pub fn parse(text: &str, outer: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, String> {
    let mut env = BTreeMap::new();
    let mut lines = text.trim_start_matches('\u{feff}').lines().enumerate();
    while let Some((index, raw)) = lines.next() {
        let fail = |message: &str| format!("line {}: {message}", index + 1);
        let line = raw.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").map_or(line, str::trim_start);
        let Some((key, value)) = line.split_once(['=', ':']) else {
            check_key(line).map_err(|m| fail(&m))?;
            if let Some(value) = outer.get(line) {
                env.insert(line.to_owned(), value.clone());
            }
            continue;
        };
        let key = key.trim_end();
        check_key(key).map_err(|m| fail(&m))?;
        let mut value = value.trim_start().to_owned();
        let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
        let value = match quote {
            Some(quote) => {
                while closing(&value, quote).is_none() {
                    let (_, more) = lines.next().ok_or_else(|| fail("a quote is not closed"))?;
                    value.push('\n');
                    value.push_str(more);
                }
                let end = closing(&value, quote).unwrap_or(value.len());
                let inner = &value[1..end];
                if quote == '\'' {
                    inner.to_owned()
                } else {
                    expand(&unescape(inner), &env, outer).map_err(|m| fail(&m))?
                }
            }
            None => expand(strip_comment(&value), &env, outer).map_err(|m| fail(&m))?,
        };
        env.insert(key.to_owned(), value);
    }
    Ok(env)
}

/// An `env_file` of format `raw`: every line is `KEY=value` to the letter.
#[must_use]
pub fn parse_raw(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
    lines.filter_map(|line| line.split_once('=')).map(|(k, v)| (k.trim().to_owned(), v.to_owned())).collect()
}

fn check_key(key: &str) -> Result<(), String> {
    let legal = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '[' | ']');
    if key.is_empty() || !key.chars().all(legal) {
        return Err(format!("\"{key}\" is not a variable name"));
    }
    Ok(())
}

fn closing(value: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (i, c) in value.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' if quote == '"' => escaped = true,
            c if c == quote => return Some(i),
            _ => {}
        }
    }
    None
}

fn strip_comment(value: &str) -> &str {
    match value.find(" #") {
        Some(at) => value[..at].trim_end(),
        None if value.starts_with('#') => "",
        None => value.trim_end(),
    }
}

fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('"') => out.push('"'),
            Some('\\') => out.push('\\'),
            Some('$') => out.push_str("$$"),
            Some(other) => {
                out.push('\\');
                out.push(other);
            }
            None => out.push('\\'),
        }
    }
    out
}

fn expand(
    value: &str,
    env: &BTreeMap<String, String>,
    outer: &BTreeMap<String, String>,
) -> Result<String, String> {
    if !value.contains('$') {
        return Ok(value.to_owned());
    }
    let mut known = env.clone();
    known.extend(outer.iter().map(|(k, v)| (k.clone(), v.clone())));
    substitute(value, &known, &mut BTreeSet::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        let outer =
            BTreeMap::from([("HOME".to_owned(), "/root".to_owned()), ("PASS".to_owned(), "p".to_owned())]);
        let text = "# c\nA=1\nexport B = two words # note\nC='$A #x'\nD=\"$A\\n\\$A\"\nE=${HOME}/x\nPASS\nGONE\nF=\nG=\"multi\nline\"\nH=a#b\nI: yaml\n";
        let env = parse(text, &outer).unwrap();
        let want = [
            ("A", "1"),
            ("B", "two words"),
            ("C", "$A #x"),
            ("D", "1\n$A"),
            ("E", "/root/x"),
            ("F", ""),
            ("G", "multi\nline"),
            ("H", "a#b"),
            ("I", "yaml"),
            ("PASS", "p"),
        ];
        assert_eq!(env.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect::<Vec<_>>(), want);
    }

    #[test]
    fn errors_name_the_line() {
        assert_eq!(
            parse("A=1\nB B=2\n", &BTreeMap::new()).unwrap_err(),
            "line 2: \"B B\" is not a variable name"
        );
        assert_eq!(parse("A=\"x\n", &BTreeMap::new()).unwrap_err(), "line 1: a quote is not closed");
    }

    #[test]
    fn raw_keeps_everything() {
        assert_eq!(
            parse_raw("A=\"x\" $B # c\n"),
            BTreeMap::from([("A".to_owned(), "\"x\" $B # c".to_owned())])
        );
    }
}
