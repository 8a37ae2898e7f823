//! Dockerfile text → logical lines: directives, continuations, comments, heredocs. Knows no instruction.

use std::fmt;

/// A Dockerfile cut into lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dockerfile {
    /// `\` or `` ` ``.
    pub escape: char,
    /// In order.
    pub lines: Vec<Line>,
}

/// One instruction as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// First line of the file it stands on, from 1.
    pub number: usize,
    /// Upper case: `RUN`.
    pub keyword: String,
    /// All behind the keyword, continuations joined.
    pub rest: String,
    /// Its heredocs, in order.
    pub heredocs: Vec<Heredoc>,
}

/// `<<EOF … EOF`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Heredoc {
    /// `EOF`.
    pub name: String,
    /// Variables are expanded (the name was not quoted).
    pub expand: bool,
    /// With the last newline; leading tabs are gone with `<<-`.
    pub content: String,
}

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) struct Error {
    /// From 1.
    pub line: usize,
    /// A sentence.
    pub message: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dockerfile parse error on line {}: {}", self.line, self.message)
    }
}

/// Cuts a Dockerfile.
///
/// # Errors
/// An unknown `syntax` or `escape`, an unterminated heredoc, no instruction at all.
pub(crate) fn parse(text: &str) -> Result<Dockerfile, Error> {
    let text = text.trim_start_matches('\u{feff}');
    let physical: Vec<&str> = text.lines().map(|line| line.strip_suffix('\r').unwrap_or(line)).collect();
    let (escape, mut at) = directives(&physical)?;
    let mut lines = Vec::new();
    while let Some(first) = physical.get(at) {
        if is_comment(first) || first.trim().is_empty() {
            at += 1;
            continue;
        }
        let number = at + 1;
        let joined = join(&physical, &mut at, escape);
        let (keyword, rest) = joined.split_once(char::is_whitespace).unwrap_or((&joined, ""));
        let keyword = keyword.to_ascii_uppercase();
        let names = if takes_heredocs(&keyword, rest) { heredoc_names(rest) } else { Vec::new() };
        let mut heredocs = Vec::new();
        for (name, expand, tabs) in names {
            heredocs.push(heredoc(&physical, &mut at, number, name, expand, tabs)?);
        }
        lines.push(Line { number, keyword, rest: rest.trim().to_owned(), heredocs });
    }
    if lines.is_empty() {
        return Err(Error { line: 1, message: "file with no instructions".to_owned() });
    }
    Ok(Dockerfile { escape, lines })
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with('#')
}

/// `# name=value` at the very top.
fn directives(physical: &[&str]) -> Result<(char, usize), Error> {
    let mut escape = '\\';
    for (at, line) in physical.iter().enumerate() {
        let Some((name, value)) = line.trim_start().strip_prefix('#').and_then(|rest| rest.split_once('='))
        else {
            return Ok((escape, at));
        };
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
        let error = |message| Error { line: at + 1, message };
        match name.as_str() {
            "escape" => match value {
                "\\" | "`" => escape = value.chars().next().unwrap_or('\\'),
                _ => return Err(error(format!("invalid escape token {value:?} does not match ` or \\"))),
            },
            "syntax" => {
                let image = value.strip_prefix("docker.io/").unwrap_or(value);
                if !image.starts_with("docker/dockerfile") {
                    return Err(error(format!(
                        "syntax={value}: only docker/dockerfile is built in, other frontends are not run"
                    )));
                }
            }
            "check" => {}
            _ => return Ok((escape, at)),
        }
    }
    Ok((escape, physical.len()))
}

/// One logical line; `at` moves behind it. Comments and empty lines inside are skipped, as BuildKit does.
fn join(physical: &[&str], at: &mut usize, escape: char) -> String {
    let mut joined = String::new();
    let mut first = true;
    while let Some(line) = physical.get(*at) {
        *at += 1;
        if !first && (is_comment(line) || line.trim().is_empty()) {
            continue;
        }
        let line = if first { line.trim_start() } else { line };
        first = false;
        let trimmed = line.trim_end();
        match trimmed.strip_suffix(escape) {
            Some(front) => joined.push_str(front),
            None => {
                joined.push_str(line);
                break;
            }
        }
    }
    joined
}

