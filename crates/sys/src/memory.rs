//! [madvise(2)](https://man7.org/linux/man-pages/man2/madvise.2.html) for a program that waits.
#![allow(unsafe_code, reason = "rustix has no safe madvise, and no program headers")]

use rustix::event::{PollFd, Timespec};
use std::ffi::{c_int, c_void};

/// Address and size of what a program only reads; more segments than this no linker makes.
type Segments = [(usize, usize); 8];

/// How far down the stack is given up: what a program touched in depths that it has come back from.
const DEPTH: usize = 128 << 10;
const PAGE: usize = 4096;

/// [poll(2)](https://man7.org/linux/man-pages/man2/poll.2.html) for a process that will wait long: the pages of the program's own
/// code and constants are taken out of it before, and those of its stack below this call. What is used again is mapped again from the page cache at a minor fault.
/// Breakpoints of a debugger go as well.
///
/// # Errors
/// Those of `poll`.
#[inline(never)]
pub fn poll_at_rest(fds: &mut [PollFd<'_>], timeout: Option<&Timespec>) -> rustix::io::Result<usize> {
    let mut segments = Segments::default();
    // SAFETY: the callback is called before this returns, with the pointer given here, which it uses as what it is.
    unsafe { libc::dl_iterate_phdr(Some(program), (&raw mut segments).cast()) };
    for (from, size) in segments {
        give_up(from, size);
    }
    // Below this frame there is nothing but what has returned; the page after this one's is for the calls from here.
    let frame = (&raw const segments) as usize & !(PAGE - 1);
    give_up(frame.saturating_sub(DEPTH), DEPTH.saturating_sub(PAGE));
    // From here on little more than this function is touched, and that is all that is mapped while it waits.
    rustix::event::poll(fds, timeout)
}

/// Notes the segments of the first object, the program itself, that are only read.
unsafe extern "C" fn program(object: *mut libc::dl_phdr_info, _size: usize, segments: *mut c_void) -> c_int {
    // SAFETY: dl_iterate_phdr gives a valid object whose headers outlive the call, and the pointer that poll_at_rest gave it.
    let (base, headers, segments) = unsafe {
        let object = &*object;
        let headers = std::slice::from_raw_parts(object.dlpi_phdr, object.dlpi_phnum.into());
        (object.dlpi_addr, headers, &mut *segments.cast::<Segments>())
    };
    let read = headers.iter().filter(|h| h.p_type == libc::PT_LOAD && h.p_flags & libc::PF_W == 0);
    for (header, segment) in read.zip(segments) {
        // Segments of different rights share no page.
        let start = base + header.p_vaddr;
        let from = start & !0xfff;
        *segment =
            (usize::try_from(from).unwrap_or(0), usize::try_from(start - from + header.p_memsz).unwrap_or(0));
    }
    1
}

/// `madvise(MADV_DONTNEED)`; a kernel that refuses has lost nothing but memory. The call is made here and not in libc, whose pages
/// would come back with it.
#[inline(always)]
fn give_up(from: usize, size: usize) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a private mapping of a file that nobody writes through, or stack that no frame is on: dropping the pages changes
    // nothing that can be read. The thread's stack is the process's own, with a gap of megabytes below it.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") libc::SYS_madvise => _,
            in("rdi") from,
            in("rsi") size,
            in("rdx") libc::MADV_DONTNEED,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    #[cfg(not(target_arch = "x86_64"))]
    // SAFETY: as above.
    unsafe {
        libc::madvise(from as *mut c_void, size, libc::MADV_DONTNEED);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_goes_on() {
        static TEXT: [u8; 3] = *b"abc";
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        assert_eq!(poll_at_rest(&mut [], Some(&now)), Ok(0));
        assert_eq!(std::hint::black_box(TEXT), *b"abc");
    }
}
