//! Who the program is, and the last steps before it.

use super::{Done, Failure, Named, Never, procfs};
use crate::host::RESOURCES;
use crate::step::Program;
use crate::wire;
use dhow_sys::clone::exit_now;
use dhow_sys::exec::{Image, cloexec_from};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, Uid};
use rustix::io::Errno;
use rustix::process::{Rlimit, getrlimit, setrlimit};
use rustix::thread::{CapabilitySet, CapabilitySets};

/// What needs the host's /proc.
pub(super) fn before_mounts(program: &Program) -> Done<'_> {
    if let Some(value) = &program.oom_score_adj {
        let path = c"/proc/self/oom_score_adj";
        procfs::write(path, value.as_bytes()).named("write", path.to_bytes())?;
    }
    if let Some(profile) = &program.apparmor {
        let path = c"/proc/self/attr/apparmor/exec";
        procfs::write(path, profile.as_bytes()).named("set apparmor profile", profile.as_bytes())?;
    }
    Ok(())
}

/// Limits, bounding set, user, working directory, umask. Afterwards the process is the container's user, still with the capability to
/// install a filter.
pub(super) fn identity(program: &Program) -> Done<'_> {
    limits(program)?;
    own_stdio(program)?;
    // Some folders only root may enter, others only the user: try both, as docker's runtime does.
    let early = match rustix::process::chdir(program.cwd.as_c_str()) {
        Err(Errno::ACCESS | Errno::PERM) => false,
        other => other.map(|()| true).named("chdir", program.cwd.as_bytes())?,
    };
    for bit in (0..64).map(|shift| 1u64 << shift) {
        if program.bounding & bit == 0 {
            let capability = CapabilitySet::from_bits_retain(bit);
            match rustix::thread::remove_capability_from_bounding_set(capability) {
                // Past the last capability of this kernel.
                Err(Errno::INVAL) => break,
                other => other.named("drop capability", b"bounding")?,
            }
        }
    }
    rustix::thread::set_keep_capabilities(true).named("prctl", b"KEEPCAPS")?;
    groups(program)?;
    let (uid, gid) = (Uid::from_raw(program.uid), Gid::from_raw(program.gid));
    rustix::thread::set_thread_res_gid(gid, gid, gid).named("setresgid", b"")?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).named("setresuid", b"")?;
    rustix::thread::set_keep_capabilities(false).named("prctl", b"KEEPCAPS")?;
    capabilities(program, CapabilitySet::SYS_ADMIN.bits())?;
    if !early {
        rustix::process::chdir(program.cwd.as_c_str()).named("chdir", program.cwd.as_bytes())?;
    }
    inside_root(program)?;
    rustix::process::umask(Mode::from_raw_mode(program.umask));
    Ok(())
}

/// The kernel prefixes a directory that the root does not reach (a leaked descriptor of the host: CVE-2024-21626).
fn inside_root(program: &Program) -> Done<'_> {
    let object = program.cwd.as_bytes();
    let mut buffer = [0u8; 4096 + 1];
    let here = dhow_sys::exec::getcwd(&mut buffer).named("getcwd", object)?;
    if here.first() == Some(&b'/') {
        return Ok(());
    }
    let detail = "the working directory is outside the container's root";
    Err(Failure { step: "chdir", object, errno: Errno::PERM, detail })
}

fn limits(program: &Program) -> Done<'_> {
    for limit in &program.limits {
        let Some((.., resource)) = RESOURCES.iter().find(|(number, ..)| *number == limit.resource) else {
            continue;
        };
        let value = |n: u64| (n != u64::MAX).then_some(n);
        let wanted = Rlimit { current: value(limit.soft), maximum: value(limit.hard) };
        match setrlimit(*resource, wanted) {
            // Without CAP_SYS_RESOURCE: as much as there is.
            Err(Errno::PERM) => {
                let have = getrlimit(*resource).maximum.unwrap_or(u64::MAX);
                let (soft, hard) = (limit.soft.min(have), limit.hard.min(have));
                setrlimit(*resource, Rlimit { current: value(soft), maximum: value(hard) })
                    .named("setrlimit", limit.name.as_bytes())?;
            }
            other => other.named("setrlimit", limit.name.as_bytes())?,
        }
    }
    Ok(())
}

/// The streams belong to the user, so that it can open /dev/stdout again.
fn own_stdio(program: &Program) -> Done<'static> {
    if program.uid == 0 {
        return Ok(());
    }
    let null = rustix::fs::makedev(1, 3);
    for stream in [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()] {
        let stat = rustix::fs::fstat(stream).named("fstat", b"stdio")?;
        let device =
            FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == null;
        if stat.st_uid == program.uid || device {
            continue;
        }
        match rustix::fs::fchown(stream, Some(Uid::from_raw(program.uid)), None) {
            // A stream that has no owner to change, or a read-only file.
            Ok(()) | Err(Errno::INVAL | Errno::PERM | Errno::ROFS) => {}
            Err(e) => return Err(e).named("chown", b"stdio"),
        }
    }
    Ok(())
}

