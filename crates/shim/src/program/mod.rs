//! The program `dhow-shim`: one thread, one poll loop.

mod attached;
mod clock;
mod connection;
mod json;
mod lines;
mod log;
mod outside;
mod process;
mod requests;
mod shim;
mod streams;

use rustix::{
    event::{PollFd, PollFlags, Timespec},
    fd::OwnedFd,
    fs::{Mode, OFlags},
    io::Errno,
};
use shim::{LARGE, SMALL, Shim};
use std::{
    ffi::OsString,
    io,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

/// After so long without an event, memory that load needed is given back.
const IDLE: Duration = Duration::from_secs(1);
/// Signals that a shim outlives: it ends with its container.
const OUTLIVED: [i32; 5] = [1, 2, 3, 13, 15];

/// Whose descriptor it is that has something.
#[derive(Debug, Clone, Copy)]
enum Source {
    Listener,
    Children,
    Reapers,
    Connection(usize),
    Early(usize),
    Orphan(usize),
    Ended(usize),
    Output(usize, u8),
    Input(usize),
    Client(usize, usize),
}

/// Runs the program with its command line: the folder of the container; stdin is the listening socket. Called as `docker-init` it is the
/// PID 1 of `--init` instead, and the rest is the program to start.
pub fn main(arguments: &mut dyn Iterator<Item = OsString>) -> ExitCode {
    let name = arguments.next().unwrap_or_default();
    if name.as_encoded_bytes().ends_with(b"docker-init") {
        return docker_init(&arguments.collect::<Vec<_>>());
    }
    let Some(dir) = arguments.next().map(PathBuf::from).filter(|dir| dir.is_absolute()) else {
        return ExitCode::from(64);
    };
    match detach().map(|listener| Shim::new(dir, listener)).and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

// What is only called at times is a function of its own for the compiler too: else its locals lie in the frame that waits for ever.
#[inline(never)]
fn docker_init(program: &[OsString]) -> ExitCode {
    // Codes are a byte; what the runtime gives is one.
    ExitCode::from(u8::try_from(dhow_runtime::init_main(program)).unwrap_or(255))
}

/// Becomes independent of who started it; gives the listening socket.
#[inline(never)]
fn detach() -> io::Result<OwnedFd> {
    for signal in OUTLIVED {
        dhow_sys::sigaction::handle_by_doing_nothing(signal)?;
    }
    match rustix::process::setsid() {
        // A leader of a group already (started by a shell, in a test).
        Ok(_) | Err(Errno::PERM) => {}
        Err(errno) => return Err(errno.into()),
    }
    rustix::process::chdir("/")?;
    // Else its name would be the number of the descriptor that it was started from.
    rustix::thread::set_name(c"dhow-shim")?;
    let listener = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    // Nothing started from here may have the socket.
    rustix::stdio::dup2_stdin(&null)?;
    Ok(listener)
}

fn run(mut shim: Shim) -> io::Result<()> {
    let mut deadline = shim.settle();
    let mut resting = false;
    while !shim.is_finished() {
        let idle = (!resting).then(|| Instant::now() + IDLE);
        let until = [deadline, idle].into_iter().flatten().min();
        let ready = wait(&shim, until, resting)?;
        if !ready.is_empty() {
            resting = false;
        } else if !resting && deadline != until {
            rest(&mut shim);
            resting = true;
        }
        for (source, flags) in ready {
            dispatch(&mut shim, source, flags);
        }
        deadline = shim.settle();
    }
    Ok(())
}

/// Gives back what waiting does not need.
#[inline(never)]
fn rest(shim: &mut Shim) {
    shim.buffer = Vec::new();
    for log in shim.processes.iter_mut().filter_map(|process| process.streams.log.as_mut()) {
        log.shrink();
    }
}

/// Waits for events, at most until then; at rest without what a running program needs.
fn wait(shim: &Shim, until: Option<Instant>, resting: bool) -> io::Result<Vec<(Source, PollFlags)>> {
    let mut sources = Vec::with_capacity(8);
    let mut fds = Vec::with_capacity(8);
    let mut add = |source, fd, flags| {
        sources.push(source);
        fds.push(PollFd::from_borrowed_fd(fd, flags));
    };
    // In this order they are handled: output before the news of an end, an exec's end before the container's.
    for (p, process) in shim.processes.iter().enumerate() {
        for stream in [1, 2] {
            if let Some(fd) = process.streams.readable(stream) {
                add(Source::Output(p, stream), fd, PollFlags::IN);
            }
        }
        if let Some(fd) = process.streams.writable() {
            add(Source::Input(p), fd, PollFlags::OUT);
        }
        for (c, client) in process.streams.clients.iter().enumerate() {
            if let Some(flags) = client.wants(process.streams.has_room()) {
                add(Source::Client(p, c), client.socket(), flags);
            }
        }
    }
    for (n, (_, client)) in shim.early.iter().enumerate() {
        // Input stays in the socket until its process is there.
        if let Some(flags) = client.wants(false) {
            add(Source::Early(n), client.socket(), flags);
        }
    }
    for (n, client) in shim.orphans.iter().enumerate() {
        if let Some(flags) = client.wants(false) {
            add(Source::Orphan(n), client.socket(), flags);
        }
    }
    if let Some(outside) = &shim.outside {
        add(Source::Children, outside.children(), PollFlags::IN);
    }
    for (p, process) in shim.processes.iter().enumerate().rev() {
        if let Some(fd) = process.ended() {
            add(Source::Ended(p), fd, PollFlags::IN);
        }
    }
    for reaper in &shim.reapers {
        add(Source::Reapers, rustix::fd::AsFd::as_fd(reaper), PollFlags::IN);
    }
    for (n, connection) in shim.connections.iter().enumerate() {
        add(Source::Connection(n), connection.socket(), connection.wants());
    }
    add(Source::Listener, rustix::fd::AsFd::as_fd(&shim.listener), PollFlags::IN);

    let left = until.map(|until| until.saturating_duration_since(Instant::now()));
    let timeout = left.map(|left| Timespec {
        tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: left.subsec_nanos().into(),
    });
    let poll = if resting { dhow_sys::memory::poll_at_rest } else { rustix::event::poll };
    match poll(&mut fds, timeout.as_ref()) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(errno) => return Err(errno.into()),
    }
    let events = sources.into_iter().zip(fds.iter().map(PollFd::revents));
    Ok(events.filter(|(_, flags)| !flags.is_empty()).collect())
}

/// Handles one event. Nothing that an event of the same round names is removed before all are handled.
#[inline(never)]
fn dispatch(shim: &mut Shim, source: Source, flags: PollFlags) {
    let needed = matches!(source, Source::Output(..) | Source::Client(..) | Source::Ended(_));
    if needed && shim.buffer.is_empty() {
        shim.buffer = vec![0; SMALL];
    }
    let Shim { processes, buffer, .. } = shim;
    match source {
        Source::Output(p, stream) => {
            let Some(process) = processes.get_mut(p) else { return };
            let count = process.streams.pump(stream, buffer);
            if count == buffer.len() && count < LARGE {
                *buffer = vec![0; LARGE];
            }
        }
        Source::Input(p) => {
            if let Some(process) = processes.get_mut(p) {
                process.streams.feed();
            }
        }
        Source::Client(p, c) => {
            if let Some(process) = processes.get_mut(p) {
                process.streams.client_event(c, flags, buffer);
            }
        }
        Source::Early(n) => {
            if let Some((_, client)) = shim.early.get_mut(n) {
                client.leave();
            }
        }
        Source::Orphan(n) => {
            if let Some(client) = shim.orphans.get_mut(n) {
                client.flush();
            }
        }
        Source::Ended(p) => shim.reap(p),
        Source::Connection(n) => connection(shim, n, flags),
        Source::Children => shim.collect(),
        Source::Reapers => shim.dismiss_reapers(),
        Source::Listener => shim.accept(),
    }
}

fn connection(shim: &mut Shim, n: usize, flags: PollFlags) {
    if flags.contains(PollFlags::OUT)
        && let Some(connection) = shim.connections.get_mut(n)
    {
        connection.flush();
    }
    while let Some(message) = shim.connections.get_mut(n).and_then(connection::Connection::receive) {
        let event = shim.handle(message);
        if let Some(connection) = shim.connections.get_mut(n) {
            connection.send(&event);
        }
    }
}
