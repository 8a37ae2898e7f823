//! The seccomp agent (`linux.seccomp.listenerPath`): it gets the listener of a filter, with the state of the process that has it.
//! <https://github.com/opencontainers/runtime-spec/blob/main/config-linux.md#containerprocessstate>

use crate::Error;
use crate::step::Listener;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use rustix::io::{Errno, IoSlice};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags,
    SocketType, sendmsg,
};
use rustix::process::{ForeignRawFd, Pid, PidfdGetfdFlags, pidfd_getfd};
use std::fmt::Write;
use std::mem::MaybeUninit;

/// The process whose filter it is, and the container's first process, which it may be itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pids {
    pub(crate) own: Pid,
    pub(crate) container: Pid,
}

/// Takes descriptor `number` out of the process and sends it to the agent. Nothing here waits: an agent that does not listen is an error.
pub(crate) fn send(
    listener: &Listener,
    pidfd: BorrowedFd<'_>,
    number: RawFd,
    pids: Pids,
) -> Result<(), Error> {
    let failed = |step: &'static str| {
        move |errno: Errno| Error::os(step, listener.path.display(), errno).because("seccomp agent")
    };
    let taken = pidfd_getfd(pidfd, ForeignRawFd::from(number), PidfdGetfdFlags::empty())
        .map_err(failed("take the listener for"))?;
    let agent = connect(listener).map_err(failed("connect"))?;
    let state = state(listener, pids);
    let fds = [taken.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&fds));
    let sent = sendmsg(&agent, &[IoSlice::new(state.as_bytes())], &mut ancillary, SendFlags::NOSIGNAL)
        .map_err(failed("send"))?;
    // A fresh socket takes some 200 KiB; a state is a few hundred bytes and the annotations.
    if sent == state.len() { Ok(()) } else { Err(failed("send")(Errno::MSGSIZE)) }
}

fn connect(listener: &Listener) -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(&listener.path)?)?;
    Ok(socket)
}

/// The JSON text of a `ContainerProcessState`.
fn state(listener: &Listener, pids: Pids) -> String {
    let Listener { metadata, version, id, bundle, annotations, .. } = listener;
    let mut out = String::from("{\"ociVersion\":");
    quote(version, &mut out);
    out.push_str(",\"fds\":[\"seccompFd\"],\"pid\":");
    push(pids.own, &mut out);
    if let Some(metadata) = metadata {
        out.push_str(",\"metadata\":");
        quote(metadata, &mut out);
    }
    out.push_str(",\"state\":{\"ociVersion\":");
    quote(version, &mut out);
    out.push_str(",\"id\":");
    quote(id, &mut out);
    let status = if pids.own == pids.container { "created" } else { "running" };
    out.push_str(",\"status\":");
    quote(status, &mut out);
    out.push_str(",\"pid\":");
    push(pids.container, &mut out);
    out.push_str(",\"bundle\":");
    quote(&bundle.to_string_lossy(), &mut out);
    if !annotations.is_empty() {
        out.push_str(",\"annotations\":{");
        for (n, pair) in annotations.chunks_exact(2).enumerate() {
            let [name, value] = pair else { continue };
            out.push_str(if n == 0 { "" } else { "," });
            quote(name, &mut out);
            out.push(':');
            quote(value, &mut out);
        }
        out.push('}');
    }
    out.push_str("}}");
    out
}

fn push(pid: Pid, out: &mut String) {
    out.push_str(&pid.as_raw_nonzero().to_string());
}

/// Appends a JSON string.
fn quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            // Writing to a String cannot fail.
            c if u32::from(c) < 0x20 => write!(out, "\\u{:04x}", u32::from(c)).unwrap_or_default(),
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_the_specifications_json() {
        let listener = Listener {
            path: "/run/agent".into(),
            metadata: Some("a\"b\\c\nd\u{1}é".into()),
            version: "1.2.0".into(),
            id: "box".into(),
            bundle: "/b".into(),
            annotations: ["x", "1", "y", "\""].map(str::to_owned).to_vec(),
        };
        let pid = |n| Pid::from_raw(n).unwrap();
        let text = state(&listener, Pids { own: pid(9), container: pid(7) });
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let wanted = serde_json::json!({
            "ociVersion": "1.2.0", "fds": ["seccompFd"], "pid": 9, "metadata": "a\"b\\c\nd\u{1}é",
            "state": { "ociVersion": "1.2.0", "id": "box", "status": "running", "pid": 7, "bundle": "/b",
                       "annotations": { "x": "1", "y": "\"" } },
        });
        assert_eq!(json, wanted);
    }
}
