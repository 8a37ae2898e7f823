//! The child between clone and execve. It reads the plan and makes system calls: no allocation, no locks, no logging. A failure is one record.

mod console;
mod finish;
mod home;
mod mounts;
mod paths;
mod procfs;
mod walk;

pub(crate) use console::attach_terminal;

use crate::door::Apart;
use crate::plan::Body;
use crate::wire::{self, Record};
use dhow_sys::clone::exit_now;
use dhow_sys::exec::{Image, close_except};
use dhow_sys::{clone::new, signals};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::Signal;
use rustix::thread::{LinkNameSpaceType, ThreadNameSpaceType};

/// A failed step, without owning anything.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Failure<'a> {
    pub(crate) step: &'static str,
    pub(crate) object: &'a [u8],
    pub(crate) errno: Errno,
    pub(crate) detail: &'static str,
}

pub(crate) type Done<'a, T = ()> = Result<T, Failure<'a>>;

/// Names the failed step of a kernel's answer.
pub(crate) trait Named<T> {
    fn named<'a>(self, step: &'static str, object: &'a [u8]) -> Done<'a, T>;
}

impl<T> Named<T> for rustix::io::Result<T> {
    fn named<'a>(self, step: &'static str, object: &'a [u8]) -> Done<'a, T> {
        self.map_err(|errno| Failure { step, object, errno, detail: "" })
    }
}

/// Everything the parent prepared.
pub(crate) struct Inherited<'a> {
    pub(crate) body: &'a Body,
    /// Our end of the socket to the parent: records out, "go" in; closed by execve.
    pub(crate) parent: &'a OwnedFd,
    /// v1: `tasks` files to join by.
    pub(crate) tasks: &'a [OwnedFd],
    /// Namespaces to enter by descriptor, except pid, with their flags.
    pub(crate) joins: &'a [(u64, OwnedFd)],
    pub(crate) netns: Option<BorrowedFd<'a>>,
    /// An exec: the container's init.
    pub(crate) target: Option<BorrowedFd<'a>>,
    pub(crate) stdio: Option<[BorrowedFd<'a>; 3]>,
    pub(crate) size: (u16, u16),
    /// It outlives the parent, and who says "go" comes through this door.
    pub(crate) apart: Option<&'a Apart<'a>>,
}

impl Inherited<'_> {
    /// The first descriptor that is not the program's.
    fn first_other(&self) -> u32 {
        3 + self.apart.map_or(0, |apart| apart.preserve)
    }
}

/// No process of a container may trace this one, look at its descriptors or open its program before it is one of them. Said before the clone, so
/// that the child is born with it.
pub(crate) fn keep_private() -> rustix::io::Result<()> {
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
}

/// Runs the child to its end.
pub(crate) fn run(inherited: &Inherited<'_>, image: &mut Image) -> ! {
    let mut caller = None;
    let failure = match set_up(inherited, image, &mut caller) {
        Ok(never) => match never {},
        Err(failure) => failure,
    };
    // If the parent is gone there is nobody to tell.
    let listener = caller.as_ref().unwrap_or(inherited.parent);
    let told = wire::send(listener.as_fd(), &Record::failed(&failure), None);
    exit_now(if told.is_ok() { 1 } else { 2 })
}

enum Never {}

fn set_up<'a>(inherited: &Inherited<'a>, image: &mut Image, caller: &mut Option<OwnedFd>) -> Done<'a, Never> {
    signals::reset_all();
    die_with_parent(inherited)?;
    for tasks in inherited.tasks {
        rustix::io::write(tasks, b"0").named("join cgroup", b"tasks")?;
    }
    rustix::process::setsid().named("setsid", b"")?;
    stdio(inherited)?;
    close_others(inherited)?;
    rustix::process::umask(rustix::fs::Mode::empty());
    let body: &'a Body = inherited.body;
    finish::before_mounts(&body.program)?;
    join(inherited)?;
    let mut walker = walk::Walker::new(inherited.size);
    if body.exec {
        walker.root_is_own()?;
    }
    for step in &body.steps {
        walker.step(step)?;
    }
    let (master, slave) = (walker.master.take(), walker.slave.take());
    // No folder stays open that a working directory could name.
    drop(walker);
    if let Some(terminal) = slave {
        attach_terminal(terminal.as_fd())?;
    }
    if body.program.home {
        home::set(body.program.uid, image)?;
    }
    finish::identity(&body.program)?;
    // A change of user clears the first, and where fs.suid_dumpable is 1 the second.
    die_with_parent(inherited)?;
    keep_private().named("prctl", b"DUMPABLE")?;
    if inherited.apart.is_some() {
        // Who creates is told; who starts may come much later.
        finish::find(&body.program)?;
    }
    // The parent that gives the listener to the agent is gone when somebody comes through a door.
    let early = body.program.listener.is_some() && inherited.apart.is_some_and(|apart| apart.door.is_some());
    if early {
        finish::confine(&body.program, inherited.parent.as_fd())?;
    }
    wire::send(inherited.parent.as_fd(), &Record::ready(), master.as_ref().map(AsFd::as_fd))
        .named("tell", b"parent")?;
    drop(master);
    if !await_go(inherited, caller) {
        exit_now(3);
    }
    finish::execute(
        &body.program,
        image,
        inherited.first_other(),
        (!early).then_some(inherited.parent.as_fd()),
    )
}

