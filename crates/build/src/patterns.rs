//! Go's filepath.Match for one path component, and moby's exclusion patterns (`**`, `!`).

/// Whether a component matches: `*`, `?`, `[a-z]`, `[^a]`, `\x`.
pub(crate) fn component(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    matches(&pattern, &text)
}

fn matches(pattern: &[char], text: &[char]) -> bool {
    let Some((first, rest)) = pattern.split_first() else { return text.is_empty() };
    match first {
        '*' => (0..=text.len()).any(|n| matches(rest, text.get(n..).unwrap_or_default())),
        '[' => match (class(rest), text.split_first()) {
            (Some((set, rest)), Some((c, tail))) => set(*c) && matches(rest, tail),
            _ => false,
        },
        _ => match text.split_first() {
            None => false,
            Some((_, tail)) if *first == '?' => matches(rest, tail),
            Some((c, tail)) => match (first, rest.split_first()) {
                ('\\', Some((escaped, rest))) => escaped == c && matches(rest, tail),
                _ => first == c && matches(rest, tail),
            },
        },
    }
}

/// `^a-c]…` → a test and what follows.
fn class(pattern: &[char]) -> Option<(impl Fn(char) -> bool, &[char])> {
    let (negated, body) = match pattern.split_first() {
        Some(('^', body)) => (true, body),
        _ => (false, pattern),
    };
    let end = body.iter().skip(1).position(|c| *c == ']')? + 1;
    let (set, rest) = (body.get(..end)?.to_vec(), body.get(end + 1..)?);
    let test = move |c: char| {
        let mut at = 0;
        let mut found = false;
        while let Some(low) = set.get(at) {
            match (set.get(at + 1), set.get(at + 2)) {
                (Some('-'), Some(high)) => {
                    found |= (*low..=*high).contains(&c);
                    at += 3;
                }
                _ => {
                    found |= *low == c;
                    at += 1;
                }
            }
        }
        found != negated
    };
    Some((test, rest))
}

/// The patterns of a `.dockerignore` file: a line each, trimmed, without comments.
pub(crate) fn ignore_file(text: &str) -> Vec<String> {
    let lines =
        text.trim_start_matches('\u{feff}').lines().filter(|line| !line.starts_with('#')).map(str::trim);
    let pattern = |line: &str| match line.strip_prefix('!') {
        Some(taken_back) => format!("!{}", taken_back.trim()),
        None => line.to_owned(),
    };
    lines.filter(|line| !line.is_empty()).map(pattern).collect()
}

/// A list of exclusions (`--exclude`): the last match wins, `!` takes back, a folder's match covers what is in it.
pub(crate) fn excluded(patterns: &[String], path: &str) -> bool {
    let mut out = false;
    for pattern in patterns {
        let (negated, pattern) =
            pattern.strip_prefix('!').map_or((false, pattern.as_str()), |rest| (true, rest));
        let pattern: Vec<&str> =
            pattern.trim_matches('/').split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        let parts: Vec<&str> = path.split('/').collect();
        if (1..=parts.len()).any(|n| covers(&pattern, parts.get(..n).unwrap_or_default())) {
            out = !negated;
        }
    }
    out
}

fn covers(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern.split_first(), path.split_first()) {
        (None, None) => true,
        (Some((&"**", rest)), _) => (0..=path.len()).any(|n| covers(rest, path.get(n..).unwrap_or_default())),
        (Some((p, rest)), Some((c, tail))) => component(p, c) && covers(rest, tail),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_match_as_gos() {
        for (pattern, text, wanted) in [
            ("*", "a.b", true),
            ("*.go", "x.go", true),
            ("*.go", "x.gox", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("[a-c]x", "bx", true),
            ("[^a]x", "ax", false),
            ("[^a]x", "bx", true),
            ("\\*", "*", true),
            ("\\*", "x", false),
            ("[", "[", false),
            ("", "", true),
            ("a", "", false),
        ] {
            assert_eq!(component(pattern, text), wanted, "{pattern} {text}");
        }
    }

    #[test]
    fn an_ignore_file_is_read_as_dockers() {
        let text = "\u{feff}ignored\n# comment\n  spaces  \n\n! taken/back \n#*\n";
        assert_eq!(ignore_file(text), ["ignored", "spaces", "!taken/back"]);
    }

    #[test]
    fn exclusions_cover_folders() {
        let list = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>();
        for (patterns, path, wanted) in [
            (list(&["*.md"]), "a.md", true),
            (list(&["*.md"]), "d/a.md", false),
            (list(&["**/*.md"]), "d/e/a.md", true),
            (list(&["d"]), "d/a/b", true),
            (list(&["*", "!keep"]), "keep", false),
            (list(&["*", "!keep"]), "other", true),
            (list(&["d/*", "!d/k"]), "d/k", false),
        ] {
            assert_eq!(excluded(&patterns, path), wanted, "{patterns:?} {path}");
        }
    }
}
