//! The peer of the benchmarks: Debian's dockerd, in a network namespace and a folder of its own.

use crate::shell::{output, say};
use anyhow::{Context as _, bail};
use std::{
    os::unix::{net::UnixStream, process::CommandExt as _},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// A running dockerd of our own.
pub(crate) struct Peer {
    folder: PathBuf,
    run: PathBuf,
    child: Child,
}

impl Peer {
    /// Starts one; returns when its socket answers.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("dhow-peer-{}", std::process::id()));
        std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        let log = std::fs::File::create(folder.join("log"))?;
        let path = |name: &str| folder.join(name).display().to_string();
        let run = crate::engine::run_folder("dhow-peer-run")?;
        // a namespace of its own, so that its iptables rules and bridge touch nothing of ours
        let child = Command::new("unshare")
            .args([
                "--net",
                "dockerd",
                "--host",
                &format!("unix://{}", path("docker.sock")),
                "--data-root",
                &path("data"),
            ])
            .arg("--exec-root")
            .arg(&run)
            .args(["--pidfile", &path("pid")])
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("starting dockerd")?;
        let mut peer = Self { folder, run, child };
        let began = Instant::now();
        while UnixStream::connect(peer.folder.join("docker.sock")).is_err() {
            if peer.child.try_wait()?.is_some() || began.elapsed() > Duration::from_secs(60) {
                bail!(
                    "dockerd does not start:\n{}",
                    std::fs::read_to_string(peer.folder.join("log")).unwrap_or_default()
                );
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(peer)
    }

    /// `docker …` against it; Debian's own client where there are two.
    pub(crate) fn docker(&self, args: &[&str]) -> Command {
        let client =
            if std::path::Path::new("/usr/bin/docker").exists() { "/usr/bin/docker" } else { "docker" };
        let mut command = Command::new(client);
        command
            .env("DOCKER_HOST", format!("unix://{}", self.folder.join("docker.sock").display()))
            .args(args);
        command
    }

    /// Where it has what is in `/run` else.
    pub(crate) fn run(&self) -> &std::path::Path {
        &self.run
    }

    /// By which its processes and mounts are known.
    fn marks(&self) -> [String; 2] {
        [&self.folder, &self.run].map(|folder| folder.display().to_string())
    }

    /// Resident KiB of dockerd and its containerd.
    pub(crate) fn resident(&self) -> anyhow::Result<u64> {
        let mut total = 0;
        for entry in std::fs::read_dir("/proc")?.flatten() {
            let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            if self.marks().iter().any(|mark| command.contains(mark))
                && !command.contains("shim")
                && (command.starts_with("dockerd") || command.contains("containerd"))
            {
                let status = std::fs::read_to_string(entry.path().join("status")).unwrap_or_default();
                let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
                total +=
                    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0);
            }
        }
        Ok(total)
    }

    fn stop(&mut self) -> anyhow::Result<()> {
        output(Command::new("kill").arg(self.child.id().to_string()))?;
        self.child.wait()?;
        // its graph driver leaves mounts behind
        let mounts = std::fs::read_to_string("/proc/self/mounts")?;
        let ours = |path: &&str| self.marks().iter().any(|mark| path.starts_with(mark));
        for mount in mounts.lines().filter_map(|line| line.split(' ').nth(1)).filter(ours) {
            output(Command::new("umount").args(["-l", mount]))?;
        }
        for folder in [&self.run, &self.folder] {
            std::fs::remove_dir_all(folder).with_context(|| format!("removing {}", folder.display()))?;
        }
        Ok(())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            say(&format!("xtask: taking the peer down: {error:#}"));
        }
    }
}
