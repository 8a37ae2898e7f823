//! `cargo xtask vm`: the root tests in a machine of their own, under Debian's cloud kernel with cgroup v2 alone.
//!
//! qemu boots a disk that mmdebstrap made (made once, kept beside the build). A second disk is a plain tar of the tests, which are
//! static programs, at the paths they were built for. The serial console is the output; its last line is the verdict.

mod boot;
mod disk;
mod freight;

use crate::{
    install::{self, Need},
    shell,
};
use anyhow::bail;

/// To boot.
const MACHINE: &[Need] = &[
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("mke2fs", "e2fsprogs"),
    ("setpriv", "util-linux"),
    ("strip", "binutils"),
];

/// Crates whose root tests are run when none is named: floor by floor, in as long as CI has.
const CRATES: &[&str] = &["runtime", "runtime-cli", "shim", "conform", "net"];

/// What was asked for.
struct Wanted<'a> {
    /// Rooms, or all of [`CRATES`].
    crates: Vec<&'a str>,
    /// Of every test program.
    filter: Vec<&'a str>,
    /// Whether systemd is to be the first process.
    systemd: bool,
    /// Whether systemd mounts cgroup v1 (with the unified hierarchy beside, without controllers), as before Debian 11.
    v1: bool,
    /// Whether a machine that cannot run qemu is no failure.
    or_skip: bool,
}

impl<'a> Wanted<'a> {
    fn parse(words: &[&'a str]) -> Self {
        let mut wanted =
            Self { crates: Vec::new(), filter: Vec::new(), systemd: false, v1: false, or_skip: false };
        for &word in words {
            if word == "--systemd" {
                wanted.systemd = true;
            } else if word == "--or-skip" {
                wanted.or_skip = true;
            } else if word == "--v1" {
                (wanted.systemd, wanted.v1) = (true, true);
            } else if shell::root().join("crates").join(word).is_dir() {
                wanted.crates.push(word);
            } else {
                wanted.filter.push(word);
            }
        }
        if wanted.crates.is_empty() {
            wanted.crates = CRATES.to_vec();
        }
        wanted
    }
}

/// Runs the root tests of the named crates, only those whose names contain the filter.
pub(crate) fn run(words: &[&str]) -> anyhow::Result<()> {
    let wanted = Wanted::parse(words);
    let skip = |lack: &str| {
        shell::say(&format!("cgroup v2 is not tested: no machine can be booted here: {lack}"));
        Ok(())
    };
    // what is missing of either is not there to be installed
    let disk = match prepare().and_then(|()| disk::make()) {
        Err(lack) if wanted.or_skip => return skip(&format!("{lack:#}")),
        disk => disk?,
    };
    let freight = freight::load(&wanted)?;
    match boot::run(&disk, &freight, &wanted)? {
        true => Ok(()),
        false if wanted.or_skip => skip("qemu starts, and its machine says nothing"),
        false => bail!("qemu said nothing: it cannot boot the machine here"),
    }
}

/// What booting needs from this machine.
fn prepare() -> anyhow::Result<()> {
    if std::env::consts::ARCH != "x86_64" {
        bail!("the machine is an x86_64 one");
    }
    if !shell::is_root() {
        bail!("only root can make its disk");
    }
    install::ensure(&[install::BUILD, install::IMAGES, MACHINE].concat())
}
