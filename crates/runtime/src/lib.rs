//! OCI specification → plan of system calls → running process. Blocking, no tokio, no logs.
//!
//! `Host::observe` reads what this machine offers; [`plan`] is pure; [`create`] applies and decides nothing.
#![forbid(unsafe_code)]

use dhow_oci::runtime as spec;
use rustix::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;

/// What failed, on which object, with which errno. One record, the same inside the child and outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// What was being done: `mount`, `exec`, `write cgroup`.
    pub step: String,
    /// To what: a path, a name.
    pub object: String,
    /// The kernel's word, 0 where the plan itself is wrong.
    pub errno: i32,
    /// A sentence, where errno says too little.
    pub detail: String,
}

/// Facts about this machine that a plan depends on.
#[derive(Debug, Clone, Default)]
pub struct Host {
    // filled by the runtime's author: cgroup layout (v1 hierarchies and their mount points / v2), capability bounding
    // set, own cgroup, kernel features
}

impl Host {
    /// Reads /proc and /sys once; a daemon does it at its start.
    ///
    /// # Errors
    /// If /proc or the cgroup mounts cannot be read.
    pub fn observe() -> Result<Self, Error> {
        unimplemented!()
    }
}

/// Where the root file system comes from.
#[derive(Debug, Clone)]
pub enum RootFs {
    /// `spec.root.path`, as runc does it.
    Path,
    /// An overlay mounted inside the container's own mount namespace, never in the host's table.
    Overlay {
        /// Top first.
        lowers: Vec<PathBuf>,
        /// Writable layer; made (with its parents' owner and mode kept) if absent.
        upper: PathBuf,
        /// On the same file system as `upper`.
        work: PathBuf,
        /// Skip syncs: the content need not outlive a power cut (`--rm`, build steps).
        volatile: bool,
    },
}

/// What the specification cannot say.
#[derive(Debug, Clone)]
pub struct Options {
    /// The root file system.
    pub rootfs: RootFs,
    /// Join the network namespace whose descriptor is passed to [`create`] instead of making one.
    pub netns_passed: bool,
    /// Make `process.cwd` in the rootfs if it is absent (docker does).
    pub make_cwd: bool,
    /// Run `init` (a path outside, bind-mounted read-only at `/sbin/docker-init`) as PID 1 with `-- args…`.
    pub init: Option<PathBuf>,
}

/// A flat, printable list of steps: everything that [`create`] will do, in order. `Display` prints one step a line.
#[derive(Debug, Clone)]
pub struct Plan {/* private */}

/// Compiles a specification. Pure.
///
/// # Errors
/// If the specification asks for what is invalid or not supported; the error names the field.
pub fn plan(spec: &spec::Spec, options: &Options, host: &Host) -> Result<Plan, Error> {
    let _unused = (spec, options, host);
    unimplemented!()
}

/// Compiles an additional process for a running container (its namespaces and cgroups are found by pid at [`exec`]).
/// `container` is the specification the container was started with (for its cgroup path, seccomp, devices).
///
/// # Errors
/// As [`plan`].
pub fn plan_exec(container: &spec::Spec, process: &spec::Process, host: &Host) -> Result<Plan, Error> {
    let _unused = (container, process, host);
    unimplemented!()
}

impl Plan {
    /// As bytes for another process of the same version.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        unimplemented!()
    }

    /// The inverse of [`Plan::encode`]; never panics on garbage.
    ///
    /// # Errors
    /// If the bytes are no plan.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let _unused = bytes;
        unimplemented!()
    }

    /// The cgroup folders that [`create`] makes, to be read for stats and removed after the end.
    #[must_use]
    pub fn cgroup_dirs(&self) -> &[PathBuf] {
        unimplemented!()
    }
}

