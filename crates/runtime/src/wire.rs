//! What parent and child say to each other over one SEQPACKET socketpair: the child "ready" (with the terminal's master) or one failure, the
//! parent "go". Where the filter notifies, the child then says which of its descriptors is the listener, and waits for another "go". Execve closes the
//! child's end.

use crate::Error;
use crate::child::Failure;
use rustix::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use rustix::io::{Errno, IoSlice, IoSliceMut, Result, retry_on_intr};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use rustix::process::Pid;
use std::mem::MaybeUninit;

/// A message of fixed size, built without allocation.
pub(crate) struct Record {
    bytes: [u8; 4608],
    len: usize,
}

const READY: u8 = b'r';
const FAILED: u8 = b'f';
const HOOKS: u8 = b'h';
const BORN: u8 = b'b';
const LISTENER: u8 = b'l';
/// In place of an errno, for a hook that ran and failed: no system call here says it.
pub(crate) const HOOK_FAILED: Errno = Errno::CANCELED;
const GO: &[u8] = b"g";

impl Record {
    pub(crate) fn ready() -> Self {
        let mut record = Self { bytes: [0; 4608], len: 0 };
        record.put(&[READY]);
        record
    }

    /// The hooks that run outside are due.
    pub(crate) fn hooks() -> Self {
        let mut record = Self { bytes: [0; 4608], len: 0 };
        record.put(&[HOOKS]);
        record
    }

    /// The go-between made the container's process.
    pub(crate) fn born(pid: Pid) -> Self {
        let mut record = Self { bytes: [0; 4608], len: 0 };
        record.put(&[BORN]);
        record.put(&pid.as_raw_nonzero().get().to_le_bytes());
        record
    }

    /// `said`: what a hook wrote.
    pub(crate) fn failed(failure: &Failure<'_>, said: &[u8]) -> Self {
        let mut record = Self { bytes: [0; 4608], len: 0 };
        record.put(&[FAILED]);
        record.put(&failure.errno.raw_os_error().to_le_bytes());
        for part in [failure.step.as_bytes(), failure.detail.as_bytes(), said, failure.object] {
            record.put(part);
            record.put(b"\0");
        }
        record
    }

    /// Appends what fits: an object longer than a path is cut.
    fn put(&mut self, part: &[u8]) {
        let room = self.bytes.get_mut(self.len..).unwrap_or_default();
        let fits = part.len().min(room.len());
        if let (Some(place), Some(part)) = (room.get_mut(..fits), part.get(..fits)) {
            place.copy_from_slice(part);
            self.len += fits;
        }
    }
}

/// Sends a record, with a descriptor.
pub(crate) fn send(socket: BorrowedFd<'_>, record: &Record, fd: Option<BorrowedFd<'_>>) -> Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let fds = fd.map(|fd| [fd]);
    if let Some(fds) = &fds {
        ancillary.push(SendAncillaryMessage::ScmRights(fds));
    }
    let bytes = record.bytes.get(..record.len).unwrap_or_default();
    retry_on_intr(|| sendmsg(socket, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL)).map(drop)
}

/// Says which descriptor is the listener. By write, as this happens behind the filter: the one call that a profile must let through for it.
pub(crate) fn send_listener(socket: BorrowedFd<'_>, listener: BorrowedFd<'_>) -> Result<()> {
    let [a, b, c, d] = listener.as_raw_fd().to_le_bytes();
    retry_on_intr(|| rustix::io::write(socket, &[LISTENER, a, b, c, d])).map(drop)
}

/// Waits for the parent's word; false if the parent is gone or gave up.
pub(crate) fn wait_go(socket: BorrowedFd<'_>) -> bool {
    let mut word = [0u8; 1];
    retry_on_intr(|| rustix::io::read(socket, &mut word)).is_ok_and(|n| n == 1 && word == *GO)
}

/// Says "go".
pub(crate) fn go(socket: BorrowedFd<'_>) -> Result<()> {
    retry_on_intr(|| rustix::net::send(socket, GO, SendFlags::NOSIGNAL)).map(drop)
}

/// What the child said.
pub(crate) enum Answer {
    /// It waits for "go"; the terminal's master.
    Ready(Option<OwnedFd>),
    /// It waits for the hooks.
    Hooks,
    /// The container's process, made by a go-between.
    Born(Pid, OwnedFd),
    /// It failed.
    Failed(Error),
    /// It has its filter, and waits for "go" with this descriptor of it as the listener.
    Listener(RawFd),
    /// Its end is closed: by execve, or by its death.
    Closed,
}

/// Reads one message.
pub(crate) fn receive(socket: BorrowedFd<'_>) -> Result<Answer> {
    let mut bytes = [0u8; 4608];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let length = retry_on_intr(|| {
        recvmsg(socket, &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)
    })?
    .bytes;
    let fd = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    match bytes.get(..length).unwrap_or_default().split_first() {
        None => Ok(Answer::Closed),
        Some((&READY, _)) => Ok(Answer::Ready(fd)),
        Some((&HOOKS, _)) => Ok(Answer::Hooks),
        Some((&BORN, rest)) => {
            let pid = rest.first_chunk().and_then(|bytes| Pid::from_raw(i32::from_le_bytes(*bytes)));
            Ok(Answer::Born(pid.ok_or(Errno::PROTO)?, fd.ok_or(Errno::PROTO)?))
        }
        Some((&LISTENER, rest)) => {
            let number = rest.first_chunk().ok_or(Errno::PROTO)?;
            Ok(Answer::Listener(RawFd::from_le_bytes(*number)))
        }
        Some((&FAILED, rest)) => Ok(Answer::Failed(failure(rest))),
        Some(_) => Err(Errno::PROTO),
    }
}

fn failure(bytes: &[u8]) -> Error {
    let (errno, rest) =
        bytes.split_first_chunk().map_or((0, &b""[..]), |(e, rest)| (i32::from_le_bytes(*e), rest));
    let mut parts = rest.split(|&b| b == 0).map(|part| String::from_utf8_lossy(part).into_owned());
    let mut part = || parts.next().unwrap_or_default();
    let (step, mut detail, said, object) = (part(), part(), part(), part());
    if !said.is_empty() {
        detail = format!("{detail}: {}", said.trim().replace('\n', "; "));
    }
    // How a hook ended is no system call's answer.
    let errno = if errno == HOOK_FAILED.raw_os_error() { 0 } else { errno };
    Error { step, object, errno, detail }
}

/// A connected pair: parent's end, child's end.
pub(crate) fn pair() -> Result<(OwnedFd, OwnedFd)> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fd::AsFd;

    #[test]
    fn a_failure_arrives_whole() {
        let (parent, child) = pair().unwrap();
        let object = [b'x'; 5000];
        let failure = Failure { step: "mount", object: &object, errno: Errno::NOENT, detail: "why" };
        send(child.as_fd(), &Record::failed(&failure, b""), None).unwrap();
        let Answer::Failed(error) = receive(parent.as_fd()).unwrap() else { panic!("not a failure") };
        assert_eq!((error.step.as_str(), error.errno, error.detail.as_str()), ("mount", 2, "why"));
        assert!(error.object.len() > 4096);
        drop(child);
        assert!(matches!(receive(parent.as_fd()).unwrap(), Answer::Closed));
    }
}
