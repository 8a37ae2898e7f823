//! [sigaction(2)](https://man7.org/linux/man-pages/man2/sigaction.2.html): outliving signals without passing that on.
#![allow(unsafe_code, reason = "rustix has no signal handlers")]

use std::io;

extern "C" fn nothing(_signal: libc::c_int) {}

/// Installs a handler that does nothing. Unlike an ignored signal it is back to its default after execve, so children are not
/// born deaf. System calls are restarted where the kernel can.
///
/// # Errors
/// `InvalidInput` if the number is no signal or cannot be handled.
pub fn handle_by_doing_nothing(signal: i32) -> io::Result<()> {
    // SAFETY: an all-zero sigaction is a valid value of that plain C struct.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as usize;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: `action` is initialised and lives through the call; the handler touches nothing, so it is async-signal-safe.
    let result = unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handled_signal_does_not_kill() {
        handle_by_doing_nothing(libc::SIGUSR2).unwrap();
        // SAFETY: sends a signal whose handler was installed above to this thread.
        assert_eq!(unsafe { libc::raise(libc::SIGUSR2) }, 0);
        assert!(handle_by_doing_nothing(libc::SIGKILL).is_err());
    }
}
