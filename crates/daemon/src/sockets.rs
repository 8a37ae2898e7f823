//! Binding the API's sockets: stale files are removed, living ones respected.

use crate::{
    activation::{Activated, activated},
    config::Security,
};
use anyhow::{Context, Result, bail};
use dhow_api::Listener;
use std::{
    fs::{self, Permissions},
    io::ErrorKind,
    os::{
        fd::OwnedFd,
        unix::fs::{PermissionsExt, chown},
    },
    path::{Path, PathBuf},
};
use tokio::net::{TcpListener, UnixListener, UnixStream};

/// What listens.
pub(crate) struct Sockets {
    /// Name for the log, socket.
    pub(crate) listeners: Vec<(String, Listener)>,
    /// Files to remove at the end.
    pub(crate) paths: Vec<PathBuf>,
}

/// Binds all; a socket that may be another engine's is left out if it is. `inherited` is what `fd://` means.
pub(crate) async fn bind(
    hosts: &[(String, bool)],
    inherited: Vec<OwnedFd>,
    security: &Security,
) -> Result<Sockets> {
    let mut inherited = Activated::new(inherited);
    let mut sockets = Sockets { listeners: Vec::new(), paths: Vec::new() };
    for (host, optional) in hosts {
        if let Some(path) = host.strip_prefix("unix://") {
            let path = Path::new(path);
            if UnixStream::connect(path).await.is_ok() {
                if *optional {
                    tracing::info!(socket = host, "another engine serves this socket: left to it");
                    continue;
                }
                bail!("{host} is served by another engine");
            }
            let listener = unix(path).with_context(|| format!("cannot listen on {host}"));
            match listener {
                Ok(listener) => {
                    sockets.listeners.push((host.clone(), Listener::Unix(listener)));
                    sockets.paths.push(path.to_owned());
                }
                Err(error) if *optional => tracing::warn!("{error:#}"),
                Err(error) => return Err(error),
            }
        } else if let Some(address) = host.strip_prefix("tcp://") {
            let listener =
                TcpListener::bind(address).await.with_context(|| format!("cannot listen on {host}"))?;
            sockets.listeners.push(tcp(listener, security).with_context(|| host.clone())?);
        } else if let Some(which) = host.strip_prefix("fd://") {
            let taken = inherited.take(which).with_context(|| host.clone())?;
            for fd in taken {
                sockets.listeners.push(activated(fd, security).with_context(|| host.clone())?);
            }
        } else {
            bail!("--host {host:?} is not supported: unix:///path, tcp://address:port or fd://");
        }
    }
    Ok(sockets)
}

/// A bound TCP socket with its security.
pub(crate) fn tcp(listener: TcpListener, security: &Security) -> Result<(String, Listener)> {
    let bound = listener.local_addr()?;
    let name = format!("tcp://{bound}");
    match security {
        Security::Tls(tls) => return Ok((name, Listener::Tls(listener, tls.clone()))),
        Security::Loopback if !bound.ip().is_loopback() => bail!(
            "the API would be open to the network without TLS, and who reaches it is root here: use --tlsverify, or \
             --tls=false to serve it all the same"
        ),
        Security::Loopback => {}
        Security::Open => {
            tracing::warn!(socket = name, "the API is open without TLS: who reaches it is root here");
        }
    }
    Ok((name, Listener::Tcp(listener)))
}

/// Binds beside the name and renames, so that a client never meets the socket with other rights than it should have.
fn unix(path: &Path) -> Result<UnixListener> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    absent_is_fine(fs::remove_file(&temporary)).with_context(|| temporary.display().to_string())?;
    let listener = UnixListener::bind(&temporary)?;
    if let Some(group) = docker_group(&fs::read_to_string("/etc/group").unwrap_or_default()) {
        chown(&temporary, None, Some(group)).context("cannot give the socket to the group docker")?;
    }
    fs::set_permissions(&temporary, Permissions::from_mode(0o660))?;
    if path.is_dir() {
        // Docker's `-v /var/run/docker.sock:…` made a folder while no engine ran.
        fs::remove_dir(path).with_context(|| format!("{} is a folder", path.display()))?;
    }
    fs::rename(&temporary, path)?;
    Ok(listener)
}

fn docker_group(groups: &str) -> Option<u32> {
    groups.lines().find_map(|line| line.strip_prefix("docker:")?.split(':').nth(1)?.parse().ok())
}

/// Takes the files away.
pub(crate) fn remove(paths: &[PathBuf]) {
    for path in paths {
        if let Err(error) = absent_is_fine(fs::remove_file(path)) {
            tracing::warn!(%error, path = %path.display(), "cannot remove the socket");
        }
    }
}

fn absent_is_fine(result: std::io::Result<()>) -> std::io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_is_found_by_its_whole_name() {
        assert_eq!(docker_group("root:x:0:\ndockerroot:x:5:\ndocker:x:998:a,b\n"), Some(998));
        assert_eq!(docker_group("root:x:0:\n"), None);
    }

    #[tokio::test]
    async fn a_living_socket_is_respected_and_a_stale_one_replaced() {
        let folder = std::env::temp_dir().join(format!("dhowd-sockets-{}", std::process::id()));
        let path = folder.join("docker.sock");
        let host = format!("unix://{}", path.display());
        let first = bind(&[(host.clone(), false)], Vec::new(), &Security::Loopback).await.unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        assert!(
            bind(&[(host.clone(), false)], Vec::new(), &Security::Loopback)
                .await
                .is_err_and(|e| e.to_string().contains("another engine"))
        );
        assert!(
            bind(&[(host.clone(), true)], Vec::new(), &Security::Loopback)
                .await
                .unwrap()
                .listeners
                .is_empty()
        );
        drop(first);
        let second = bind(&[(host, false)], Vec::new(), &Security::Loopback).await.unwrap();
        assert_eq!(second.listeners.len(), 1);
        remove(&second.paths);
        assert!(!path.exists());
        fs::remove_dir(folder).unwrap();
    }

    async fn refused(host: &str, security: &Security) -> String {
        bind(&[(host.to_owned(), false)], Vec::new(), security)
            .await
            .map(|_| ())
            .unwrap_err()
            .root_cause()
            .to_string()
    }

    #[tokio::test]
    async fn what_is_not_served_is_refused_by_name() {
        assert!(refused("npipe://x", &Security::Loopback).await.contains("npipe://x"));
        assert!(
            refused("fd://", &Security::Loopback).await.starts_with("no sockets found via socket activation")
        );
        assert!(refused("fd://x", &Security::Loopback).await.starts_with("no sockets found"));
        assert!(refused("tcp://0.0.0.0:0", &Security::Loopback).await.contains("without TLS"));
        for (host, security) in
            [("tcp://127.0.0.1:0", Security::Loopback), ("tcp://0.0.0.0:0", Security::Open)]
        {
            assert!(bind(&[(host.to_owned(), false)], Vec::new(), &security).await.is_ok(), "{host}");
        }
    }
}
