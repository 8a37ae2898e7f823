//! What is kept of a container, in `ROOT/ID`: `state.json` (written last, renamed into place: without it the container is being made),
//! `config.json` as the bundle had it, `agent` where its filter notifies one, and the `door` behind which its process waits for `start`. The folder's lock is held by whoever makes
//! or deletes the container.

use crate::bundle;
use crate::failure::Failure;
use crate::identity::Identity;
use dhow_oci::runtime::{Hook, Spec};
use dhow_runtime::Host;
use dhow_runtime::door::{self, Agent};
use rustix::fd::OwnedFd;
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::process::Pid;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The version of the specification that states are written in.
pub(crate) const OCI_VERSION: &str = "1.2.0";

/// What `state.json` says.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Record {
    pub(crate) id: String,
    pub(crate) process: Identity,
    pub(crate) bundle: PathBuf,
    pub(crate) rootfs: PathBuf,
    pub(crate) created: String,
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) cgroups: Vec<PathBuf>,
    /// Whether systemd made them.
    pub(crate) systemd: bool,
    /// Whether it has a session keyring of its own, which further processes join.
    #[serde(default)]
    pub(crate) keyring: bool,
    pub(crate) poststart: Vec<Hook>,
    pub(crate) poststop: Vec<Hook>,
}

/// Where a container is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Created,
    Running,
    Paused,
    Stopped,
}

impl Status {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }
}

/// What `state` and `list` print, with runc's names.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct State<'a> {
    oci_version: &'static str,
    pub(crate) id: &'a str,
    /// 0 when it has ended.
    pub(crate) pid: i32,
    pub(crate) status: &'static str,
    pub(crate) bundle: &'a Path,
    rootfs: &'a Path,
    pub(crate) created: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'a BTreeMap<String, String>,
    pub(crate) owner: String,
}

/// A container that was made.
#[derive(Debug)]
pub(crate) struct Container {
    pub(crate) dir: PathBuf,
    pub(crate) record: Record,
}

/// The machine, with cgroups made by systemd or by us.
pub(crate) fn host(systemd: bool) -> Result<Host, Failure> {
    let host = Host::observe()?;
    Ok(if systemd { host.with_systemd()? } else { host })
}

/// Names are single folders.
pub(crate) fn check_id(id: &str) -> Result<(), Failure> {
    if id.is_empty() {
        return Err(Failure::new("container id cannot be empty"));
    }
    let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'+' | b',' | b'-' | b'.');
    if id.bytes().all(fine) && id != "." && id != ".." {
        Ok(())
    } else {
        Err(Failure::new("invalid container ID format"))
    }
}

/// Takes the lock of a container's folder; dropping it gives it back.
fn lock(dir: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = rustix::fs::open(dir, flags, Mode::empty())?;
    rustix::io::retry_on_intr(|| rustix::fs::flock(&fd, FlockOperation::LockExclusive))?;
    Ok(fd)
}

/// A new container's folder; removed again unless the container is kept.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) dir: PathBuf,
    kept: bool,
    _lock: OwnedFd,
}

impl Claim {
    /// Makes the folder: whoever makes it owns the name.
    pub(crate) fn new(root: &Path, id: &str) -> Result<Self, Failure> {
        check_id(id)?;
        let mut folder = std::fs::DirBuilder::new();
        folder.mode(0o700);
        let made = match folder.create(root.join(id)) {
            Err(e) if e.kind() == ErrorKind::NotFound => {
                folder.recursive(true).create(root).map_err(|e| Failure::file("make", root, e))?;
                folder.recursive(false).create(root.join(id))
            }
            other => other,
        };
        // Relative roots must not depend on where later commands are run from.
        let dir = std::path::absolute(root.join(id)).map_err(|e| Failure::file("resolve", root, e))?;
        match made {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                return Err(Failure::new("container with given ID already exists"));
            }
            other => other.map_err(|e| Failure::file("make", &dir, e))?,
        }
        let lock = lock(&dir).map_err(|e| Failure::file("lock", &dir, e))?;
        Ok(Self { dir, kept: false, _lock: lock })
    }

    /// Writes what is known; from here on the container exists.
    pub(crate) fn record(
        mut self,
        record: Record,
        config: &[u8],
        agent: Option<&[u8]>,
    ) -> Result<Container, Failure> {
        if let Some(agent) = agent {
            write_new(&self.dir.join("agent"), agent)?;
        }
        let copy = self.dir.join("config.json");
        std::fs::write(&copy, config).map_err(|e| Failure::file("write", &copy, e))?;
        let text = serde_json::to_vec(&record)
            .map_err(|e| Failure::file("encode", &self.dir.join("state.json"), e))?;
        write_new(&self.dir.join("state.json"), &text)?;
        self.kept = true;
        Ok(Container { dir: self.dir.clone(), record })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.kept {
            // Undoing after a failure that is already being reported.
            drop(std::fs::remove_dir_all(&self.dir));
        }
    }
}

