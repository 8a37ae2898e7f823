//! Who the program is, and the last steps before it.

use super::{Done, Failure, Named, Never, procfs};
use crate::host::RESOURCES;
use crate::step::{IoPriority, Keyring, Program, Scheduler};
use crate::wire;
use dhow_sys::clone::{exit_now, new};
use dhow_sys::exec::{Image, cloexec_from};
use dhow_sys::scheduling;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, Uid, open};
use rustix::io::Errno;
use rustix::process::{Pid, Rlimit, getrlimit, prlimit};
use rustix::thread::{CapabilitySet, CapabilitySets, LinkNameSpaceType};
use std::ffi::CStr;

/// What needs the host's /proc and privileges.
pub(super) fn before_mounts(program: &Program, in_userns: bool) -> Done<'_> {
    if let Some(value) = program.oom_score_adj.as_ref().filter(|_| !in_userns) {
        write(c"/proc/self/oom_score_adj", value.as_bytes())?;
    }
    if let Some(profile) = &program.apparmor {
        write(c"/proc/self/attr/apparmor/exec", profile.as_bytes())?;
    }
    if let Some(label) = &program.selinux {
        write(c"/proc/self/attr/keycreate", label.as_bytes())?;
    }
    if let Some(Keyring { name, permissions }) = &program.keyring {
        match dhow_sys::keyring::join_session(name, *permissions) {
            // A kernel without keys has none to share.
            Ok(()) | Err(Errno::NOSYS) => {}
            Err(e) => return Err(e).named("join keyring", name.as_bytes()),
        }
    }
    if let Some(label) = &program.selinux {
        write(c"/proc/self/attr/exec", label.as_bytes())?;
    }
    Ok(())
}

fn write<'a>(path: &'static CStr, value: &[u8]) -> Done<'a> {
    procfs::write(path, value).named("write", path.to_bytes())
}

/// Makes a time namespace, sets its clocks while nobody is in it, and enters.
pub(super) fn time_namespace(offsets: &CStr) -> Done<'_> {
    const STEP: &str = "set clocks";
    dhow_sys::namespaces::unshare(new::TIME).named("unshare", b"time namespace")?;
    if !offsets.is_empty() {
        write(c"/proc/self/timens_offsets", offsets.to_bytes())?;
    }
    let path = c"/proc/self/ns/time_for_children";
    let namespace =
        open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).named(STEP, path.to_bytes())?;
    rustix::thread::move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Time))
        .named("setns", b"time namespace")
}

/// Becomes the root of its user namespace, whose maps are written: what it makes belongs to the container.
pub(super) fn root_of_namespace() -> Done<'static> {
    rustix::thread::set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT).named("setresgid", b"")?;
    rustix::thread::set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT).named("setresuid", b"")
}

/// Processors that may be used; empty: those that may be already.
pub(super) fn affinity(mask: &[u64]) -> Done<'static> {
    if mask.is_empty() {
        Ok(())
    } else {
        scheduling::set_affinity(None, mask).named("sched_setaffinity", b"")
    }
}

/// What the kernel allows to the host's root alone, of the process itself (none), or of one in a user namespace from outside.
pub(crate) fn privileged(program: &Program, pid: Option<Pid>) -> Done<'_> {
    limits(program, pid)?;
    if let Some(attributes) = &program.scheduler {
        let Scheduler { policy, flags, nice, priority, runtime, deadline, period } = *attributes;
        let attributes = scheduling::Attributes { policy, flags, nice, priority, runtime, deadline, period };
        scheduling::set_scheduler(pid, &attributes).named("sched_setattr", b"")?;
    }
    if let Some(IoPriority { class, level }) = program.io_priority {
        dhow_sys::ioprio::set(pid, class, level).named("ioprio_set", b"")?;
    }
    Ok(())
}

