//! Apply: from a plan to a process.

use crate::cgroup::apply::{Doors, Made};
use crate::child::{self, HookImages, Inherited};
use crate::door::Apart;
use crate::plan::{Body, Plan};
use crate::process::{Process, Reaper, Undo};
use crate::wire::{self, Answer};
use crate::{Error, birth, step, trees};
use dhow_sys::clone::new;
use dhow_sys::exec::{Image, close_all};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{FileType, Gid, Mode, OFlags, Uid, open};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::path::{Path, PathBuf};

/// The three standard descriptors of the new process; or a terminal.
#[derive(Debug)]
pub enum Stdio<'a> {
    /// stdin, stdout, stderr.
    Fds([BorrowedFd<'a>; 3]),
    /// A terminal is made in the container's devpts; its master comes back in [`Process::console`].
    Terminal {
        /// Rows and columns.
        size: (u16, u16),
    },
}

/// Makes namespaces, cgroups, mounts; returns when the child waits for "go". Must be called in a single-threaded process.
///
/// # Errors
/// The step that failed; nothing made is left.
pub fn create(plan: &Plan, netns: Option<BorrowedFd<'_>>, stdio: Stdio<'_>) -> Result<Process, Error> {
    first(plan, netns, stdio, None)
}

/// As [`create`], for a process that outlives its parent: after [`Process::leave`] it goes on by itself.
///
/// # Errors
/// As [`create`], and what of [`Process::go`] can be known before: a program that is not there.
pub fn create_apart(plan: &Plan, stdio: Stdio<'_>, apart: &Apart<'_>) -> Result<Process, Error> {
    first(plan, None, stdio, Some(apart))
}

fn first(
    plan: &Plan,
    netns: Option<BorrowedFd<'_>>,
    stdio: Stdio<'_>,
    apart: Option<&Apart<'_>>,
) -> Result<Process, Error> {
    let body = &plan.body;
    if body.exec {
        return Err(Error::invalid("plan", "is for an additional process of a container"));
    }
    if body.netns_passed != netns.is_some() {
        return Err(Error::invalid("netns", "the plan and the descriptor passed do not agree"));
    }
    let mut undo = Undo::default();
    if let Some(overlay) = &body.overlay {
        layers(overlay, &mut undo.folders)?;
    }
    undo.cgroups = Some(Made::new(&body.cgroups)?);
    start(body, netns, None, None, stdio, undo, apart)
}

/// Starts an additional process in the container whose init has `pid`. Same guarantees as [`create`].
///
/// # Errors
/// As [`create`].
pub fn exec(plan: &Plan, pid: Pid, stdio: Stdio<'_>) -> Result<Process, Error> {
    further(plan, pid, stdio, None)
}

/// As [`exec`], for a process that outlives its parent.
///
/// # Errors
/// As [`exec`], and what of [`Process::go`] can be known before.
pub fn exec_apart(plan: &Plan, pid: Pid, stdio: Stdio<'_>, apart: &Apart<'_>) -> Result<Process, Error> {
    further(plan, pid, stdio, Some(apart))
}

fn further(plan: &Plan, pid: Pid, stdio: Stdio<'_>, apart: Option<&Apart<'_>>) -> Result<Process, Error> {
    if !plan.body.exec {
        return Err(Error::invalid("plan", "is for a container's first process"));
    }
    let pidfd = pidfd_open(pid, PidfdFlags::empty())
        .map_err(|e| Error::os("exec in container", pid.as_raw_nonzero(), e))?;
    start(&plan.body, None, Some(pidfd.as_fd()), Some(pid), stdio, Undo::default(), apart)
}

/// The three descriptors, or the size of a terminal.
struct Streams<'a> {
    fds: Option<[BorrowedFd<'a>; 3]>,
    size: (u16, u16),
}

fn streams<'a>(body: &Body, stdio: Stdio<'a>) -> Result<Streams<'a>, Error> {
    let (streams, size) = match stdio {
        Stdio::Fds(streams) => (Some(streams), (0, 0)),
        Stdio::Terminal { size: (0, 0) } => (None, (body.program.rows, body.program.columns)),
        Stdio::Terminal { size } => (None, size),
    };
    if body.program.terminal != streams.is_none() {
        return Err(Error::invalid("stdio", "the plan and the streams passed do not agree about a terminal"));
    }
    if let (Some(streams), Some(owner)) = (&streams, body.stdio_owner) {
        own_pipes(streams, owner)?;
    }
    Ok(Streams { fds: streams, size })
}

