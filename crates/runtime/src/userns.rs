//! User namespaces from outside: the maps of a new one, and one that exists only for its maps.

use crate::Error;
use crate::step::{IdMap, UserMaps};
use dhow_sys::clone::{Cloned, clone3, new};
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, open};
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, pidfd_send_signal, set_parent_process_death_signal, waitid,
};
use std::ffi::CStr;

/// Writes the maps of the namespace that the process `pid` was cloned into.
pub(crate) fn write_maps(pid: Pid, maps: &UserMaps) -> Result<(), Error> {
    // Without privileges this would take newuidmap, which only maps what /etc/subuid lists.
    if !rustix::process::geteuid().is_root() {
        return Err(Error::invalid("linux.uidMappings", "a user namespace with maps needs root here"));
    }
    for (file, lines) in [("uid_map", &maps.uids), ("gid_map", &maps.gids)] {
        let path = format!("/proc/{}/{file}", pid.as_raw_nonzero());
        // One write: the kernel takes the whole map at once.
        std::fs::write(&path, lines).map_err(|e| Error::io("write", format_args!("{file} {lines:?}"), &e))?;
    }
    Ok(())
}

/// The user namespace whose maps a mount gets.
pub(crate) fn of_map(map: &IdMap) -> Result<OwnedFd, Error> {
    match map {
        IdMap::Namespace { path } => namespace(path),
        IdMap::Ranges { uids, gids } => held(&UserMaps { uids: uids.clone(), gids: gids.clone() }),
    }
}

fn namespace(path: &CStr) -> Result<OwnedFd, Error> {
    open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|e| Error::os("open namespace", path.to_string_lossy(), e))
}

/// A namespace of these maps: a process is in it for as long as it takes to open it.
fn held(maps: &UserMaps) -> Result<OwnedFd, Error> {
    let (pid, pidfd) = match clone3(new::USER, None).map_err(|e| Error::os("clone3", "id map", e))? {
        Cloned::Parent { pid, pidfd } => (pid, pidfd),
        Cloned::Child => {
            // If this is refused the process below is killed all the same, only not by its parent's end.
            set_parent_process_death_signal(Some(Signal::KILL)).unwrap_or_default();
            loop {
                rustix::event::pause();
            }
        }
    };
    let path = format!("/proc/{}/ns/user\0", pid.as_raw_nonzero());
    let opened = write_maps(pid, maps).and_then(|()| {
        let path = CStr::from_bytes_until_nul(path.as_bytes());
        namespace(path.map_err(|_| Error::invalid("pid", "contains a NUL byte"))?)
    });
    let gone = pidfd_send_signal(&pidfd, Signal::KILL).and_then(|()| {
        rustix::io::retry_on_intr(|| {
            waitid(WaitId::PidFd(rustix::fd::AsFd::as_fd(&pidfd)), WaitIdOptions::EXITED)
        })
    });
    gone.map_err(|e| Error::os("end", "process of an id map", e))?;
    opened
}
