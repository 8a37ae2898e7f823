//! One scenario's bundle and container.

use crate::{
    cgroups::Cgroups,
    command::{Call, Runtime, ended, finish, text},
    facts::Facts,
    verdict::{Verdict, failed, must, same},
};
use rustix::process::{Pid, WaitOptions, WaitStatus, waitpid};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A bundle that a scenario changes, and the runtime that gets it.
pub(crate) struct Case<'a> {
    pub(crate) runtime: &'a Runtime,
    /// The container's name.
    pub(crate) id: String,
    /// The folder of `config.json` and `rootfs`.
    pub(crate) bundle: PathBuf,
    /// What is written to `config.json` by [`Case::create`].
    pub(crate) config: Value,
}

/// What a container's process did.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Its stdout.
    pub(crate) out: String,
    /// Its exit code, or 128 and the signal's number.
    pub(crate) code: i32,
}

impl<'a> Case<'a> {
    /// An unpacked bundle with the probe in its root file system.
    pub(crate) fn new(runtime: &'a Runtime, folder: &Path, id: &str) -> Verdict<Self> {
        let bundle = folder.join(id);
        for inside in ["rootfs/proc", "rootfs/sys", "rootfs/dev", "rootfs/tmp", "rootfs/etc"] {
            fs::create_dir_all(bundle.join(inside))?;
        }
        let probe = folder.join("probe");
        if !probe.exists() {
            fs::copy(std::env::current_exe()?, &probe)?;
        }
        fs::hard_link(&probe, bundle.join("rootfs/probe"))?;
        let config = base(id);
        Ok(Self { runtime, id: id.to_owned(), bundle, config })
    }

    /// A second one beside it.
    pub(crate) fn beside(&self) -> Verdict<Self> {
        let folder = self.bundle.parent().unwrap_or(Path::new("/tmp"));
        Self::new(self.runtime, folder, &format!("{}-b", self.id))
    }

    /// What runs: actions of the probe, each one word of the command line.
    pub(crate) fn probe(&mut self, actions: &[&str]) -> &mut Self {
        let words = std::iter::once("/probe").chain(actions.iter().copied()).collect::<Vec<_>>();
        self.config["process"]["args"] = json!(words);
        self
    }

    pub(crate) fn linux(&mut self) -> &mut Value {
        &mut self.config["linux"]
    }

    /// Adds a mount.
    pub(crate) fn mount(&mut self, destination: &str, kind: &str, source: &str, options: &[&str]) {
        let entry = json!({"destination": destination, "type": kind, "source": source, "options": options});
        push(&mut self.config["mounts"], entry);
    }

    /// Takes the mount at `destination` out.
    pub(crate) fn unmount(&mut self, destination: &str) {
        if let Some(mounts) = self.config["mounts"].as_array_mut() {
            mounts.retain(|mount| mount["destination"] != destination);
        }
    }

    /// Takes the namespace out, or gives it a path.
    pub(crate) fn namespace(&mut self, kind: &str, path: Option<&str>) {
        if let Some(list) = self.config["linux"]["namespaces"].as_array_mut() {
            list.retain(|entry| entry["type"] != kind);
        }
        if let Some(path) = path {
            push(&mut self.config["linux"]["namespaces"], json!({"type": kind, "path": path}));
        }
    }

    /// Adds a new namespace.
    pub(crate) fn new_namespace(&mut self, kind: &str) {
        self.namespace(kind, None);
        push(&mut self.config["linux"]["namespaces"], json!({"type": kind}));
    }

    /// A user namespace where container id 0 is host id 100000, and a root file system that belongs to it.
    pub(crate) fn user_namespace(&mut self) -> Verdict {
        self.new_namespace("user");
        let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
        self.config["linux"]["uidMappings"] = map.clone();
        self.config["linux"]["gidMappings"] = map;
        for entry in fs::read_dir(self.rootfs())? {
            // the probe is the same file everywhere, and stays root's
            let path = entry?.path();
            if !path.ends_with("probe") {
                std::os::unix::fs::chown(path, Some(100_000), Some(100_000))?;
            }
        }
        Ok(std::os::unix::fs::chown(self.rootfs(), Some(100_000), Some(100_000))?)
    }

    pub(crate) fn rootfs(&self) -> PathBuf {
        self.bundle.join("rootfs")
    }

    /// Writes `config.json`.
    pub(crate) fn write(&self) -> Verdict {
        Ok(fs::write(self.bundle.join("config.json"), self.config.to_string())?)
    }

    /// `create`, with what it says; the container's stdout and stderr are files.
    pub(crate) fn create(&self) -> Verdict<Call> {
        self.create_with(&[])
    }

    /// `create` with more flags.
    pub(crate) fn create_with(&self, flags: &[&str]) -> Verdict<Call> {
        self.write()?;
        let bundle = self.bundle.to_string_lossy();
        let args = [&["create", "--bundle", &bundle], flags, &[self.id.as_str()]].concat();
        finish(&mut self.runtime.command(&args), &self.bundle.join("container"))
    }

    /// Any call.
    pub(crate) fn call(&self, args: &[&str]) -> Verdict<Call> {
        self.runtime.call(&self.bundle, args)
    }