fn start(
    body: &Body,
    netns: Option<BorrowedFd<'_>>,
    target: Option<BorrowedFd<'_>>,
    container: Option<Pid>,
    stdio: Stdio<'_>,
    undo: Undo,
    apart: Option<&Apart<'_>>,
) -> Result<Process, Error> {
    let mut image = Image::new(&body.program.args, &body.program.env);
    let groups: Vec<Gid> = body.program.groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
    let doors = Doors::open(&body.cgroups)?;
    let joins = joins(&body.joins)?;
    not_ours(body, &joins)?;
    let trees = trees::make(body)?;
    let hooks = body.hooks.as_ref().map(|hooks| hook_images(hooks, body)).transpose()?;
    let Streams { fds: streams, size } = streams(body, stdio)?;
    let copies = streams.map(high).transpose()?;
    let streams = copies.as_ref().zip(streams).map(above);
    let (parent, child) = wire::pair().map_err(|e| Error::os("socketpair", "for the child", e))?;
    let mut keep: Vec<BorrowedFd<'_>> =
        joins.iter().map(|(_, fd)| fd).chain(&trees).map(AsFd::as_fd).collect();
    keep.extend(
        [Some(child.as_fd()), netns, target, apart.and_then(|apart| apart.door)].into_iter().flatten(),
    );
    keep.extend(hooks.as_ref().map(|hooks| hooks.output.as_fd()));
    keep.sort_unstable_by_key(AsRawFd::as_raw_fd);
    // Who goes apart has nobody to stay for.
    let status = if container.is_some() && apart.is_none() { Some(status_pipe()?) } else { None };
    let inherited = Inherited {
        body,
        parent: &child,
        tasks: &doors.tasks,
        joins: &joins,
        netns,
        target,
        stdio: streams,
        ignored: dhow_sys::signals::ignored(),
        size,
        groups: &groups,
        trees: &trees,
        hooks: hooks.as_ref(),
        keep: &keep,
        joined: false,
        reaped: status.is_some(),
        apart,
    };
    child::keep_private().map_err(|e| Error::os("prctl", "DUMPABLE", e))?;
    let (status, end) = status.unzip();
    let birth::Born { pid, pidfd, reaper } =
        birth::process(&inherited, &doors, container, parent.as_fd(), end.as_ref(), &mut image)?;
    let reaper = reaper.zip(status).map(|((pid, pidfd), status)| Reaper {
        pid,
        pidfd: Some(pidfd),
        status,
        gone: false,
    });
    let Doors { tasks, folder } = doors;
    let held = tasks.into_iter().chain(folder).chain(joins.into_iter().map(|(_, fd)| fd));
    close_all(held.chain(trees).chain(hooks.map(|hooks| hooks.output)).chain([child]).chain(end).collect());
    let mut process = Process {
        pid,
        pidfd,
        reaper,
        socket: parent,
        console: None,
        mount_namespace: None,
        agent: body.program.listener.clone().map(|agent| (agent, container.unwrap_or(pid))),
        waiting: true,
        made: undo,
    };
    process.accompany(body)?;
    if let Some(cgroups) = &mut process.made.cgroups {
        cgroups.entered();
    }
    let path = format!("/proc/{}/ns/mnt", process.pid.as_raw_nonzero());
    process.mount_namespace = Some(
        open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|e| Error::os("open", &path, e))?,
    );
    Ok(process)
}

/// By which a reaper says how its process ended.
fn status_pipe() -> Result<(OwnedFd, OwnedFd), Error> {
    let flags = rustix::pipe::PipeFlags::CLOEXEC | rustix::pipe::PipeFlags::NONBLOCK;
    rustix::pipe::pipe_with(flags).map_err(|e| Error::os("pipe", "for an exit status", e))
}

/// The command lines of the child's hooks. Without an environment of its own a hook has the program's.
fn hook_images(hooks: &step::Hooks, body: &Body) -> Result<HookImages, Error> {
    let images = |list: &[step::Hook]| {
        let env =
            |hook: &step::Hook| if hook.env.is_empty() { body.program.env.clone() } else { hook.env.clone() };
        list.iter().map(|hook| Image::new(&hook.args, &env(hook))).collect()
    };
    Ok(HookImages {
        container: images(&hooks.create_container),
        start: images(&hooks.start_container),
        output: crate::hooks::memory().map_err(|e| Error::os("memfd_create", "for hooks", e))?,
    })
}

pub(crate) fn receive(socket: BorrowedFd<'_>) -> Result<Answer, Error> {
    wire::receive(socket).map_err(|e| Error::os("receive", "from the child", e))
}

