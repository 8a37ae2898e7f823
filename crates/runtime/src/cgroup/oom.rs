//! Word of the OOM killer.

use super::control::with;
use super::kill::read_again;
use super::usage::{pairs, value};
use crate::Error;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use rustix::io::Errno;
use std::fs;
use std::path::PathBuf;

/// How often the kernel killed something of a container for its memory; 0 where nobody counts. Cheaper than [`usage`].
#[must_use]
pub fn oom_kills(dirs: &[PathBuf]) -> u64 {
    // v1: most likely the hierarchy with this name.
    let named = |dir: &&PathBuf| dir.iter().any(|part| part == "memory");
    let likely = dirs.iter().filter(named).chain(dirs.iter().filter(|dir| !named(dir)));
    let paths = likely.flat_map(|dir| ["memory.oom_control", "memory.events"].map(|file| dir.join(file)));
    let mut text = [0; 512];
    for path in paths {
        let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC;
        let Ok(file) = rustix::fs::open(&path, flags, rustix::fs::Mode::empty()) else { continue };
        let read = rustix::io::read(&file, &mut text).unwrap_or(0);
        let text = text.get(..read).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default();
        return value(&pairs(text), "oom_kill");
    }
    0
}

/// The file that counts.
fn counter(dirs: &[PathBuf]) -> Option<PathBuf> {
    let found = |file: &str| with(dirs, file).map(|dir| dir.join(file));
    found("memory.events").or_else(|| found("memory.oom_control"))
}

/// Tells when the OOM killer strikes in a container: v1 by an eventfd, v2 by the file that counts, which is polled for a priority event.
#[derive(Debug)]
pub struct OomWatch {
    counter: PathBuf,
    source: Source,
}

#[derive(Debug)]
enum Source {
    /// v1 adds one at every strike (before it is counted in the file), and one when the cgroup goes.
    Eventfd(OwnedFd),
    /// v2, and what it counted when it was read last.
    Counter(fs::File, u64),
}

impl OomWatch {
    /// Watches from now on. `None`: no cgroup of the container counts memory.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn new(dirs: &[PathBuf]) -> Result<Option<Self>, Error> {
        let Some(counter) = counter(dirs) else { return Ok(None) };
        let fail = |e: std::io::Error| Error::io("watch", counter.display(), &e);
        let file = fs::File::open(&counter).map_err(fail)?;
        let source = if counter.ends_with("memory.events") {
            let seen = value(&pairs(&read_again(&file).map_err(fail)?), "oom_kill");
            Source::Counter(file, seen)
        } else {
            let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
            let fd = eventfd(0, flags).map_err(|e| Error::os("eventfd", counter.display(), e))?;
            let line = format!("{} {}", fd.as_raw_fd(), file.as_raw_fd());
            fs::write(counter.with_file_name("cgroup.event_control"), line).map_err(fail)?;
            Source::Eventfd(fd)
        };
        Ok(Some(Self { counter, source }))
    }

    /// Whether it is a priority event (v2) that is waited for, not input (v1).
    #[must_use]
    pub fn is_priority(&self) -> bool {
        matches!(self.source, Source::Counter(..))
    }

    /// How often it struck since this was asked last; `None` if the cgroup has gone, and nothing will come any more. Clears the event.
    ///
    /// # Errors
    /// If the kernel's word cannot be read.
    pub fn strikes(&mut self) -> Result<Option<u64>, Error> {
        match &mut self.source {
            Source::Eventfd(fd) => {
                let mut count = [0u8; 8];
                match rustix::io::read(&*fd, &mut count) {
                    Ok(_) | Err(Errno::AGAIN) => {}
                    Err(e) => return Err(Error::os("read", "eventfd", e)),
                }
                Ok(self.counter.exists().then_some(u64::from_ne_bytes(count)))
            }
            Source::Counter(file, seen) => {
                let now = match read_again(file) {
                    Ok(text) => value(&pairs(&text), "oom_kill"),
                    Err(e) if e.raw_os_error() == Some(Errno::NODEV.raw_os_error()) => return Ok(None),
                    Err(e) => return Err(Error::io("read cgroup", self.counter.display(), &e)),
                };
                let new = now.saturating_sub(*seen);
                *seen = now;
                Ok(Some(new))
            }
        }
    }

    /// Blocks until it strikes: how often; 0 if the time is over; `None` if the cgroup has gone.
    ///
    /// # Errors
    /// As [`OomWatch::strikes`].
    pub fn wait(&mut self, limit: Option<Timespec>) -> Result<Option<u64>, Error> {
        let interest = if self.is_priority() { PollFlags::PRI } else { PollFlags::IN };
        loop {
            let mut fds = [PollFd::from_borrowed_fd(self.as_fd(), interest)];
            let ready = rustix::io::retry_on_intr(|| poll(&mut fds, limit.as_ref()));
            if ready.map_err(|e| Error::os("poll", self.counter.display(), e))? == 0 {
                return Ok(Some(0));
            }
            match self.strikes()? {
                // Another line of the file changed.
                Some(0) => {}
                other => return Ok(other),
            }
        }
    }
}

/// To be polled: for priority events (v2) or input (v1).
impl AsFd for OomWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.source {
            Source::Eventfd(fd) => fd.as_fd(),
            Source::Counter(file, _) => file.as_fd(),
        }
    }
}

impl AsRawFd for OomWatch {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}
