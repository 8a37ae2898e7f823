//! Instructions → stages and what each needs. Pure.

use crate::{
    instructions::{self, Instruction, Kind},
    parser::{Dockerfile, Error},
    words,
};
use std::collections::{BTreeMap, BTreeSet};

/// What a stage starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Base {
    /// Nothing.
    Scratch,
    /// An earlier stage.
    Stage(usize),
    /// An image, by name.
    Image(String),
}

/// One `FROM` and what follows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stage {
    /// `AS name`.
    pub name: Option<String>,
    /// What it starts from.
    pub base: Base,
    /// `--platform`, expanded.
    pub platform: Option<String>,
    /// Line of the FROM.
    pub line: usize,
    /// FROM as written.
    pub text: String,
    /// What follows.
    pub instructions: Vec<Instruction>,
    /// Earlier stages that it needs.
    pub needs: BTreeSet<usize>,
}

/// The whole file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Graph {
    /// In the file's order.
    pub stages: Vec<Stage>,
    /// The one that is built.
    pub target: usize,
    /// `ARG`s before the first FROM, with their values.
    pub globals: BTreeMap<String, Option<String>>,
    /// Of the file.
    pub escape: char,
}

/// Arguments that need no ARG to be set, and are in no cache key.
pub(crate) const PROXIES: &[&str] = &[
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "FTP_PROXY",
    "ftp_proxy",
    "NO_PROXY",
    "no_proxy",
    "ALL_PROXY",
    "all_proxy",
];

/// Reads all instructions and finds the stages. `target` is a name or number; empty: the last one. `given` are the build's arguments,
/// `platform` the values of `TARGETPLATFORM` and the like.
///
/// # Errors
/// With the line: an instruction before FROM, an unknown stage, a variable without a value where one is needed.
pub(crate) fn plan(
    file: &Dockerfile,
    target: &str,
    given: &BTreeMap<String, Option<String>>,
    platform: &BTreeMap<String, String>,
) -> Result<Graph, Error> {
    let mut globals: BTreeMap<String, Option<String>> = BTreeMap::new();
    let mut stages: Vec<Stage> = Vec::new();
    for line in &file.lines {
        let instruction = instructions::read(line, file.escape)?;
        let fail = |message: String| Error { line: line.number, message };
        match (&instruction.kind, stages.last_mut()) {
            (Kind::From { .. }, _) => {
                let expand = |text: &str| expand(text, file.escape, &globals, platform).map_err(&fail);
                let stage = stage(&stages, &instruction, expand)?;
                stages.push(stage);
            }
            (Kind::Arg(args), None) => {
                for (name, default) in args {
                    let default = default
                        .as_deref()
                        .map(|text| expand(text, file.escape, &globals, platform))
                        .transpose()
                        .map_err(&fail)?;
                    let value = given
                        .get(name)
                        .cloned()
                        .flatten()
                        .or(default)
                        .or_else(|| platform.get(name).cloned());
                    globals.insert(name.clone(), value);
                }
            }
            (_, None) => return Err(fail("no build stage in current context".to_owned())),
            (kind, Some(_)) => {
                let needs: Vec<usize> = sources(kind).filter_map(|name| stage_of(&stages, name)).collect();
                let own = stages.len() - 1;
                if needs.contains(&own)
                    || sources(kind)
                        .any(|name| stages.last().and_then(|stage| stage.name.as_deref()) == Some(name))
                {
                    return Err(fail("a stage cannot copy from itself".to_owned()));
                }
                if let Some(stage) = stages.last_mut() {
                    stage.needs.extend(needs);
                    stage.instructions.push(instruction);
                }
            }
        }
    }
    let last = stages
        .len()
        .checked_sub(1)
        .ok_or_else(|| Error { line: 1, message: "no build stage in the Dockerfile".to_owned() })?;
    let target = if target.is_empty() {
        last
    } else {
        stage_of(&stages, target).ok_or_else(|| Error {
            line: 1,
            message: format!("target stage {target:?} could not be found"),
        })?
    };
    Ok(Graph { stages, target, globals, escape: file.escape })
}

/// A word of an instruction before or at FROM: it sees the arguments before the first FROM and the platform's.
fn expand(
    text: &str,
    escape: char,
    globals: &BTreeMap<String, Option<String>>,
    platform: &BTreeMap<String, String>,
) -> Result<String, String> {
    let lookup = |name: &str| globals.get(name).cloned().flatten().or_else(|| platform.get(name).cloned());
    words::expand(text, escape, &lookup)
}

