//! The child between clone and execve. It reads the plan and makes system calls: no allocation, no locks, no logging. A failure is one record.

mod console;
mod copy;
mod finish;
mod home;
mod hook;
mod mounts;
mod paths;
mod procfs;
mod reaper;
mod root;
mod walk;

pub(crate) use console::attach_terminal;
pub(crate) use finish::privileged;
pub(crate) use mounts::{attach, overlay};
pub(crate) use reaper::reap;

use crate::door::Apart;
use crate::plan::Body;
use crate::step;
use crate::wire::{self, Record};
use dhow_sys::clone::{Cloned, clone3_again, exit_now};
use dhow_sys::exec::{Image, close_except};
use dhow_sys::{clone::new, signals};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::Gid;
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

impl Failure<'_> {
    /// As the parent reports it.
    pub(crate) fn into_error(self) -> crate::Error {
        let object = String::from_utf8_lossy(self.object);
        crate::Error::os(self.step, object, self.errno).because(self.detail)
    }
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
    /// The signals that the parent ignores: its handlers went with the clone.
    pub(crate) ignored: u64,
    /// Whether there is a reaper between it and who started it.
    pub(crate) reaped: bool,
    /// It outlives the parent, and who says "go" comes through this door.
    pub(crate) apart: Option<&'a Apart<'a>>,
    /// The program's further groups, any number of them.
    pub(crate) groups: &'a [Gid],
    /// Mounts made outside.
    pub(crate) trees: &'a [OwnedFd],
    /// What the child's own hooks need, if there are any.
    pub(crate) hooks: Option<&'a HookImages>,
    /// Every descriptor of the above that stays open, in ascending order.
    pub(crate) keep: &'a [BorrowedFd<'a>],
    /// Whether a go-between entered the namespaces already.
    pub(crate) joined: bool,
}

impl Inherited<'_> {
    /// The first descriptor that is not the program's.
    fn first_other(&self) -> u32 {
        3 + self.apart.map_or(0, |apart| apart.preserve)
    }

    /// Whether the container's process is made by a go-between.
    pub(crate) fn go_between(&self) -> bool {
        let entered = !self.joins.is_empty() || self.netns.is_some();
        self.body.in_userns && !self.body.exec && entered
    }
}

/// Command lines and environments of hooks, and a file for what they write.
#[derive(Debug)]
pub(crate) struct HookImages {
    pub(crate) container: Vec<Image>,
    pub(crate) start: Vec<Image>,
    pub(crate) output: OwnedFd,
}

/// Hooks as the steps see them.
#[derive(Debug, Clone, Copy)]
struct Hooks<'a> {
    body: &'a Body,
    images: Option<&'a HookImages>,
    parent: &'a OwnedFd,
}

impl<'a> Hooks<'a> {
    /// Lets the parent run those outside.
    fn outside(&self) -> Done<'static> {
        wire::send(self.parent.as_fd(), &Record::hooks(), None).named("tell", b"parent")?;
        if wire::wait_go(self.parent.as_fd()) { Ok(()) } else { exit_now(3) }
    }

    fn stage(
        &self,
        of: impl Fn(&'a step::Hooks, &'a HookImages) -> (&'a [step::Hook], &'a [Image]),
    ) -> Option<hook::Stage<'a>> {
        let (hooks, images) = (self.body.hooks.as_ref()?, self.images?);
        let (list, prepared) = of(hooks, images);
        let (state, output) = (hooks.state.as_bytes(), images.output.as_fd());
        Some(hook::Stage { hooks: list, images: prepared, state, output })
    }

    fn container(&self, root: BorrowedFd<'_>) -> Done<'a> {
        let Some(stage) = self.stage(|hooks, images| (&hooks.create_container, &images.container)) else {
            return Ok(());
        };
        hook::run(&stage, b"creating", || rustix::process::fchdir(root).named("fchdir", b"root"))
    }

    fn start(&self) -> Done<'a> {
        let body = self.body;
        let Some(stage) = self.stage(|hooks, images| (&hooks.start_container, &images.start)) else {
            return Ok(());
        };
        hook::run(&stage, b"created", || finish::restrict(&body.program, None))
    }
}

