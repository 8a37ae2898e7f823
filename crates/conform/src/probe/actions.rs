//! Actions on processes, signals, memory, terminals and sockets.

use super::{
    Answer,
    files::{done, number},
};
use rustix::{
    event::{PollFd, PollFlags, poll},
    net::{AddressFamily, SocketFlags, SocketType, socket_with},
    termios::{isatty, tcgetwinsize},
    time::{ClockId, clock_gettime},
};
use std::{
    fs, io,
    process::{Command, Stdio},
};

pub(super) fn act(words: &[&str]) -> Answer {
    match words {
        ["hold"] => loop {
            std::thread::park();
        },
        ["signal"] => signal(),
        ["sleep", milliseconds] => {
            std::thread::sleep(std::time::Duration::from_millis(number(milliseconds)?));
            Ok("ok".to_owned())
        }
        ["spawn"] => {
            let child =
                Command::new("/proc/self/exe").arg0("probe").arg("hold").stdin(Stdio::null()).spawn()?;
            Ok(child.id().to_string())
        }
        ["alloc", mebibytes] => {
            let mut memory = vec![0u8; number::<usize>(mebibytes)? << 20];
            memory.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
            Ok(std::hint::black_box(&memory).len().to_string())
        }
        ["threads", count] => {
            let count = number::<usize>(count)?;
            let made =
                (0..count).map_while(|_| std::thread::Builder::new().spawn(std::thread::park).ok()).count();
            Ok(made.to_string())
        }
        ["tty"] => tty(),
        ["clock", "monotonic"] => Ok(clock_gettime(ClockId::Monotonic).tv_sec.to_string()),
        ["clock", "boottime"] => Ok(clock_gettime(ClockId::Boottime).tv_sec.to_string()),
        ["socket", family, kind] => {
            let (family, kind) =
                (AddressFamily::from_raw(number(family)?), SocketType::from_raw(number(kind)?));
            done(socket_with(family, kind, SocketFlags::CLOEXEC, None).map(drop))
        }
        ["getcwd"] => Ok(std::env::current_dir()?.display().to_string()),
        ["hostname", name] => done(rustix::system::sethostname(name.as_bytes())),
        ["processes"] => {
            let entries = fs::read_dir("/proc")?.filter_map(Result::ok);
            let numbers = entries.filter(|entry| entry.file_name().to_string_lossy().parse::<u32>().is_ok());
            Ok(numbers.count().to_string())
        }
        _ => Err(io::Error::other(format!("no such action: {words:?}"))),
    }
}

/// Blocks all signals, says so, and waits for one: its number.
fn signal() -> Answer {
    dhow_sys::signals::block_all()?;
    let fd = dhow_sys::signals::signalfd(u64::MAX)?;
    fs::write("/tmp/ready", "")?;
    poll(&mut [PollFd::new(&fd, PollFlags::IN)], None)?;
    use rustix::fd::AsFd as _;
    Ok(dhow_sys::signals::read_signal(fd.as_fd())?.to_string())
}

/// Which of the three descriptors are terminals, and the size of the first: `true true true 25x80`.
fn tty() -> Answer {
    let are = [isatty(io::stdin()), isatty(io::stdout()), isatty(io::stderr())];
    let size = tcgetwinsize(io::stdin()).map(|size| format!("{}x{}", size.ws_row, size.ws_col));
    Ok(format!("{} {} {} {}", are[0], are[1], are[2], size.unwrap_or_else(|_| "none".to_owned())))
}

use std::os::unix::process::CommandExt as _;
