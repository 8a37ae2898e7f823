//! The validation programs of `github.com/opencontainers/runtime-tools`, in the version that `runtime-tools/go.mod` names: what other
//! runtimes are measured with. They are of the specification's version 1.0.

use crate::{
    install,
    shell::{self, output, root, say, step, target},
};
use anyhow::{Context as _, bail};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const MODULE: &str = "github.com/opencontainers/runtime-tools";

/// What one program said.
#[derive(Debug)]
struct Said {
    ok: usize,
    not_ok: usize,
    clean: bool,
}

/// Runs the programs whose names contain one of the filter's words, and prints the table of docs/conformance.md.
pub(super) fn run(runtime: &Path, filter: &[&str]) -> anyhow::Result<()> {
    install::ensure(&[("go", "golang-go"), ("tar", "tar"), ("unshare", "util-linux")])?;
    if !shell::is_root() {
        bail!("only root can run containers");
    }
    let runtime = fs::canonicalize(runtime).with_context(|| format!("finding {}", runtime.display()))?;
    let folder = target().join("runtime-tools");
    let programs = step("building runtime-tools", || build(&folder))?;
    let chosen =
        programs.iter().filter(|name| filter.is_empty() || filter.iter().any(|word| name.contains(word)));
    let (mut ok, mut not_ok, mut clean, mut count) = (0, 0, 0, 0);
    say("| program | ok | not ok | |\n|---|---|---|---|");
    for name in chosen {
        let said = judge(&folder, name, &runtime)?;
        (ok, not_ok, clean, count) =
            (ok + said.ok, not_ok + said.not_ok, clean + usize::from(said.clean), count + 1);
        say(&format!(
            "| {name} | {} | {} | {} |",
            said.ok,
            said.not_ok,
            if said.clean { "clean" } else { "" }
        ));
    }
    say(&format!(
        "{ok} ok, {not_ok} not ok, {clean} of {count} programs clean; what they said: {}",
        folder.display()
    ));
    Ok(())
}

/// Builds all programs and lays out what they want in their working directory: the names of the programs.
fn build(folder: &Path) -> anyhow::Result<Vec<String>> {
    fs::create_dir_all(folder.join("bin")).with_context(|| format!("making {}", folder.display()))?;
    let go = || {
        let mut go = Command::new("go");
        go.current_dir(root().join("crates/xtask/runtime-tools")).env("CGO_ENABLED", "0");
        go
    };
    let (probe, programs) = (format!("{MODULE}/cmd/runtimetest"), format!("{MODULE}/validation/..."));
    shell::run(go().arg("build").arg("-o").arg(folder.join("bin/")).args([&probe, &programs]))?;
    let source = PathBuf::from(output(go().args(["list", "-m", "-f", "{{.Dir}}", MODULE]))?.trim());
    let image = if cfg!(target_arch = "x86_64") {
        "rootfs-amd64.tar.gz"
    } else {
        bail!("runtime-tools has no image for this machine")
    };
    for (from, to) in [(source.join(image), image), (folder.join("bin/runtimetest"), "runtimetest")] {
        let to = folder.join(to);
        if to.exists() {
            fs::remove_file(&to).with_context(|| format!("removing {}", to.display()))?;
        }
        fs::copy(&from, &to).with_context(|| format!("copying {}", from.display()))?;
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(folder.join("bin")).with_context(|| format!("reading {}", folder.display()))? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.retain(|name| name != "runtimetest");
    names.sort();
    Ok(names)
}

/// Runs one program; what it printed stays in `<name>.txt`. A program takes mount namespaces from containers, which then mount where
/// it runs: its own namespace and its own folder for bundles go when it ends.
fn judge(folder: &Path, name: &str, runtime: &Path) -> anyhow::Result<Said> {
    let program = folder.join("bin").join(name);
    let bundles = folder.join("bundles");
    fs::create_dir_all(&bundles).with_context(|| format!("making {}", bundles.display()))?;
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "timeout", "120"]).arg(&program);
    command.current_dir(folder).env("RUNTIME", runtime).env("TMPDIR", &bundles);
    let ran = command.output().with_context(|| format!("starting {}", program.display()))?;
    let text = String::from_utf8_lossy(&ran.stdout).into_owned();
    let log = folder.join(format!("{name}.txt"));
    fs::write(&log, [ran.stdout.as_slice(), &ran.stderr].concat())
        .with_context(|| format!("writing {}", log.display()))?;
    fs::remove_dir_all(&bundles).with_context(|| format!("removing {}", bundles.display()))?;
    Ok(read(&text, ran.status.success()))
}

/// TAP. Some programs have no points and only print an error.
fn read(text: &str, success: bool) -> Said {
    let count = |start: &str| text.lines().filter(|line| line.starts_with(start)).count();
    let (ok, not_ok) = (count("ok "), count("not ok "));
    let error = ok == 0 && text.contains("\"error\":");
    Said { ok, not_ok, clean: success && not_ok == 0 && !error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_counted() {
        let said = read("TAP version 13\nok 1 - a\nok 2 - b # SKIP c\nnot ok 3 - d\n1..3\n", true);
        assert_eq!((said.ok, said.not_ok, said.clean), (2, 1, false));
        assert!(read("TAP version 13\n1..0\n", true).clean);
        assert!(!read("TAP version 13\n1..0\n", false).clean);
        assert!(!read("TAP version 13\n  ---\n  \"error\": \"x\"\n1..0\n", true).clean);
    }
}