/// No process of a container may trace this one, look at its descriptors or open its program before it is one of them. Said before the clone, so
/// that the child is born with it.
pub(crate) fn keep_private() -> rustix::io::Result<()> {
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
}

/// Runs the child to its end.
pub(crate) fn run(inherited: &Inherited<'_>, image: &mut Image) -> ! {
    let mut kept = Kept::default();
    let failure = match set_up(inherited, image, &mut kept) {
        Ok(never) => match never {},
        Err(failure) => failure,
    };
    // If the parent is gone there is nobody to tell.
    let listener = kept.caller.as_ref().unwrap_or(inherited.parent);
    let mut buffer = [0; 1024];
    let said = match inherited.hooks {
        Some(hooks) if failure.errno == wire::HOOK_FAILED => hook::said(hooks.output.as_fd(), &mut buffer),
        _ => b"",
    };
    let told = wire::send(listener.as_fd(), &Record::failed(&failure, said), None);
    exit_now(if told.is_ok() { 1 } else { 2 })
}

/// What must stay open until a failure is told.
#[derive(Default)]
struct Kept {
    /// Who said "go", if not the parent.
    caller: Option<OwnedFd>,
    /// Closing the last one sends SIGHUP to this very process, once the terminal is its own.
    master: Option<OwnedFd>,
}

enum Never {}

/// How a go-between ends that made the container's process, and said so.
pub(crate) const BORN: i32 = 0;
/// How it ends when it could not, and said why.
pub(crate) const UNBORN: i32 = 1;

/// Runs the go-between that enters namespaces which the container's process must be born in: no process leaves a user namespace
/// again, and what is joined before a new one is made must be joined with the host's privileges.
pub(crate) fn go_between(inherited: &Inherited<'_>, cgroup: Option<BorrowedFd<'_>>, image: &mut Image) -> ! {
    let born = die_with_parent(inherited)
        .and_then(|()| join(inherited))
        .and_then(|()| clone3_again(inherited.body.namespaces, cgroup, true).named("clone3", b"container"));
    let (told, code) = match born {
        Ok(Cloned::Child) => run(&Inherited { joined: true, ..*inherited }, image),
        Ok(Cloned::Parent { pid, pidfd }) => {
            (wire::send(inherited.parent.as_fd(), &Record::born(pid), Some(pidfd.as_fd())), BORN)
        }
        Err(failure) => (wire::send(inherited.parent.as_fd(), &Record::failed(&failure, b""), None), UNBORN),
    };
    exit_now(if told.is_ok() { code } else { 2 })
}

/// A descriptor that is not closed where it was used: one call closes all of them before the container's user can name any.
type Held = std::mem::ManuallyDrop<OwnedFd>;

