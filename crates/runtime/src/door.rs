//! Processes that outlive who made them: they wait behind a door, a listening SEQPACKET socket in a folder, until somebody comes through it and
//! says "go". Execve closes it, and so does their end: a door on which nobody listens is no waiting process.

use crate::Error;
use crate::agent::{self, Pids};
use crate::code::Code;
use crate::plan::Plan;
use crate::step::Listener;
use crate::wire::{self, Answer};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::path::Path;

/// How a process lives on without its parent.
#[derive(Debug, Clone, Copy, Default)]
pub struct Apart<'a> {
    /// From [`listen`]: where "go" comes from. None: from [`crate::Process::go`].
    pub door: Option<BorrowedFd<'a>>,
    /// How many descriptors from 3 on its program inherits; all of them must be open.
    pub preserve: u32,
}

/// The door's name in its folder.
const NAME: &str = "door";

/// Calls `f` with the door's address, also where the path is longer than an address may be.
fn with_address<T>(
    dir: &Path,
    f: impl FnOnce(&SocketAddrUnix) -> rustix::io::Result<T>,
) -> rustix::io::Result<T> {
    if let Ok(address) = SocketAddrUnix::new(dir.join(NAME)) {
        return f(&address);
    }
    let folder = open(dir, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    f(&SocketAddrUnix::new(format!("/proc/self/fd/{}/{NAME}", folder.as_raw_fd()))?)
}

fn new_socket(flags: SocketFlags) -> rustix::io::Result<OwnedFd> {
    socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags | SocketFlags::CLOEXEC, None)
}

/// Makes the door in `dir`, for [`Apart::door`].
///
/// # Errors
/// If the socket cannot be made or bound.
pub fn listen(dir: &Path) -> Result<OwnedFd, Error> {
    let bound = || {
        let socket = new_socket(SocketFlags::empty())?;
        with_address(dir, |address| rustix::net::bind(&socket, address))?;
        rustix::net::listen(&socket, 16)?;
        Ok(socket)
    };
    bound().map_err(|e| Error::os("listen", dir.join(NAME).display(), e))
}

/// Who stands in the door of a waiting process.
#[derive(Debug)]
pub struct Caller(OwnedFd);

/// Comes to the door in `dir`. None: nobody waits behind it (any more).
///
/// # Errors
/// If that cannot be said.
pub fn knock(dir: &Path) -> Result<Option<Caller>, Error> {
    let connected = || {
        let socket = new_socket(SocketFlags::empty())?;
        with_address(dir, |address| rustix::net::connect(&socket, address))?;
        Ok(Caller(socket))
    };
    match connected() {
        Ok(caller) => Ok(Some(caller)),
        Err(Errno::CONNREFUSED | Errno::NOENT) => Ok(None),
        Err(e) => Err(Error::os("connect", dir.join(NAME).display(), e)),
    }
}

/// Who is sent the listener of a filter that notifies (`linux.seccomp.listenerPath`): what the maker of a process keeps for who says "go".
#[derive(Debug)]
pub struct Agent(Listener);

impl Agent {
    /// None: the filter does not notify.
    #[must_use]
    pub fn of(plan: &Plan) -> Option<Self> {
        plan.body.program.listener.clone().map(Self)
    }

    /// As bytes for another process of the same version.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.0.put(&mut out);
        out
    }

    /// The inverse of [`Agent::encode`].
    ///
    /// # Errors
    /// If the bytes are no agent.
    pub fn decode(mut bytes: &[u8]) -> Result<Self, Error> {
        let listener = Listener::take(&mut bytes).filter(|_| bytes.is_empty());
        listener.map(Self).ok_or_else(|| Error::invalid("encoded agent", "it is damaged"))
    }
}

impl Caller {
    /// As [`crate::Process::go`] of the container's first process `pid`, but what was made stays: a container that failed to start has
    /// ended, and is for its owner to delete.
    ///
    /// # Errors
    /// As [`crate::Process::go`]; ECONNRESET if another caller was faster.
    pub fn go(self, pid: Pid, agent: Option<&Agent>) -> Result<(), Error> {
        let pidfd = pidfd_open(pid, PidfdFlags::empty())
            .map_err(|e| Error::os("open process", pid.as_raw_nonzero(), e))?;
        let mut answer = self.say_go()?;
        if let (Answer::Listener(number), Some(Agent(listener))) = (&answer, agent) {
            agent::send(listener, pidfd.as_fd(), *number, Pids { own: pid, container: pid })?;
            answer = self.say_go()?;
        }
        match answer {
            Answer::Closed => Ok(()),
            Answer::Failed(error) => Err(error),
            Answer::Ready(_) | Answer::Listener(_) | Answer::Hooks | Answer::Born(..) => {
                Err(Error::os("exec", "the process answers out of turn", Errno::PROTO))
            }
        }
    }

    fn say_go(&self) -> Result<Answer, Error> {
        wire::go(self.0.as_fd())
            .and_then(|()| wire::receive(self.0.as_fd()))
            .map_err(|e| Error::os("exec", "the process does not answer", e))
    }
}
