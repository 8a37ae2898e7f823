//! `cargo xtask fuzz`: the targets of `fuzz/`, one after the other. What they found lies in `fuzz/corpus`, which ordinary tests read too.

use crate::{
    install,
    shell::{self, root, step},
};
use anyhow::{Context as _, bail};

const TARGETS: &[&str] = &["spec", "plan", "protocol", "kafka", "batch"];
/// For each target.
const SECONDS: u64 = 600;
/// Of one allocation, and of all: no input may cost more.
const MEBIBYTES: [u64; 2] = [64, 1024];

/// Runs all targets, or the one that is named.
pub(crate) fn run(words: &[&str]) -> anyhow::Result<()> {
    let (targets, seconds) = match words {
        [] => (TARGETS, SECONDS),
        [target, rest @ ..] if TARGETS.contains(target) && rest.len() < 2 => {
            let seconds = rest.first().map_or(Ok(SECONDS), |word| word.parse());
            (&words[..1], seconds.context("the second word is a number of seconds")?)
        }
        _ => bail!("the targets are {}", TARGETS.join(", ")),
    };
    install::ensure(install::BUILD)?;
    if !shell::has("cargo-fuzz") {
        let mut install = shell::command("cargo");
        step("installing cargo-fuzz", || shell::run(install.args(["install", "--locked", "cargo-fuzz"])))?;
    }
    for target in targets {
        let mut fuzz = shell::command("cargo");
        fuzz.current_dir(root()).args(["+nightly", "fuzz", "run", "--fuzz-dir", "fuzz", target, "--"]);
        let [most, all] = MEBIBYTES;
        fuzz.arg(format!("-max_total_time={seconds}")).arg("-max_len=65536");
        fuzz.arg(format!("-malloc_limit_mb={most}")).arg(format!("-rss_limit_mb={all}"));
        step(&format!("fuzzing {target}"), || shell::run(&mut fuzz))?;
    }
    Ok(())
}