/// The stage that a FROM opens.
fn stage(
    stages: &[Stage],
    instruction: &Instruction,
    expand: impl Fn(&str) -> Result<String, Error>,
) -> Result<Stage, Error> {
    let fail = |message: String| Error { line: instruction.line, message };
    let Kind::From { image, platform, name } = &instruction.kind else {
        return Err(fail("not a FROM".to_owned()));
    };
    let image = expand(image)?;
    if image.is_empty() {
        return Err(fail("base name should not be blank: an argument in FROM has no value".to_owned()));
    }
    let base = match stage_of(stages, &image) {
        Some(stage) => Base::Stage(stage),
        None if image == "scratch" => Base::Scratch,
        None => Base::Image(image),
    };
    if let Some(name) = name
        && stages.iter().any(|stage| stage.name.as_ref() == Some(name))
    {
        return Err(fail(format!("duplicate name {name}")));
    }
    let needs = if let Base::Stage(stage) = base { [stage].into() } else { BTreeSet::new() };
    let platform = platform.as_deref().map(expand).transpose()?.filter(|text| !text.is_empty());
    Ok(Stage {
        name: name.clone(),
        base,
        platform,
        line: instruction.line,
        text: instruction.text.clone(),
        instructions: Vec::new(),
        needs,
    })
}

/// `--from` and `from=` of an instruction.
fn sources(kind: &Kind) -> impl Iterator<Item = &str> {
    let (copy, mounts) = match kind {
        Kind::Copy(copy) => (copy.from.as_deref(), [].as_slice()),
        Kind::Run { mounts, .. } => (None, mounts.as_slice()),
        _ => (None, [].as_slice()),
    };
    let mounts = mounts
        .iter()
        .flat_map(|mount| mount.options.iter())
        .filter(|(key, _)| key == "from")
        .map(|(_, name)| name.as_str());
    copy.into_iter().chain(mounts)
}

/// A stage by name (any case) or number.
#[must_use]
pub(crate) fn stage_of(stages: &[Stage], name: &str) -> Option<usize> {
    let lower = name.to_lowercase();
    stages
        .iter()
        .rposition(|stage| stage.name.as_ref() == Some(&lower))
        .or_else(|| name.parse().ok().filter(|number| *number < stages.len()))
}

impl Graph {
    /// The stage's name in progress: `builder`, `stage-1`, or nothing when there is only one.
    #[must_use]
    pub(crate) fn label(&self, stage: usize) -> String {
        match self.stages.get(stage).and_then(|stage| stage.name.clone()) {
            Some(name) => format!("{name} "),
            None if self.needed().len() < 2 => String::new(),
            None => format!("stage-{stage} "),
        }
    }

    /// The target and all that it needs.
    #[must_use]
    pub(crate) fn needed(&self) -> BTreeSet<usize> {
        let (mut found, mut open) = (BTreeSet::new(), vec![self.target]);
        while let Some(stage) = open.pop() {
            if found.insert(stage) {
                open.extend(self.stages.get(stage).iter().flat_map(|stage| stage.needs.iter().copied()));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parser;

    fn graph(text: &str, target: &str, args: &[(&str, &str)]) -> Result<Graph, String> {
        let given = args.iter().map(|(k, v)| ((*k).to_owned(), Some((*v).to_owned()))).collect();
        let platform = [("TARGETARCH".to_owned(), "amd64".to_owned())].into();
        parser::parse(text).and_then(|file| plan(&file, target, &given, &platform)).map_err(|e| e.to_string())
    }

    #[test]
    fn only_what_is_needed_is_built() {
        let text = "ARG V=1\nFROM img:$V AS a\nFROM scratch AS b\nFROM a\nCOPY --from=b /x /\nRUN --mount=type=bind,from=1,target=/m true\nFROM x\n";
        let all = graph(text, "2", &[]).unwrap();
        assert_eq!(all.stages[0].base, Base::Image("img:1".into()));
        assert_eq!(all.needed().into_iter().collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(graph(text, "", &[]).unwrap().needed().into_iter().collect::<Vec<_>>(), [3]);
        assert_eq!(graph(text, "A", &[("V", "2")]).unwrap().stages[0].base, Base::Image("img:2".into()));
        assert_eq!((all.label(0), all.label(2)), ("a ".to_owned(), "stage-2 ".to_owned()));
    }

    #[test]
    fn mistakes_have_lines() {
        for (text, part) in [
            ("RUN x", "line 1: no build stage"),
            ("ARG X\nFROM $X", "line 2: base name should not be blank"),
            ("FROM a AS x\nFROM b AS X", "line 2: duplicate name x"),
            ("FROM a AS x\nCOPY --from=x / /", "line 2: a stage cannot copy from itself"),
        ] {
            let error = graph(text, "", &[]).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        assert!(
            graph("FROM a", "nope", &[]).unwrap_err().contains("target stage \"nope\" could not be found")
        );
    }
}
