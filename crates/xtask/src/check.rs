//! `cargo xtask check`: formatting, lints, the walls of ARCHITECTURE.md, the witnesses of SPECIFICATION.md, and file sizes.

use crate::{
    install,
    shell::{self, cargo, output, root, say, step, triple},
};
use anyhow::{Context as _, bail};
use serde_json::Value;
use std::{collections::BTreeMap, path::Path};

/// A source file past this many lines (tests not counted) fails.
const FILE_LIMIT: usize = 700;
/// Licences that a dependency may have; any one of an expression's alternatives.
const LICENCES: &[&str] = &[
    "MIT",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "0BSD",
    "Unicode-3.0",
    "Unlicense",
    "CDLA-Permissive-2.0",
    "CC0-1.0",
    "MIT-0",
    "BSL-1.0",
];

/// Runs every check.
pub(crate) fn run() -> anyhow::Result<()> {
    install::ensure(install::BUILD)?;
    step("formatting", || shell::run(cargo().args(["fmt", "--all", "--check"])))?;
    step("walls, licences, promises, sizes", || {
        let metadata = metadata()?;
        walls(&metadata)?;
        licences(&metadata)?;
        promises()?;
        sizes(&root().join("crates"))
    })?;
    step("lints", || {
        shell::run(cargo().args([
            "clippy",
            "--quiet",
            "--workspace",
            "--all-targets",
            "--locked",
            "--target",
            &triple(),
            "--",
            "-D",
            "warnings",
        ]))
    })
}

fn metadata() -> anyhow::Result<Value> {
    let text = output(cargo().args([
        "metadata",
        "--format-version",
        "1",
        "--locked",
        "--filter-platform",
        &triple(),
    ]))?;
    serde_json::from_str(&text).context("reading cargo metadata")
}

/// The table of ARCHITECTURE.md: lines `| floor | `crate` | room | `a` `b` |`.
fn allowed(table: &str) -> BTreeMap<String, Vec<String>> {
    let words = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    table
        .lines()
        .filter_map(|line| {
            let cells: Vec<&str> = line.trim().trim_matches('|').split('|').collect();
            match cells.as_slice() {
                [_, name, _, uses] => words(name).first().map(|name| (name.clone(), words(uses))),
                _ => None,
            }
        })
        .collect()
}

/// The edges between our crates are those of the table: none more, none less.
fn walls(metadata: &Value) -> anyhow::Result<()> {
    let page = root().join("ARCHITECTURE.md");
    let table =
        allowed(&std::fs::read_to_string(&page).with_context(|| format!("reading {}", page.display()))?);
    let mut broken = Vec::new();
    for package in
        metadata["packages"].as_array().into_iter().flatten().filter(|package| package["source"].is_null())
    {
        let name = room(package["name"].as_str().unwrap_or_default());
        let Some(uses) = table.get(name) else {
            broken.push(format!("{name} is not in the table"));
            continue;
        };
        let edges: Vec<&str> = package["dependencies"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|dependency| dependency["kind"].is_null())
            .filter_map(|dependency| dependency["name"].as_str()?.strip_prefix("dhow-"))
            .collect();
        let strange = edges.iter().filter(|edge| !uses.iter().any(|used| used == *edge));
        broken.extend(strange.map(|edge| format!("{name} must not use {edge}")));
        let gone = uses.iter().filter(|used| !edges.contains(&used.as_str()));
        broken.extend(gone.map(|used| format!("{name} does not use {used}: the table says so")));
    }
    if broken.is_empty() { Ok(()) } else { bail!("walls of ARCHITECTURE.md:\n{}", broken.join("\n")) }
}

fn room(package: &str) -> &str {
    package.strip_prefix("dhow-").unwrap_or(package)
}

fn licences(metadata: &Value) -> anyhow::Result<()> {
    let mut refused = Vec::new();
    for package in
        metadata["packages"].as_array().into_iter().flatten().filter(|package| !package["source"].is_null())
    {
        let expression = package["license"].as_str().unwrap_or_default();
        let fine = expression.split(['/', '(', ')']).flat_map(|part| part.split(" OR ")).any(|alternative| {
            let mut parts =
                alternative.split(" AND ").map(str::trim).filter(|part| !part.is_empty()).peekable();
            parts.peek().is_some()
                && parts.all(|part| LICENCES.contains(&part.trim_end_matches(" WITH LLVM-exception")))
        });
        if !fine {
            refused.push(format!("{}: {expression:?}", package["name"].as_str().unwrap_or_default()));
        }
    }
    if refused.is_empty() {
        Ok(())
    } else {
        bail!("licences that are not on the list:\n{}", refused.join("\n"))
    }
}

/// Every test that SPECIFICATION.md names must exist, as a function or as a case of a list.
fn promises() -> anyhow::Result<()> {
    let page = root().join("SPECIFICATION.md");
    let text = std::fs::read_to_string(&page).with_context(|| format!("reading {}", page.display()))?;
    let mut missing = witnesses(&text);
    visit(&root().join("crates"), &mut |_, source| {
        missing.retain(|name| {
            !source.contains(&format!("fn {name}(")) && !source.contains(&format!("\"{name}\""))
        });
    })?;
    if missing.is_empty() { Ok(()) } else { bail!("SPECIFICATION.md names no test: {}", missing.join(", ")) }
}

/// The names in the last cells of the tables: a test in backquotes, or a benchmark.
fn witnesses(text: &str) -> Vec<String> {
    let cells =
        text.lines().filter_map(|line| line.trim().strip_prefix('|')?.strip_suffix('|')?.rsplit('|').next());
    cells
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .map(|word| word.strip_prefix("cargo xtask bench ").unwrap_or(word))
        .filter(|word| {
            word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        })
        .map(str::to_owned)
        .collect()
}

fn sizes(folder: &Path) -> anyhow::Result<()> {
    let mut long = Vec::new();
    visit(folder, &mut |path, text| {
        let lines = text.split("\n#[cfg(test)]").next().unwrap_or(text).lines().count();
        if lines > FILE_LIMIT && !path.components().any(|part| part.as_os_str() == "tests") {
            long.push(format!("{} has {lines} lines", path.display()));
        }
    })?;
    if long.is_empty() {
        return Ok(());
    }
    say(&long.join("\n"));
    bail!("{} files are longer than {FILE_LIMIT} lines: split them by subject", long.len())
}

fn visit(folder: &Path, look: &mut impl FnMut(&Path, &str)) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            visit(&path, look)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            look(&path, &std::fs::read_to_string(&path)?);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn witnesses_are_read() {
        let page = "| a | held by |\n|---|---|\n| `not_this` | `root_this` `that_too` (`ROUNDS=2`) |\n| b | `cargo xtask bench load` |\n";
        assert_eq!(witnesses(page), ["root_this", "that_too", "load"]);
    }

    #[test]
    fn the_table_is_read() {
        let table = allowed(
            "| Floor | Crate | Room | May use |\n|---|---|---|---|\n| 1 | `net` | bridges | `sys` `oci` |\n| 0 | `sys` | calls | – |\n",
        );
        assert_eq!(table["net"], ["sys", "oci"]);
        assert!(table["sys"].is_empty());
    }
}
