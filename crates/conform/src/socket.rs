//! Descriptors that come over UNIX sockets: a terminal's master, a filter's listener.

use crate::verdict::{Verdict, must};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fd::OwnedFd,
    net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg},
};
use std::{
    io::IoSliceMut,
    mem::MaybeUninit,
    os::unix::net::{UnixListener, UnixStream},
};

/// The next connection; nobody in five seconds is a failure.
pub(crate) fn accept(listener: &UnixListener) -> Verdict<UnixStream> {
    let patience = Timespec { tv_sec: 5, tv_nsec: 0 };
    let ready = poll(&mut [PollFd::new(listener, PollFlags::IN)], Some(&patience))?;
    must(ready > 0, || "nobody connected to the socket".to_owned())?;
    Ok(listener.accept()?.0)
}

/// One message: what was written, and the descriptors with it.
pub(crate) fn receive(stream: &UnixStream) -> Verdict<(Vec<u8>, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = vec![0; 4096];
    let got = recvmsg(stream, &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    bytes.truncate(got.bytes);
    let rights = ancillary.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    Ok((bytes, rights.flatten().collect()))
}