    /// A call about this container: `verb`, flags, name.
    pub(crate) fn on(&self, args: &[&str]) -> Verdict<Call> {
        self.call(&[args, &[self.id.as_str()]].concat())
    }

    pub(crate) fn start(&self) -> Verdict<Call> {
        self.on(&["start"])
    }

    pub(crate) fn delete(&self) -> Verdict<Call> {
        self.on(&["delete"])
    }

    pub(crate) fn kill(&self, signal: &str) -> Verdict<Call> {
        self.call(&["kill", &self.id, signal])
    }

    /// The state as JSON.
    pub(crate) fn state(&self) -> Verdict<Value> {
        let out = self.on(&["state"])?.ok()?.out;
        serde_json::from_str(&out).or_else(|error| failed(format!("state is not JSON: {error}: {out}")))
    }

    pub(crate) fn status(&self) -> Verdict<String> {
        Ok(self.state()?["status"].as_str().unwrap_or_default().to_owned())
    }

    /// The container's process, as the host numbers it.
    pub(crate) fn pid(&self) -> Verdict<Pid> {
        let state = self.state()?;
        let pid = state["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        pid.map_or_else(|| failed(format!("no pid in {state}")), Ok)
    }

    /// Its cgroups.
    pub(crate) fn cgroups(&self) -> Verdict<Cgroups> {
        Cgroups::of(self.pid()?)
    }

    /// Creates and starts it.
    pub(crate) fn running(&self) -> Verdict<Pid> {
        self.create()?.ok()?;
        let pid = self.pid()?;
        self.start()?.ok()?;
        Ok(pid)
    }

    /// Waits for the process, which is a child of this program once the runtime has gone: its exit code.
    pub(crate) fn wait(&self, pid: Pid) -> Verdict<i32> {
        must(ended(pid, 20)?, || format!("process {} did not end in 20 s", pid.as_raw_nonzero()))?;
        match waitpid(Some(pid), WaitOptions::empty()) {
            Ok(Some((_, status))) => Ok(code(status)),
            Ok(None) | Err(_) => failed("the container's process is no child of the runtime's caller"),
        }
    }

    /// What the container wrote so far.
    pub(crate) fn output(&self) -> Verdict<String> {
        text(&self.bundle.join("container.out"))
    }

    /// The whole life: create, start, wait, delete.
    pub(crate) fn run(&self) -> Verdict<Ended> {
        let pid = self.running()?;
        let code = self.wait(pid)?;
        let out = self.output()?;
        same("status after the end", self.status()?.as_str(), "stopped")?;
        self.delete()?.ok()?;
        Ok(Ended { out, code })
    }

    /// Runs the probe with `report` and reads what it saw.
    pub(crate) fn report(&mut self) -> Verdict<Facts> {
        let ended = self.probe(&["report"]).run()?;
        Facts::read(&ended.out)
    }

    /// Runs actions of the probe: what each answered.
    pub(crate) fn ask(&mut self, actions: &[&str]) -> Verdict<Vec<String>> {
        let ended = self.probe(actions).run()?;
        let lines: Vec<String> = ended.out.lines().map(str::to_owned).collect();
        same("number of the probe's answers", lines.len(), actions.len())?;
        Ok(lines)
    }

    /// The configuration must not be accepted: neither by `create` nor, at the latest, by `start`.
    pub(crate) fn rejected(&self) -> Verdict<Call> {
        let created = self.create()?;
        if created.code != Some(0) {
            return self.nothing_left(created.refused()?);
        }
        let started = self.start()?.refused();
        self.on(&["delete", "--force"])?;
        started
    }

    /// A failed `create` leaves no container.
    fn nothing_left(&self, call: Call) -> Verdict<Call> {
        self.on(&["state"])?.refused()?;
        Ok(call)
    }

    /// Takes away what may still be there: after the scenario, whatever came of it.
    pub(crate) fn end(&self) -> Verdict {
        self.on(&["delete", "--force"])?;
        Ok(())
    }
}

/// A wait status as docker shows it.
fn code(status: WaitStatus) -> i32 {
    status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal)).unwrap_or(-1)
}

/// Appends to an array, which is made if it is not there.
pub(crate) fn push(array: &mut Value, entry: Value) {
    match array.as_array_mut() {
        Some(entries) => entries.push(entry),
        None => *array = json!([entry]),
    }
}

/// A small container as engines ask for it, without limits and filters.
fn base(id: &str) -> Value {
    let capabilities =
        ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_KILL", "CAP_SETGID", "CAP_SETUID", "CAP_MKNOD"];
    let (tmpfs, shm) =
        (["nosuid", "strictatime", "mode=755", "size=65536k"], ["nosuid", "noexec", "nodev", "mode=1777"]);
    let pts = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"];
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": ["/probe"],
            "env": ["PATH=/usr/bin:/bin"],
            "cwd": "/",
            "capabilities": {"bounding": capabilities, "effective": capabilities, "permitted": capabilities},
        },
        "root": {"path": "rootfs"},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": tmpfs},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": pts},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": shm},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
        ],
        "linux": {
            "cgroupsPath": format!("/dhow-conform/{id}"),
            "namespaces": [{"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}],
        },
    })
}
