//! A rootfs, a docker-like specification, and a check that nothing is left.

use dhow_oci::runtime::Spec;
use dhow_runtime::{
    Error, Host, Options, Plan, Process, RootFs, Stdio, create, exec, plan, plan_exec, remove_cgroups,
};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::process::{WaitId, WaitIdOptions, waitid};
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

pub(crate) struct Box {
    pub(crate) dir: PathBuf,
    pub(crate) name: String,
    pub(crate) spec: Spec,
    pub(crate) options: Options,
    pub(crate) host: Host,
}

/// What a container said and how it ended.
pub(crate) struct Ended {
    pub(crate) out: String,
    pub(crate) code: i32,
}

const SPEC: &str = include_str!("spec.json");

impl Box {
    /// A lower layer with this program as /bin/probe, and docker's specification around it.
    pub(crate) fn new(args: &[&str]) -> Self {
        Self::named(format!("dhow-test-{}", std::process::id()), args)
    }

    /// A second one.
    pub(crate) fn beside(other: &Self, args: &[&str]) -> Self {
        Self::named(format!("{}-b", other.name), args)
    }

    fn named(name: String, args: &[&str]) -> Self {
        let dir = PathBuf::from("/tmp").join(&name);
        for sub in ["lower/bin", "lower/etc", "lower/tmp"] {
            fs::create_dir_all(dir.join(sub)).unwrap();
        }
        fs::copy(std::env::current_exe().unwrap(), dir.join("lower/bin/probe")).unwrap();
        fs::set_permissions(dir.join("lower/bin/probe"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(dir.join("lower/etc/plain"), "not a program").unwrap();
        let mut spec: Spec = serde_json::from_str(SPEC).unwrap();
        spec.process.as_mut().unwrap().args = args.iter().map(|&a| a.to_owned()).collect();
        spec.linux.as_mut().unwrap().cgroups_path = Some(format!("/dhow-test/{name}"));
        let overlay = RootFs::Overlay {
            lowers: vec![dir.join("lower")],
            upper: dir.join("upper"),
            work: dir.join("work"),
            volatile: true,
        };
        let host = Host::observe().unwrap();
        let caps = spec.process.as_ref().unwrap().capabilities.as_ref().unwrap().bounding.clone();
        spec.linux.as_mut().unwrap().seccomp = Some(dhow_runtime::seccomp::docker_default(&caps, &host));
        let options = Options { rootfs: overlay, make_cwd: true, ..Options::default() };
        Self { dir, name, spec, options, host }
    }

    pub(crate) fn process(&mut self) -> &mut dhow_oci::runtime::Process {
        self.spec.process.as_mut().unwrap()
    }

    pub(crate) fn linux(&mut self) -> &mut dhow_oci::runtime::Linux {
        self.spec.linux.as_mut().unwrap()
    }

    /// Through bytes, as the shim gets it.
    pub(crate) fn plan(&self) -> Result<Plan, Error> {
        Plan::decode(&plan(&self.spec, &self.options, &self.host)?.encode())
    }

    /// Set up, not yet running; what it says is lost.
    pub(crate) fn create(&self) -> Result<Process, Error> {
        let null = fs::OpenOptions::new().read(true).write(true).open("/dev/null").unwrap();
        create(&self.plan()?, None, Stdio::Fds([null.as_fd(); 3]))
    }

    pub(crate) fn start(&self) -> Result<(Process, OwnedFd), Error> {
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        let null = fs::File::open("/dev/null").unwrap();
        let mut process =
            create(&self.plan()?, None, Stdio::Fds([null.as_fd(), write.as_fd(), write.as_fd()]))?;
        process.go()?;
        Ok((process, read))
    }

    pub(crate) fn run(&self) -> Result<Ended, Error> {
        let (mut process, read) = self.start()?;
        let ended = finish(&mut process, read);
        drop(process);
        remove_cgroups(self.plan()?.cgroup_dirs()).unwrap();
        Ok(ended)
    }

    pub(crate) fn exec(
        &self,
        first: &Process,
        change: impl FnOnce(&mut dhow_oci::runtime::Process),
    ) -> Result<Ended, Error> {
        let mut process = self.spec.process.clone().unwrap();
        change(&mut process);
        let plan = Plan::decode(&plan_exec(&self.spec, &process, &self.host)?.encode())?;
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        let null = fs::File::open("/dev/null").unwrap();
        let mut process = exec(&plan, first.pid(), Stdio::Fds([null.as_fd(), write.as_fd(), write.as_fd()]))?;
        process.go()?;
        drop(write);
        Ok(finish(&mut process, read))
    }

    /// Removes the container's things; fails if the host still shows any.
    pub(crate) fn done(self) {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(&self.name), "a mount is left in the host's table");
        for dir in self.plan().map(|p| p.cgroup_dirs().to_vec()).unwrap_or_default() {
            assert!(!dir.exists(), "{} is left", dir.display());
            if let Some(parent) = dir.parent() {
                drop(fs::remove_dir(parent));
            }
        }
        fs::remove_dir_all(&self.dir).unwrap();
    }
}

pub(crate) fn finish(process: &mut Process, read: OwnedFd) -> Ended {
    let mut out = String::new();
    fs::File::from(read).read_to_string(&mut out).unwrap();
    let code = loop {
        poll(&mut [PollFd::from_borrowed_fd(process.ended(), PollFlags::IN)], None).unwrap();
        if let Some(code) = process.try_wait() {
            break code;
        }
    };
    if let Some(reaper) = process.take_reaper() {
        waitid(WaitId::PidFd(reaper.as_fd()), WaitIdOptions::EXITED).unwrap();
    }
    Ended { out, code }
}

/// Exit code, or 128 and the signal.
pub(crate) fn wait(process: &Process) -> i32 {
    let status = waitid(WaitId::PidFd(process.pidfd()), WaitIdOptions::EXITED).unwrap().unwrap();
    status.exit_status().unwrap_or_else(|| 128 + status.terminating_signal().unwrap())
}
