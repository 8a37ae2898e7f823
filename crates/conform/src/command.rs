//! The runtime's command line.

use crate::verdict::{Verdict, failed, must};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open},
};
use std::{
    ffi::OsStr,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Longer than any runtime may take for anything, in seconds.
const PATIENCE: i64 = 20;

/// The program that is judged, with a state folder of our own.
#[derive(Debug)]
pub(crate) struct Runtime {
    program: PathBuf,
    root: PathBuf,
}

/// How a call ended.
#[derive(Debug)]
pub(crate) struct Call {
    shown: String,
    /// The exit code; `None` after a signal.
    pub(crate) code: Option<i32>,
    /// What was written to its stdout: by the container too, if it inherited it.
    pub(crate) out: String,
    /// To stderr.
    pub(crate) err: String,
}

impl Runtime {
    pub(crate) fn new(program: &Path, root: PathBuf) -> Self {
        Self { program: program.to_owned(), root }
    }

    /// A call that is not started yet. `--root` is set.
    pub(crate) fn command(&self, args: &[impl AsRef<OsStr>]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--root").arg(&self.root).args(args).stdin(Stdio::null());
        command
    }

    /// A call to its end.
    pub(crate) fn call(&self, folder: &Path, args: &[impl AsRef<OsStr>]) -> Verdict<Call> {
        finish(&mut self.command(args), &folder.join("call"))
    }
}

/// Runs a command to its end with stdout and stderr in the files `<stem>.out` and `<stem>.err`: a container that inherits them
/// may go on writing there.
pub(crate) fn finish(command: &mut Command, stem: &Path) -> Verdict<Call> {
    let (out, err) = (stem.with_extension("out"), stem.with_extension("err"));
    let words: Vec<_> = command.get_args().skip(2).map(|word| word.to_string_lossy()).collect();
    let shown = words.join(" ");
    let mut child = command.stdout(File::create(&out)?).stderr(File::create(&err)?).spawn()?;
    let pid = Pid::from_child(&child);
    if !ended(pid, PATIENCE)? {
        kill_process(pid, Signal::KILL)?;
        child.wait()?;
        return failed(format!("`{shown}` did not end in {PATIENCE} s: {}", text(&err)?));
    }
    let status = child.wait()?;
    Ok(Call { shown, code: status.code(), out: text(&out)?, err: text(&err)? })
}

/// A file as text, whatever is in it.
pub(crate) fn text(path: &Path) -> Verdict<String> {
    Ok(String::from_utf8_lossy(&fs::read(path)?).into_owned())
}

/// Waits for a process to end; whether it did.
pub(crate) fn ended(pid: Pid, seconds: i64) -> Verdict<bool> {
    let fd = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(fd) => fd,
        Err(Errno::SRCH) => return Ok(true),
        Err(error) => return Err(error.into()),
    };
    let timeout = Timespec { tv_sec: seconds, tv_nsec: 0 };
    Ok(poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&timeout))? > 0)
}

impl Call {
    /// It must have succeeded.
    pub(crate) fn ok(self) -> Verdict<Self> {
        let code = self.code.map_or("a signal".to_owned(), |code| code.to_string());
        must(self.code == Some(0), || format!("`{}` ended with {code}: {}", self.shown, self.said()))?;
        Ok(self)
    }

    /// It must have generated an error: an exit code, not a crash.
    pub(crate) fn refused(self) -> Verdict<Self> {
        match self.code {
            Some(0) => failed(format!("`{}` succeeded", self.shown)),
            Some(_) => Ok(self),
            None => failed(format!("`{}` died of a signal: {}", self.shown, self.said())),
        }
    }

    /// The last of what it said.
    pub(crate) fn said(&self) -> &str {
        self.err.trim().lines().last().unwrap_or_default()
    }
}