fn die_with_parent(inherited: &Inherited<'_>) -> Done<'static> {
    if inherited.apart.is_some() {
        return Ok(());
    }
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).named("prctl", b"PDEATHSIG")
}

/// Waits for "go" of the parent, or of whoever comes through the door; a caller that leaves without a word only looked.
fn await_go(inherited: &Inherited<'_>, caller: &mut Option<OwnedFd>) -> bool {
    let Some(door) = inherited.apart.and_then(|apart| apart.door) else {
        return wire::wait_go(inherited.parent.as_fd());
    };
    loop {
        match rustix::net::accept_with(door, rustix::net::SocketFlags::CLOEXEC) {
            Ok(socket) if wire::wait_go(socket.as_fd()) => {
                *caller = Some(socket);
                return true;
            }
            Ok(_) | Err(Errno::INTR | Errno::CONNABORTED) => {}
            Err(_) => return false,
        }
    }
}

/// Puts the three streams in place.
fn stdio(inherited: &Inherited<'_>) -> Done<'static> {
    let Some([stdin, stdout, stderr]) = inherited.stdio else { return Ok(()) };
    // The parent made sure that none of the three is below 3.
    rustix::stdio::dup2_stdin(stdin).named("dup2", b"stdin")?;
    rustix::stdio::dup2_stdout(stdout).named("dup2", b"stdout")?;
    rustix::stdio::dup2_stderr(stderr).named("dup2", b"stderr")
}

/// Closes all that this process has no business with.
fn close_others(inherited: &Inherited<'_>) -> Done<'static> {
    let mut keep = [inherited.parent.as_fd(); 12];
    let wanted =
        inherited.joins.iter().map(|(_, fd)| fd.as_fd()).chain(inherited.netns).chain(inherited.target);
    let wanted = wanted.chain(inherited.apart.and_then(|apart| apart.door));
    let mut count = 1;
    for fd in wanted {
        *keep.get_mut(count).ok_or(Errno::MFILE).named("keep descriptor", b"")? = fd;
        count += 1;
    }
    let keep = keep.get_mut(..count).ok_or(Errno::MFILE).named("keep descriptor", b"")?;
    keep.sort_unstable_by_key(AsRawFd::as_raw_fd);
    close_except(inherited.first_other(), keep).named("close_range", b"")
}

fn join(inherited: &Inherited<'_>) -> Done<'static> {
    if let Some(target) = inherited.target {
        let all = ThreadNameSpaceType::MOUNT
            | ThreadNameSpaceType::CONTROL_GROUP
            | ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME
            | ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION
            | ThreadNameSpaceType::NETWORK;
        return rustix::thread::move_into_thread_name_spaces(target, all).named("setns", b"of the container");
    }
    for (flag, fd) in inherited.joins {
        let kind = match *flag {
            new::IPC => LinkNameSpaceType::InterProcessCommunication,
            new::UTS => LinkNameSpaceType::HostNameAndNISDomainName,
            new::CGROUP => LinkNameSpaceType::ControlGroup,
            new::NET => LinkNameSpaceType::Network,
            _ => continue,
        };
        rustix::thread::move_into_link_name_space(fd.as_fd(), Some(kind))
            .named("setns", b"joined namespace")?;
    }
    if let Some(netns) = inherited.netns {
        rustix::thread::move_into_link_name_space(netns, Some(LinkNameSpaceType::Network))
            .named("setns", b"network namespace")?;
    }
    Ok(())
}
