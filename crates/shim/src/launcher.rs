//! Starting shims.

use crate::{Client, socket};
use rustix::{
    fd::{AsRawFd, OwnedFd},
    fs::{MemfdFlags, SealFlags},
    io::Errno,
    process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit},
};
use std::{
    fs::{self, File},
    io,
    os::unix::{fs::DirBuilderExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// Starts shims from a sealed in-memory copy of the program (CVE-2019-5736).
#[derive(Debug)]
pub struct Launcher {
    program: OwnedFd,
    /// What a shim, and so a container, may have open: not the limit that was raised here.
    descriptors: Rlimit,
}

impl Launcher {
    /// Copies `program` (`dhow-shim`), and lets this process have as many descriptors as it may: every shim costs some here.
    ///
    /// # Errors
    /// If it cannot be read or the copy cannot be sealed.
    pub fn new(program: &Path) -> io::Result<Self> {
        let mut source = File::open(program)?;
        let mut copy = File::from(executable_memfd()?);
        io::copy(&mut source, &mut copy)?;
        let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
        rustix::fs::fcntl_add_seals(&copy, seals)?;
        let descriptors = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: descriptors.maximum, ..descriptors })?;
        Ok(Self { program: copy.into(), descriptors })
    }

    /// Makes `dir`, binds `dir/sock`, starts a shim on it (own session, not a child that dies with the daemon) and connects. The shim is
    /// reaped by whoever calls this: its `std::process::Child` comes back for that.
    ///
    /// # Errors
    /// If the folder, the socket or the process cannot be made; nothing is left then.
    pub fn spawn(&self, dir: &Path) -> io::Result<(Client, Child)> {
        let dir = std::path::absolute(dir)?;
        let made = Made::new(dir)?;
        let listener = socket::new_socket()?;
        socket::with_address(&made.dir, socket::NAME, |address| rustix::net::bind(&listener, address))?;
        rustix::net::listen(&listener, 16)?;
        // The connection waits in the queue of the socket: the shim finds it when it comes.
        let client = Client::connect(&made.dir)?;
        // No `pre_exec`: so std uses vfork, whatever the size of the daemon. The path is resolved in the child, which has the descriptor.
        let child = Command::new(format!("/proc/self/fd/{}", self.program.as_raw_fd()))
            .arg0("dhow-shim")
            .arg(&made.dir)
            .env_clear()
            .stdin(Stdio::from(listener))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        self.limit(&child)?;
        made.keep();
        Ok((client, child))
    }

    /// Gives a shim, which has nothing to start from yet, the limit that was raised here.
    fn limit(&self, shim: &Child) -> io::Result<()> {
        let Some(pid) = i32::try_from(shim.id()).ok().and_then(Pid::from_raw) else { return Ok(()) };
        if self.descriptors.current == self.descriptors.maximum {
            return Ok(());
        }
        match prlimit(Some(pid), Resource::Nofile, self.descriptors) {
            // Gone already: the connection says so.
            Ok(_) | Err(Errno::SRCH) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}

fn executable_memfd() -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    match rustix::fs::memfd_create("dhow-shim", flags | MemfdFlags::EXEC) {
        // Before Linux 6.3 every memfd is executable and the flag unknown.
        Err(Errno::INVAL) => Ok(rustix::fs::memfd_create("dhow-shim", flags)?),
        other => Ok(other?),
    }
}

/// A folder that is removed again unless it is kept.
struct Made {
    dir: PathBuf,
    kept: bool,
}

impl Made {
    fn new(dir: PathBuf) -> io::Result<Self> {
        if let Some(parent) = dir.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
        }
        fs::DirBuilder::new().mode(0o700).create(&dir)?;
        Ok(Self { dir, kept: false })
    }
    fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if !self.kept {
            // The failure that brought us here is the one that is told.
            fs::remove_dir_all(&self.dir).ok();
        }
    }
}
