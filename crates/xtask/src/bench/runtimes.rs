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
        let state = engine.run().join("state");
        let run = move || {
            let mut command = if name == "crun" { without_v2(&program) } else { Command::new(&program) };
            command.arg("--root").arg(&state).args(["run", "--bundle"]);
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
            // else it asks for more descriptors than this machine gives
            let args = ["run", "--rm", "--ulimit", "nofile=1024:1024", "--network", network, "bench", "true"];
            engines.push(("podman", Box::new(move || podman.podman(&args))));
        }
        print(&format!("`run --rm true`, {network}"), &in_turn(&engines)?);
    }
    Ok(())
}

/// crun refuses a machine where cgroup v2 has some controllers and v1 others: there it does not see v2, which costs it a millisecond or two.
fn without_v2(program: &str) -> Command {
    let unified = Path::new("/sys/fs/cgroup/unified");
    let controllers = std::fs::read_to_string(unified.join("cgroup.controllers")).unwrap_or_default();
    if controllers.trim().is_empty() {
        return Command::new(program);
    }
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", "umount -l \"$0\" && exec \"$@\""]).arg(unified).arg(program);
    command
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
    // the first round warms up, and tells who cannot run here
    let mut rounds = Vec::new();
    for (name, command) in contestants {
        match timed(&mut command()) {
            Ok(_) => rounds.push((*name, command, Vec::with_capacity(ROUNDS))),
            Err(error) => say(&format!("{name} does not run here: {error:#}")),
        }
    }
    for _ in 0..ROUNDS {
        for (_, command, times) in &mut rounds {
            times.push(timed(&mut command())?);
        }
    }
    Ok(rounds.into_iter().map(|(name, _, times)| (name, Times::of(times))).collect())
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