/// The three standard descriptors of the new process; or a terminal.
#[derive(Debug)]
pub enum Stdio<'a> {
    /// stdin, stdout, stderr.
    Fds([BorrowedFd<'a>; 3]),
    /// A terminal is made in the container's devpts; its master comes back in [`Process::console`].
    Terminal {
        /// Rows and columns.
        size: (u16, u16),
    },
}

/// A process that is set up and waits for [`Process::go`] before it installs seccomp and executes its program.
/// Dropped before that, it is killed and everything made is undone.
#[derive(Debug)]
pub struct Process {/* private: pid, pidfd, sync pipe, mount ns fd */}

/// Makes namespaces, cgroups, mounts; returns when the child waits for "go". Must be called in a single-threaded process.
///
/// # Errors
/// The step that failed; nothing made is left.
pub fn create(plan: &Plan, netns: Option<BorrowedFd<'_>>, stdio: Stdio<'_>) -> Result<Process, Error> {
    let _unused = (plan, netns, stdio);
    unimplemented!()
}

/// Starts an additional process in the container whose init has `pid`. Same guarantees as [`create`].
///
/// # Errors
/// As [`create`].
pub fn exec(plan: &Plan, pid: rustix::process::Pid, stdio: Stdio<'_>) -> Result<Process, Error> {
    let _unused = (plan, pid, stdio);
    unimplemented!()
}

impl Process {
    /// In the caller's pid namespace.
    #[must_use]
    pub fn pid(&self) -> rustix::process::Pid {
        unimplemented!()
    }
    /// Pollable: readable when the process has ended.
    #[must_use]
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        unimplemented!()
    }
    /// The terminal's master, once.
    pub fn console(&mut self) -> Option<OwnedFd> {
        unimplemented!()
    }
    /// Lets it go on: seccomp, execve. Returns when the program runs (the CLOEXEC pipe closed).
    ///
    /// # Errors
    /// `step: "exec"`, the program, ENOENT / EACCES / …: docker's exit codes 127 and 126 come from these.
    pub fn go(&mut self) -> Result<(), Error> {
        unimplemented!()
    }
    /// The container's mount namespace: held, so that its overlay is unmounted only when this is dropped.
    pub fn take_mount_namespace(&mut self) -> Option<OwnedFd> {
        unimplemented!()
    }
}

/// Removes the cgroups of a container that has ended, killing what is left in them. All failures are gathered.
///
/// # Errors
/// What could not be removed.
pub fn remove_cgroups(dirs: &[PathBuf]) -> Result<(), Vec<Error>> {
    let _unused = dirs;
    unimplemented!()
}

/// Freezes or thaws everything in a container's cgroups.
///
/// # Errors
/// If the freezer refuses.
pub fn freeze(dirs: &[PathBuf], frozen: bool) -> Result<(), Error> {
    let _unused = (dirs, frozen);
    unimplemented!()
}

/// Writes new limits into a running container's cgroups.
///
/// # Errors
/// The file that refused.
pub fn update(dirs: &[PathBuf], resources: &spec::Resources, host: &Host) -> Result<(), Error> {
    let _unused = (dirs, resources, host);
    unimplemented!()
}

/// Process ids in a container's cgroups.
///
/// # Errors
/// If the cgroup cannot be read.
pub fn processes(dirs: &[PathBuf]) -> Result<Vec<i32>, Error> {
    let _unused = dirs;
    unimplemented!()
}

/// What a container has used, read from its cgroups (v1 or v2). Bytes and nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// Nanoseconds of processor in all.
    pub cpu_total: u64,
    /// Of those in the kernel.
    pub cpu_kernel: u64,
    /// Of those in user code.
    pub cpu_user: u64,
    /// Per core (v1 only).
    pub cpu_per_core: Vec<u64>,
    /// Periods, throttled periods, nanoseconds throttled.
    pub cpu_throttling: (u64, u64, u64),
    /// Bytes now.
    pub memory: u64,
    /// Bytes at most (v1, and v2 with memory.peak).
    pub memory_peak: u64,
    /// Limit in bytes; `u64::MAX` where there is none.
    pub memory_limit: u64,
    /// Every line of memory.stat.
    pub memory_stat: Vec<(String, u64)>,
    /// Times the limit was hit.
    pub memory_failures: u64,
    /// OOM kills so far.
    pub oom_kills: u64,
    /// Tasks now.
    pub pids: u64,
    /// Limit; `u64::MAX` where there is none.
    pub pids_limit: u64,
    /// (major, minor, operation, bytes).
    pub io_bytes: Vec<(u64, u64, String, u64)>,
    /// (major, minor, operation, count).
    pub io_ops: Vec<(u64, u64, String, u64)>,
}

/// Reads [`Usage`].
///
/// # Errors
/// If a file cannot be read.
pub fn usage(dirs: &[PathBuf]) -> Result<Usage, Error> {
    let _unused = dirs;
    unimplemented!()
}
