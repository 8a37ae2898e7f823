//! Which process a pid means: its number and the tick it began at, as numbers come back.

use crate::failure::Failure;
use dhow_runtime::Error;
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};

/// A process of this boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) pid: i32,
    /// Field 22 of `/proc/PID/stat`.
    pub(crate) start: u64,
}

/// State and start of a `stat` line; the name in brackets may contain anything.
fn parse(stat: &str) -> Option<(char, u64)> {
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

fn stat(pid: i32) -> Option<(char, u64)> {
    parse(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

impl Identity {
    /// Of a process that exists.
    pub(crate) fn of(pid: Pid) -> Result<Self, Failure> {
        let pid = pid.as_raw_nonzero().get();
        let (_, start) =
            stat(pid).ok_or_else(|| Failure::new(format!("process {pid} has ended unexpectedly")))?;
        Ok(Self { pid, start })
    }

    /// Whether it has not ended; a zombie has.
    pub(crate) fn alive(self) -> bool {
        stat(self.pid).is_some_and(|(state, start)| start == self.start && !matches!(state, 'Z' | 'X'))
    }

    /// A descriptor of this very process; none if it has ended.
    pub(crate) fn open(self) -> Result<Option<OwnedFd>, Failure> {
        let Some(pid) = Pid::from_raw(self.pid) else { return Ok(None) };
        match pidfd_open(pid, PidfdFlags::empty()) {
            // Only now: what the descriptor means can no longer change.
            Ok(pidfd) => Ok(self.alive().then_some(pidfd)),
            Err(Errno::SRCH) => Ok(None),
            Err(e) => Err(Failure::new(format!("open process {}: {e}", self.pid))),
        }
    }

    /// Sends a signal; false if it has ended.
    pub(crate) fn signal(self, signal: i32) -> Result<bool, Failure> {
        let Some(pidfd) = self.open()? else { return Ok(false) };
        match dhow_sys::signals::pidfd_send_signal(pidfd.as_fd(), signal) {
            Ok(()) => Ok(true),
            Err(Errno::SRCH) => Ok(false),
            Err(e) => Err(Error {
                step: "signal".to_owned(),
                object: format!("process {}", self.pid),
                errno: e.raw_os_error(),
                detail: String::new(),
            }
            .into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_forge_a_start() {
        let fields = "S 1 2 3 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 1000 2";
        assert_eq!(parse(&format!("7 (x) S 1 (y) {fields}")), Some(('S', 4711)));
        assert_eq!(parse("7 (x"), None);
    }

    #[test]
    fn another_process_with_the_number_is_not_it() {
        let own = Identity::of(rustix::process::getpid()).unwrap();
        assert!(own.alive());
        let other = Identity { start: own.start + 1, ..own };
        assert!(!other.alive());
        // Were it taken for this process, the signal would end the test.
        assert!(!other.signal(9).unwrap());
    }
}