/// Copies above the standard descriptors of what is not there already, so that putting one in place does not cover another.
fn high(streams: [BorrowedFd<'_>; 3]) -> Result<[Option<OwnedFd>; 3], Error> {
    let copy = |fd: BorrowedFd<'_>| {
        if fd.as_raw_fd() > 2 {
            return Ok(None);
        }
        rustix::io::fcntl_dupfd_cloexec(fd, 3)
            .map(Some)
            .map_err(|e| Error::os("dup", format_args!("stdio {}", fd.as_raw_fd()), e))
    };
    let [stdin, stdout, stderr] = streams;
    Ok([copy(stdin)?, copy(stdout)?, copy(stderr)?])
}

/// The copies where there are some, else the streams themselves.
fn above<'a>((copies, streams): (&'a [Option<OwnedFd>; 3], [BorrowedFd<'a>; 3])) -> [BorrowedFd<'a>; 3] {
    let ([a, b, c], [stdin, stdout, stderr]) = (copies, streams);
    [(a, stdin), (b, stdout), (c, stderr)].map(|(copy, fd)| copy.as_ref().map_or(fd, AsFd::as_fd))
}

/// Gives pipes to the program's user as the host counts, so that it can open /dev/stdout again: the owner that they have is nobody in
/// its user namespace, who cannot be changed from there.
fn own_pipes(streams: &[BorrowedFd<'_>; 3], owner: u32) -> Result<(), Error> {
    for stream in streams {
        let failed = |e| Error::os("chown", "stdio", e);
        let stat = rustix::fs::fstat(stream).map_err(failed)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Fifo && stat.st_uid != owner {
            rustix::fs::fchown(stream, Some(Uid::from_raw(owner)), None).map_err(failed)?;
        }
    }
    Ok(())
}

fn joins(joins: &[step::Join]) -> Result<Vec<(u64, OwnedFd)>, Error> {
    let open = |join: &step::Join| {
        let fd = open(join.path.as_c_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|e| Error::os("open namespace", join.path.to_string_lossy(), e))?;
        Ok((join.flag, fd))
    };
    joins.iter().map(open).collect()
}

/// A namespace that is joined may be the caller's own, which is the host's: nothing that is set for the container may be set there.
fn not_ours(body: &Body, joins: &[(u64, OwnedFd)]) -> Result<(), Error> {
    for (flag, fd) in joins {
        let Some(step) = body.steps.iter().find(|step| step.changes() == Some(*flag)) else { continue };
        let own = match *flag {
            new::NET => "/proc/self/ns/net",
            new::IPC => "/proc/self/ns/ipc",
            new::UTS => "/proc/self/ns/uts",
            _ => continue,
        };
        let failed = |e| Error::os("stat namespace", own, e);
        let (joined, own) = (rustix::fs::fstat(fd).map_err(failed)?, rustix::fs::stat(own).map_err(failed)?);
        if (joined.st_dev, joined.st_ino) == (own.st_dev, own.st_ino) {
            return Err(Error::invalid(
                "linux.namespaces",
                format_args!("{step}: the namespace that is joined is the host's, which it would change"),
            ));
        }
    }
    Ok(())
}

/// Makes the writable layer's folders with the owner and mode of the image's root.
pub(crate) fn layers(overlay: &step::Overlay, made: &mut Vec<PathBuf>) -> Result<(), Error> {
    let stat = overlay.top.as_ref().map(rustix::fs::stat).transpose();
    let stat = stat
        .map_err(|e| Error::os("stat layer", overlay.top.as_deref().unwrap_or(Path::new("")).display(), e))?;
    if overlay.volatile {
        // The mark of an earlier volatile mount: the kernel refuses another one, as a power cut may have been between. Nobody counts on
        // this content outliving one.
        let mark = overlay.work.join("work/incompat/volatile");
        match std::fs::remove_dir_all(&mark) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io("remove", mark.display(), &e));
            }
            _ => {}
        }
    }
    for (path, is_upper) in [(&overlay.upper, true), (&overlay.work, false)] {
        match rustix::fs::mkdir(path, Mode::from_raw_mode(0o700)) {
            Ok(()) => made.push(path.clone()),
            Err(Errno::EXIST) => continue,
            Err(e) => return Err(Error::os("mkdir", path.display(), e)),
        }
        if let (true, Some(stat)) = (is_upper, &stat) {
            let (uid, gid) = (rustix::fs::Uid::from_raw(stat.st_uid), rustix::fs::Gid::from_raw(stat.st_gid));
            rustix::fs::chown(path, Some(uid), Some(gid))
                .map_err(|e| Error::os("chown", path.display(), e))?;
            rustix::fs::chmod(path, Mode::from_raw_mode(stat.st_mode & 0o7777))
                .map_err(|e| Error::os("chmod", path.display(), e))?;
        }
    }
    Ok(())
}
