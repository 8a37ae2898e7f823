//! The container's terminal: a pty of its own devpts.

use super::mounts::{Root, attach_checked, tree};
use super::paths::{Missing, open_in, open_or_make};
use super::{Done, Failure, Held, Named};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{FileType, OFlags, fstat, fstatfs, major, minor};
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

const DEVPTS_SUPER_MAGIC: u64 = 0x1cd1;

const STEP: &str = "open terminal";
const PTMX: &[u8] = b"/dev/pts/ptmx";

/// Refuses what is no ptmx of a devpts.
fn genuine(place: BorrowedFd<'_>) -> Done<'static> {
    let stat = fstat(place).named(STEP, PTMX)?;
    let fs = fstatfs(place).named(STEP, PTMX)?;
    let genuine = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
        && (major(stat.st_rdev), minor(stat.st_rdev)) == (5, 2)
        && u64::try_from(fs.f_type).is_ok_and(|kind| kind == DEVPTS_SUPER_MAGIC);
    if genuine {
        return Ok(());
    }
    Err(Failure { step: STEP, object: PTMX, errno: Errno::NOTTY, detail: "is no ptmx of a devpts" })
}

/// Opens a pair; master first. What is opened is checked to be a real ptmx of a devpts, whatever the image put there.
pub(super) fn open(root: BorrowedFd<'_>, size: (u16, u16)) -> Done<'static, (OwnedFd, OwnedFd)> {
    // First without opening it, as opening a device does something; then again what was opened, which may be another.
    genuine(open_in(root, PTMX, OFlags::PATH).named(STEP, PTMX)?.as_fd())?;
    let master = Held::into_inner(open_in(root, PTMX, OFlags::RDWR | OFlags::NOCTTY).named(STEP, PTMX)?);
    genuine(master.as_fd())?;
    unlockpt(&master).named(STEP, PTMX)?;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let slave = ioctl_tiocgptpeer(&master, flags).named(STEP, PTMX)?;
    let (ws_row, ws_col) = size;
    if ws_row != 0 || ws_col != 0 {
        tcsetwinsize(&master, Winsize { ws_row, ws_col, ws_xpixel: 0, ws_ypixel: 0 })
            .named("set terminal size", PTMX)?;
    }
    Ok((master, slave))
}

/// `/dev/console` is the terminal's slave, mounted by its descriptor.
pub(super) fn mount_console(root: Root<'_>, slave: BorrowedFd<'_>) -> Done<'static> {
    const STEP: &str = "mount console";
    let path = c"/dev/console";
    let mount = tree(slave, c"", false).named(STEP, path.to_bytes())?;
    let target = open_or_make(root.fd, path, Missing::File).named(STEP, path.to_bytes())?;
    attach_checked(STEP, root, path, target.as_fd(), mount.as_fd())
}

/// Makes the terminal the controlling one and the three streams.
pub(crate) fn attach_terminal(slave: BorrowedFd<'_>) -> Done<'static> {
    rustix::process::ioctl_tiocsctty(slave).named("set controlling terminal", b"")?;
    rustix::stdio::dup2_stdin(slave).named("dup2", b"stdin")?;
    rustix::stdio::dup2_stdout(slave).named("dup2", b"stdout")?;
    rustix::stdio::dup2_stderr(slave).named("dup2", b"stderr")
}
