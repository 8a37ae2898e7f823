//! `cargo xtask bench profile`: where the time of one `run --rm true` goes, from the kernel's own tracing (a microsecond a call, where strace takes
//! fifty): the milestones of the way, and the calls that take longest, without those that only wait.

use crate::{engine::Engine, shell::say};
use anyhow::{Context as _, ensure};
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

const ROUNDS: usize = 40;
/// Calls that are printed.
const SHOWN: usize = 22;
/// Numbers of x86_64.
const CALLS: &[(u32, &str)] = &[
    (1, "write"),
    (2, "open"),
    (3, "close"),
    (9, "mmap"),
    (11, "munmap"),
    (20, "writev"),
    (28, "madvise"),
    (42, "connect"),
    (44, "sendto"),
    (46, "sendmsg"),
    (56, "clone"),
    (59, "execve"),
    (72, "fcntl"),
    (75, "fdatasync"),
    (82, "rename"),
    (83, "mkdir"),
    (126, "capset"),
    (155, "pivot_root"),
    (157, "prctl"),
    (165, "mount"),
    (166, "umount2"),
    (231, "exit_group"),
    (257, "openat"),
    (258, "mkdirat"),
    (259, "mknodat"),
    (263, "unlinkat"),
    (272, "unshare"),
    (308, "setns"),
    (317, "seccomp"),
    (428, "open_tree"),
    (429, "move_mount"),
    (430, "fsopen"),
    (431, "fsconfig"),
    (432, "fsmount"),
    (435, "clone3"),
    (436, "close_range"),
    (437, "openat2"),
    (442, "mount_setattr"),
];
/// Calls whose time is somebody else's: read, poll and its kin, recv*, wait*, futex.
const WAITS: &[u32] = &[0, 7, 45, 47, 61, 202, 219, 232, 247, 271, 281];

/// Milliseconds, the process, and what happened.
struct Seen {
    at: f64,
    name: String,
    pid: u32,
    what: What,
}

enum What {
    Enter(u32),
    Exit(u32),
    Exec,
    End,
}

/// Traces and prints.
pub(super) fn run(engine: &Engine) -> anyhow::Result<()> {
    let args = ["run", "--rm", "--network", "none", "bench", "true"];
    for _ in 0..5 {
        engine.ask(&args)?;
    }
    let instance = Instance::new()?;
    instance.follow(engine.pid())?;
    instance.set("tracing_on", "1")?;
    for _ in 0..ROUNDS {
        engine.ask(&args)?;
        // what is done behind the answer is not the next one's
        std::thread::sleep(std::time::Duration::from_millis(30));
    }
    instance.set("tracing_on", "0")?;
    let text = std::fs::read(instance.0.join("trace")).context("reading the kernel's trace")?;
    let seen: Vec<Seen> = String::from_utf8_lossy(&text).lines().filter_map(parse).collect();
    let begins = |one: &Seen| matches!(one.what, What::Exec) && one.name == "dhow";
    let mut rounds: Vec<&[Seen]> = seen.chunk_by(|_, next| !begins(next)).collect();
    rounds.retain(|round| round.first().is_some_and(begins));
    ensure!(rounds.len() > ROUNDS / 2, "only {} of {ROUNDS} starts are in the kernel's trace", rounds.len());
    milestones(&rounds);
    calls(&rounds);
    Ok(())
}

/// A tracing instance of its own: nobody else's tracing is touched.
struct Instance(PathBuf);

impl Instance {
    fn new() -> anyhow::Result<Self> {
        let path = Path::new("/sys/kernel/tracing/instances").join(format!("dhow-{}", std::process::id()));
        std::fs::create_dir(&path).with_context(|| format!("making {}", path.display()))?;
        let this = Self(path);
        this.set("tracing_on", "0")?;
        this.set("buffer_size_kb", "32768")?;
        this.set("trace_clock", "mono")?;
        this.set("options/event-fork", "1")?;
        for event in ["raw_syscalls", "sched/sched_process_exec", "sched/sched_process_exit"] {
            this.set(&format!("events/{event}/enable"), "1")?;
        }
        Ok(this)
    }

    fn set(&self, file: &str, value: &str) -> anyhow::Result<()> {
        let path = self.0.join(file);
        std::fs::write(&path, value).with_context(|| format!("writing {value} to {}", path.display()))
    }

    /// The daemon's threads and we, with all that is started from now on.
    fn follow(&self, daemon: u32) -> anyhow::Result<()> {
        let mut pids = vec![std::process::id().to_string()];
        for task in std::fs::read_dir(format!("/proc/{daemon}/task")).context("listing threads")? {
            pids.push(task?.file_name().to_string_lossy().into_owned());
        }
        self.set("set_event_pid", &pids.join(" "))
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir(&self.0) {
            say(&format!("xtask: removing {}: {error}", self.0.display()));
        }
    }
}

