//! Messages with descriptors over a SEQPACKET socket. A message that is too large for one packet travels in a memfd.

use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{MemfdFlags, OFlags},
    io::Errno,
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
    },
};
use std::{
    fs::File,
    io::{self, IoSlice, IoSliceMut, Write},
    mem::MaybeUninit,
    os::unix::fs::FileExt,
    path::Path,
};

/// Of one packet: what a shim keeps touched for receiving. What is longer goes into a memfd, announced by a packet of one zero.
const PACKET: usize = 4 * 1024;
/// Of a shim's socket in its folder.
pub(crate) const NAME: &str = "sock";
/// Of any message.
const LONGEST: u64 = 64 << 20;
/// Descriptors beside the memfd.
const FDS: usize = 2;

/// A message and what came with it.
pub(crate) struct Message {
    pub(crate) bytes: Vec<u8>,
    pub(crate) fds: Vec<OwnedFd>,
}

pub(crate) fn new_socket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?)
}

/// Calls `f` with the address of `dir/name`, also where the path is longer than an address may be.
pub(crate) fn with_address<T>(
    dir: &Path,
    name: &str,
    f: impl FnOnce(&SocketAddrUnix) -> rustix::io::Result<T>,
) -> io::Result<T> {
    if let Ok(address) = SocketAddrUnix::new(dir.join(name)) {
        return Ok(f(&address)?);
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::open(dir, flags, rustix::fs::Mode::empty())?;
    let number = rustix::fd::AsRawFd::as_raw_fd(&folder);
    let address = SocketAddrUnix::new(format!("/proc/self/fd/{number}/{name}"))?;
    Ok(f(&address)?)
}

/// Sends one message.
pub(crate) fn send(socket: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    if fds.len() > FDS {
        return Err(Errno::INVAL.into());
    }
    let mut large = None;
    let mut packet = bytes;
    if bytes.len() > PACKET {
        let mut file = File::from(rustix::fs::memfd_create("message", MemfdFlags::CLOEXEC)?);
        file.write_all(bytes)?;
        large = Some(file);
        packet = &[0];
    }
    let mut all: Vec<BorrowedFd<'_>> = fds.to_vec();
    all.extend(large.as_ref().map(AsFd::as_fd));
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS + 1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !all.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&all)) {
        return Err(Errno::INVAL.into());
    }
    rustix::net::sendmsg(socket, &[IoSlice::new(packet)], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Receives one message; `None` when the other side has gone.
pub(crate) fn receive(socket: impl AsFd) -> io::Result<Option<Message>> {
    // On the stack, which is touched anyway: an allocation of this size would be mapped and unmapped each time.
    let mut packet = [0; PACKET];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS + 1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(&mut packet)];
    let received = match rustix::net::recvmsg(socket, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC) {
        Ok(received) => received,
        Err(Errno::CONNRESET | Errno::PIPE) => return Ok(None),
        Err(errno) => return Err(errno.into()),
    };
    let mut fds = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    if received.bytes == 0 {
        return Ok(None);
    }
    let mut bytes = packet.get(..received.bytes).unwrap_or_default().to_vec();
    if bytes == [0]
        && let Some(memfd) = fds.pop()
    {
        let file = File::from(memfd);
        let length = file.metadata()?.len();
        if length > LONGEST {
            return Err(Errno::MSGSIZE.into());
        }
        bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        file.read_exact_at(&mut bytes, 0)?;
    }
    Ok(Some(Message { bytes, fds }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (OwnedFd, OwnedFd) {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap()
    }

    #[test]
    fn messages_of_any_size_arrive_whole_with_their_descriptors() {
        let (one, other) = pair();
        let (a, _) = pair();
        for size in [1, PACKET, PACKET + 1, 5_000_000] {
            let bytes: Vec<u8> = (0..size).map(|n| n as u8 ^ 0x5a).collect();
            send(&one, &bytes, &[a.as_fd()]).unwrap();
            let message = receive(&other).unwrap().unwrap();
            assert_eq!((message.bytes == bytes, message.fds.len()), (true, 1), "{size}");
        }
        assert_eq!(receive(&other).err().map(|e| e.kind()), Some(io::ErrorKind::WouldBlock));
        drop(one);
        assert!(receive(&other).unwrap().is_none());
    }

    #[test]
    fn a_long_path_is_no_obstacle() {
        let root = std::env::temp_dir().join(format!("dhow-shim-socket-{}", std::process::id()));
        let dir = root.join("x".repeat(120));
        std::fs::create_dir_all(&dir).unwrap();
        let server = new_socket().unwrap();
        with_address(&dir, NAME, |address| rustix::net::bind(&server, address)).unwrap();
        rustix::net::listen(&server, 1).unwrap();
        let client = new_socket().unwrap();
        with_address(&dir, NAME, |address| rustix::net::connect(&client, address)).unwrap();
        std::fs::remove_dir_all(&root).unwrap();
    }
}
