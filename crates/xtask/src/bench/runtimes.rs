//! `cargo xtask bench runtime`: the same bundle under our runtime, crun and runc in turn; then `run --rm true` of the engines that are there.

use super::{Times, timed};
use crate::{
    engine::Engine,
    peer::Peer,
    shell::{has, output, say},
};
use anyhow::Context as _;
use std::{path::Path, process::Command};

const ROUNDS: usize = 40;

/// What Debian's dockerd 20.10 gives its runtime for `docker run --network none`, without its hook and with relative paths.
const CONFIG: &str = include_str!("bundle.json");

/// A contestant: its name, and the command of one round.
type Contestant<'a> = (&'a str, Box<dyn Fn() -> Command + 'a>);

/// Prints the two tables.
pub(super) fn run(engine: &Engine) -> anyhow::Result<()> {
    let folder = engine.folder().join("bundle");
    make_bundle(&folder)?;
    let ours = engine.programs().join("dhow-runtime").display().to_string();
    let mut runtimes: Vec<Contestant<'_>> = Vec::new();
    for (name, program) in [("dhow-runtime", ours.as_str()), ("crun", "crun"), ("runc", "runc")] {
        let (program, folder) = (program.to_owned(), folder.clone());
        let run = move || {
            let mut command = Command::new(&program);
            command.arg("--root").arg(folder.join("state")).args(["run", "--bundle"]);
            command.arg(&folder).arg("bench");
            command
        };
        runtimes.push((name, Box::new(run)));
    }
    print("`run` of docker's default bundle", &in_turn(&runtimes)?);

    let docker = if has("dockerd") { Some(Peer::start()?) } else { None };
    let podman = if has("podman") { Some(Podman::new(&engine.folder().join("podman"))) } else { None };
    super::import(&|args| {
        if let Some(docker) = &docker {
            output(&mut docker.docker(args))?;
        }
        podman.as_ref().map_or(Ok(()), |podman| output(&mut podman.podman(args)).map(drop))
    })?;
    for network in ["none", "bridge"] {
        let args = ["run", "--rm", "--network", network, "bench", "true"];
        let mut engines: Vec<Contestant<'_>> = vec![("dhow", Box::new(|| engine.dhow(&args)))];
        if let Some(docker) = &docker {
            engines.push(("docker", Box::new(|| docker.docker(&args))));
        }
        if let Some(podman) = podman.as_ref().filter(|_| network == "none") {
            engines.push(("podman", Box::new(|| podman.podman(&args))));
        }
        print(&format!("`run --rm true`, {network}"), &in_turn(&engines)?);
    }
    Ok(())
}

fn make_bundle(folder: &Path) -> anyhow::Result<()> {
    let script = "set -e; mkdir -p \"$1/rootfs/bin\" \"$1/rootfs/etc\"; cp $(command -v busybox) \"$1/rootfs/bin/true\"; \
         cd \"$1/rootfs\"; mkdir dev proc sys; touch etc/resolv.conf etc/hostname etc/hosts ../resolv.conf ../hostname ../hosts";
    output(Command::new("sh").args(["-c", script, "sh"]).arg(folder))?;
    let config = folder.join("config.json");
    std::fs::write(&config, CONFIG).with_context(|| format!("writing {}", config.display()))
}

/// One round of each, again and again: what disturbs the machine disturbs all of them.
fn in_turn<'a>(contestants: &[Contestant<'a>]) -> anyhow::Result<Vec<(&'a str, Times)>> {
    let mut rounds = vec![Vec::new(); contestants.len()];
    for round in 0..=ROUNDS {
        for ((_, command), times) in contestants.iter().zip(&mut rounds) {
            let time = timed(&mut command())?;
            // the first warms up
            if round > 0 {
                times.push(time);
            }
        }
    }
    Ok(contestants.iter().map(|(name, _)| *name).zip(rounds.into_iter().map(Times::of)).collect())
}

fn print(what: &str, times: &[(&str, Times)]) {
    say(&format!(
        "\n| {what} ({ROUNDS} rounds, in turn) | median ms | p95 | least | median to ours |\n|---|---|---|---|---|"
    ));
    let ours = times.first().map_or(0.0, |(_, ours)| ours.median.as_secs_f64());
    for (name, Times { median, late, least }) in times {
        let [median, late, least] = [median, late, least].map(|time| time.as_secs_f64() * 1e3);
        say(&format!("| {name} | {median:.1} | {late:.1} | {least:.1} | {:.1}× |", median / 1e3 / ours));
    }
}

/// podman with a storage of its own.
struct Podman {
    folder: std::path::PathBuf,
}

impl Podman {
    fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    fn podman(&self, args: &[&str]) -> Command {
        let mut command = Command::new("podman");
        command.arg("--root").arg(self.folder.join("storage")).arg("--runroot").arg(self.folder.join("run"));
        command.args(["--cgroup-manager", "cgroupfs"]).args(args);
        command
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        // it binds its storage over itself
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let mark = self.folder.display().to_string();
        let ours =
            mounts.lines().filter_map(|line| line.split(' ').nth(1)).filter(|it| it.starts_with(&mark));
        for mount in ours {
            if let Err(error) = output(Command::new("umount").args(["-l", mount])) {
                say(&format!("xtask: {error:#}"));
            }
        }
    }
}
