//! The init of `--init`: PID 1 that starts one program, passes signals on, reaps what nobody waits for, and ends with the program's code.

use dhow_sys::signals::{block_all, kill, read_siginfo, signalfd, spawn_with_defaults};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::AsFd;
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, WaitStatus, wait};
use std::ffi::OsString;
use std::io::{ErrorKind, Write};
use std::process::Command;

const SIGCHLD: i32 = 17;

/// Runs `args` (what stands behind `docker-init`, with or without `--`) and returns the exit code. To be called as PID 1 of a container,
/// by a single-threaded program whose `argv[0]` ends with `docker-init`.
#[must_use]
pub fn init_main(args: &[OsString]) -> i32 {
    let args = args.strip_prefix(&[OsString::from("--")]).unwrap_or(args);
    let Some((program, rest)) = args.split_first() else {
        return fatal("no program given", 2);
    };
    // Blocked before the program starts, so that none is lost.
    let signals = match block_all().and_then(|()| signalfd(u64::MAX)) {
        Ok(signals) => signals,
        Err(e) => return fatal(&format!("signalfd: {e}"), 1),
    };
    let child = match spawn_with_defaults(Command::new(program).args(rest)) {
        Ok(child) => child,
        Err(e) => {
            let code = if e.kind() == ErrorKind::NotFound { 127 } else { 126 };
            return fatal(&format!("exec {} failed: {e}", program.display()), code);
        }
    };
    let Some(main) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) else {
        return fatal("the program has no process id", 1);
    };
    loop {
        match read_siginfo(signals.as_fd()) {
            Ok(received) if received.signal == SIGCHLD => {
                if let Some(code) = reap(main) {
                    return code;
                }
            }
            // A terminal's signals went to the program too: it is in the same foreground group.
            Ok(received) if received.from_kernel => {}
            Ok(received) => match kill(Some(main), received.signal) {
                // Between its end and our wait.
                Ok(()) | Err(Errno::SRCH) => {}
                Err(e) => drop(fatal(&format!("signal {}: {e}", received.signal), 0)),
            },
            Err(Errno::AGAIN) => match poll(&mut [PollFd::new(&signals, PollFlags::IN)], None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(e) => return fatal(&format!("poll: {e}"), 1),
            },
            Err(e) => return fatal(&format!("read signal: {e}"), 1),
        }
    }
}

/// Collects all that have ended; the program's exit code if it is among them.
fn reap(main: Pid) -> Option<i32> {
    let mut code = None;
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        if pid == main {
            code = exit_code(status);
        }
    }
    code
}

fn exit_code(status: WaitStatus) -> Option<i32> {
    status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal))
}

/// Says why on stderr, which is the container's log.
fn fatal(sentence: &str, code: i32) -> i32 {
    // Where stderr is closed there is nobody to read it.
    writeln!(std::io::stderr(), "docker-init: {sentence}").unwrap_or_default();
    code
}
