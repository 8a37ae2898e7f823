//! config.md: a terminal, its size, and `/dev/console`.

use super::{Scenario, s};
use crate::{
    case::Case,
    socket,
    verdict::{Verdict, failed, must, same},
};
use rustix::{fd::OwnedFd, termios::tcgetwinsize};
use serde_json::json;
use std::{io::Read as _, os::unix::net::UnixListener};

const PROCESS: &str = "config.md#process";
const DEVICES: &str = "config-linux.md#default-devices";

pub(crate) const SCENARIOS: &[Scenario] = &[
    s("terminal.on-all-streams", PROCESS, |case| {
        case.config["process"]["terminal"] = json!(true);
        let out = on_terminal(case, &["tty"])?.1;
        must(out.starts_with("true true true"), || format!("terminals: {out:?}"))
    }),
    s("terminal.size", PROCESS, |case| {
        case.config["process"]["terminal"] = json!(true);
        case.config["process"]["consoleSize"] = json!({"height": 25, "width": 81});
        let (size, out) = on_terminal(case, &["tty"])?;
        same("size outside", size, (25, 81))?;
        same("size inside", out.trim(), "true true true 25x81")
    }),
    s("terminal.size-without-terminal", PROCESS, |case| {
        case.config["process"]["consoleSize"] = json!({"height": 25, "width": 81});
        same("answers", case.ask(&["tty"])?, ["false false false none"])
    }),
    s("terminal.controls", PROCESS, |case| {
        case.config["process"]["terminal"] = json!(true);
        same("opening /dev/tty", on_terminal(case, &["open /dev/tty rw"])?.1.trim(), "ok")
    }),
    s("terminal.console", DEVICES, |case| {
        case.config["process"]["terminal"] = json!(true);
        let out = on_terminal(case, &["stat /dev/console", "open /dev/console rw"])?.1;
        must(out.starts_with("c 136:") && out.contains("ok"), || format!("/dev/console: {out:?}"))
    }),
    s("terminal.owner", DEVICES, |case| {
        case.config["process"]["terminal"] = json!(true);
        case.config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
        let out = on_terminal(case, &["stat /dev/console", "open /dev/console rw"])?.1;
        must(out.contains(" 1000:") && out.contains("ok"), || format!("/dev/console of uid 1000: {out:?}"))
    }),
    s("terminal.without-a-socket", PROCESS, |case| {
        case.config["process"]["terminal"] = json!(true);
        case.create()?.refused().map(drop)
    }),
    s("terminal.socket-without-terminal", PROCESS, |case| {
        let socket = case.bundle.join("console.sock");
        let listener = UnixListener::bind(&socket)?;
        let refused = case.create_with(&["--console-socket", &socket.to_string_lossy()])?.refused();
        drop(listener);
        refused.map(drop)
    }),
];

/// Runs the probe on a terminal: its size as the caller gets it, and what was written to it.
pub(super) fn on_terminal(case: &mut Case<'_>, actions: &[&str]) -> Verdict<((u16, u16), String)> {
    let socket = case.bundle.join("console.sock");
    let listener = UnixListener::bind(&socket)?;
    case.probe(actions).create_with(&["--console-socket", &socket.to_string_lossy()])?.ok()?;
    let master = receive(&listener)?;
    let size = tcgetwinsize(&master)?;
    let pid = case.pid()?;
    case.start()?.ok()?;
    let out = drain(master);
    case.wait(pid)?;
    case.delete()?.ok()?;
    Ok(((size.ws_row, size.ws_col), out))
}

/// The descriptor that comes over the socket.
pub(super) fn receive(listener: &UnixListener) -> Verdict<OwnedFd> {
    let (_, mut sent) = socket::receive(&socket::accept(listener)?)?;
    match (sent.pop(), sent.len()) {
        (Some(master), 0) => Ok(master),
        (_, more) => failed(format!("{more} descriptors came over the console socket, not 1")),
    }
}

/// What a terminal shows until its other end is closed, which a master reports as EIO.
pub(super) fn drain(master: OwnedFd) -> String {
    let (mut file, mut all, mut buffer) = (std::fs::File::from(master), Vec::new(), [0; 4096]);
    while let Ok(read @ 1..) = file.read(&mut buffer) {
        all.extend_from_slice(&buffer[..read]);
    }
    String::from_utf8_lossy(&all).replace('\r', "")
}