/// Writes a file beside its place and renames it there.
pub(crate) fn write_new(path: &Path, content: &[u8]) -> Result<(), Failure> {
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    std::fs::write(&fresh, content)
        .and_then(|()| std::fs::rename(&fresh, path))
        .map_err(|e| Failure::file("write", path, e))
}

impl Container {
    /// Reads what is kept of `id`; none if there is no such container (yet).
    pub(crate) fn find(root: &Path, id: &str) -> Result<Option<Self>, Failure> {
        check_id(id)?;
        let dir = root.join(id);
        let path = dir.join("state.json");
        let text = match std::fs::read(&path) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|e| Failure::file("read", &path, e))?,
        };
        let record = serde_json::from_slice(&text).map_err(|e| Failure::file("read", &path, e))?;
        Ok(Some(Self { dir, record }))
    }

    /// The same, where it must be there.
    pub(crate) fn load(root: &Path, id: &str) -> Result<Self, Failure> {
        Self::find(root, id)?.ok_or_else(|| Failure::new("container does not exist"))
    }

    /// Takes the folder's lock, then reads what is kept.
    pub(crate) fn lock(root: &Path, id: &str) -> Result<Option<(Self, OwnedFd)>, Failure> {
        check_id(id)?;
        let dir = root.join(id);
        let held = match lock(&dir) {
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            other => other.map_err(|e| Failure::file("lock", &dir, e))?,
        };
        Ok(Self::find(root, id)?.map(|container| (container, held)))
    }

    /// Of the first process, which may have ended.
    pub(crate) fn pid(&self) -> Result<Pid, Failure> {
        Pid::from_raw(self.record.process.pid).ok_or_else(|| Failure::new("state.json: pid is 0"))
    }

    /// Asked of the kernel, never of a file.
    pub(crate) fn status(&self) -> Result<Status, Failure> {
        if !self.record.process.alive() {
            return Ok(Status::Stopped);
        }
        if dhow_runtime::frozen(&self.record.cgroups)? {
            return Ok(Status::Paused);
        }
        Ok(if door::knock(&self.dir)?.is_some() { Status::Created } else { Status::Running })
    }

    /// Who gets the listener of its filter.
    pub(crate) fn agent(&self) -> Result<Option<Agent>, Failure> {
        let path = self.dir.join("agent");
        match std::fs::read(&path) {
            Ok(bytes) => Ok(Some(Agent::decode(&bytes)?)),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Failure::file("read", &path, e)),
        }
    }

    /// What is printed of it.
    pub(crate) fn state(&self, owner: String) -> Result<State<'_>, Failure> {
        let status = self.status()?;
        Ok(self.state_as(
            status.word(),
            if status == Status::Stopped { 0 } else { self.record.process.pid },
            owner,
        ))
    }

    fn state_as(&self, status: &'static str, pid: i32, owner: String) -> State<'_> {
        State {
            oci_version: OCI_VERSION,
            id: &self.record.id,
            pid,
            status,
            bundle: &self.record.bundle,
            rootfs: &self.record.rootfs,
            created: &self.record.created,
            annotations: &self.record.annotations,
            owner,
        }
    }

    /// The machine, as it was seen when the container was made.
    pub(crate) fn host(&self) -> Result<Host, Failure> {
        host(self.record.systemd)
    }

    /// The specification it was made from.
    pub(crate) fn spec(&self) -> Result<Spec, Failure> {
        let path = self.dir.join("config.json");
        let text = std::fs::read(&path).map_err(|e| Failure::file("read", &path, e))?;
        let mut spec = bundle::parse(&path, &text)?;
        bundle::complete(&mut spec, &self.record.bundle, &self.record.id, self.record.systemd);
        Ok(spec)
    }

    /// Takes away what is left of it: processes, cgroups, the folder.
    pub(crate) fn destroy(&self) -> Result<(), Failure> {
        if let Err(failures) = dhow_runtime::remove_cgroups(&self.record.cgroups) {
            let all: Vec<String> = failures.iter().map(ToString::to_string).collect();
            return Err(Failure::new(all.join("; ")));
        }
        std::fs::remove_dir_all(&self.dir).map_err(|e| Failure::file("remove", &self.dir, e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_their_folder() {
        assert!(check_id("a_B-1.2+x,").is_ok());
        for id in ["", ".", "..", "a/b", "../x", "a b", "ä"] {
            assert!(check_id(id).is_err(), "{id:?}");
        }
    }

    #[test]
    fn a_name_is_owned_once_and_free_after_a_failure() {
        let root = std::env::temp_dir().join(format!("dhow-runtime-claim-{}", std::process::id()));
        let claim = Claim::new(&root, "one").unwrap();
        let second = Claim::new(&root, "one").unwrap_err();
        assert_eq!(second.message, "container with given ID already exists");
        assert!(Container::find(&root, "one").unwrap().is_none());
        drop(claim);
        drop(Claim::new(&root, "one").unwrap());
        std::fs::remove_dir_all(&root).unwrap();
    }
}
