//! `cargo xtask bench thousand`: a thousand idle containers on one machine: their start, what they cost, and how the rest feels meanwhile.

use super::{Times, proportional, timed};
use crate::{
    engine::Engine,
    shell::{output, say},
};
use anyhow::{Context as _, bail};
use std::time::{Duration, Instant};

const CONTAINERS: usize = 1000;
/// Commands at a time.
const AT_ONCE: usize = 16;
/// Containers that are stopped by one command.
const STOPPED: usize = 100;
/// A PID 1 that obeys SIGTERM.
const OBEDIENT: &str = "trap 'exit 0' TERM; sleep 1000 & wait";

/// Prints the table.
pub(super) fn run(engine: &Engine) -> anyhow::Result<()> {
    say("\n| what | measured | target |\n|---|---|---|");
    stop(engine)?;
    let before = available()?;
    let idle = daemon(engine)?;
    let began = Instant::now();
    start(engine, CONTAINERS, &["sleep", "100000"])?;
    line(&format!("start of {CONTAINERS}, {AT_ONCE} at a time"), began.elapsed(), "≤ 8 s");
    // a shim gives back what it does not need after a second of silence
    std::thread::sleep(Duration::from_secs(2));
    let (shims, total) = proportional("dhow-shim", engine.run());
    if shims != CONTAINERS as u64 {
        bail!("{shims} shims run, not {CONTAINERS}");
    }
    let daemon = daemon(engine)?;
    let (mib, each) = (|kib: u64| kib >> 10, total / shims);
    say(&format!(
        "| memory (PSS) of daemon and shims | {} MiB: daemon {} (before: {}), shims {} ({each} KiB each) | ≤ 300 MiB |",
        mib(daemon + total),
        mib(daemon),
        mib(idle),
        mib(total),
    ));
    let machine = before.saturating_sub(available()?);
    say(&format!("| … and what the machine has less, kernel and containers too | {} MiB | |", mib(machine)));
    let listed = |args: &[&str]| -> anyhow::Result<Times> {
        Ok(Times::of((0..10).map(|_| timed(&mut engine.dhow(args))).collect::<Result<_, _>>()?))
    };
    say(&format!("| `ps` | {} | ≤ 30 ms |", listed(&["ps"])?));
    let run = ["run", "--rm", "--network", "none", "bench", "true"];
    say(&format!("| `run --rm true` beside them | {} | |", listed(&run)?));
    let began = Instant::now();
    remove(engine)?;
    line(&format!("`rm -f` of {CONTAINERS}"), began.elapsed(), "");
    Ok(())
}

fn stop(engine: &Engine) -> anyhow::Result<()> {
    start(engine, STOPPED, &["sh", "-c", OBEDIENT])?;
    let ids = engine.ask(&["ps", "-q"])?;
    let ids: Vec<&str> = ids.lines().collect();
    let took = timed(&mut engine.dhow(&[&["stop"], ids.as_slice()].concat()))?;
    line(&format!("`stop` of {STOPPED} whose PID 1 obeys SIGTERM"), took, "≤ 0.5 s");
    remove(engine)
}

fn remove(engine: &Engine) -> anyhow::Result<()> {
    let all = engine.ask(&["ps", "-aq"])?;
    let ids: Vec<&str> = all.lines().collect();
    engine.ask(&[&["rm", "-f"], ids.as_slice()].concat()).map(drop)
}

fn line(what: &str, took: Duration, target: &str) {
    say(&format!("| {what} | {:.2} s | {target} |", took.as_secs_f64()));
}

/// Starts `count` containers, some at a time.
fn start(engine: &Engine, count: usize, program: &[&str]) -> anyhow::Result<()> {
    let args = [&["run", "-d", "--network", "none", "bench"], program].concat();
    let next = std::sync::atomic::AtomicUsize::new(0);
    let worker = || -> anyhow::Result<()> {
        while next.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < count {
            output(&mut engine.dhow(&args))?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().try_for_each(|worker| match worker.join() {
            Ok(outcome) => outcome,
            Err(_) => bail!("a thread that starts containers ended"),
        })
    })
}

/// Proportional KiB of the daemon.
fn daemon(engine: &Engine) -> anyhow::Result<u64> {
    field(&format!("/proc/{}/smaps_rollup", engine.pid()), "Pss:")
}

/// KiB that programs could still have.
fn available() -> anyhow::Result<u64> {
    field("/proc/meminfo", "MemAvailable:")
}

fn field(path: &str, name: &str) -> anyhow::Result<u64> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {path}"))?;
    let value =
        text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok());
    value.with_context(|| format!("{path} has no {name}"))
}
