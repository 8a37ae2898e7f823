//! `kill -9` at every step of a start. strace kills whoever comes first to the n-th call of a system call: a thread of the daemon, the shim, or the
//! container's process before it is the program. Nothing in the product knows of it.

use super::{
    held::{bridge_of, descriptors, held, no_more_descriptors, wait_held},
    lifecycle::eventually,
};
use dhow_testkit::{Daemon, is_root};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// What a start consists of; a step of the plan is one to three of these.
const CALLS: &str = "mkdir,mkdirat,mount,move_mount,fsopen,fsconfig,fsmount,open_tree,mount_setattr,openat2,mknodat,symlinkat,\
setns,unshare,sethostname,pivot_root,umount2,setresuid,setresgid,setgroups,capset,seccomp,prctl,execve,clone3,socketpair,bind,\
accept4,sendmsg,recvmsg,sendto,rename,renameat,unlink,open,openat,write,chdir,dup2,fchdir,statx";

/// An strace on the daemon and everything that it starts.
struct Tracer {
    strace: Child,
    trace: PathBuf,
}

impl Tracer {
    fn attach(daemon: &Daemon, inject: Option<&str>) -> Self {
        let trace = daemon.folder().join("trace");
        let mut command = Command::new("strace");
        command.args(["-f", "-e", &format!("trace={CALLS}"), "-o"]).arg(&trace);
        if let Some(inject) = inject {
            command.args(["-e", &format!("inject={inject}")]);
        }
        let mut strace =
            command.arg("-p").arg(daemon.pid().to_string()).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(strace.stderr.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        assert!(line.contains("attached"), "{line}");
        // it goes on talking about every new process
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        Self { strace, trace }
    }

    /// Whether it has killed somebody; it learns of that a little later than others do.
    fn killed(&self, surely: bool) -> bool {
        let began = Instant::now();
        loop {
            let killed = fs::read_to_string(&self.trace).unwrap().contains("killed by SIGKILL");
            if killed || !surely || began.elapsed() > Duration::from_secs(5) {
                return killed;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Lets go of everything; what was traced, a line a call, the process's id first.
    fn detach(mut self) -> String {
        assert!(Command::new("kill").arg(self.strace.id().to_string()).status().unwrap().success());
        let began = Instant::now();
        while self.strace.try_wait().unwrap().is_none() {
            // it may wait for ever for threads of what it has killed; the kernel lets go of the rest
            if began.elapsed() > Duration::from_secs(1) {
                self.strace.kill().unwrap();
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        fs::read_to_string(&self.trace).unwrap()
    }
}

/// Every place where a start can be cut: a system call and which of them, as strace counts.
fn places(trace: &str) -> BTreeSet<(String, u32)> {
    let mut counts: BTreeMap<(&str, &str), u32> = BTreeMap::new();
    for line in trace.lines() {
        let Some((process, rest)) = line.split_once(' ') else { continue };
        if let Some((call, _)) = rest.trim_start().split_once('(')
            && call.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        {
            *counts.entry((process, call)).or_default() += 1;
        }
    }
    let places = counts.iter().flat_map(|((_, call), count)| (1..=*count).map(|n| ((*call).to_owned(), n)));
    places.collect()
}

fn alive(daemon: &Daemon) -> bool {
    fs::read_to_string(format!("/proc/{}/status", daemon.pid()))
        .is_ok_and(|status| !status.contains("State:\tZ"))
}

/// The state of `xx` when nothing moves any more.
fn settled(daemon: &Daemon) -> String {
    let ask = ["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}} {{.State.Pid}}", "xx"];
    let state = eventually(daemon, &ask, |out| {
        let pid = out.rsplit(' ').next().unwrap_or_default();
        // "running" with a process that is there, or anything else
        !out.starts_with("running") || fs::exists(format!("/proc/{pid}")).unwrap()
    });
    let mut words = state.split(' ');
    format!("{} {}", words.next().unwrap(), words.next().unwrap())
}

#[test]
fn root_killed_at_every_step_of_a_start() {
    if !is_root() {
        return;
    }
    let mut daemon = Daemon::start();
    let bridge = bridge_of(&daemon);
    daemon.dhow(&["run", "--rm", "-p", "80", "busybox", "true"]).ok();
    let create = ["create", "--name", "xx", "-p", "80", "-v", "/data", "busybox", "sleep", "1000"];
    let tracer = Tracer::attach(&daemon, None);
    daemon.dhow(&create).ok();
    daemon.dhow(&["start", "xx"]).ok();
    let all: Vec<_> = places(&tracer.detach()).into_iter().collect();
    daemon.dhow(&["rm", "-fv", "xx"]).ok();
    assert!(all.len() > 200, "only {} places", all.len());
    daemon.kill();
    daemon.restart();
    std::thread::sleep(Duration::from_millis(300));
    let (before, fds) = (held(&daemon, &bridge), descriptors(&daemon));
    // all of them, or some that are others every time
    let wanted = std::env::var("DHOW_FAULTS").ok().and_then(|text| text.parse().ok()).unwrap_or(24);
    let stride = (all.len() / wanted).max(1);
    let offset = std::process::id() as usize % stride;
    let mut outcomes: BTreeMap<String, u32> = BTreeMap::new();
    for (round, (call, nth)) in all.iter().skip(offset).step_by(stride).enumerate() {
        daemon.dhow(&create).ok();
        let when = format!("{call} number {nth}");
        let tracer = Tracer::attach(&daemon, Some(&format!("{call}:signal=KILL:when={nth}")));
        let started = daemon.dhow(&["start", "xx"]);
        let killed = tracer.killed(started.code != 0);
        tracer.detach();
        let died = !alive(&daemon);
        // and now and then both
        if died || round % 3 == 0 {
            daemon.kill();
            daemon.restart();
        }
        let state = settled(&daemon);
        let who = if died {
            "daemon"
        } else if killed {
            "shim or container"
        } else {
            "nobody"
        };
        *outcomes.entry(format!("{who} killed, start {}, {state}", started.code)).or_default() += 1;
        let legal = match state.as_str() {
            "running 0" => true,
            "created 0" => died,
            "created 128" | "created 127" | "exited 128" => killed && started.code != 0,
            "exited 137" => killed,
            _ => false,
        };
        assert!(legal, "{when}: {who} killed, start said {started:?}, it is {state}");
        if state != "running 0" {
            daemon.dhow(&["start", "xx"]).ok();
        }
        assert_eq!(daemon.dhow(&["exec", "xx", "echo", "here"]).ok(), "here", "{when}");
        daemon.dhow(&["rm", "-fv", "xx"]).ok();
        wait_held(&daemon, &bridge, &before, &when);
    }
    no_more_descriptors(&daemon, fds);
    #[allow(clippy::print_stdout, reason = "shown with --nocapture")]
    for (outcome, times) in &outcomes {
        println!("{times:4} × {outcome}");
    }
    daemon.finish();
}
