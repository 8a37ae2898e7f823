//! Podman starts its containers with us.

use crate::fixture::{Bench, Ran, bench, eventually};
use dhow_testkit::busybox_tar;
use std::process::{Command, Stdio};

struct Podman {
    bench: Bench,
}

impl Podman {
    /// Store, state, network and cgroups of its own.
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("podman");
        let dir = |name: &str| self.bench.dir.join(name).to_string_lossy().into_owned();
        command.args(["--root", &dir("p/store"), "--runroot", &dir("p/run"), "--tmpdir", &dir("p/tmp")]);
        command.args(["--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "file"]);
        command.arg("--runtime").arg(&self.bench.program).args(words).stdin(Stdio::null());
        command
    }

    fn run(&self, words: &[&str]) -> Ran {
        self.command(words).output().unwrap().into()
    }

    /// `run` or `create` with what every container here has.
    fn make(&self, verb: &str, words: &[&str]) -> Ran {
        let common = ["--network", "none", "--cgroup-parent", self.bench.mark.as_str()];
        self.run(&[&[verb], &common[..], words].concat())
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        let gone = self.run(&["rm", "--force", "--time", "0", "--all"]);
        let reset = self.run(&["rmi", "--force", "--all"]);
        // Conmon's own cgroup and the parent we named stay behind.
        let cgroups = || crate::fixture::cgroups(&self.bench.mark);
        eventually(
            || {
                for dir in cgroups() {
                    drop(std::fs::remove_dir(dir.join("conmon")));
                    drop(std::fs::remove_dir(dir));
                }
                cgroups().is_empty()
            },
            || format!("{:?}", cgroups()),
        );
        if !std::thread::panicking() {
            gone.ok();
            reset.ok();
        }
    }
}

#[test]
fn root_podman_runs_on_it() {
    let Some(bench) = bench(&["true"]) else { return };
    let podman = Podman { bench };
    let tar = podman.bench.dir.join("image.tar");
    std::fs::write(&tar, busybox_tar()).unwrap();
    podman.run(&["import", "--quiet", tar.to_str().unwrap(), "localhost/box"]).ok();
    let image = "localhost/box";
    assert_eq!(podman.make("run", &["--rm", image, "echo", "hello"]).ok(), "hello\n");
    assert_eq!(podman.make("run", &["--rm", image, "sh", "-c", "exit 6"]).code, 6);
    podman.make("run", &["--rm", image, "nosuch"]).fails(127, "executable file not found in $PATH");
    podman.make("run", &["--rm", image, "/etc"]).fails(126, "permission denied");
    assert_eq!(podman.make("run", &["--rm", "--tty", image, "tty"]).ok(), "/dev/pts/0\r\n");
    let flags = [
        "--rm",
        "--tmpfs",
        "/t",
        "--memory",
        "50m",
        "--pids-limit",
        "20",
        "--read-only",
        "--user",
        "app",
        "--hostname",
        "h",
    ];
    let script = "id -un; hostname; touch /t/x && ls /t; touch /etc/x";
    let ran = podman.make("run", &[&flags[..], &[image, "sh", "-c", script]].concat());
    assert!(ran.out == "app\nh\nx\n" && ran.err.contains("Read-only file system"), "{ran:?}");
    podman.make("create", &["--name", "a", image, "sleep", "1000"]).ok();
    podman.run(&["start", "a"]).ok();
    let runtime = podman.run(&["inspect", "a", "--format", "{{.OCIRuntime}} {{.State.Status}}"]).ok();
    assert_eq!(runtime, format!("{} running\n", podman.bench.program.display()));
    assert_eq!(podman.run(&["exec", "--user", "app", "a", "id", "-un"]).ok(), "app\n");
    assert_eq!(podman.run(&["exec", "a", "sh", "-c", "exit 3"]).code, 3);
    assert!(podman.run(&["exec", "--tty", "a", "tty"]).ok().starts_with("/dev/pts/"));
    podman.run(&["exec", "--tty", "a", "nosuch"]).fails(127, "executable file not found in $PATH");
    podman.run(&["pause", "a"]).ok();
    podman.run(&["unpause", "a"]).ok();
    podman.run(&["kill", "a"]).ok();
    assert_eq!(podman.run(&["wait", "a"]).ok(), "137\n");
    podman.run(&["rm", "a"]).ok();
}
