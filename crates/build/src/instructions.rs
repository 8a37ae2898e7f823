//! Lines → typed instructions. Arguments stay unexpanded: what a variable means depends on the stage.

use crate::{
    parser::{Error, Heredoc, Line},
    words,
};
use std::time::Duration;

/// One instruction and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Instruction {
    /// Line of the Dockerfile, from 1.
    pub line: usize,
    /// As written, on one line: for progress and errors.
    pub text: String,
    /// What it is.
    pub kind: Kind,
}

/// Shell form or exec form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CommandLine {
    /// For the stage's shell.
    Shell(String),
    /// As it is.
    Exec(Vec<String>),
}

/// `--mount=…` of RUN.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Mount {
    /// `bind cache tmpfs secret ssh`.
    pub kind: String,
    /// `key=value` pairs besides the type, unexpanded; a bare key has an empty value.
    pub options: Vec<(String, String)>,
}

/// `COPY` and `ADD`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Copy {
    /// It is `ADD`: archives are unpacked, URLs fetched.
    pub add: bool,
    /// A stage, image; none: the context.
    pub from: Option<String>,
    /// `user[:group]`.
    pub chown: Option<String>,
    /// Octal or symbolic.
    pub chmod: Option<String>,
    /// Sources, unexpanded.
    pub sources: Vec<String>,
    /// Inline files.
    pub heredocs: Vec<Heredoc>,
    /// Destination, unexpanded.
    pub destination: String,
    /// Keep the sources' parents.
    pub parents: bool,
    /// Patterns left out.
    pub exclude: Vec<String>,
    /// Of a URL.
    pub checksum: Option<String>,
}

/// The instructions.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the Dockerfile reference's words")]
pub(crate) enum Kind {
    From {
        image: String,
        platform: Option<String>,
        name: Option<String>,
    },
    Arg(Vec<(String, Option<String>)>),
    Run {
        command: CommandLine,
        mounts: Vec<Mount>,
        network: Option<String>,
        security: Option<String>,
        heredocs: Vec<Heredoc>,
    },
    Copy(Copy),
    Cmd(CommandLine),
    Entrypoint(CommandLine),
    Env(Vec<(String, String)>),
    Label(Vec<(String, String)>),
    Expose(Vec<String>),
    User(String),
    Workdir(String),
    Volume(Vec<String>),
    Shell(Vec<String>),
    Healthcheck(Option<Probe>),
    StopSignal(String),
    Onbuild(String),
    Maintainer(String),
}

/// `HEALTHCHECK CMD`; zero durations are docker's defaults.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Probe {
    /// What runs.
    pub command: CommandLine,
    /// Between probes.
    pub interval: Duration,
    /// Of one.
    pub timeout: Duration,
    /// Grace.
    pub start_period: Duration,
    /// Between probes in it.
    pub start_interval: Duration,
    /// Until unhealthy.
    pub retries: i64,
}

const KEYWORDS: &[&str] = &[
    "FROM",
    "ARG",
    "RUN",
    "COPY",
    "ADD",
    "CMD",
    "ENTRYPOINT",
    "ENV",
    "LABEL",
    "EXPOSE",
    "USER",
    "WORKDIR",
    "VOLUME",
    "SHELL",
    "HEALTHCHECK",
    "STOPSIGNAL",
    "ONBUILD",
    "MAINTAINER",
];

