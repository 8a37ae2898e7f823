//! Sockets that systemd (or who speaks its protocol) has bound already: `fd://`.

use crate::{config::Security, sockets::tcp};
use anyhow::{Context, Result, bail};
use dhow_api::Listener;
use rustix::net::{AddressFamily, SocketType, sockopt};
use std::os::fd::OwnedFd;
use tokio::net::{TcpListener, UnixListener};

const FIRST: usize = 3;

/// What was passed, and not yet asked for.
pub(crate) struct Activated(Vec<Option<OwnedFd>>);

impl Activated {
    pub(crate) fn new(fds: Vec<OwnedFd>) -> Self {
        Self(fds.into_iter().map(Some).collect())
    }

    /// Of `fd://` all, of `fd://3` the one with this number.
    pub(crate) fn take(&mut self, which: &str) -> Result<Vec<OwnedFd>> {
        if self.0.is_empty() {
            bail!("no sockets found via socket activation: make sure the service was started by systemd");
        }
        if matches!(which, "" | "*") {
            return Ok(self.0.iter_mut().filter_map(Option::take).collect());
        }
        let number: usize = which
            .parse()
            .with_context(|| format!("failed to parse systemd fd address: should be a number: {which}"))?;
        let slot = number.checked_sub(FIRST).and_then(|at| self.0.get_mut(at));
        let Some(slot) = slot else { bail!("too few socket activated files passed in by systemd") };
        Ok(vec![
            slot.take()
                .with_context(|| format!("failed to listen on systemd activated file: fd {number}"))?,
        ])
    }
}

/// A listener of a passed socket.
pub(crate) fn activated(fd: OwnedFd, security: &Security) -> Result<(String, Listener)> {
    if sockopt::socket_type(&fd)? != SocketType::STREAM || !sockopt::socket_acceptconn(&fd)? {
        bail!("a passed socket is not a stream socket that listens");
    }
    match sockopt::socket_domain(&fd)? {
        AddressFamily::UNIX => {
            let listener = std::os::unix::net::UnixListener::from(fd);
            listener.set_nonblocking(true)?;
            Ok(("fd:// (unix)".to_owned(), Listener::Unix(UnixListener::from_std(listener)?)))
        }
        AddressFamily::INET | AddressFamily::INET6 => {
            let listener = std::net::TcpListener::from(fd);
            listener.set_nonblocking(true)?;
            tcp(TcpListener::from_std(listener)?, security)
        }
        other => bail!("a passed socket is of address family {}", other.as_raw()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_asked_for_as_docker_does() {
        let socket = || OwnedFd::from(std::net::TcpListener::bind("127.0.0.1:0").unwrap());
        let mut passed = Activated::new(vec![socket(), socket()]);
        let refused = |passed: &mut Activated, which: &str| passed.take(which).unwrap_err().to_string();
        assert_eq!(passed.take("4").unwrap().len(), 1);
        assert_eq!(refused(&mut passed, "4"), "failed to listen on systemd activated file: fd 4");
        assert_eq!(refused(&mut passed, "5"), "too few socket activated files passed in by systemd");
        assert!(refused(&mut passed, "x").starts_with("failed to parse systemd fd address"));
        assert_eq!(passed.take("*").unwrap().len(), 1);
        assert!(refused(&mut Activated::new(Vec::new()), "").starts_with("no sockets found"));
    }
}
