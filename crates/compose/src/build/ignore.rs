//! `.dockerignore`: Docker's patterns, which are not git's.
//!
//! Every pattern is anchored at the context's root; `*` and `?` stop at `/`, `**` does not; `!` takes back; the last
//! pattern that matches decides; a folder that matches takes everything below it along.

/// The patterns of one file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patterns {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    exception: bool,
    parts: Vec<String>,
}

impl Patterns {
    /// Reads a `.dockerignore`.
    ///
    /// # Errors
    /// `line N: …` for a pattern that has no meaning.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut rules = Vec::new();
        for (i, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            if line.starts_with('#') {
                continue;
            }
            let line = line.trim();
            let (exception, pattern) =
                line.strip_prefix('!').map_or((false, line), |rest| (true, rest.trim()));
            if pattern.is_empty() {
                if exception {
                    return Err(format!("line {}: \"!\" alone excludes nothing", i + 1));
                }
                continue;
            }
            let parts: Vec<String> = clean(pattern);
            if parts.iter().any(|part| !valid(part)) {
                return Err(format!("line {}: bad pattern \"{pattern}\"", i + 1));
            }
            if !parts.is_empty() {
                rules.push(Rule { exception, parts });
            }
        }
        Ok(Self { rules })
    }

    /// Is this path, relative to the context, left out?
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let mut ignored = false;
        for rule in &self.rules {
            if rule.exception == ignored {
                // The path itself, or any folder above it.
                let hit = (1..=parts.len()).any(|end| matches(&rule.parts, &parts[..end]));
                if hit {
                    ignored = !rule.exception;
                }
            }
        }
        ignored
    }

    /// Does any pattern take something back? Then an ignored folder must still be looked into.
    #[must_use]
    pub fn has_exceptions(&self) -> bool {
        self.rules.iter().any(|rule| rule.exception)
    }
}

fn clean(pattern: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for part in pattern.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part.to_owned()),
        }
    }
    parts
}

fn valid(part: &str) -> bool {
    let mut chars = part.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' if chars.next().is_none() => return false,
            '[' => {
                let mut closed = false;
                let mut first = true;
                while let Some(c) = chars.next() {
                    match c {
                        ']' if !first => {
                            closed = true;
                            break;
                        }
                        '\\' => drop(chars.next()),
                        '^' if first => continue,
                        _ => {}
                    }
                    first = false;
                }
                if !closed {
                    return false;
                }
            }
            _ => {}
        }
    }
    true
}

fn matches(pattern: &[String], path: &[&str]) -> bool {
    match pattern.split_first() {
        None => path.is_empty(),
        Some((first, rest)) if first == "**" => {
            (0..=path.len()).any(|skip| matches(rest, &path[skip..])) && !(rest.is_empty() && path.is_empty())
        }
        Some((first, rest)) => match path.split_first() {
            Some((name, below)) => {
                part_matches(&first.chars().collect::<Vec<_>>(), &name.chars().collect::<Vec<_>>())
                    && matches(rest, below)
            }
            None => false,
        },
    }
}

/// One name against one part: `*`, `?`, `[a-z]`, `[^a]`, `\x`.
fn part_matches(pattern: &[char], name: &[char]) -> bool {
    match pattern.split_first() {
        None => name.is_empty(),
        Some(('*', rest)) => (0..=name.len()).any(|skip| part_matches(rest, &name[skip..])),
        Some(('?', rest)) => !name.is_empty() && part_matches(rest, &name[1..]),
        Some(('[', rest)) => match (class(rest, name.first().copied()), name.is_empty()) {
            (Some((true, after)), false) => part_matches(&rest[after..], &name[1..]),
            _ => false,
        },
        Some(('\\', rest)) if !rest.is_empty() => {
            name.first() == rest.first() && part_matches(&rest[1..], &name[1..])
        }
        Some((c, rest)) => name.first() == Some(c) && part_matches(rest, &name[1..]),
    }
}

/// Is the character in the class, and where does the class end?
fn class(pattern: &[char], c: Option<char>) -> Option<(bool, usize)> {
    let negated = pattern.first() == Some(&'^');
    let mut i = usize::from(negated);
    let (start, mut found) = (i, false);
    let c = c?;
    loop {
        let mut low = *pattern.get(i)?;
        if low == ']' && i > start {
            return Some((found != negated, i + 1));
        }
        if low == '\\' {
            i += 1;
            low = *pattern.get(i)?;
        }
        i += 1;
        let mut high = low;
        if pattern.get(i) == Some(&'-') && pattern.get(i + 1).is_some_and(|c| *c != ']') {
            high = pattern[i + 1];
            i += 2;
        }
        found |= (low..=high).contains(&c);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        for (text, path, want) in [
            ("a", "a", true),
            ("a", "a/b", true),
            ("a", "b/a", false),
            ("/a", "a", true),
            ("./a/", "a/x", true),
            ("*", "a/b", true),
            ("*.txt", "a.txt", true),
            ("*.txt", "d/a.txt", false),
            ("**/*.txt", "d/e/a.txt", true),
            ("**/*.txt", "a.txt", true),
            ("d/**", "d", false),
            ("d/**", "d/x/y", true),
            ("**/node_modules", "x/node_modules/y", true),
            ("a?c", "abc", true),
            ("[a-c]x", "bx", true),
            ("[^a]x", "ax", false),
            ("[^a]x", "bx", true),
            ("*\n!keep", "keep", false),
            ("*\n!keep", "keep/deep", false),
            ("*\n!keep/deep", "keep", true),
            ("*\n!keep/deep", "keep/deep", false),
            ("d\n!d/a\nd/a/b", "d/a/b", true),
            ("d\n!d/a\nd/a/b", "d/a/c", false),
            ("# x\n\n  a  ", "a", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("../a", "a", true),
        ] {
            assert_eq!(Patterns::parse(text).unwrap().matches(path), want, "{text:?} on {path}");
        }
        for bad in ["[a", "!", "a\\"] {
            assert!(Patterns::parse(bad).is_err(), "{bad}");
        }
    }
}