/// Heredocs belong to RUN, COPY, ADD, also behind ONBUILD.
fn takes_heredocs(keyword: &str, rest: &str) -> bool {
    match keyword {
        "RUN" | "COPY" | "ADD" => true,
        "ONBUILD" => rest
            .split_whitespace()
            .next()
            .is_some_and(|inner| takes_heredocs(&inner.to_ascii_uppercase(), "")),
        _ => false,
    }
}

/// Every `<<[-]["']NAME["']` outside quotes: (name, expand, strip tabs).
fn heredoc_names(text: &str) -> Vec<(String, bool, bool)> {
    let mut names = Vec::new();
    let mut quote = None;
    let mut rest = text;
    // a heredoc begins a word, a descriptor's number before it at most: `a<<E` is none
    let mut begins = true;
    while let Some(c) = rest.chars().next() {
        if let Some(open) = quote {
            if c == open {
                quote = None;
            }
        } else if c == '\'' || c == '"' {
            quote = Some(c);
        } else if let Some(after) = rest.strip_prefix("<<")
            && begins
            && !after.starts_with('<')
        {
            let (after, tabs) = after.strip_prefix('-').map_or((after, false), |after| (after, true));
            let (after, close) = match after.chars().next() {
                Some(q @ ('"' | '\'')) => (after.get(1..).unwrap_or_default(), Some(q)),
                _ => (after, None),
            };
            let end = after.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(after.len());
            let (name, tail) = after.split_at(end);
            let closed = close.is_none_or(|q| tail.starts_with(q));
            if !name.is_empty() && closed {
                names.push((name.to_owned(), close.is_none(), tabs));
                rest = tail.get(usize::from(close.is_some())..).unwrap_or_default();
                begins = false;
                continue;
            }
        }
        begins = c.is_whitespace() || "|;&(".contains(c) || (begins && c.is_ascii_digit());
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
    }
    names
}

fn heredoc(
    physical: &[&str],
    at: &mut usize,
    number: usize,
    name: String,
    expand: bool,
    tabs: bool,
) -> Result<Heredoc, Error> {
    let mut content = String::new();
    while let Some(line) = physical.get(*at) {
        *at += 1;
        let line = if tabs { line.trim_start_matches('\t') } else { line };
        if line == name {
            return Ok(Heredoc { name, expand, content });
        }
        content.push_str(line);
        content.push('\n');
    }
    Err(Error { line: number, message: format!("unterminated heredoc {name}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rests(text: &str) -> Vec<(usize, String, String)> {
        parse(text).unwrap().lines.into_iter().map(|line| (line.number, line.keyword, line.rest)).collect()
    }

    #[test]
    fn lines_are_joined_and_numbered() {
        let text = "# syntax=docker/dockerfile:1\n\nFROM a\nrun x \\\n  # a comment\n\n  y\n# end\nCMD z\n";
        let wanted = [(3, "FROM", "a"), (4, "RUN", "x   y"), (9, "CMD", "z")];
        assert_eq!(rests(text), wanted.map(|(n, k, r)| (n, k.to_owned(), r.to_owned())));
        assert_eq!(rests("# escape=`\nFROM a\nRUN x `\n y\n")[1].2, "x  y");
    }

    #[test]
    fn heredocs_are_cut_out() {
        let text = "FROM a\nRUN <<EOF cat > x <<-'B C' <<-\"T\"\none\nEOF\n\ttwo\n\tT\nCMD x\n";
        let parsed = parse(text).unwrap();
        let docs = &parsed.lines[1].heredocs;
        assert_eq!(docs[0], Heredoc { name: "EOF".into(), expand: true, content: "one\n".into() });
        assert_eq!(docs[1], Heredoc { name: "T".into(), expand: false, content: "two\n".into() });
        assert_eq!(parsed.lines[2].number, 7);
        assert_eq!(
            parse("FROM a\nRUN <<E\nx\n").unwrap_err().to_string(),
            "dockerfile parse error on line 2: unterminated heredoc E"
        );
        assert!(parse("FROM a\nRUN echo a<<E\n").unwrap().lines[1].heredocs.is_empty());
        assert!(parse("FROM a\nRUN echo \"<<E\"\n").unwrap().lines[1].heredocs.is_empty());
    }

    #[test]
    fn bad_directives_are_named() {
        assert!(parse("# syntax=evil/frontend\nFROM a").unwrap_err().message.contains("evil/frontend"));
        assert!(parse("# escape=x\nFROM a").unwrap_err().message.contains("escape"));
        assert!(parse("# only a comment\n").is_err());
    }
}
