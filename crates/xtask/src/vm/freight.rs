//! The machine's second disk: a tar of the tests at the paths they were built for, and the list of them.

use super::Wanted;
use crate::shell::{cargo, command, output, root, run, step, target, triple};
use anyhow::Context as _;
use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

const GUEST: &str = include_str!("guest.sh");
/// How long one test program may take, in the emulator's time.
const LIMIT: &str = "900";

/// One test program.
struct Test {
    program: PathBuf,
    /// The crate's folder, where cargo runs it.
    folder: PathBuf,
}

/// What was built: the tests, and the examples that they run.
#[derive(Default)]
struct Built {
    tests: Vec<Test>,
    examples: Vec<PathBuf>,
}

/// Builds the tests and packs them.
pub(super) fn load(wanted: &Wanted<'_>) -> anyhow::Result<PathBuf> {
    let built = step("building the tests", || build(wanted))?;
    step("packing the tests", || pack(wanted, &built))
}

fn build(wanted: &Wanted<'_>) -> anyhow::Result<Built> {
    // end-to-end tests run the programs
    let programs = ["daemon", "shim", "cli", "runtime-cli", "conform"];
    let triple = triple();
    let packages = |names: &BTreeSet<&str>| -> Vec<String> {
        names.iter().flat_map(|name| ["-p".to_owned(), format!("dhow-{name}")]).collect()
    };
    run(cargo()
        .args(["build", "--quiet", "--locked", "--target", &triple])
        .args(packages(&programs.into())))?;
    let said = output(
        cargo()
            .args(["test", "--quiet", "--locked", "--no-run", "--message-format=json", "--target", &triple])
            .args(packages(&wanted.crates.iter().copied().collect())),
    )?;
    let mut built = Built::default();
    for line in said.lines().filter(|line| line.starts_with('{')) {
        let message: serde_json::Value = serde_json::from_str(line)?;
        let (Some(program), Some(manifest)) =
            (message["executable"].as_str(), message["manifest_path"].as_str())
        else {
            continue;
        };
        let folder = Path::new(manifest).parent().context("a manifest in no folder")?.to_owned();
        match message["target"]["kind"][0].as_str() {
            Some("test") if message["profile"]["test"] == true => {
                built.tests.push(Test { program: program.into(), folder });
            }
            Some("example") => built.examples.push(program.into()),
            _ => {}
        }
    }
    // in the order the crates were named: floor by floor
    let place = |test: &Test| wanted.crates.iter().position(|name| test.folder.ends_with(name));
    built.tests.sort_by_key(|test| place(test));
    Ok(built)
}

fn pack(wanted: &Wanted<'_>, Built { tests, examples }: &Built) -> anyhow::Result<PathBuf> {
    let stage = target().join("vm/freight");
    if stage.exists() {
        fs::remove_dir_all(&stage).with_context(|| format!("removing {}", stage.display()))?;
    }
    fs::create_dir_all(&stage)?;
    let built = target().join(triple()).join("debug");
    let programs = ["dhowd", "dhow", "dhow-shim", "dhow-broker", "dhow-runtime", "dhow-conform"]
        .map(|name| built.join(name));
    let tested = tests.iter().map(|test| &test.program);
    for program in programs.iter().filter(|path| path.exists()).chain(examples).chain(tested) {
        let copy = inside(&stage, program);
        fs::create_dir_all(copy.parent().unwrap_or(&stage))?;
        run(command("strip").arg("-o").arg(&copy).arg(program))?;
    }
    for file in output(command("git").args(["ls-files", "crates", "examples", "docs", "fuzz"]))?.lines() {
        let (file, copy) = (root().join(file), inside(&stage, &root().join(file)));
        // a file can be deleted and not yet committed so
        if file.is_file() {
            fs::create_dir_all(copy.parent().unwrap_or(&stage))?;
            fs::copy(&file, &copy).with_context(|| format!("copying {}", file.display()))?;
        }
    }
    let guest = stage.join("dhow-guest");
    fs::write(&guest, GUEST)?;
    fs::set_permissions(&guest, fs::Permissions::from_mode(0o755))?;
    fs::write(stage.join("dhow-tests"), list(tests))?;
    fs::write(stage.join("dhow-environment"), environment(wanted))?;
    let freight = target().join("vm/freight.tar");
    run(command("tar").arg("-C").arg(&stage).arg("-cf").arg(&freight).arg("."))?;
    fs::remove_dir_all(&stage)?;
    Ok(freight)
}

fn inside(stage: &Path, path: &Path) -> PathBuf {
    stage.join(path.strip_prefix("/").unwrap_or(path))
}

fn list(tests: &[Test]) -> String {
    tests
        .iter()
        .map(|test| format!("{LIMIT} {} {}\n", test.folder.display(), test.program.display()))
        .collect()
}

fn environment(wanted: &Wanted<'_>) -> String {
    let mut required = String::from("REQUIRE_ROOT=1");
    if wanted.systemd {
        required += " REQUIRE_SYSTEMD=1";
    }
    if !wanted.v1 {
        required += " REQUIRE_V2=1";
    }
    format!("export {required} DHOW_EMULATED=1 RUST_BACKTRACE=1\nARGUMENTS='{}'\n", wanted.filter.join(" "))
}
