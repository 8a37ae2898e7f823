//! Making and entering network namespaces, always from a thread of its own.
//!
//! A namespace belongs to a thread, so the caller's never changes: each function starts a short-lived thread (about 50 µs).

use rustix::{
    fd::{BorrowedFd, OwnedFd},
    fs::{Mode, OFlags, open},
    thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe},
};
use std::{io, thread};

/// A new network namespace, and what `inside` (which runs in it) returned. It ends with the last descriptor, socket or process in it.
///
/// See [`unshare(2)`](https://man7.org/linux/man-pages/man2/unshare.2.html),
/// [`network_namespaces(7)`](https://man7.org/linux/man-pages/man7/network_namespaces.7.html).
///
/// # Errors
/// As the system calls, or of `inside`.
pub fn create<T: Send>(inside: impl FnOnce() -> io::Result<T> + Send) -> io::Result<(OwnedFd, T)> {
    on_thread("netns-create", || {
        unshare()?;
        let namespace = current()?;
        Ok((namespace, inside()?))
    })
}

/// Runs `inside` in the namespace. See [`setns(2)`](https://man7.org/linux/man-pages/man2/setns.2.html).
///
/// # Errors
/// As the system calls, or of `inside`.
pub fn within<T: Send>(
    namespace: BorrowedFd<'_>,
    inside: impl FnOnce() -> io::Result<T> + Send,
) -> io::Result<T> {
    on_thread("netns-enter", || {
        enter(namespace)?;
        inside()
    })
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

fn on_thread<T: Send>(name: &str, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let builder = thread::Builder::new().name(name.to_owned()).stack_size(256 * 1024);
        let handle = builder.spawn_scoped(scope, work)?;
        handle.join().unwrap_or_else(|_| Err(io::Error::other("thread in the network namespace panicked")))
    })
}