fn groups(program: &Program) -> Done<'_> {
    let mut list = [Gid::ROOT; 256];
    let few = list
        .get_mut(..program.groups.len())
        .ok_or(Errno::INVAL)
        .named("setgroups", b"more than 256 groups")?;
    for (place, gid) in few.iter_mut().zip(&program.groups) {
        *place = Gid::from_raw(*gid);
    }
    rustix::thread::set_thread_groups(few).named("setgroups", b"")
}

/// The final sets and `extra` in permitted and effective.
fn capabilities(program: &Program, extra: u64) -> Done<'static> {
    let set = CapabilitySet::from_bits_retain;
    let sets = CapabilitySets {
        effective: set(program.effective | extra),
        permitted: set(program.permitted | program.ambient | extra),
        inheritable: set(program.inheritable),
    };
    rustix::thread::set_capabilities(None, sets).named("capset", b"")
}

/// Ambient set, no_new_privs, seccomp. Behind the filter only capset, execve and the report of a failure are needed; with a listener write
/// and read as well; with a listener and a door also what leads through the door.
pub(super) fn confine(program: &Program, parent: BorrowedFd<'_>) -> Done<'static> {
    rustix::thread::clear_ambient_capability_set().named("prctl", b"AMBIENT")?;
    for bit in (0..64).map(|shift| 1u64 << shift).filter(|bit| program.ambient & bit != 0) {
        let capability = CapabilitySet::from_bits_retain(bit);
        rustix::thread::configure_capability_in_ambient_set(capability, true).named("prctl", b"AMBIENT")?;
    }
    if program.no_new_privileges {
        rustix::thread::set_no_new_privs(true).named("prctl", b"NO_NEW_PRIVS")?;
    }
    if program.seccomp.is_empty() {
        return Ok(());
    }
    match crate::seccomp::load(&program.seccomp, program.seccomp_flags).named("seccomp", b"")? {
        Some(listener) => hand_over(listener, parent),
        None => Ok(()),
    }
}

/// Lets the parent take the listener. It stays open until execve: closing it is one more call behind the filter.
fn hand_over(listener: OwnedFd, parent: BorrowedFd<'_>) -> Done<'static> {
    let told = wire::send_listener(parent, listener.as_fd());
    std::mem::forget(listener);
    told.named("hand over", b"seccomp listener")?;
    if wire::wait_go(parent) {
        return Ok(());
    }
    exit_now(3)
}

/// Becomes the program, first confined if it is not yet. Descriptors from `first_other` on are not the program's.
pub(super) fn execute<'a>(
    program: &'a Program,
    image: &Image,
    first_other: u32,
    unconfined: Option<BorrowedFd<'_>>,
) -> Done<'a, Never> {
    let (path, found) = look_up(program)?;
    if program.init {
        dhow_sys::signals::block_all().named("block signals", b"")?;
    }
    cloexec_from(first_other).named("close_range", b"")?;
    if let Some(parent) = unconfined {
        confine(program, parent)?;
    }
    capabilities(program, 0)?;
    let errno = image.execve(path);
    Err(Failure { step: "exec", object: found, errno, detail: "" })
}

/// What execve would refuse, as far as it can be known before.
pub(super) fn find(program: &Program) -> Done<'_> {
    let (path, name) = look_up(program)?;
    let stat = rustix::fs::statat(CWD, path, AtFlags::empty()).named("exec", name)?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        return Err(Errno::ACCESS).named("exec", name);
    }
    rustix::fs::accessat(CWD, path, rustix::fs::Access::EXEC_OK, AtFlags::EACCESS).named("exec", name)
}

/// Finds the program as Go's LookPath does: in PATH the first regular file that may be executed.
fn look_up(program: &Program) -> Done<'_, (&std::ffi::CStr, &[u8])> {
    let name = program.args.first().map_or(&b""[..], |name| name.as_bytes());
    if !program.searched
        && let Some(path) = program.candidates.first()
    {
        return Ok((path, name));
    }
    for path in &program.candidates {
        let regular = rustix::fs::statat(CWD, path.as_c_str(), AtFlags::empty())
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile);
        let may =
            || rustix::fs::accessat(CWD, path.as_c_str(), rustix::fs::Access::EXEC_OK, AtFlags::EACCESS);
        if regular && may().is_ok() {
            return Ok((path, name));
        }
    }
    let detail = "executable file not found in $PATH";
    Err(Failure { step: "exec", object: name, errno: Errno::NOENT, detail })
}
