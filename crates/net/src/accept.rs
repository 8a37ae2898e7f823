//! Accepting connections when descriptors run out: without this the listener would stay readable and its thread spin.

use rustix::{
    fd::OwnedFd,
    io::{Errno, fcntl_dupfd_cloexec},
    net::{SocketAddrAny, SocketFlags, acceptfrom_with},
};

/// Accepts, with one descriptor in reserve.
#[derive(Debug)]
pub(crate) struct Acceptor(Option<OwnedFd>);

impl Acceptor {
    /// The reserve is a duplicate of any descriptor.
    pub(crate) fn new(any: &OwnedFd) -> Self {
        Self(fcntl_dupfd_cloexec(any, 0).ok())
    }

    /// The next connection; `None` if there is none, or no descriptor for it: then it is hung up on.
    pub(crate) fn accept(&mut self, listener: &OwnedFd) -> Option<(OwnedFd, Option<SocketAddrAny>)> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        match acceptfrom_with(listener, flags) {
            Ok(accepted) => Some(accepted),
            Err(Errno::MFILE | Errno::NFILE) => {
                drop(self.0.take());
                let unwanted = acceptfrom_with(listener, flags);
                drop(unwanted);
                self.0 = fcntl_dupfd_cloexec(listener, 0).ok();
                None
            }
            Err(_) => None,
        }
    }
}