/// `  dhowd-12  [001] .....  12.345678: sys_enter: NR 3 (…)`
fn parse(line: &str) -> Option<Seen> {
    let (task, rest) = line.split_once(" [")?;
    let (name, pid) = task.trim().rsplit_once('-')?;
    let (head, event) = rest.split_once(": ")?;
    let at = head.rsplit(' ').next()?.parse::<f64>().ok()? * 1e3;
    let (kind, detail) = event.split_once(": ")?;
    let number = || detail.strip_prefix("NR ")?.split(' ').next()?.parse().ok();
    let what = match kind {
        "sys_enter" => What::Enter(number()?),
        "sys_exit" => What::Exit(number()?),
        "sched_process_exec" => What::Exec,
        "sched_process_exit" => What::End,
        _ => return None,
    };
    Some(Seen { at, name: name.to_owned(), pid: pid.parse().ok()?, what })
}

type Found = fn(&Seen) -> bool;

fn enters(seen: &Seen, name: &str, call: u32) -> bool {
    matches!(seen.what, What::Enter(number) if number == call) && seen.name == name
}

/// What happens one after the other, and what the time until then was for.
const WAY: &[(&str, Found)] = &[
    ("`dhow` begins", |s| matches!(s.what, What::Exec) && s.name == "dhow"),
    ("it has read its command line and connects", |s| enters(s, "dhow", 42)),
    ("`dhowd` makes the container's folders", |s| enters(s, "dhowd", 258)),
    ("it starts the shim (after create, attach, wait)", |s| enters(s, "dhowd", 56)),
    ("the shim's program begins", |s| matches!(s.what, What::Exec) && s.name == "dhow-shim"),
    ("it has the plan and makes cgroups", |s| enters(s, "dhow-shim", 258)),
    ("it clones", |s| enters(s, "dhow-shim", 435)),
    // the kernel knows a process by its last name
    ("the child makes its first file system", |s| enters(s, "true", 430)),
    ("it has all mounts: pivot_root", |s| enters(s, "true", 155)),
    ("it is ready and loads the filter", |s| enters(s, "true", 317)),
    ("the container's program begins", |s| matches!(s.what, What::Exec) && s.name == "true"),
    ("it has ended", |s| matches!(s.what, What::End) && s.name == "true"),
    ("the shim has noted its end", |s| enters(s, "dhow-shim", 82)),
    ("`dhow` has ended", |s| matches!(s.what, What::End) && s.name == "dhow"),
];

fn milestones(rounds: &[&[Seen]]) {
    say("\n| milestone of `run --rm true`, none | after ms (median) | since the last |\n|---|---|---|");
    let mut last = 0.0;
    for (what, found) in WAY {
        let times = rounds.iter().filter_map(|round| {
            let begin = round.first()?.at;
            round.iter().find(|seen| found(seen)).map(|seen| seen.at - begin)
        });
        let Some(at) = median(times.collect()) else { continue };
        say(&format!("| {what} | {at:.2} | {:.2} |", at - last));
        last = at;
    }
}

fn calls(rounds: &[&[Seen]]) {
    let mut spent: HashMap<(&str, u32), (f64, u32)> = HashMap::new();
    for round in rounds {
        let mut open: HashMap<u32, f64> = HashMap::new();
        for seen in *round {
            match seen.what {
                What::Enter(_) => drop(open.insert(seen.pid, seen.at)),
                What::Exit(call) if !WAITS.contains(&call) => {
                    if let Some(began) = open.remove(&seen.pid) {
                        let (time, count) = spent.entry((&seen.name, call)).or_default();
                        *time += seen.at - began;
                        *count += 1;
                    }
                }
                _ => {}
            }
        }
    }
    #[allow(clippy::cast_precision_loss, reason = "some dozens")]
    let each = rounds.len() as f64;
    let mut rows: Vec<_> = spent.into_iter().collect();
    rows.sort_by(|a, b| b.1.0.total_cmp(&a.1.0));
    say("\n| in the kernel | ms a start | calls | µs each |\n|---|---|---|---|");
    for ((name, call), (time, count)) in rows.into_iter().take(SHOWN) {
        let call =
            CALLS.iter().find(|(number, _)| *number == call).map_or(call.to_string(), |c| c.1.to_owned());
        let (time, count) = (time / each, f64::from(count) / each);
        say(&format!("| {name}: {call} | {time:.3} | {count:.1} | {:.1} |", time / count * 1e3));
    }
}

fn median(mut times: Vec<f64>) -> Option<f64> {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_trace_are_read() {
        let seen = parse("   my-shim-120   [001] .....  12.345678: sys_enter: NR 435 (7f, 0)").unwrap();
        assert_eq!((seen.name.as_str(), seen.pid), ("my-shim", 120));
        assert!((seen.at - 12345.678).abs() < 1e-6 && matches!(seen.what, What::Enter(435)));
        let line = " true-9 [000] d....  1.5: sched_process_exec: filename=/bin/true pid=9 old_pid=9";
        assert!(matches!(parse(line).unwrap().what, What::Exec));
        assert!(parse("# tracer: nop").is_none());
    }
}
