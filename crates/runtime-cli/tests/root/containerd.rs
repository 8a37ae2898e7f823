//! Containerd starts its containers with us.

use crate::fixture::{Bench, Ran, bench, eventually};
use serde_json::Value;
use std::process::{Child, Command, Stdio};

struct Containerd {
    daemon: Child,
    bench: Bench,
}

impl Containerd {
    fn start(bench: Bench) -> Self {
        let dir = bench.dir.join("c");
        std::fs::create_dir(&dir).unwrap();
        let path = |name: &str| dir.join(name).to_string_lossy().into_owned();
        // No images, no snapshots: containers come with a root file system of their own.
        let config = format!(
            "version = 2\nroot = {:?}\nstate = {:?}\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
             [grpc]\naddress = {:?}\n[ttrpc]\naddress = {:?}\n\
             [plugins.\"io.containerd.internal.v1.opt\"]\npath = {:?}\n",
            path("root"),
            path("state"),
            path("sock"),
            path("ttrpc"),
            path("opt")
        );
        std::fs::write(path("config.toml"), config).unwrap();
        let log = std::fs::File::create(path("log")).unwrap();
        let daemon = Command::new("containerd")
            .args(["--config", &path("config.toml")])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("containerd is not installed: run `cargo xtask test`, which installs it");
        let this = Self { daemon, bench };
        let log = || std::fs::read_to_string(path("log")).unwrap_or_default();
        eventually(|| this.ctr(&["version"]).code == 0, log);
        this
    }

    fn ctr(&self, words: &[&str]) -> Ran {
        let mut command = Command::new("ctr");
        command.arg("--address").arg(self.bench.dir.join("c/sock")).args(["--namespace", &self.bench.mark]);
        command.args(words).stdin(Stdio::null()).output().unwrap().into()
    }

    fn run(&self, flags: &[&str], words: &[&str]) -> Ran {
        let (root, state) = (self.bench.bundle().join("rootfs"), self.bench.dir.join("c/runtime"));
        let (root, state) = (root.to_str().unwrap(), state.to_str().unwrap());
        let program = self.bench.program.to_str().unwrap();
        let ours = ["--runc-binary", program, "--runc-root", state, "--rootfs", root];
        self.ctr(&[&["run"], flags, &ours[..], words].concat())
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        self.ctr(&["task", "kill", "--signal", "KILL", "a"]);
        self.ctr(&["task", "delete", "--force", "a"]);
        self.ctr(&["container", "rm", "a"]);
        // SIGTERM is its orderly end.
        let pid = rustix::process::Pid::from_child(&self.daemon);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.daemon.wait().unwrap();
        for folder in crate::fixture::cgroups(&self.bench.mark) {
            // Its namespace is the containers' parent.
            drop(std::fs::remove_dir(folder));
        }
    }
}

#[test]
fn root_containerd_runs_on_it() {
    let Some(bench) = bench(&["true"]) else { return };
    let engine = Containerd::start(bench);
    assert_eq!(engine.run(&["--rm"], &["b", "echo", "hello"]).ok(), "hello\n");
    assert_eq!(engine.run(&["--rm"], &["b", "sh", "-c", "exit 6"]).code, 6);
    engine.run(&["--rm"], &["b", "nosuch"]).fails(1, "executable file not found in $PATH");
    engine.run(&["--detach", "--seccomp"], &["a", "sleep", "1000"]).ok();
    let states = engine.bench.dir.join("c/runtime").join(&engine.bench.mark);
    let state: Value = serde_json::from_slice(&std::fs::read(states.join("a/state.json")).unwrap()).unwrap();
    let tasks = engine.ctr(&["task", "ls"]).ok();
    assert!(tasks.contains(&state["process"]["pid"].to_string()) && tasks.contains("RUNNING"), "{tasks}");
    assert_eq!(engine.ctr(&["task", "exec", "--exec-id", "1", "a", "echo", "in"]).ok(), "in\n");
    assert_eq!(engine.ctr(&["task", "exec", "--exec-id", "2", "a", "sh", "-c", "exit 3"]).code, 3);
    engine
        .ctr(&["task", "exec", "--exec-id", "3", "a", "nosuch"])
        .fails(1, "executable file not found in $PATH");
    engine.ctr(&["task", "pause", "a"]).ok();
    assert!(engine.ctr(&["task", "ls"]).ok().contains("PAUSED"));
    engine.ctr(&["task", "resume", "a"]).ok();
    engine.ctr(&["task", "kill", "--signal", "KILL", "a"]).ok();
    let stopped = || engine.ctr(&["task", "ls"]).out.contains("STOPPED");
    eventually(stopped, || engine.ctr(&["task", "ls"]).out);
    let deleted = engine.ctr(&["task", "delete", "a"]);
    assert!(deleted.code == 0 && deleted.err.contains("exit code 137"), "{deleted:?}");
    engine.ctr(&["container", "rm", "a"]).ok();
    assert!(!states.join("a").exists());
}
