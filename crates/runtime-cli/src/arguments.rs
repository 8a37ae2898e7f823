//! The command line as runc's users write it (Go's flag package): `-name` or `--name`, `=value` or the next word, switches
//! without a value, and the first word that is no flag ends the flags.

use crate::failure::Failure;

/// One flag: its name, a one-letter name, and whether a value follows.
#[derive(Debug)]
pub(crate) struct Flag {
    pub(crate) name: &'static str,
    pub(crate) short: &'static str,
    pub(crate) value: bool,
    pub(crate) help: &'static str,
}

/// A flag with a value.
pub(crate) const fn value(name: &'static str, short: &'static str, help: &'static str) -> Flag {
    Flag { name, short, value: true, help }
}

/// A flag without.
pub(crate) const fn switch(name: &'static str, short: &'static str, help: &'static str) -> Flag {
    Flag { name, short, value: false, help }
}

/// What was typed: flags in order, then the rest.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Arguments {
    flags: Vec<(&'static str, String)>,
    pub(crate) rest: Vec<String>,
}

impl Arguments {
    /// Reads `words` by the table `known`.
    pub(crate) fn parse(words: &[String], known: &[Flag]) -> Result<Self, Failure> {
        let mut flags = Vec::new();
        let mut words = words.iter();
        while let Some(word) = words.as_slice().first() {
            let Some(name) = word.strip_prefix('-').filter(|name| !name.is_empty()) else { break };
            words.next();
            let name = name.strip_prefix('-').unwrap_or(name);
            if name.is_empty() {
                break;
            }
            let (name, given) = match name.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (name, None),
            };
            let Some(flag) =
                known.iter().find(|flag| flag.name == name || !flag.short.is_empty() && flag.short == name)
            else {
                return Err(Failure::new(format!("flag provided but not defined: -{name}")));
            };
            let value = match given {
                Some(value) => value,
                None if !flag.value => "true".to_owned(),
                None => words
                    .next()
                    .cloned()
                    .ok_or_else(|| Failure::new(format!("flag needs an argument: -{name}")))?,
            };
            flags.push((flag.name, value));
        }
        Ok(Self { flags, rest: words.cloned().collect() })
    }

    /// The last value given.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.flags.iter().rev().find(|(flag, _)| *flag == name).map(|(_, value)| value.as_str())
    }

    /// Every value given.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.flags.iter().filter(move |(flag, _)| *flag == name).map(|(_, value)| value.as_str())
    }

    /// Whether the switch is on.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.text(name).is_some_and(|value| matches!(value, "true" | "1" | "t" | "T" | "TRUE" | "True"))
    }

    /// A number.
    pub(crate) fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, Failure> {
        self.text(name)
            .map(|text| {
                text.parse().map_err(|_| Failure::new(format!("invalid value {text:?} for flag -{name}")))
            })
            .transpose()
    }

    /// The only word, or the first of several.
    pub(crate) fn first(&self) -> &str {
        self.rest.first().map_or("", String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[Flag] = &[value("bundle", "b", ""), value("env", "e", ""), switch("detach", "d", "")];

    fn parse(line: &str) -> Result<Arguments, Failure> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Arguments::parse(&words, KNOWN)
    }

    #[test]
    fn flags_as_go_reads_them() {
        let read = parse("-b /x --env=A=1 -detach -e B=2 name --bundle y").unwrap();
        assert_eq!(read.text("bundle"), Some("/x"));
        assert_eq!(read.all("env").collect::<Vec<_>>(), ["A=1", "B=2"]);
        assert!(read.is("detach"));
        assert_eq!(read.rest, ["name", "--bundle", "y"]);
        assert!(!parse("--detach=false x").unwrap().is("detach"));
        assert_eq!(parse("-- -d").unwrap().rest, ["-d"]);
        assert_eq!(parse("- x").unwrap().rest, ["-", "x"]);
    }

    #[test]
    fn what_is_not_known_is_named() {
        assert_eq!(parse("--foo").unwrap_err().message, "flag provided but not defined: -foo");
        assert_eq!(parse("--bundle").unwrap_err().message, "flag needs an argument: -bundle");
        assert!(parse("-b x").unwrap().number::<u32>("bundle").is_err());
    }
}
