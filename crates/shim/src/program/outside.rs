//! A container that another OCI runtime makes: the bundle for it, and its command line. The runtime is waited for; what it leaves running
//! becomes our child, as this process is the reaper of all its descendants. No JSON is read here: the daemon wrote it, and the
//! daemon finds the reason of a failure in what the runtime logged.

use super::process::failure;
use crate::Outside;
use dhow_runtime as runtime;
use rustix::{
    event::{PollFd, PollFlags, Timespec},
    fd::{AsFd, BorrowedFd, OwnedFd},
    io::Errno,
    net::{AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketFlags, SocketType},
    process::{Pid, PidfdFlags, Signal, WaitOptions},
};
use std::{
    fs, io,
    io::{IoSliceMut, Write},
    mem::MaybeUninit,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// How long the runtime may take for a start, where it may have to wait for disks, and for anything else: meanwhile nobody looks after the
/// container's streams. One that hangs is killed, and the request fails.
const START: i64 = 60;
const PATIENCE: i64 = 10;
/// Of what the runtime logged, the end.
const LOGGED: usize = 4096;

/// The bit of SIGCHLD.
const CHILD: u64 = 1 << 16;

/// See the module.
#[derive(Debug)]
pub(super) struct Runtime {
    outside: Outside,
    /// Holds the bundle, the runtime's own state, its log.
    dir: PathBuf,
    /// Says when a child has ended.
    children: OwnedFd,
}

/// A process that the runtime started.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) pid: Pid,
    pub(super) pidfd: OwnedFd,
    /// The terminal's master.
    pub(super) console: Option<OwnedFd>,
}

fn refused(step: &'static str, object: &Path) -> impl Fn(io::Error) -> runtime::Error {
    let object = object.display().to_string();
    move |error| failure(step, object.clone(), Errno::from_io_error(&error).unwrap_or(Errno::IO))
}

impl Runtime {
    /// Mounts the bundle, in a mount namespace that this process gets for itself and keeps.
    pub(super) fn new(
        dir: &Path,
        mut outside: Outside,
        plan: &runtime::Plan,
        netns: Option<BorrowedFd<'_>>,
    ) -> Result<Self, runtime::Error> {
        let bundle = dir.join("bundle");
        runtime::mount_bundle(plan, &bundle, netns)?;
        let config = bundle.join("config.json");
        fs::write(&config, std::mem::take(&mut outside.config)).map_err(refused("write", &config))?;
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
            .map_err(|errno| failure("prctl", "CHILD_SUBREAPER", errno))?;
        let children = dhow_sys::signals::block_all().and_then(|()| dhow_sys::signals::signalfd(CHILD));
        let children = children.map_err(|errno| failure("signalfd", "SIGCHLD", errno))?;
        Ok(Self { outside, dir: dir.to_owned(), children })
    }

