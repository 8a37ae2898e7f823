//! Executing a program: execve(2), and which descriptors survive it: close_range(2).
//! <https://man7.org/linux/man-pages/man2/execve.2.html>
#![allow(unsafe_code, reason = "execve and close_range take raw pointers and ranges")]

use crate::{answer, errno};
use rustix::fd::{AsRawFd, BorrowedFd, IntoRawFd, OwnedFd};
use rustix::io::{Errno, Result};
use std::ffi::{CStr, CString};
use std::ptr;

/// Bytes for a variable that is known only in the child.
const LATE: usize = 4096;

/// argv and envp with the pointer arrays that execve wants, built before the clone so that the child allocates nothing.
#[derive(Debug)]
pub struct Image {
    strings: Vec<CString>,
    argv: Vec<*const libc::c_char>,
    /// With one free place before the final null, for [`Image::set_variable`].
    envp: Vec<*const libc::c_char>,
    late: Vec<u8>,
}

impl Image {
    /// Takes the words of the command line and of the environment.
    #[must_use]
    pub fn new(args: &[CString], env: &[CString]) -> Self {
        let strings: Vec<CString> = args.iter().chain(env).cloned().collect();
        let pointers: Vec<_> = strings.iter().map(|s| s.as_ptr()).collect();
        let (argv, envp) = pointers.split_at(args.len());
        let ended = |part: &[*const libc::c_char]| part.iter().copied().chain([ptr::null()]).collect();
        let mut envp: Vec<_> = ended(envp);
        envp.push(ptr::null());
        Self { argv: ended(argv), envp, strings, late: vec![0; LATE] }
    }

    /// Adds one more variable, once, into memory set aside for it: callable in the child.
    ///
    /// # Errors
    /// `E2BIG` if it is too long, or a second one.
    pub fn set_variable(&mut self, name: &[u8], value: &[u8]) -> Result<()> {
        let end = name.len() + 1 + value.len();
        let (whole, free) = (self.late.get_mut(..=end), self.envp.len().checked_sub(2));
        let (Some(whole), Some(place)) = (whole, free.and_then(|at| self.envp.get_mut(at))) else {
            return Err(Errno::TOOBIG);
        };
        if !place.is_null() {
            return Err(Errno::TOOBIG);
        }
        let (left, right) = whole.split_at_mut(name.len());
        left.copy_from_slice(name);
        if let Some((equals, right)) = right.split_first_mut() {
            *equals = b'=';
            if let Some((zero, right)) = right.split_last_mut() {
                *zero = 0;
                right.copy_from_slice(value);
            }
        }
        *place = whole.as_ptr().cast();
        Ok(())
    }

    /// How many strings there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.strings.len()
    }

    /// Whether there is no argument and no variable.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.strings.is_empty()
    }

    /// Replaces the program; returns only when that failed.
    pub fn execve(&self, path: &CStr) -> Errno {
        // SAFETY: `path` ends with NUL; both arrays end with a null pointer and point into `strings`, which CString keeps in place on the heap.
        unsafe { libc::execve(path.as_ptr(), self.argv.as_ptr(), self.envp.as_ptr()) };
        errno()
    }
}

fn close_range(first: u32, last: u32, flags: u32) -> Result<()> {
    // SAFETY: the callers below pass either CLOSE_RANGE_CLOEXEC, which closes nothing now, or ranges that their contract says nobody owns.
    answer(unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) }).map(|_| ())
}

/// Marks every descriptor from `first` on close-on-exec. <https://man7.org/linux/man-pages/man2/close_range.2.html>
///
/// # Errors
/// `ENOSYS` before Linux 5.9, `EINVAL` before 5.11.
pub fn cloexec_from(first: u32) -> Result<()> {
    const CLOSE_RANGE_CLOEXEC: u32 = 4;
    close_range(first, u32::MAX, CLOSE_RANGE_CLOEXEC)
}

/// Closes every descriptor from `first` on that is not in `keep`, which must be sorted. Only for a fresh child of [`crate::clone::clone3`] that leaves
/// through `execve` or [`crate::clone::exit_now`]: values that own other descriptors must never be dropped or used there again.
///
/// # Errors
/// As close_range.
pub fn close_except(first: u32, keep: &[BorrowedFd<'_>]) -> Result<()> {
    let mut first = first;
    for fd in keep {
        let number = u32::try_from(fd.as_raw_fd()).map_err(|_| Errno::BADF)?;
        if number > first {
            close_range(first, number - 1, 0)?;
        }
        first = first.max(number + 1);
    }
    close_range(first, u32::MAX, 0)
}

/// Closes all of these, with one call for each run of consecutive numbers.
pub fn close_all(fds: Vec<OwnedFd>) {
    let mut numbers: Vec<u32> =
        fds.into_iter().filter_map(|fd| u32::try_from(fd.into_raw_fd()).ok()).collect();
    numbers.sort_unstable();
    for run in numbers.chunk_by(|a, b| a + 1 == *b) {
        if let (Some(first), Some(last)) = (run.first(), run.last()) {
            // Every number in between was ours too. Nothing else than EINTR can go wrong, and then they are closed all the same.
            close_range(*first, *last, 0).unwrap_or_default();
        }
    }
}

/// The working directory as the kernel says it: without a leading slash if it is outside the root.
/// <https://man7.org/linux/man-pages/man2/getcwd.2.html>
///
/// # Errors
/// `ENOENT` if it was removed, `ERANGE` if `buffer` is too small.
pub fn getcwd(buffer: &mut [u8]) -> Result<&[u8]> {
    // SAFETY: the buffer is writable for its whole length.
    let raw = answer(unsafe { libc::syscall(libc::SYS_getcwd, buffer.as_mut_ptr(), buffer.len()) })?;
    let length = usize::try_from(raw).map_err(|_| Errno::RANGE)?;
    // The kernel counts the NUL.
    buffer.get(..length.saturating_sub(1)).ok_or(Errno::RANGE)
}