/// Reads one line.
///
/// # Errors
/// An unknown instruction or flag, wrong arguments: with the line's number.
pub(crate) fn read(line: &Line, escape: char) -> Result<Instruction, Error> {
    let fail = |message: String| Error { line: line.number, message };
    let (flags, rest) = flags(&line.rest);
    let keyword = line.keyword.as_str();
    let known: &[&str] = match keyword {
        "FROM" => &["platform"],
        "RUN" => &["mount", "network", "security"],
        "COPY" => &["from", "chown", "chmod", "link", "parents", "exclude"],
        "ADD" => &["chown", "chmod", "link", "checksum", "exclude", "keep-git-dir", "unpack"],
        "HEALTHCHECK" => &["interval", "timeout", "start-period", "start-interval", "retries"],
        _ => &[],
    };
    if let Some((name, _)) = flags.iter().find(|(name, _)| !known.contains(&name.as_str())) {
        return Err(fail(format!("unknown flag: --{name}{}", hint(name, known))));
    }
    if rest.is_empty() && !(matches!(keyword, "CMD" | "ENTRYPOINT") || KEYWORDS.iter().all(|k| *k != keyword))
    {
        return Err(fail(format!("{keyword} requires at least one argument")));
    }
    let flag = |name: &str| flags.iter().rev().find(|(n, _)| n == name).map(|(_, value)| value.clone());
    let split = |text: &str| words::split(text, escape).map_err(&fail);
    let kind = match keyword {
        "FROM" => from(rest, flag("platform"), &fail)?,
        "ARG" => Kind::Arg(
            split(rest)?
                .into_iter()
                .map(|word| match word.split_once('=') {
                    Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                    None => (word, None),
                })
                .collect(),
        ),
        "RUN" => Kind::Run {
            command: command_line(rest),
            mounts: flags
                .iter()
                .filter(|(name, _)| name == "mount")
                .map(|(_, value)| mount(value))
                .collect::<Result<_, _>>()
                .map_err(&fail)?,
            network: flag("network"),
            security: flag("security"),
            heredocs: line.heredocs.clone(),
        },
        "COPY" | "ADD" => copy(line, keyword == "ADD", rest, &flags, escape).map_err(&fail)?,
        "CMD" => Kind::Cmd(command_line(rest)),
        "ENTRYPOINT" => Kind::Entrypoint(command_line(rest)),
        "ENV" => Kind::Env(pairs("ENV", rest, escape).map_err(&fail)?),
        "LABEL" => Kind::Label(pairs("LABEL", rest, escape).map_err(&fail)?),
        "EXPOSE" => Kind::Expose(split(rest)?),
        "USER" => Kind::User(rest.to_owned()),
        "WORKDIR" => Kind::Workdir(rest.to_owned()),
        "VOLUME" => Kind::Volume(match json_array(rest) {
            Some(paths) => paths,
            None => split(rest)?,
        }),
        "SHELL" => Kind::Shell(
            json_array(rest)
                .filter(|words| !words.is_empty())
                .ok_or_else(|| fail("SHELL requires the arguments to be in JSON form".to_owned()))?,
        ),
        "HEALTHCHECK" => Kind::Healthcheck(healthcheck(rest, &flag).map_err(&fail)?),
        "STOPSIGNAL" => Kind::StopSignal(rest.to_owned()),
        "ONBUILD" => Kind::Onbuild(onbuild(line).map_err(&fail)?),
        "MAINTAINER" => Kind::Maintainer(rest.to_owned()),
        other => return Err(fail(format!("unknown instruction: {other}{}", hint(other, KEYWORDS)))),
    };
    let text = if line.rest.is_empty() { keyword.to_owned() } else { format!("{keyword} {}", line.rest) };
    Ok(Instruction { line: line.number, text, kind })
}

/// ` (did you mean X?)` for what differs in two letters at most.
fn hint(word: &str, known: &[&str]) -> String {
    let near = known.iter().map(|k| (distance(&word.to_lowercase(), &k.to_lowercase()), k)).min();
    near.filter(|(distance, _)| *distance <= 2)
        .map(|(_, k)| format!(" (did you mean {k}?)"))
        .unwrap_or_default()
}

fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut left = i + 1;
        let mut above = std::mem::replace(row.first_mut().unwrap_or(&mut 0), left);
        for (j, y) in b.iter().enumerate() {
            let cell = row.get(j + 1).copied().unwrap_or(usize::MAX);
            left = (above + usize::from(x != *y)).min(cell + 1).min(left + 1);
            above = cell;
            if let Some(slot) = row.get_mut(j + 1) {
                *slot = left;
            }
        }
    }
    row.last().copied().unwrap_or(0)
}

/// `--name[=value]` in front; `--` ends them.
fn flags(text: &str) -> (Vec<(String, String)>, &str) {
    let mut flags = Vec::new();
    let mut rest = text.trim_start();
    while let Some(body) = rest.strip_prefix("--") {
        let end = body.find(char::is_whitespace).unwrap_or(body.len());
        let (flag, after) = body.split_at(end);
        rest = after.trim_start();
        if flag.is_empty() {
            break;
        }
        let (name, value) = flag.split_once('=').unwrap_or((flag, ""));
        flags.push((name.to_owned(), value.trim_matches('"').to_owned()));
    }
    (flags, rest)
}

fn json_array(text: &str) -> Option<Vec<String>> {
    text.starts_with('[').then(|| serde_json::from_str(text).ok())?
}

fn command_line(rest: &str) -> CommandLine {
    json_array(rest).map_or_else(|| CommandLine::Shell(rest.to_owned()), CommandLine::Exec)
}

