//! Making and filling cgroup folders.

use crate::Error;
use crate::step::{CgroupDir, CgroupWrite, Cgroups};
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use std::fs;
use std::path::{Path, PathBuf};

/// Writes one file of `dir`: the first of its names that exists.
fn put(dir: &Path, item: &CgroupWrite) -> Result<(), Error> {
    let mut missing = None;
    for file in &item.files {
        let path = dir.join(file);
        match open(&path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()) {
            Ok(fd) => {
                return rustix::io::write(&fd, item.value.as_bytes()).map(|_| ()).map_err(|e| {
                    Error::os("write cgroup", path.display(), e)
                        .because(format_args!("value {:?}", item.value))
                });
            }
            Err(Errno::NOENT) => missing = Some(path),
            Err(e) => return Err(Error::os("write cgroup", path.display(), e)),
        }
    }
    match missing {
        Some(path) if !item.optional => {
            Err(Error::os("write cgroup", path.display(), Errno::NOENT)
                .because("this kernel does not have it"))
        }
        _ => Ok(()),
    }
}

/// Writes all; what is refused because of another value (memory before swap, quota before period) is tried once more after the rest.
pub(crate) fn write_all(dir: &Path, writes: &[CgroupWrite]) -> Result<(), Error> {
    let mut again = Vec::new();
    for item in writes {
        match put(dir, item) {
            Err(e) if [Errno::INVAL, Errno::BUSY].iter().any(|errno| errno.raw_os_error() == e.errno) => {
                again.push(item)
            }
            other => other?,
        }
    }
    again.into_iter().try_for_each(|item| put(dir, item))
}

/// Makes the folder and its missing parents, parents first; returns those made.
fn make(dir: &CgroupDir, made: &mut Vec<PathBuf>) -> Result<(), Error> {
    let below: Vec<&Path> = dir.path.ancestors().take_while(|p| *p != dir.mount).collect();
    for (index, path) in below.iter().enumerate().rev() {
        if index + 1 == below.len() || index == 0 || !dir.controllers.is_empty() {
            enable(path.parent().unwrap_or(&dir.mount), dir)?;
        }
        match rustix::fs::mkdir(*path, Mode::from_raw_mode(0o755)) {
            Ok(()) => made.push(path.to_path_buf()),
            Err(Errno::EXIST) => {}
            Err(e) => return Err(Error::os("make cgroup", path.display(), e)),
        }
        if dir.cpuset {
            inherit_cpuset(path)?;
        }
    }
    Ok(())
}

/// v2: passes the controllers that the parent has on to its children.
fn enable(parent: &Path, dir: &CgroupDir) -> Result<(), Error> {
    let control = parent.join("cgroup.subtree_control");
    if !control.exists() {
        return Ok(());
    }
    let read =
        |path: &Path| fs::read_to_string(path).map_err(|e| Error::io("read cgroup", path.display(), &e));
    let (have, on) = (read(&parent.join("cgroup.controllers"))?, read(&control)?);
    let has = |list: &str, name: &str| list.split_whitespace().any(|c| c == name);
    for name in dir.controllers.iter().filter(|c| has(&have, c) && !has(&on, c)) {
        fs::write(&control, format!("+{name}")).map_err(|e| {
            Error::io("write cgroup", control.display(), &e)
                .because(format_args!("enabling controller {name}"))
        })?;
    }
    Ok(())
}

/// v1: a fresh cpuset has no processors and nothing can join it.
fn inherit_cpuset(path: &Path) -> Result<(), Error> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let (own, above) = (path.join(file), path.parent().unwrap_or(path).join(file));
        let read =
            |path: &Path| fs::read_to_string(path).map_err(|e| Error::io("read cgroup", path.display(), &e));
        if read(&own)?.trim().is_empty() {
            let value = read(&above)?;
            fs::write(&own, value.trim()).map_err(|e| Error::io("write cgroup", own.display(), &e))?;
        }
    }
    Ok(())
}

/// The cgroups of a container, removed again unless kept.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) dirs: Vec<PathBuf>,
    keep: bool,
}

impl Made {
    /// Makes and fills all folders.
    pub(crate) fn new(cgroups: &Cgroups) -> Result<Self, Error> {
        let mut made = Self { dirs: Vec::new(), keep: false };
        for dir in &cgroups.dirs {
            make(dir, &mut made.dirs)?;
            write_all(&dir.path, &dir.writes)?;
        }
        if let (Some(dir), false) = (cgroups.dirs.first(), cgroups.devices.is_empty()) {
            super::devices::attach(&dir.path, &cgroups.devices)?;
        }
        // Shared parents stay: only the container's own folders are undone.
        made.dirs.retain(|path| cgroups.dirs.iter().any(|dir| dir.path == *path));
        Ok(made)
    }

    pub(crate) fn keep(&mut self) {
        self.keep = true;
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if !self.keep {
            // Undoing after a failure that is already being reported.
            drop(super::control::remove_cgroups(&self.dirs));
        }
    }
}

/// What the child needs to join: v1 the `tasks` files, v2 the folder itself.
pub(crate) fn doors(cgroups: &Cgroups) -> Result<Vec<OwnedFd>, Error> {
    let open = |path: &Path, flags| {
        open(path, flags | OFlags::CLOEXEC, Mode::empty())
            .map_err(|e| Error::os("open cgroup", path.display(), e))
    };
    if cgroups.v2 {
        cgroups.dirs.iter().map(|dir| open(&dir.path, OFlags::RDONLY | OFlags::DIRECTORY)).collect()
    } else {
        cgroups.dirs.iter().map(|dir| open(&dir.path.join("tasks"), OFlags::WRONLY)).collect()
    }
}
