//! Making and entering network namespaces.
//!
//! A namespace belongs to a thread: each function moves the calling one and brings it back. A thread that cannot come back would do its next
//! work in the wrong network, so the process ends instead.

use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{Mode, OFlags, open},
    thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe},
};
use std::{io, thread, time::Duration};

/// A new network namespace, and what `inside` (which runs in it) returned. It ends with the last descriptor, socket or process in it.
///
/// See [`unshare(2)`](https://man7.org/linux/man-pages/man2/unshare.2.html),
/// [`network_namespaces(7)`](https://man7.org/linux/man-pages/man7/network_namespaces.7.html).
///
/// # Errors
/// As the system calls, or of `inside`.
pub fn create<T>(inside: impl FnOnce() -> io::Result<T>) -> io::Result<(OwnedFd, T)> {
    let _home = Home::leave()?;
    unshare()?;
    let namespace = current()?;
    Ok((namespace, inside()?))
}

/// Runs `inside` in the namespace. See [`setns(2)`](https://man7.org/linux/man-pages/man2/setns.2.html).
///
/// # Errors
/// As the system calls, or of `inside`.
pub fn within<T>(namespace: BorrowedFd<'_>, inside: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let _home = Home::leave()?;
    enter(namespace)?;
    inside()
}

/// Moves the calling thread. For threads that are made for it and know the way back.
///
/// # Errors
/// As the system call.
pub fn enter(namespace: BorrowedFd<'_>) -> io::Result<()> {
    Ok(move_into_link_name_space(namespace, Some(LinkNameSpaceType::Network))?)
}

/// The calling thread's namespace.
///
/// # Errors
/// As [`open(2)`](https://man7.org/linux/man-pages/man2/open.2.html).
pub fn current() -> io::Result<OwnedFd> {
    Ok(open("/proc/thread-self/ns/net", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
}

/// Gives the calling thread a new network namespace. For threads that are made for it.
///
/// # Errors
/// As [`unshare(2)`](https://man7.org/linux/man-pages/man2/unshare.2.html).
#[allow(unsafe_code, reason = "rustix marks unshare unsafe for the sake of one flag")]
pub fn unshare() -> io::Result<()> {
    // SAFETY: unsafe only with UnshareFlags::FILES, which splits the descriptor table; NEWNET does not touch it.
    Ok(unsafe { unshare_unsafe(UnshareFlags::NEWNET) }?)
}

/// Where the calling thread belongs, and goes back to.
struct Home(OwnedFd);

impl Home {
    fn leave() -> io::Result<Self> {
        Ok(Self(current()?))
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // The kernel may be out of memory for a moment.
        for _ in 0..1000 {
            if enter(self.0.as_fd()).is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
        std::process::abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::{fs::fstat, process::geteuid};

    #[test]
    fn root_the_thread_comes_back() {
        if !geteuid().is_root() {
            return;
        }
        let here = || fstat(current().unwrap()).unwrap().st_ino;
        let home = here();
        let (other, inside) = create(|| Ok(here())).unwrap();
        assert_eq!((here(), inside != home), (home, true));
        assert_eq!(within(other.as_fd(), || Ok(here())).unwrap(), inside);
        let failed: io::Result<()> = within(other.as_fd(), || Err(io::Error::other("no")));
        assert!(failed.is_err());
        let panicked =
            std::panic::catch_unwind(|| within(other.as_fd(), || -> io::Result<()> { panic!("on purpose") }));
        assert!(panicked.is_err());
        assert_eq!(here(), home);
    }
}
