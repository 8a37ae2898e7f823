//! What a process gets from its caller: the three streams or a terminal, and further descriptors.

use crate::arguments::Arguments;
use crate::failure::Failure;
use dhow_runtime::{Process, Stdio};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::IoSlice;
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags,
    SocketType,
};
use std::mem::MaybeUninit;
use std::path::Path;

/// Where a terminal's master goes.
#[derive(Debug)]
pub(crate) enum Terminal {
    /// There is none.
    None,
    /// To the socket that the caller listens on.
    Socket(OwnedFd),
    /// To us: we pass on what is typed.
    Own,
}

impl Terminal {
    /// Checks that the flags fit each other; `stays` is whether we live as long as the process.
    pub(crate) fn choose(arguments: &Arguments, wanted: bool, stays: bool) -> Result<Self, Failure> {
        let socket = arguments.text("console-socket").filter(|path| !path.is_empty());
        match (wanted, socket) {
            (false, None) => Ok(Self::None),
            (true, None) if stays => Ok(Self::Own),
            (true, None) => {
                Err(Failure::new("cannot allocate tty if runc will detach without setting console socket"))
            }
            (true, Some(path)) if !stays => Ok(Self::Socket(connect(Path::new(path))?)),
            (_, Some(_)) => {
                Err(Failure::new("cannot use console socket if runc will not detach or allocate tty"))
            }
        }
    }

    /// The streams of the new process.
    pub(crate) fn stdio(&self, size: (u16, u16)) -> Stdio<'static> {
        match self {
            Self::None => {
                Stdio::Fds([rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()])
            }
            Self::Socket(_) | Self::Own => Stdio::Terminal { size },
        }
    }

    /// Sends the master where it belongs; ours comes back.
    pub(crate) fn deliver(&self, process: &mut Process) -> Result<Option<OwnedFd>, Failure> {
        let Some(master) = process.console() else { return Ok(None) };
        match self {
            Self::Socket(socket) => send(socket, &master).map(|()| None),
            Self::None | Self::Own => Ok(Some(master)),
        }
    }
}

fn connect(path: &Path) -> Result<OwnedFd, Failure> {
    let connected = || {
        let flags = SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
        Ok(socket)
    };
    connected().map_err(|e: rustix::io::Errno| Failure::file("connect to the console socket", path, e))
}

/// One message: the terminal's name with its master, as runc sends it.
fn send(socket: &OwnedFd, master: &OwnedFd) -> Result<(), Failure> {
    let fds = [master.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&fds));
    let name = [IoSlice::new(b"/dev/ptmx")];
    rustix::io::retry_on_intr(|| rustix::net::sendmsg(socket, &name, &mut control, SendFlags::NOSIGNAL))
        .map(drop)
        .map_err(|e| Failure::new(format!("send the terminal to the console socket: {e}")))
}

/// How many descriptors from 3 on the process inherits: systemd's, then those the caller asked for. Returns also how many are systemd's.
pub(crate) fn inherited(arguments: &Arguments) -> Result<(u32, u32), Failure> {
    let own = std::process::id().to_string();
    let activated = std::env::var("LISTEN_PID").is_ok_and(|pid| pid == own);
    let listen = std::env::var("LISTEN_FDS").ok().filter(|_| activated);
    let listen: u32 = listen.and_then(|count| count.parse().ok()).unwrap_or(0);
    let preserve = arguments.number::<u32>("preserve-fds")?.unwrap_or(0);
    let all = listen.checked_add(preserve).filter(|all| *all < 1 << 20);
    let all = all.ok_or_else(|| Failure::new("preserve-fds: too many"))?;
    for fd in 3..3 + all {
        if std::fs::symlink_metadata(format!("/proc/self/fd/{fd}")).is_err() {
            return Err(Failure::new(format!(
                "please check that preserved-fd {} (of {all}) is present",
                fd - 2
            )));
        }
    }
    Ok((all, listen))
}

/// The variables that tell a program of systemd's descriptors.
pub(crate) fn announce(listen: u32, env: &mut Vec<String>) {
    if listen > 0 {
        env.push(format!("LISTEN_FDS={listen}"));
        env.push("LISTEN_PID=1".to_owned());
    }
}
