//! A real dockerd to compare with, where one is installed.

use std::{
    fs,
    os::unix::{net::UnixStream, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

/// A dockerd of this test's own, in a network namespace that it takes along.
pub(super) struct Dockerd {
    folder: PathBuf,
    child: Child,
}

impl Dockerd {
    pub(super) fn start() -> Option<Self> {
        let installed = std::env::var_os("PATH")
            .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join("dockerd").is_file()));
        if !installed {
            return None;
        }
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("dhow-dockerd-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        let path = |name: &str| folder.join(name).display().to_string();
        let log = fs::File::create(folder.join("log")).unwrap();
        let child = Command::new("unshare")
            // a loopback that is up: published ports are bound there
            .args(["--net", "sh", "-c", "ip link set lo up; exec \"$@\"", "sh"])
            .args(["dockerd", "--host", &format!("unix://{}", path("sock")), "--data-root", &path("data")])
            .args(["--exec-root", &path("run"), "--pidfile", &path("pid")])
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut dockerd = Self { folder, child };
        let began = Instant::now();
        while UnixStream::connect(dockerd.folder.join("sock")).is_err() {
            // a machine that has the program but cannot run it (no iptables, no cgroups) has no dockerd to compare with
            if dockerd.child.try_wait().unwrap().is_some() || began.elapsed() > Duration::from_secs(60) {
                return None;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(dockerd)
    }

    /// Its socket.
    pub(super) fn socket(&self) -> PathBuf {
        self.folder.join("sock")
    }

    /// Its folder.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        // it may have ended by itself: then there is nothing to end
        drop(Command::new("kill").arg(self.child.id().to_string()).stderr(Stdio::null()).status());
        drop(self.child.wait());
        let mark = self.folder.display().to_string();
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        for mount in
            mounts.lines().filter_map(|line| line.split(' ').nth(1)).filter(|path| path.starts_with(&mark))
        {
            drop(Command::new("umount").args(["-l", mount]).status());
        }
        drop(fs::remove_dir_all(&self.folder));
    }
}