fn from(rest: &str, platform: Option<String>, fail: &dyn Fn(String) -> Error) -> Result<Kind, Error> {
    let words: Vec<&str> = rest.split_whitespace().collect();
    let (image, name) = match words.as_slice() {
        [image] => (*image, None),
        [image, word, name] if word.eq_ignore_ascii_case("as") => (*image, Some(name.to_lowercase())),
        _ => return Err(fail("FROM requires either one or three arguments".to_owned())),
    };
    let fine = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    if let Some(bad) = name.as_deref().filter(|name| !fine(name)) {
        return Err(fail(format!(
            "invalid name for build stage: {bad:?}, name can't start with a number or contain symbols"
        )));
    }
    Ok(Kind::From { image: image.to_owned(), platform, name })
}

fn mount(value: &str) -> Result<Mount, String> {
    let mut mount = Mount { kind: "bind".to_owned(), options: Vec::new() };
    for field in value.split(',') {
        let (key, value) = field.split_once('=').unwrap_or((field, ""));
        if key == "type" {
            value.clone_into(&mut mount.kind);
        } else {
            mount.options.push((key.to_lowercase(), value.to_owned()));
        }
    }
    let known: &[&str] = match mount.kind.as_str() {
        "bind" => {
            &["target", "dst", "destination", "source", "src", "from", "rw", "readwrite", "ro", "readonly"]
        }
        "cache" => &[
            "id",
            "target",
            "dst",
            "destination",
            "ro",
            "readonly",
            "sharing",
            "from",
            "source",
            "src",
            "mode",
            "uid",
            "gid",
            "rw",
            "readwrite",
        ],
        "tmpfs" => &["target", "dst", "destination", "size"],
        "secret" => {
            &["id", "target", "dst", "destination", "required", "mode", "uid", "gid", "env", "source", "src"]
        }
        "ssh" => return Err("--mount=type=ssh is not built yet".to_owned()),
        other => return Err(format!("unsupported mount type {other:?}")),
    };
    match mount.options.iter().find(|(key, _)| !known.contains(&key.as_str())) {
        Some((key, _)) => Err(format!("unexpected key {key:?} in --mount={value}{}", hint(key, known))),
        None => Ok(mount),
    }
}

fn copy(
    line: &Line,
    add: bool,
    rest: &str,
    flags: &[(String, String)],
    escape: char,
) -> Result<Kind, String> {
    let name = if add { "ADD" } else { "COPY" };
    let mut sources = match json_array(rest) {
        Some(words) => words,
        None => words::split(rest, escape)?,
    };
    let destination = sources.pop().filter(|_| !sources.is_empty()).ok_or_else(|| format!("{name} requires at least two arguments, but only one was provided. Destination could not be determined"))?;
    if !line.heredocs.is_empty() {
        sources.retain(|source| !source.starts_with("<<"));
    }
    let flag = |name: &str| flags.iter().rev().find(|(n, _)| n == name).map(|(_, value)| value.clone());
    for unsupported in ["keep-git-dir", "unpack"] {
        if flag(unsupported).is_some() {
            return Err(format!("ADD --{unsupported} is not built yet"));
        }
    }
    Ok(Kind::Copy(Copy {
        add,
        from: flag("from"),
        chown: flag("chown"),
        chmod: flag("chmod"),
        sources,
        heredocs: line.heredocs.clone(),
        destination,
        parents: flag("parents").is_some_and(|value| value != "false"),
        exclude: flags.iter().filter(|(name, _)| name == "exclude").map(|(_, value)| value.clone()).collect(),
        checksum: flag("checksum"),
    }))
}

/// `a=b c="d e"`, or the old form `a b c`.
fn pairs(name: &str, rest: &str, escape: char) -> Result<Vec<(String, String)>, String> {
    let pieces = words::split(rest, escape)?;
    let first = pieces.first().ok_or_else(|| format!("{name} requires at least one argument"))?;
    if !first.contains('=') {
        let (key, value) =
            rest.split_once(char::is_whitespace).ok_or_else(|| format!("{name} must have two arguments"))?;
        return Ok(vec![(key.to_owned(), value.trim_start().to_owned())]);
    }
    pieces
        .iter()
        .map(|piece| match piece.split_once('=') {
            Some(("", _)) => Err(format!("{name} names can not be blank")),
            Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
            None => Err(format!("Syntax error - can't find = in {piece:?}. Must be of the form: name=value")),
        })
        .collect()
}

