//! `cargo xtask conform`: our scenarios, or runtime-tools' programs, put to a runtime.

mod runtime_tools;

use crate::{
    install,
    shell::{self, cargo, output, step, target, triple},
};
use anyhow::bail;
use std::path::{Path, PathBuf};

/// The words after `conform`.
pub(crate) fn run(words: &[&str]) -> anyhow::Result<()> {
    let (mut runtime, mut tools, mut filter) = (None, false, Vec::new());
    let mut words = words.iter();
    while let Some(&word) = words.next() {
        match word {
            "--runtime" => match words.next() {
                Some(path) => runtime = Some(PathBuf::from(path)),
                None => bail!("--runtime wants a program"),
            },
            "--runtime-tools" => tools = true,
            word => filter.push(word),
        }
    }
    install::ensure(install::BUILD)?;
    step("building dhow-conform and dhow-runtime", || {
        let packages = ["-p", "dhow-conform", "-p", "dhow-runtime-cli"];
        shell::run(cargo().args(["build", "--quiet", "--locked", "--target", &triple()]).args(packages))
    })?;
    let built = target().join(triple()).join("debug");
    let runtime = runtime.unwrap_or_else(|| built.join("dhow-runtime"));
    if tools {
        return runtime_tools::run(&runtime, &filter);
    }
    let mut scenarios = shell::command(built.join("dhow-conform"));
    scenarios.arg("--runtime").arg(&runtime).args(differences(&runtime)?).args(filter);
    shell::run(&mut scenarios)
}

/// What is written down for this runtime.
fn differences(runtime: &Path) -> anyhow::Result<&'static [&'static str]> {
    let name = runtime.file_name().unwrap_or_default();
    if name == "dhow-runtime" {
        return Ok(&["--differences", "dhow"]);
    }
    let version = output(shell::command(runtime).arg("--version"))?;
    Ok(if version.starts_with("runc version 1.1.5") { &["--differences", "runc"] } else { &[] })
}
