//! Binding the API's sockets: stale files are removed, living ones respected.

use anyhow::{Context, Result, bail};
use dhow_api::Listener;
use std::{
    fs::{self, Permissions},
    io::ErrorKind,
    os::unix::fs::{PermissionsExt, chown},
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

/// Binds all; a socket that may be another engine's is left out if it is.
pub(crate) async fn bind(hosts: &[(String, bool)]) -> Result<Sockets> {
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
            let bound = listener.local_addr().with_context(|| host.clone())?;
            if !bound.ip().is_loopback() {
                tracing::warn!(socket = %bound, "the API is open to the network without TLS: who reaches it is root here");
            }
            sockets.listeners.push((format!("tcp://{bound}"), Listener::Tcp(listener)));
        } else {
            bail!(
                "--host {host:?} is not supported: unix:///path or tcp://address:port (fd:// and TLS are not)"
            );
        }
    }
    Ok(sockets)
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
        let first = bind(&[(host.clone(), false)]).await.unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        assert!(
            bind(&[(host.clone(), false)]).await.is_err_and(|e| e.to_string().contains("another engine"))
        );
        assert!(bind(&[(host.clone(), true)]).await.unwrap().listeners.is_empty());
        drop(first);
        let second = bind(&[(host, false)]).await.unwrap();
        assert_eq!(second.listeners.len(), 1);
        remove(&second.paths);
        assert!(!path.exists());
        fs::remove_dir(folder).unwrap();
    }

    #[tokio::test]
    async fn unknown_schemes_are_refused() {
        assert!(bind(&[("fd://".to_owned(), false)]).await.is_err());
    }
}
