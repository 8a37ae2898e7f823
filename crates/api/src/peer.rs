//! The client at the other end of a socket: whether it has gone, and (of a unix socket) whether it has read what was sent.

use http::{Request, header};
use hyper::body::Incoming;
use rustix::net::sockopt;
use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    net::{TcpStream, UnixStream},
};

/// How long the head of an answer may lie unread before the stream behind it is sent all the same.
const PATIENCE: Duration = Duration::from_millis(100);

/// So long nobody looks whether a client has gone.
const UNWATCHED: Duration = Duration::from_millis(50);

/// So long nothing is heard over TCP, then the kernel asks whether somebody is there: three times, every ten seconds.
const SILENCE: Duration = Duration::from_secs(30);

/// A second descriptor on a client's socket.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    fd: Arc<OwnedFd>,
    tells_of_reading: bool,
}

impl Peer {
    pub(crate) fn of(stream: &UnixStream) -> io::Result<Self> {
        Ok(Self { fd: Arc::new(stream.as_fd().try_clone_to_owned()?), tells_of_reading: true })
    }

    /// Over TCP a client that has closed looks like one that has said everything; who answers no question of the kernel's has gone.
    pub(crate) fn of_tcp(stream: &TcpStream) -> io::Result<Self> {
        sockopt::set_tcp_keepidle(stream, SILENCE)?;
        sockopt::set_tcp_keepintvl(stream, Duration::from_secs(10))?;
        sockopt::set_tcp_keepcnt(stream, 3)?;
        sockopt::set_socket_keepalive(stream, true)?;
        Ok(Self { fd: Arc::new(stream.as_fd().try_clone_to_owned()?), tells_of_reading: false })
    }

    /// Ends when the peer has closed both directions.
    pub(crate) async fn gone(self) {
        // Most are over by then, and one that was closed meanwhile says so at once.
        tokio::time::sleep(UNWATCHED).await;
        let ready = match watch(self.fd, Interest::PRIORITY) {
            Ok(fd) => fd.ready(Interest::PRIORITY).await.map(drop),
            Err(error) => Err(error),
        };
        if let Err(error) = ready {
            tracing::debug!(%error, "cannot watch a connection");
            std::future::pending::<()>().await;
        }
    }

    /// From now on: ends when the peer has read something. A unix socket tells its sender of every piece that was taken.
    async fn reads(&self) -> io::Result<impl Future<Output = ()> + Send + use<>> {
        let fd = watch(self.fd.as_fd().try_clone_to_owned()?, Interest::WRITABLE)?;
        // Watching begins with the present state, which is no news.
        fd.writable().await?.clear_ready();
        Ok(async move {
            if tokio::time::timeout(PATIENCE, fd.writable()).await.is_err() {
                tracing::debug!("client is slow to read the head of its answer");
            }
        })
    }
}

#[expect(
    deprecated,
    reason = "its successor is unsafe for types that may lie about their descriptor; an OwnedFd does not"
)]
fn watch<T: std::os::fd::AsRawFd>(fd: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    AsyncFd::with_interest(fd, interest)
}

/// Ends when the client of this request has closed both directions.
pub(crate) fn gone(request: &Request<Incoming>) -> impl Future<Output = ()> + Send + use<> {
    let peer = request.extensions().get::<Peer>().cloned();
    async move {
        match peer {
            Some(peer) => peer.gone().await,
            None => std::future::pending().await,
        }
    }
}

/// Ends when the client of this request has read the head of the answer, which must not be sent before this is asked.
///
/// Some clients (docker-py among them) read a head through a buffer, throw the buffer away, and go on with the bare socket: output that
/// arrived together with the head is lost to them. A process here may well have said everything before the head is read. The docker
/// command line and ours read rightly and are not kept waiting; over TCP nobody tells.
pub(crate) async fn head_is_read(
    request: &Request<Incoming>,
) -> io::Result<Option<impl Future<Output = ()> + Send + use<>>> {
    let agent = request.headers().get(header::USER_AGENT).map_or(&b""[..], |agent| agent.as_bytes());
    match request.extensions().get::<Peer>() {
        Some(peer)
            if peer.tells_of_reading
                && !agent.starts_with(b"dhow/")
                && !agent.starts_with(b"Docker-Client/") =>
        {
            peer.reads().await.map(Some)
        }
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[tokio::test]
    async fn reading_is_noticed_and_writing_is_not() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (ours, mut theirs) = (ours, theirs.into_std().unwrap());
        let read = Peer::of(&ours).unwrap().reads().await.unwrap();
        let mut ours = ours.into_std().unwrap();
        ours.write_all(b"head").unwrap();
        let mut read = std::pin::pin!(read);
        tokio::task::yield_now().await;
        let early = tokio::time::timeout(PATIENCE / 4, read.as_mut()).await;
        assert!(early.is_err(), "nobody has read");
        assert_eq!(theirs.read(&mut [0; 16]).unwrap(), 4);
        let soon = tokio::time::timeout(PATIENCE / 4, read).await;
        assert!(soon.is_ok(), "the head was read");
    }
}
