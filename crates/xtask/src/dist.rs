//! Release programs into `target/dist/`.

use crate::{
    install,
    shell::{self, cargo, root, step, target, triple},
};
use anyhow::Context as _;
use std::path::PathBuf;

/// (package, program, profile, code generation). The daemon faces the network and keeps its address randomised; the others start often.
/// The shim, of which there is one a container, has no tables for unwinding, as its panics abort, and no page of its own for what is
/// only written while a dynamic program is loaded.
const PROGRAMS: &[(&str, &str, &str, &[&str])] = &[
    ("dhow-daemon", "dhowd", "release", &[]),
    ("dhow-cli", "dhow", "release", &["relocation-model=static"]),
    (
        "dhow-shim",
        "dhow-shim",
        "shim",
        &["relocation-model=static", "force-unwind-tables=no", "relro-level=off"],
    ),
    ("dhow-broker", "dhow-broker", "release", &[]),
    ("dhow-runtime-cli", "dhow-runtime", "release", &["relocation-model=static"]),
];

/// Builds and copies them; the folder.
pub(crate) fn run_quietly() -> anyhow::Result<PathBuf> {
    install::ensure(install::BUILD)?;
    let dist = root().join("target/dist");
    std::fs::create_dir_all(&dist).with_context(|| format!("making {}", dist.display()))?;
    step("building release programs", || {
        for (package, program, profile, flags) in PROGRAMS {
            let mut build = cargo();
            build.args([
                "rustc",
                "--quiet",
                "--profile",
                profile,
                "--locked",
                "--target",
                &triple(),
                "-p",
                package,
                "--bin",
                program,
            ]);
            build.arg("--");
            for flag in *flags {
                build.args(["-C", flag]);
            }
            shell::run(&mut build)?;
            let built = target().join(triple()).join(profile).join(program);
            let (fresh, place) = (dist.join(format!("{program}.new")), dist.join(program));
            // a running program must not be written to: rename a new file over it
            std::fs::copy(&built, &fresh).with_context(|| format!("copying {}", built.display()))?;
            std::fs::rename(&fresh, &place).with_context(|| format!("placing {}", place.display()))?;
        }
        Ok(())
    })?;
    Ok(dist)
}

/// The same, saying where they are.
pub(crate) fn run() -> anyhow::Result<PathBuf> {
    let dist = run_quietly()?;
    for (_, program, ..) in PROGRAMS {
        let path = dist.join(program);
        let size = std::fs::metadata(&path).with_context(|| format!("looking at {}", path.display()))?.len();
        crate::shell::say(&format!("{}  {} KiB", path.display(), size >> 10));
    }
    Ok(dist)
}
