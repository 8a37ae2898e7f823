//! `cargo xtask bench`: ours and the peer (Debian's dockerd) in turn, medians of the same command, and the ratio.

mod profile;
mod runtimes;
mod syscalls;
mod thousand;

use crate::{
    dist,
    engine::Engine,
    install,
    peer::Peer,
    shell::{self, output, root, say},
};
use anyhow::{Context as _, bail};
use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

/// One line of the table.
struct Line {
    what: String,
    ours: String,
    theirs: String,
    ratio: String,
    target: &'static str,
}

/// Runs the benchmarks whose names are given, or all.
pub(crate) fn run(names: &[&str]) -> anyhow::Result<()> {
    const ALL: &[&str] = &["run", "parallel", "load", "memory", "build"];
    /// Those of ours alone, one at a time.
    const ALONE: &[(&str, Alone)] = &[
        ("syscalls", syscalls::run),
        ("profile", profile::run),
        ("runtime", runtimes::run),
        ("thousand", thousand::run),
    ];
    if let Some((_, bench)) = ALONE.iter().find(|(name, _)| names == [*name]) {
        return alone(*bench);
    }
    if let Some(unknown) = names.iter().find(|name| !ALL.contains(name)) {
        let alone: Vec<&str> = ALONE.iter().map(|(name, _)| *name).collect();
        bail!("no benchmark {unknown}: there are {}; and, alone, {}", ALL.join(", "), alone.join(", "));
    }
    if !shell::is_root() {
        bail!("benchmarks run containers: they need root");
    }
    install::ensure(&[install::BUILD, install::IMAGES, install::TEST, install::PEER].concat())?;
    let programs = programs()?;
    let peer = Peer::start()?;
    let ours = Engine::start(&programs, &["--host-ca"])?;
    let bench = Bench { ours: &ours, peer: &peer };
    let idle = (resident(ours.pid())?, peer.resident()?);
    bench.images()?;
    let wanted = |name: &str| names.is_empty() || names.contains(&name);
    let mut lines = Vec::new();
    if wanted("run") {
        bench.runs(&mut lines)?;
    }
    if wanted("parallel") {
        bench.parallel(&mut lines)?;
    }
    if wanted("load") {
        bench.load(&mut lines)?;
    }
    if wanted("memory") {
        bench.memory(idle, &mut lines)?;
    }
    if wanted("build") {
        bench.build(&mut lines)?;
    }
    print(&lines);
    Ok(())
}

/// Release programs; in DHOW_PROGRAMS those that were built before, to compare two of them.
fn programs() -> anyhow::Result<PathBuf> {
    match std::env::var_os("DHOW_PROGRAMS") {
        Some(folder) => Ok(folder.into()),
        None => dist::run_quietly(),
    }
}

/// A benchmark that takes an engine of ours and prints what it finds.
type Alone = fn(&Engine) -> anyhow::Result<()>;

fn alone(bench: Alone) -> anyhow::Result<()> {
    if !shell::is_root() {
        bail!("benchmarks run containers: they need root");
    }
    install::ensure(
        &[install::BUILD, install::TEST, install::TRACE, install::RUNTIMES, install::PEER].concat(),
    )?;
    let engine = Engine::start(&programs()?, &[])?;
    import(&|args| engine.ask(args).map(drop))?;
    bench(&engine)
}

/// Makes the image `bench`, a static busybox, and imports it with `docker`'s words.
fn import(docker: &dyn Fn(&[&str]) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let tar = std::env::temp_dir().join(format!("dhow-bench-{}.tar", std::process::id()));
    let script = "set -e; d=$(mktemp -d); mkdir $d/bin $d/etc; cp $(command -v busybox) $d/bin/busybox; \
         for a in sh true sleep cat; do ln -s busybox $d/bin/$a; done; tar -C $d -cf \"$1\" .; rm -r $d";
    output(Command::new("sh").args(["-c", script, "sh"]).arg(&tar))?;
    docker(&["import", &tar.to_string_lossy(), "bench"])?;
    std::fs::remove_file(&tar).context("removing the image's tar")
}

struct Bench<'a> {
    ours: &'a Engine,
    peer: &'a Peer,
}

fn print(lines: &[Line]) {
    // what else runs on the machine slows both
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    say(&format!("\n{cores} processors, load average {}", load.split(' ').next().unwrap_or("unknown")));
    say("\n| what (median) | ours | docker 20.10 | ratio | target |\n|---|---|---|---|---|");
    for line in lines {
        say(&format!(
            "| {} | {} | {} | {} | {} |",
            line.what, line.ours, line.theirs, line.ratio, line.target
        ));
    }
}

/// Of several rounds.
#[derive(Clone, Copy)]
struct Times {
    median: Duration,
    /// 95 of 100 are faster.
    late: Duration,
    least: Duration,
}

impl Times {
    fn of(mut rounds: Vec<Duration>) -> Self {
        rounds.sort_unstable();
        let at = |place: usize| rounds.get(place).copied().unwrap_or_default();
        Self { median: at(rounds.len() / 2), late: at(rounds.len() * 95 / 100), least: at(0) }
    }
}

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [median, late, least] = [self.median, self.late, self.least].map(|time| time.as_secs_f64() * 1e3);
        write!(f, "{median:.1} ms (p95 {late:.1}, least {least:.1})")
    }
}

