//! Staying with a process: its signals, its terminal, its exit code.

use crate::failure::Failure;
use dhow_runtime::Process;
use dhow_sys::signals::{block_all, pidfd_send_signal, read_signal, signalfd};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::{Signal, WaitId, WaitIdOptions, waitid};
use rustix::stdio::{stdin, stdout};
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};

/// All signals come here from now on, and wait until they are read.
#[derive(Debug)]
pub(crate) struct Signals(OwnedFd);

impl Signals {
    /// Must be called before the process exists, so that none is lost; the process starts with none blocked.
    pub(crate) fn hold() -> Result<Self, Failure> {
        let held = block_all().and_then(|()| signalfd(u64::MAX));
        held.map(Self).map_err(|e| Failure::new(format!("hold signals: {e}")))
    }
}

/// Our own terminal passes every key on; put back when dropped.
struct Raw(Termios);

impl Raw {
    fn new() -> Result<Option<Self>, Failure> {
        if !isatty(stdin()) {
            return Ok(None);
        }
        let set = || {
            let before = tcgetattr(stdin())?;
            let mut raw = before.clone();
            raw.make_raw();
            tcsetattr(stdin(), OptionalActions::Now, &raw)?;
            Ok(Self(before))
        };
        set().map(Some).map_err(|e: Errno| Failure::new(format!("set terminal: {e}")))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // The terminal may be gone; then there is nothing to put back.
        tcsetattr(stdin(), OptionalActions::Drain, &self.0).unwrap_or_default();
    }
}

/// The master of the process's terminal, between our stdin and stdout.
struct Console {
    master: OwnedFd,
    typed: Vec<u8>,
    input_open: bool,
    output_open: bool,
    _raw: Option<Raw>,
}

impl Console {
    fn new(master: OwnedFd) -> Result<Self, Failure> {
        let flags = rustix::fs::fcntl_getfl(&master);
        flags
            .and_then(|flags| rustix::fs::fcntl_setfl(&master, flags | OFlags::NONBLOCK))
            .map_err(|e| Failure::new(format!("set up terminal: {e}")))?;
        let raw = Raw::new()?;
        let console = Self { master, typed: Vec::new(), input_open: true, output_open: true, _raw: raw };
        console.resize();
        Ok(console)
    }

    /// Ours has a size only if it is a terminal.
    fn resize(&self) {
        if let Ok(size) = tcgetwinsize(stdin()) {
            // A terminal that has just been closed has no size to set.
            tcsetwinsize(&self.master, size).unwrap_or_default();
        }
    }

    fn interest(&self) -> PollFlags {
        let mut interest = PollFlags::empty();
        interest.set(PollFlags::IN, self.output_open);
        interest.set(PollFlags::OUT, !self.typed.is_empty());
        interest
    }

    fn pass(&mut self, output: PollFlags, input: PollFlags) {
        if output.contains(PollFlags::OUT) {
            self.write_typed();
        }
        if !output.is_empty() && self.output_open {
            self.pass_output();
        }
        if !input.is_empty() {
            self.read_typed();
        }
    }

    fn read_typed(&mut self) {
        let mut chunk = [0; 4096];
        match rustix::io::read(stdin(), &mut chunk) {
            Ok(read @ 1..) => self.typed.extend_from_slice(chunk.get(..read).unwrap_or_default()),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Ok(_) | Err(_) => {
                self.input_open = false;
                // What a terminal's driver makes an end of file of.
                self.typed.push(4);
            }
        }
    }

    fn write_typed(&mut self) {
        match rustix::io::write(&self.master, &self.typed) {
            Ok(written) => drop(self.typed.drain(..written)),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => self.typed.clear(),
        }
    }

