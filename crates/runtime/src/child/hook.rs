//! Hooks that the child runs itself: createContainer before it enters the root, startContainer before its program. What they need was
//! made before the clone, so that there is nothing to allocate here: a hook is one more clone and an execve.

use super::{Done, Failure, Named};
use crate::step::Hook;
use crate::wire::HOOK_FAILED;
use dhow_sys::clone::{Cloned, clone3_again, exit_now};
use dhow_sys::exec::{Image, cloexec_from};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{MemfdFlags, Mode, SeekFrom, memfd_create, seek};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::{Signal, WaitId, WaitIdOptions, WaitIdStatus, pidfd_send_signal, waitid};

/// The hooks of one stage.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stage<'a> {
    pub(super) hooks: &'a [Hook],
    pub(super) images: &'a [Image],
    /// The state's JSON from the pid's end on.
    pub(super) state: &'a [u8],
    /// A file for what they write.
    pub(super) output: BorrowedFd<'a>,
}

/// A number in decimal.
struct Decimal {
    digits: [u8; 10],
    from: usize,
}

impl Decimal {
    fn new(mut number: u32) -> Self {
        let (mut digits, mut from) = ([b'0'; 10], 10);
        loop {
            from -= 1;
            if let (Some(place), Ok(digit)) = (digits.get_mut(from), u8::try_from(number % 10)) {
                *place += digit;
            }
            number /= 10;
            if number == 0 {
                return Self { digits, from };
            }
        }
    }

    fn bytes(&self) -> &[u8] {
        self.digits.get(self.from..).unwrap_or_default()
    }
}

/// Runs them in order; the first failure ends it. `prepare` is done by each hook's process before its program.
pub(super) fn run<'a>(stage: &Stage<'a>, status: &[u8], prepare: impl Fn() -> Done<'a>) -> Done<'a> {
    for (hook, image) in stage.hooks.iter().zip(stage.images) {
        let object = hook.path.as_bytes();
        let state = state(stage, status).named("run hook", object)?;
        match clone3_again(0, None, false).named("run hook", object)? {
            Cloned::Child => exec(hook, image, state.as_fd(), stage.output, &prepare),
            Cloned::Parent { pidfd, .. } => wait(hook, pidfd, stage.output)?,
        }
    }
    Ok(())
}

/// The state as this process is to say it, in a file in memory: a hook that does not read it holds up nobody.
fn state(stage: &Stage<'_>, status: &[u8]) -> rustix::io::Result<OwnedFd> {
    let file = memfd_create(c"state", MemfdFlags::CLOEXEC)?;
    let pid = rustix::process::getpid().as_raw_nonzero().get();
    let pid = Decimal::new(u32::try_from(pid).unwrap_or_default());
    for part in [b"{\"pid\":", pid.bytes(), b",\"status\":\"", status, b"\"", stage.state] {
        rustix::io::write(&file, part)?;
    }
    seek(&file, SeekFrom::Start(0))?;
    Ok(file)
}

fn exec<'a>(
    hook: &Hook,
    image: &Image,
    state: BorrowedFd<'_>,
    output: BorrowedFd<'_>,
    prepare: &impl Fn() -> Done<'a>,
) -> ! {
    let streams = rustix::stdio::dup2_stdin(state)
        .and_then(|()| rustix::stdio::dup2_stdout(output))
        .and_then(|()| rustix::stdio::dup2_stderr(output))
        .and_then(|()| cloexec_from(3));
    rustix::process::umask(Mode::from_raw_mode(0o022));
    if streams.is_err() || prepare().is_err() {
        exit_now(125);
    }
    match image.execve(&hook.path) {
        Errno::NOENT => exit_now(127),
        _ => exit_now(126),
    }
}

fn wait<'a>(hook: &'a Hook, pidfd: OwnedFd, output: BorrowedFd<'_>) -> Done<'a> {
    const STEP: &str = "run hook";
    let object = hook.path.as_bytes();
    let limit = hook.timeout.map(|seconds| Timespec { tv_sec: i64::from(seconds), tv_nsec: 0 });
    let ended = retry_on_intr(|| poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], limit.as_ref()));
    let late = ended.named(STEP, object)? == 0;
    if late {
        pidfd_send_signal(&pidfd, Signal::KILL).named(STEP, object)?;
    }
    let status = retry_on_intr(|| waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED));
    let failed = |detail| Err(Failure { step: STEP, object, errno: HOOK_FAILED, detail });
    match status.named(STEP, object)? {
        _ if late => failed("ran past its timeout"),
        Some(status) if status.exit_status() == Some(0) => Ok(()),
        status => {
            // It only explains the failure.
            tell(status, output).unwrap_or_default();
            failed("failed")
        }
    }
}

/// What hooks wrote, as far as there is room.
pub(super) fn said<'b>(output: BorrowedFd<'_>, buffer: &'b mut [u8]) -> &'b [u8] {
    let read = rustix::io::pread(output, &mut *buffer, 0).unwrap_or(0);
    buffer.get(..read).unwrap_or_default()
}

/// Writes how a hook ended behind what it wrote.
fn tell(status: Option<WaitIdStatus>, output: BorrowedFd<'_>) -> rustix::io::Result<()> {
    let word = |number: Option<i32>| number.and_then(|n| u32::try_from(n).ok());
    let ends = [
        (&b"exit status "[..], word(status.as_ref().and_then(|s| s.exit_status()))),
        (b"ended by signal ", word(status.as_ref().and_then(|s| s.terminating_signal()))),
    ];
    for (text, number) in ends {
        if let Some(number) = number {
            rustix::io::write(output, text)?;
            rustix::io::write(output, Decimal::new(number).bytes())?;
            rustix::io::write(output, b"\n")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Decimal;

    #[test]
    fn numbers_are_decimal() {
        for number in [0, 7, 10, 4_294_967_295] {
            assert_eq!(Decimal::new(number).bytes(), number.to_string().as_bytes());
        }
    }
}