fn timed(command: &mut Command) -> anyhow::Result<Duration> {
    let began = Instant::now();
    output(command)?;
    Ok(began.elapsed())
}

fn compared(what: &str, ours: Times, theirs: Times, target: &'static str) -> Line {
    Line {
        what: what.to_owned(),
        ours: ours.to_string(),
        theirs: theirs.to_string(),
        ratio: format!("{:.1}×", theirs.median.as_secs_f64() / ours.median.as_secs_f64()),
        target,
    }
}

/// Resident KiB of a process.
fn resident(pid: u32) -> anyhow::Result<u64> {
    let status =
        std::fs::read_to_string(format!("/proc/{pid}/status")).context("reading a process's status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS")?;
    Ok(line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or(0))
}

/// Proportional KiB of every process of this program that has the folder in its command line: (how many, KiB in all).
fn proportional(program: &str, folder: &Path) -> (u64, u64) {
    let folder = folder.display().to_string();
    let (mut count, mut total) = (0, 0);
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        let name = command.split(' ').next().and_then(|path| path.rsplit('/').next()).unwrap_or_default();
        if !name.starts_with(program) || !command.contains(&folder) {
            continue;
        }
        let rollup = std::fs::read_to_string(entry.path().join("smaps_rollup")).unwrap_or_default();
        if let Some(kib) = rollup
            .lines()
            .find_map(|line| line.strip_prefix("Pss:")?.split_whitespace().next()?.parse::<u64>().ok())
        {
            (count, total) = (count + 1, total + kib);
        }
    }
    (count, total)
}

