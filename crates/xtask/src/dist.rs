//! Release programs into `target/dist/`.

use crate::{
    install,
    shell::{self, cargo, root, step, target, triple},
};
use anyhow::Context as _;
use std::path::PathBuf;

/// (package, program, position-independent). The daemon faces the network and keeps its address randomised; the others start often.
const PROGRAMS: &[(&str, &str, bool)] = &[
    ("dhow-daemon", "dhowd", true),
    ("dhow-cli", "dhow", false),
    ("dhow-shim", "dhow-shim", false),
    ("dhow-runtime-cli", "dhow-runtime", false),
];

/// Builds and copies them; the folder.
pub(crate) fn run_quietly() -> anyhow::Result<PathBuf> {
    install::ensure(install::BUILD)?;
    let dist = root().join("target/dist");
    std::fs::create_dir_all(&dist).with_context(|| format!("making {}", dist.display()))?;
    step("building release programs", || {
        for (package, program, pie) in PROGRAMS {
            let mut build = cargo();
            build.args([
                "rustc",
                "--quiet",
                "--release",
                "--locked",
                "--target",
                &triple(),
                "-p",
                package,
                "--bin",
                program,
            ]);
            if !pie {
                build.args(["--", "-C", "relocation-model=static"]);
            }
            shell::run(&mut build)?;
            let built = target().join(triple()).join("release").join(program);
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
    for (_, program, _) in PROGRAMS {
        let path = dist.join(program);
        let size = std::fs::metadata(&path).with_context(|| format!("looking at {}", path.display()))?.len();
        crate::shell::say(&format!("{}  {} KiB", path.display(), size >> 10));
    }
    Ok(dist)
}