    /// Passes on what is there; false if there is no more for now.
    fn pass_output(&mut self) -> bool {
        let mut chunk = [0; 16 << 10];
        match rustix::io::read(&self.master, &mut chunk) {
            Ok(read @ 1..) => {
                self.output_open = write_all(stdout(), chunk.get(..read).unwrap_or_default()).is_ok();
                self.output_open
            }
            Err(Errno::INTR) => true,
            Err(Errno::AGAIN) => false,
            // EIO: nobody has the other end any more.
            Ok(_) | Err(_) => {
                self.output_open = false;
                false
            }
        }
    }
}

fn write_all(to: BorrowedFd<'_>, mut bytes: &[u8]) -> rustix::io::Result<()> {
    while !bytes.is_empty() {
        let written = rustix::io::retry_on_intr(|| rustix::io::write(to, bytes))?;
        bytes = bytes.get(written..).unwrap_or_default();
    }
    Ok(())
}

/// Passes signals and what is typed to `process` until it ends; its exit code, or 128 and the signal.
pub(crate) fn until_end(
    process: &Process,
    master: Option<OwnedFd>,
    signals: &Signals,
) -> Result<u8, Failure> {
    let mut console = master.map(Console::new).transpose()?;
    loop {
        let [signalled, ended, output, input] = wait(process, console.as_ref(), signals)?;
        if !signalled.is_empty() {
            pass_signals(process, console.as_ref(), signals)?;
        }
        if let Some(console) = &mut console {
            console.pass(output, input);
        }
        if !ended.is_empty() {
            if let Some(console) = &mut console {
                while console.pass_output() {}
            }
            return exit_code(process);
        }
    }
}

/// What happened to the signals, the process, its terminal, what is typed.
fn wait(process: &Process, console: Option<&Console>, signals: &Signals) -> Result<[PollFlags; 4], Failure> {
    // What is not asked about stands in for a descriptor that would answer although nobody wants to know.
    let nothing = || PollFd::new(&signals.0, PollFlags::empty());
    let mut fds = [
        PollFd::new(&signals.0, PollFlags::IN),
        PollFd::from_borrowed_fd(process.pidfd(), PollFlags::IN),
        console
            .filter(|console| !console.interest().is_empty())
            .map_or_else(nothing, |console| PollFd::new(&console.master, console.interest())),
        console
            .filter(|console| console.input_open && console.typed.is_empty())
            .map_or_else(nothing, |_| PollFd::from_borrowed_fd(stdin(), PollFlags::IN)),
    ];
    rustix::io::retry_on_intr(|| poll(&mut fds, None))
        .map_err(|e| Failure::new(format!("wait for the process: {e}")))?;
    Ok(fds.map(|fd| fd.revents()))
}

fn pass_signals(process: &Process, console: Option<&Console>, signals: &Signals) -> Result<(), Failure> {
    loop {
        let signal = match read_signal(signals.0.as_fd()) {
            Ok(signal) => signal,
            Err(Errno::AGAIN) => return Ok(()),
            Err(Errno::INTR) => continue,
            Err(e) => return Err(Failure::new(format!("read signals: {e}"))),
        };
        let own = [Signal::CHILD.as_raw(), Signal::PIPE.as_raw(), Signal::URG.as_raw()];
        if let (Some(console), true) = (console, signal == Signal::WINCH.as_raw()) {
            console.resize();
            continue;
        }
        if own.contains(&signal) {
            continue;
        }
        match pidfd_send_signal(process.pidfd(), signal) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(e) => return Err(Failure::new(format!("pass on signal {signal}: {e}"))),
        }
    }
}

fn exit_code(process: &Process) -> Result<u8, Failure> {
    let status = rustix::io::retry_on_intr(|| waitid(WaitId::PidFd(process.pidfd()), WaitIdOptions::EXITED))
        .map_err(|e| Failure::new(format!("wait for the process: {e}")))?;
    let code = status.and_then(|status| {
        let code = status.exit_status();
        code.or_else(|| status.terminating_signal().map(|signal| 128 + signal))
    });
    Ok(code.and_then(|code| u8::try_from(code & 0xff).ok()).unwrap_or(255))
}
