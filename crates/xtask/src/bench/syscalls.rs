//! `cargo xtask bench syscalls`: how often every process of ours calls the kernel for one `run --rm true`.

use crate::{
    engine::Engine,
    shell::{output, say},
};
use anyhow::{Context as _, bail};
use std::{
    collections::BTreeMap,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const ROUNDS: u32 = 10;
/// Calls that are printed by name, of each process.
const SHOWN: usize = 12;

/// How often each call was made, by process.
type Counts = BTreeMap<&'static str, BTreeMap<String, u32>>;

/// Traces command line, daemon, shim and container set-up with strace and prints what one start costs.
pub(super) fn run(engine: &Engine) -> anyhow::Result<()> {
    for (what, flags) in [("none", &["--network", "none"][..]), ("bridge and `-p`", &["-p", "29838:80"])] {
        let args = [&["run", "--rm"], flags, &["bench", "true"]].concat();
        for _ in 0..3 {
            engine.ask(&args)?;
        }
        let each = processor_time(engine, &args)?;
        let folder = engine.folder().join("strace");
        std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        let counts = traced(engine, &args, &folder);
        std::fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
        print(what, &counts?);
        say(&format!("| processor time, untraced | {each:.2} ms | command line, daemon, shim, container |"));
    }
    Ok(())
}

/// Milliseconds of processor that one start costs all processes.
fn processor_time(engine: &Engine, args: &[&str]) -> anyhow::Result<f64> {
    const MANY: u32 = 200;
    // the command line is our child; a shim has waited for its container and the daemon for its shims
    let spent = || -> anyhow::Result<u64> { Ok(ticks(std::process::id(), 2)? + ticks(engine.pid(), 4)?) };
    let before = spent()?;
    for _ in 0..MANY {
        engine.ask(args)?;
    }
    std::thread::sleep(Duration::from_millis(300));
    #[allow(clippy::cast_precision_loss, reason = "some hundreds")]
    let ticks = (spent()? - before) as f64;
    Ok(ticks * 10.0 / f64::from(MANY))
}

/// Hundredths of a second: of the four counts in `/proc/PID/stat` (own user and kernel, the same of children that were waited for) the last so many.
fn ticks(pid: u32, last: usize) -> anyhow::Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).context("reading processor time")?;
    let (_, fields) = stat.rsplit_once(") ").context("/proc/PID/stat has no name")?;
    let counts = fields.split(' ').skip(11).take(4).map(|count| count.parse::<u64>().unwrap_or(0));
    Ok(counts.skip(4 - last).sum())
}

fn traced(engine: &Engine, args: &[&str], folder: &Path) -> anyhow::Result<Counts> {
    let mut tracer = strace(&folder.join("daemon")).arg("-p").arg(engine.pid().to_string()).spawn()?;
    let outcome = attached(engine.pid()).and_then(|()| {
        for round in 0..ROUNDS {
            let client = engine.dhow(args);
            let mut traced = strace(&folder.join(format!("client{round}")));
            traced.arg(client.get_program()).args(client.get_args());
            traced.envs(client.get_envs().filter_map(|(key, value)| Some((key, value?))));
            output(&mut traced)?;
        }
        // what is done behind the answer belongs to the start that caused it
        std::thread::sleep(Duration::from_millis(300));
        Ok(())
    });
    end(&mut tracer)?;
    outcome?;
    let mut counts = Counts::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        let trace = std::fs::read(&path).with_context(|| format!("reading the trace {}", path.display()))?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        count(&name, &String::from_utf8_lossy(&trace), &mut counts);
    }
    Ok(counts)
}

/// One file for each thread.
fn strace(file: &Path) -> Command {
    let mut command = Command::new("strace");
    command.args(["-ff", "-qq", "-o"]).arg(file).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Waits until every thread of the process is traced.
fn attached(pid: u32) -> anyhow::Result<()> {
    let began = Instant::now();
    let traced = || -> anyhow::Result<bool> {
        for task in std::fs::read_dir(format!("/proc/{pid}/task")).context("listing threads")? {
            let status = std::fs::read_to_string(task?.path().join("status")).unwrap_or_default();
            if status.contains("TracerPid:\t0\n") {
                return Ok(false);
            }
        }
        Ok(true)
    };
    while !traced()? {
        if began.elapsed() > Duration::from_secs(10) {
            bail!("strace does not attach to process {pid}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn end(tracer: &mut Child) -> anyhow::Result<()> {
    output(Command::new("kill").args(["-INT", &tracer.id().to_string()]))?;
    tracer.wait().context("waiting for strace").map(drop)
}

/// Adds the calls of one thread; those of the container's own program are not ours.
fn count(file: &str, trace: &str, counts: &mut Counts) {
    let shim = trace.lines().any(|line| line.starts_with("exec") && line.contains("dhow-shim"));
    let process = match () {
        () if file.starts_with("client") => "dhow",
        () if shim => "dhow-shim",
        () if trace.contains("pivot_root(") => "set-up of the container",
        () => "dhowd",
    };
    let calls = counts.entry(process).or_default();
    for line in trace.lines() {
        let Some((name, rest)) = line.split_once('(') else { continue };
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            continue;
        }
        *calls.entry(name.to_owned()).or_default() += 1;
        if process == "set-up of the container" && name == "execve" && rest.ends_with("= 0") {
            break;
        }
    }
}

fn print(what: &str, counts: &Counts) {
    say(&format!("\n| system calls of one `run --rm true`, {what} | calls | most often |\n|---|---|---|"));
    let each = |count: u32| f64::from(count) / f64::from(ROUNDS);
    let mut total = 0.0;
    for (process, calls) in counts {
        let sum = each(calls.values().sum());
        total += sum;
        let mut most: Vec<_> = calls.iter().collect();
        most.sort_unstable_by_key(|(_, count)| std::cmp::Reverse(**count));
        let most: Vec<_> =
            most.iter().take(SHOWN).map(|(name, count)| format!("{name} {:.0}", each(**count))).collect();
        say(&format!("| {process} | {sum:.0} | {} |", most.join(", ")));
    }
    say(&format!("| all | {total:.0} | |"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_until_the_program_runs() {
        let mut counts = Counts::new();
        count(
            "daemon.7",
            "pivot_root(\".\", \".\") = 0\nexecve(\"/true\", [\"true\"], 0x7f /* 1 var */) = 0\nbrk(NULL) = 1\n",
            &mut counts,
        );
        count("daemon.6", "close(3)\n--- SIGCHLD {si_pid=2} ---\n+++ exited with 0 +++\n", &mut counts);
        let shim =
            "execve(\"/proc/self/fd/9\", [\"dhow-shim\", \"/run\"], 0x7f /* 0 vars */) = 0\nclose(1) = 0\n";
        count("daemon.5", shim, &mut counts);
        count("client0.4", "read(0) = 1\n", &mut counts);
        let sums: Vec<(&str, u32)> =
            counts.iter().map(|(process, calls)| (*process, calls.values().sum())).collect();
        assert_eq!(sums, [("dhow", 1), ("dhow-shim", 2), ("dhowd", 1), ("set-up of the container", 2)]);
    }
}