fn set_up<'a>(inherited: &Inherited<'a>, image: &mut Image, kept: &mut Kept) -> Done<'a, Never> {
    signals::reset(inherited.ignored);
    signals::unblock_all();
    if inherited.reaped && !wire::wait_go(inherited.parent.as_fd()) {
        // Who started it must know it before it says a word.
        exit_now(3);
    }
    die_with_parent(inherited)?;
    let body: &'a Body = inherited.body;
    finish::affinity(&body.program.affinity)?;
    for tasks in inherited.tasks {
        rustix::io::write(tasks, b"0").named("join cgroup", b"tasks")?;
    }
    finish::affinity(&body.program.final_affinity)?;
    rustix::process::setsid().named("setsid", b"")?;
    stdio(inherited)?;
    close_except(inherited.first_other(), inherited.keep).named("close_range", b"")?;
    // Not before the parent knows of this process.
    if inherited.joined && !wire::wait_go(inherited.parent.as_fd()) {
        exit_now(3);
    }
    rustix::process::umask(rustix::fs::Mode::empty());
    finish::before_mounts(&body.program, body.in_userns)?;
    if !inherited.joined {
        join(inherited)?;
    }
    if let Some(offsets) = &body.time_offsets {
        finish::time_namespace(offsets)?;
    }
    if body.in_userns && !body.exec {
        if body.user.is_some() && !wire::wait_go(inherited.parent.as_fd()) {
            exit_now(3);
        }
        finish::root_of_namespace()?;
        die_with_parent(inherited)?;
    }
    let hooks = Hooks { body, images: inherited.hooks, parent: inherited.parent };
    let mut walker = walk::Walker::new(inherited.size, inherited.trees, hooks);
    if body.exec {
        walker.root_is_own()?;
    }
    for step in &body.steps {
        walker.step(step)?;
    }
    kept.master = walker.master.take();
    let slave = walker.slave.take();
    // No folder stays open that a working directory could name.
    let terminal = [kept.master.as_ref(), slave.as_ref()].into_iter().flatten().map(AsFd::as_fd);
    let door = inherited.apart.and_then(|apart| apart.door);
    let output = inherited.hooks.map(|hooks| hooks.output.as_fd());
    close_others(inherited, terminal.chain(door).chain(output))?;
    if let Some(terminal) = slave {
        attach_terminal(terminal.as_fd())?;
    }
    if body.program.home {
        home::set(body.program.uid, image)?;
    }
    finish::identity(&body.program, inherited.groups, body.in_userns)?;
    // A change of user clears the first, and where fs.suid_dumpable is 1 the second.
    die_with_parent(inherited)?;
    keep_private().named("prctl", b"DUMPABLE")?;
    if inherited.apart.is_some() {
        // Who creates is told; who starts may come much later.
        finish::find(&body.program)?;
    }
    wire::send(inherited.parent.as_fd(), &Record::ready(), kept.master.as_ref().map(AsFd::as_fd))
        .named("tell", b"parent")?;
    kept.master = None;
    if !await_go(inherited, &mut kept.caller) {
        exit_now(3);
    }
    hooks.start()?;
    let starter = kept.caller.as_ref().unwrap_or(inherited.parent);
    finish::execute(&body.program, image, inherited.first_other(), starter.as_fd())
}

fn die_with_parent(inherited: &Inherited<'_>) -> Done<'static> {
    // Whoever kills all there is in the container, reapers too, goes on: its end is the container's.
    if inherited.apart.is_some() || inherited.reaped {
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

/// Closes all but the streams, the socket to the parent, what the program inherits, and `wanted`.
fn close_others<'a>(
    inherited: &Inherited<'a>,
    wanted: impl Iterator<Item = BorrowedFd<'a>>,
) -> Done<'static> {
    let mut keep = [inherited.parent.as_fd(); 12];
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
        let flags = u32::try_from(inherited.body.entered).unwrap_or(0);
        let flags = ThreadNameSpaceType::from_bits_retain(flags);
        return rustix::thread::move_into_thread_name_spaces(target, flags)
            .named("setns", b"of the container");
    }
    if let Some(netns) = inherited.netns {
        rustix::thread::move_into_link_name_space(netns, Some(LinkNameSpaceType::Network))
            .named("setns", b"network namespace")?;
    }
    for (flag, fd) in inherited.joins {
        let (kind, object) = match *flag {
            new::IPC => (LinkNameSpaceType::InterProcessCommunication, &b"ipc namespace"[..]),
            new::UTS => (LinkNameSpaceType::HostNameAndNISDomainName, &b"uts namespace"[..]),
            new::CGROUP => (LinkNameSpaceType::ControlGroup, &b"cgroup namespace"[..]),
            new::NET => (LinkNameSpaceType::Network, &b"network namespace"[..]),
            new::TIME => (LinkNameSpaceType::Time, &b"time namespace"[..]),
            new::MOUNT => (LinkNameSpaceType::Mount, &b"mount namespace"[..]),
            new::USER => (LinkNameSpaceType::User, &b"user namespace"[..]),
            // Only a go-between's children would be in it: where there is none the parent entered it.
            new::PID if inherited.go_between() => (LinkNameSpaceType::ProcessID, &b"pid namespace"[..]),
            _ => continue,
        };
        rustix::thread::move_into_link_name_space(fd.as_fd(), Some(kind)).named("setns", object)?;
    }
    Ok(())
}