/// Limits, bounding set, user, working directory, umask. Afterwards the process is the container's user, still with the capability to
/// install a filter.
pub(super) fn identity<'a>(program: &'a Program, groups: &[Gid], in_userns: bool) -> Done<'a> {
    if !in_userns {
        privileged(program, None)?;
    }
    if let Some(policy) = &program.memory_policy {
        scheduling::set_memory_policy(policy.mode, &policy.nodes).named("set_mempolicy", b"")?;
    }
    if let Some(persona) = program.personality {
        dhow_sys::personality::personality(persona).named("personality", b"")?;
    }
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
    if program.uid != 0 {
        rustix::thread::set_keep_capabilities(true).named("prctl", b"KEEPCAPS")?;
    }
    rustix::thread::set_thread_groups(groups).named("setgroups", b"")?;
    let (uid, gid) = (Uid::from_raw(program.uid), Gid::from_raw(program.gid));
    rustix::thread::set_thread_res_gid(gid, gid, gid).named("setresgid", b"")?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).named("setresuid", b"")?;
    if program.uid != 0 {
        rustix::thread::set_keep_capabilities(false).named("prctl", b"KEEPCAPS")?;
    }
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

fn limits(program: &Program, pid: Option<Pid>) -> Done<'_> {
    for limit in &program.limits {
        let Some((.., resource)) = RESOURCES.iter().find(|(number, ..)| *number == limit.resource) else {
            continue;
        };
        let value = |n: u64| (n != u64::MAX).then_some(n);
        let wanted = Rlimit { current: value(limit.soft), maximum: value(limit.hard) };
        match prlimit(pid, *resource, wanted) {
            // Without CAP_SYS_RESOURCE: as much as there is.
            Err(Errno::PERM) => {
                let have = getrlimit(*resource).maximum.unwrap_or(u64::MAX);
                let (soft, hard) = (limit.soft.min(have), limit.hard.min(have));
                prlimit(pid, *resource, Rlimit { current: value(soft), maximum: value(hard) })
            }
            other => other,
        }
        .named("setrlimit", limit.name.as_bytes())?;
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

/// Ambient set, no_new_privs, seccomp, capabilities, execve: in this order. Behind the filter only capset, execve and the
/// report of a failure are needed; with a listener write and read as well.
///
/// Descriptors from `first_other` on are not the program's; `parent` is who said "go".
pub(super) fn execute<'a>(
    program: &'a Program,
    image: &Image,
    first_other: u32,
    parent: BorrowedFd<'_>,
) -> Done<'a, Never> {
    let (path, found) = look_up(program)?;
    rustix::thread::clear_ambient_capability_set().named("prctl", b"AMBIENT")?;
    for bit in (0..64).map(|shift| 1u64 << shift).filter(|bit| program.ambient & bit != 0) {
        let capability = CapabilitySet::from_bits_retain(bit);
        rustix::thread::configure_capability_in_ambient_set(capability, true).named("prctl", b"AMBIENT")?;
    }
    if program.init {
        dhow_sys::signals::block_all().named("block signals", b"")?;
    }
    cloexec_from(first_other).named("close_range", b"")?;
    restrict(program, Some(parent))?;
    let errno = image.execve(path);
    Err(Failure { step: "exec", object: found, errno, detail: "" })
}

/// The last of it: no new privileges, the filter, the final sets. `parent` is who takes the filter's listener; a hook has none, and
/// no filter where it would need one.
pub(super) fn restrict(program: &Program, parent: Option<BorrowedFd<'_>>) -> Done<'static> {
    if program.no_new_privileges {
        rustix::thread::set_no_new_privs(true).named("prctl", b"NO_NEW_PRIVS")?;
        // a filter then needs no right, and capset need not be allowed behind it
        capabilities(program, 0)?;
    }
    if !program.seccomp.is_empty() && (parent.is_some() || program.listener.is_none()) {
        let listener = crate::seccomp::load(&program.seccomp, program.seccomp_flags).named("seccomp", b"")?;
        if let (Some(listener), Some(parent)) = (listener, parent) {
            hand_over(listener, parent)?;
        }
    }
    if program.no_new_privileges { Ok(()) } else { capabilities(program, 0) }
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