impl Bench<'_> {
    fn images(&self) -> anyhow::Result<()> {
        import(&|args| {
            self.ours.ask(args)?;
            output(&mut self.peer.docker(args)).map(drop)
        })
    }

    /// The same command on both, in turn.
    fn turns(&self, rounds: usize, args: &[&str]) -> anyhow::Result<(Times, Times)> {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for round in 0..=rounds {
            let times = (timed(&mut self.ours.dhow(args))?, timed(&mut self.peer.docker(args))?);
            // the first round warms both up
            if round > 0 {
                ours.push(times.0);
                theirs.push(times.1);
            }
        }
        Ok((Times::of(ours), Times::of(theirs)))
    }

    fn runs(&self, lines: &mut Vec<Line>) -> anyhow::Result<()> {
        for (what, flags, target) in [
            ("`run --rm true`, network none", &["--network", "none"][..], "≤ 10 ms"),
            ("`run --rm true`, bridge", &[], "–"),
            ("`run --rm true`, bridge and `-p`", &["-p", "29837:80"], "≤ 15 ms"),
        ] {
            let args = [&["run", "--rm"], flags, &["bench", "true"]].concat();
            let (ours, theirs) = self.turns(20, &args)?;
            lines.push(compared(what, ours, theirs, target));
        }
        let name = ["run", "-d", "--name", "bench-exec", "bench", "sleep", "1000"];
        self.ours.ask(&name)?;
        output(&mut self.peer.docker(&name))?;
        let (ours, theirs) = self.turns(20, &["exec", "bench-exec", "true"])?;
        lines.push(compared("`exec true`", ours, theirs, "–"));
        self.ours.ask(&["rm", "-f", "bench-exec"])?;
        output(&mut self.peer.docker(&["rm", "-f", "bench-exec"]))?;
        Ok(())
    }

    fn parallel(&self, lines: &mut Vec<Line>) -> anyhow::Result<()> {
        for (what, network) in [("100 parallel `run --rm true`, none", "none"), ("… bridge", "bridge")] {
            let args = ["run", "--rm", "--network", network, "bench", "true"];
            let mut ours = Vec::new();
            for _ in 0..3 {
                ours.push(together(100, || self.ours.dhow(&args))?);
            }
            // once: the peer needs a quarter of a minute for it
            let theirs = vec![together(100, || self.peer.docker(&args))?];
            lines.push(compared(what, Times::of(ours), Times::of(theirs), "≤ 1,500 ms"));
        }
        Ok(())
    }

    /// A 200 MB image of files as a base system has them. Every round loads another one, so that nothing needs to be deleted before: a
    /// disk that is still freeing blocks is slow for everybody.
    fn load(&self, lines: &mut Vec<Line>) -> anyhow::Result<()> {
        const ROUNDS: usize = 3;
        let folder = std::env::temp_dir().join(format!("dhow-bench-load-{}", std::process::id()));
        let outcome = self.load_in(&folder, ROUNDS);
        std::fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
        let (megabytes, ours, theirs) = outcome?;
        let what = format!("`load` of {megabytes} MB");
        lines.push(compared(&what, Times::of(ours), Times::of(theirs), "≤ 1,200 ms"));
        Ok(())
    }

    fn load_in(&self, folder: &Path, rounds: usize) -> anyhow::Result<(u64, Vec<Duration>, Vec<Duration>)> {
        // what head cuts off in the middle of a file is no error: the other tar says so and keeps the rest
        let script = "set -e; mkdir -p \"$1/tree\"; cd \"$1\"; \
             tar -C / -cf - usr/lib usr/share 2>/dev/null | head -c 200000000 | tar -C tree -xf - 2>/dev/null || true; \
             tar -C tree -cf tree.tar .; rm -r tree";
        output(Command::new("sh").args(["-c", script, "sh"]).arg(folder))?;
        let tree = folder.join("tree.tar");
        let mut archives = Vec::new();
        for round in 0..rounds {
            let name = format!("big:{round}");
            let mark = format!("round-{round}");
            std::fs::write(folder.join(&mark), &name).context("writing a file")?;
            output(Command::new("tar").arg("-C").arg(folder).arg("-rf").arg(&tree).arg(&mark))?;
            let saved = folder.join(format!("{round}.tar"));
            let (tree, archive) = (tree.to_string_lossy(), saved.to_string_lossy());
            output(&mut self.peer.docker(&["import", &tree, &name]))?;
            output(&mut self.peer.docker(&["save", "-o", &archive, &name]))?;
            output(&mut self.peer.docker(&["rmi", "-f", &name]))?;
            archives.push(saved);
        }
        let megabytes = std::fs::metadata(&archives[0]).context("looking at the archive")?.len() / 1_000_000;
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for archive in &archives {
            let archive = archive.to_string_lossy();
            // neither pays for what was written before
            output(&mut Command::new("sync"))?;
            ours.push(timed(&mut self.ours.dhow(&["load", "-q", "-i", &archive]))?);
            output(&mut Command::new("sync"))?;
            theirs.push(timed(&mut self.peer.docker(&["load", "-q", "-i", &archive]))?);
        }
        Ok((megabytes, ours, theirs))
    }

    fn memory(&self, idle: (u64, u64), lines: &mut Vec<Line>) -> anyhow::Result<()> {
        let mine = |ours: String, theirs: String, what: &str, target| Line {
            what: what.to_owned(),
            ours,
            theirs,
            ratio: "–".to_owned(),
            target,
        };
        lines.push(mine(
            format!("{:.1} MiB", kib(idle.0)),
            format!("{:.1} MiB (with containerd)", kib(idle.1)),
            "daemon RSS, no container yet",
            "≤ 20 MiB",
        ));
        for number in 0..10 {
            let name = format!("bench-{number}");
            let args = ["run", "-d", "--name", &name, "bench", "sleep", "1000"];
            self.ours.ask(&args)?;
            output(&mut self.peer.docker(&args))?;
        }
        // a shim gives back what it does not need after a second of silence
        std::thread::sleep(Duration::from_secs(2));
        let (count, total) = proportional("dhow-shim", self.ours.run());
        let (their_count, their_total) = proportional("containerd-shim", self.peer.run());
        if (count, their_count) != (10, 10) {
            bail!("{count} shims of ours and {their_count} of the peer's run, not 10 each");
        }
        let each = |count: u64, total: u64| format!("{} KiB", total / count.max(1));
        lines.push(mine(
            each(count, total),
            each(their_count, their_total),
            "shim PSS, each of 10",
            "≤ 50 KiB",
        ));
        for number in 0..10 {
            let name = format!("bench-{number}");
            self.ours.ask(&["rm", "-f", &name])?;
            output(&mut self.peer.docker(&["rm", "-f", &name]))?;
        }
        Ok(())
    }

    /// The example's build with everything cached; the peer has no way out here and builds nothing.
    fn build(&self, lines: &mut Vec<Line>) -> anyhow::Result<()> {
        const BASE: &str = "debian:bookworm-slim";
        if self.ours.ask(&["pull", "-q", BASE]).is_err() {
            self.ours.ask(&["image", "bootstrap", BASE])?;
        }
        let context = root().join("examples/realtime-pipeline/web");
        let build = |context: &Path| {
            let mut command = self.ours.dhow(&["build", "-q", "-t", "bench-web"]);
            command.arg(context);
            command
        };
        output(&mut build(&context))?;
        let mut times = Vec::new();
        for _ in 0..10 {
            times.push(timed(&mut build(&context))?);
        }
        lines.push(Line {
            what: "build of the example's web image, all cached".to_owned(),
            ours: Times::of(times).to_string(),
            theirs: "–".to_owned(),
            ratio: "–".to_owned(),
            target: "≤ 300 ms",
        });
        Ok(())
    }
}

#[allow(clippy::cast_precision_loss, reason = "printed with one decimal")]
fn kib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

/// Starts `count` at once; until the last has ended.
fn together(count: usize, command: impl Fn() -> Command) -> anyhow::Result<Duration> {
    let began = Instant::now();
    let mut children = Vec::with_capacity(count);
    for _ in 0..count {
        children.push(command().stdout(std::process::Stdio::null()).spawn()?);
    }
    for mut child in children {
        let status = child.wait()?;
        if !status.success() {
            bail!("one of {count} parallel runs failed: {status}");
        }
    }
    Ok(began.elapsed())
}
