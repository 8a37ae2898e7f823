//! A connection to a sink: datagrams or a stream, with or without TLS.

use super::address::{Address, Host};
use dhow_registry::Trust;
use rustix::{
    fd::AsFd,
    fs::{MemfdFlags, SealFlags},
    io::Errno,
    net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags},
};
use std::{
    fs::File,
    future::poll_fn,
    io::{self, IoSlice, Write as _},
    mem::MaybeUninit,
    path::Path,
    pin::Pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Interest, ReadBuf},
    net::{TcpStream, UdpSocket, UnixDatagram, UnixStream},
};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};

/// To be connected, and to get on with one record: after that the connection counts as broken.
const PATIENCE: Duration = Duration::from_secs(60);
/// Where syslog daemons listen.
const LOCAL: [&str; 3] = ["/dev/log", "/var/run/syslog", "/var/run/log"];
const JOURNAL: &str = "/run/systemd/journal/socket";

pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// See the module.
pub(super) enum Connection {
    Udp(UdpSocket),
    Unixgram(UnixDatagram),
    Stream(Box<dyn Stream>),
}

/// What became of a record.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sent {
    Yes,
    /// It can never be sent: too long for this sink.
    TooLong,
}

impl Connection {
    /// Connects, within a minute.
    pub(super) async fn open(address: &Address, trust: &Trust) -> io::Result<Self> {
        tokio::time::timeout(PATIENCE, connect(address, trust)).await.unwrap_or_else(|_| Err(late()))
    }

    /// Sends the packets of one record, and waits for `acknowledged` if that is promised.
    pub(super) async fn send(&mut self, packets: &[Vec<u8>], acknowledged: Option<&str>) -> io::Result<Sent> {
        let sending = async {
            match self {
                Self::Udp(socket) => {
                    for packet in packets {
                        let sent = socket.send(packet).await;
                        if too_long(&sent) {
                            return Ok(Sent::TooLong);
                        }
                        sent?;
                    }
                }
                Self::Unixgram(socket) => {
                    for packet in packets {
                        let sent = socket.send(packet).await;
                        if too_long(&sent) {
                            return in_a_file(socket, packet).await;
                        }
                        sent?;
                    }
                }
                Self::Stream(stream) => {
                    if hung_up(stream.as_mut()).await {
                        return Err(io::ErrorKind::ConnectionReset.into());
                    }
                    for packet in packets {
                        stream.write_all(packet).await?;
                    }
                    stream.flush().await?;
                    if let Some(word) = acknowledged {
                        heard(stream.as_mut(), word.as_bytes()).await?;
                    }
                }
            }
            Ok(Sent::Yes)
        };
        tokio::time::timeout(PATIENCE, sending).await.unwrap_or_else(|_| Err(late()))
    }
}

fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "it takes nothing")
}

async fn connect(address: &Address, trust: &Trust) -> io::Result<Connection> {
    let stream = |stream: Box<dyn Stream>| Ok(Connection::Stream(stream));
    match address {
        Address::Udp(host) => udp(host).await,
        Address::Tcp(host) => stream(Box::new(tcp(host).await?)),
        Address::Tls(host) => stream(tls(host, trust).await?),
        Address::Unix(path) => stream(Box::new(UnixStream::connect(path).await?)),
        Address::Unixgram(path) => datagrams(path),
        Address::Journal => datagrams(Path::new(JOURNAL)),
        Address::Syslog => {
            let mut last = io::ErrorKind::NotFound.into();
            for path in LOCAL.map(Path::new) {
                match datagrams(path) {
                    Ok(connection) => return Ok(connection),
                    Err(error) => last = error,
                }
                if let Ok(connected) = UnixStream::connect(path).await {
                    return stream(Box::new(connected));
                }
            }
            Err(last)
        }
    }
}

fn datagrams(path: &Path) -> io::Result<Connection> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(path)?;
    Ok(Connection::Unixgram(socket))
}

async fn udp((host, port): &Host) -> io::Result<Connection> {
    let mut last = io::ErrorKind::NotFound.into();
    for address in tokio::net::lookup_host((host.as_str(), *port)).await? {
        let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any).await?;
        match socket.connect(address).await {
            Ok(()) => return Ok(Connection::Udp(socket)),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn tcp((host, port): &Host) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host.as_str(), *port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn tls(host: &Host, trust: &Trust) -> io::Result<Box<dyn Stream>> {
    let trust = trust.clone();
    let config = tokio::task::spawn_blocking(move || trust.config()).await.map_err(io::Error::other)??;
    let name = ServerName::try_from(host.0.clone()).map_err(io::Error::other)?;
    let connector = TlsConnector::from(Arc::new(config));
    Ok(Box::new(connector.connect(name, tcp(host).await?).await?))
}

fn too_long(sent: &io::Result<usize>) -> bool {
    sent.as_ref().is_err_and(|error| Errno::from_io_error(error) == Some(Errno::MSGSIZE))
}

/// The journal's way for what is too long for a datagram: a sealed file in memory, passed along an empty one.
async fn in_a_file(socket: &UnixDatagram, packet: &[u8]) -> io::Result<Sent> {
    let file: File =
        rustix::fs::memfd_create("journal", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?.into();
    (&file).write_all(packet)?;
    rustix::fs::fcntl_add_seals(
        &file,
        SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL,
    )?;
    let pass = || {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let fds = [file.as_fd()];
        control.push(SendAncillaryMessage::ScmRights(&fds));
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        Ok(rustix::net::sendmsg(socket, &[IoSlice::new(&[])], &mut control, flags)?)
    };
    socket.async_io(Interest::WRITABLE, pass).await?;
    Ok(Sent::Yes)
}

/// Whether the other side has closed: the first write after that would still seem to work.
async fn hung_up(stream: &mut dyn Stream) -> bool {
    poll_fn(|context| {
        let mut space = [0; 256];
        let mut buffer = ReadBuf::new(&mut space);
        Poll::Ready(match Pin::new(&mut *stream).poll_read(context, &mut buffer) {
            Poll::Pending => false,
            Poll::Ready(Ok(())) => buffer.filled().is_empty(),
            Poll::Ready(Err(_)) => true,
        })
    })
    .await
}

/// Waits until the other side has said a word.
async fn heard(stream: &mut dyn Stream, word: &[u8]) -> io::Result<()> {
    let mut said = Vec::new();
    while !said.windows(word.len()).any(|part| part == word) {
        if said.len() > 4096 {
            return Err(io::Error::other("an answer that acknowledges nothing"));
        }
        if stream.read_buf(&mut said).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}