    /// Readable when children have ended; then [`ended`].
    pub(super) fn children(&self) -> BorrowedFd<'_> {
        self.children.as_fd()
    }

    /// Takes the news that children have ended.
    pub(super) fn heard(&self) {
        while dhow_sys::signals::read_signal(self.children.as_fd()).is_ok() {}
    }

    fn bundle(&self) -> PathBuf {
        self.dir.join("bundle")
    }

    fn log(&self) -> PathBuf {
        self.dir.join("runtime.log")
    }

    /// The runtime's command line up to its verb.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.outside.program);
        command
            .args(&self.outside.args)
            .arg("--root")
            .arg(self.dir.join("state"))
            .arg("--log")
            .arg(self.log())
            .args(["--log-format", "json"])
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            // The path of a socket is short: it is named from here.
            .current_dir(self.bundle())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    /// Runs it to its end. What it logged is the error's detail.
    fn run(&self, command: &mut Command, input: &[u8]) -> Result<(), runtime::Error> {
        let program = &self.outside.program;
        match fs::remove_file(self.log()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(refused("remove", &self.log())(error));
            }
            _ => {}
        }
        if !input.is_empty() {
            command.stdin(Stdio::piped());
        }
        let mut child = dhow_sys::signals::spawn_with_defaults(command).map_err(refused("run", program))?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input).map_err(refused("write to", program))?;
        }
        let starts = command.get_args().any(|word| word == "create" || word == "start");
        let seconds = if starts { START } else { PATIENCE };
        let Some(well) = wait(&mut child, seconds).map_err(refused("wait for", program))? else {
            let id = &self.outside.id;
            return Err(runtime::Error {
                step: "wait for runtime".to_owned(),
                object: program.display().to_string(),
                errno: Errno::TIMEDOUT.raw_os_error(),
                detail: format!("container {id}: killed, as it had not ended after {seconds} s"),
            });
        };
        if well {
            return Ok(());
        }
        let logged = fs::read(self.log()).unwrap_or_default();
        let end = logged.get(logged.len().saturating_sub(LOGGED)..).unwrap_or_default();
        let (step, detail) = ("runtime".to_owned(), String::from_utf8_lossy(end).into_owned());
        Err(runtime::Error { step, object: program.display().to_string(), errno: 0, detail })
    }

    /// A verb without more to it: `start`, `pause`, `kill … 9`.
    pub(super) fn call(&self, words: &[&str], after: &[&str], input: &[u8]) -> Result<(), runtime::Error> {
        self.run(self.command().args(words).arg(&self.outside.id).args(after), input)
    }

    pub(super) fn create(&self, stdio: &runtime::Stdio<'_>) -> Result<Started, runtime::Error> {
        let mut command = self.command();
        command.arg("create").arg("--bundle").arg(self.bundle());
        self.start(&mut command, stdio)
    }

    pub(super) fn exec(&self, process: &[u8], stdio: &runtime::Stdio<'_>) -> Result<Started, runtime::Error> {
        let file = self.dir.join("process.json");
        fs::write(&file, process).map_err(refused("write", &file))?;
        let mut command = self.command();
        command.args(["exec", "--detach", "--process"]).arg(&file);
        self.start(&mut command, stdio)
    }

    /// Runs a verb that leaves a process behind, with its streams.
    fn start(&self, command: &mut Command, stdio: &runtime::Stdio<'_>) -> Result<Started, runtime::Error> {
        let file = self.dir.join("pid");
        command.arg("--pid-file").arg(&file);
        let mut listener = None;
        match stdio {
            runtime::Stdio::Fds([stdin, stdout, stderr]) => {
                let copy = |fd: &BorrowedFd<'_>| {
                    fd.try_clone_to_owned().map(Stdio::from).map_err(refused("copy", Path::new("stdio")))
                };
                command.stdin(copy(stdin)?).stdout(copy(stdout)?).stderr(copy(stderr)?);
            }
            runtime::Stdio::Terminal { .. } => {
                listener = Some(self.console()?);
                command.args(["--console-socket", CONSOLE]);
            }
        }
        self.run(command.arg(&self.outside.id), &[])?;
        let started = || -> io::Result<Started> {
            let text = fs::read_to_string(&file)?;
            let pid = text.trim().parse().ok().and_then(Pid::from_raw).ok_or(Errno::INVAL)?;
            let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
            let console = listener.map(receive_console).transpose()?;
            Ok(Started { pid, pidfd, console })
        };
        started().map_err(refused("read", &file))
    }

    /// Where the runtime sends the terminal's master.
    fn console(&self) -> Result<OwnedFd, runtime::Error> {
        let place = self.bundle().join(CONSOLE);
        let make = || -> io::Result<OwnedFd> {
            match fs::remove_file(&place) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let listener = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
            crate::socket::with_address(&self.bundle(), CONSOLE, |address| {
                rustix::net::bind(&listener, address)
            })?;
            rustix::net::listen(&listener, 1)?;
            Ok(listener)
        };
        make().map_err(refused("bind", &place))
    }
}

const CONSOLE: &str = "console";

/// The runtime has ended: what it sent is there.
fn receive_console(listener: OwnedFd) -> io::Result<OwnedFd> {
    let socket = rustix::net::accept_with(&listener, SocketFlags::CLOEXEC)?;
    let mut name = [0; 256];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    rustix::net::recvmsg(
        &socket,
        &mut [IoSliceMut::new(&mut name)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT,
    )?;
    let master = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    Ok(master.ok_or(Errno::BADF)?)
}

/// Whether it ended well; one that does not end is killed, and says nothing.
fn wait(child: &mut Child, seconds: i64) -> io::Result<Option<bool>> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
    let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
    let patience = Timespec { tv_sec: seconds, tv_nsec: 0 };
    let ended = rustix::io::retry_on_intr(|| {
        rustix::event::poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&patience))
    })?;
    if ended == 0 {
        rustix::process::pidfd_send_signal(pidfd.as_fd(), Signal::KILL)?;
        child.wait()?;
        return Ok(None);
    }
    Ok(Some(child.wait()?.success()))
}

/// Everything that was given to this process and has ended, with its exit code: also what the runtime left behind, and what
/// containers without a pid namespace leave.
pub(super) fn ended() -> impl Iterator<Item = (Pid, i32)> {
    std::iter::from_fn(|| {
        let (pid, status) = rustix::process::wait(WaitOptions::NOHANG).ok().flatten()?;
        let signal = || status.terminating_signal().map(|signal| 128 + signal);
        Some((pid, status.exit_status().or_else(signal).unwrap_or(255)))
    })
}