fn healthcheck(rest: &str, flag: &dyn Fn(&str) -> Option<String>) -> Result<Option<Probe>, String> {
    let (kind, command) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    if kind.eq_ignore_ascii_case("none") {
        return if command.trim().is_empty() {
            Ok(None)
        } else {
            Err("HEALTHCHECK NONE takes no arguments".to_owned())
        };
    }
    if !kind.eq_ignore_ascii_case("cmd") {
        return Err(format!("Unknown type {kind:?} in HEALTHCHECK (try CMD)"));
    }
    if command.trim().is_empty() {
        return Err("Missing command after HEALTHCHECK CMD".to_owned());
    }
    let time = |name: &str| -> Result<Duration, String> {
        flag(name).map_or(Ok(Duration::ZERO), |text| {
            duration(&text).ok_or_else(|| format!("invalid duration {text:?} for --{name}"))
        })
    };
    let retries = match flag("retries") {
        None => 0,
        Some(text) => text
            .parse::<i64>()
            .ok()
            .filter(|n| *n >= 0)
            .ok_or_else(|| format!("--retries must be at least 0, not {text:?}"))?,
    };
    Ok(Some(Probe {
        command: command_line(command.trim_start()),
        interval: time("interval")?,
        timeout: time("timeout")?,
        start_period: time("start-period")?,
        start_interval: time("start-interval")?,
        retries,
    }))
}

/// Go's durations: `1m30s`, `500ms`.
fn duration(text: &str) -> Option<Duration> {
    let (mut total, mut rest) = (Duration::ZERO, text);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(digits);
        let end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, next) = tail.split_at(end);
        let scale = match unit {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        total += Duration::try_from_secs_f64(number.parse::<f64>().ok()? * scale).ok()?;
        rest = next;
    }
    Some(total)
}

fn onbuild(line: &Line) -> Result<String, String> {
    let keyword = line.rest.split_whitespace().next().unwrap_or_default().to_uppercase();
    match keyword.as_str() {
        "ONBUILD" => Err("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed".to_owned()),
        "FROM" | "MAINTAINER" => Err(format!("{keyword} isn't allowed as an ONBUILD trigger")),
        _ if !line.heredocs.is_empty() => Err("heredocs are not allowed in ONBUILD".to_owned()),
        _ => Ok(line.rest.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parser;

    fn one(text: &str) -> Result<Kind, String> {
        let file = parser::parse(text).map_err(|e| e.to_string())?;
        read(&file.lines[0], '\\').map(|instruction| instruction.kind).map_err(|e| e.to_string())
    }

    #[test]
    fn instructions_are_typed() {
        assert_eq!(
            one("FROM --platform=linux/amd64 a:1 as B").unwrap(),
            Kind::From { image: "a:1".into(), platform: Some("linux/amd64".into()), name: Some("b".into()) }
        );
        assert_eq!(
            one("ENV a=b c=\"d e\"").unwrap(),
            Kind::Env(vec![("a".into(), "b".into()), ("c".into(), "\"d e\"".into())])
        );
        assert_eq!(one("ENV a b c").unwrap(), Kind::Env(vec![("a".into(), "b c".into())]));
        assert_eq!(
            one("CMD [\"a\", \"b\"]").unwrap(),
            Kind::Cmd(CommandLine::Exec(vec!["a".into(), "b".into()]))
        );
        assert_eq!(one("CMD [a]").unwrap(), Kind::Cmd(CommandLine::Shell("[a]".into())));
        let Kind::Run { mounts, .. } =
            one("RUN --mount=type=cache,target=/c,sharing=locked --network=none make").unwrap()
        else {
            panic!()
        };
        assert_eq!(
            mounts[0].options,
            [("target".to_owned(), "/c".to_owned()), ("sharing".to_owned(), "locked".to_owned())]
        );
        let Kind::Copy(copy) = one("COPY --from=x --chown=1:2 a b c/").unwrap() else { panic!() };
        assert_eq!(
            (copy.sources.len(), copy.destination.as_str(), copy.chown.as_deref()),
            (2, "c/", Some("1:2"))
        );
        let Kind::Healthcheck(Some(probe)) =
            one("HEALTHCHECK --interval=1m30s --retries=2 CMD true").unwrap()
        else {
            panic!()
        };
        assert_eq!((probe.interval, probe.retries), (Duration::from_secs(90), 2));
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        for (text, part) in [
            ("RUNN x", "line 1: unknown instruction: RUNN (did you mean RUN?)"),
            ("RUN --mont=x y", "unknown flag: --mont (did you mean mount?)"),
            ("RUN --mount=type=cache,taget=/x y", "unexpected key \"taget\""),
            ("COPY a", "requires at least two arguments"),
            ("FROM a b", "FROM requires either one or three"),
            ("FROM a AS 1x", "invalid name for build stage"),
            ("ENV =x", "can not be blank"),
            ("SHELL sh", "JSON form"),
            ("HEALTHCHECK TRY x", "Unknown type"),
            ("ONBUILD FROM x", "isn't allowed"),
            ("ENV", "requires at least one argument"),
            ("USER", "requires at least one argument"),
        ] {
            let error = one(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
