//! `tmp/`: everything half-made and everything half-gone. What leaves the store is renamed into it (which is instant) and
//! removed by one background thread, outside every lock.

use crate::{Error, Result, error::At, tree};
use rustix::{
    fd::OwnedFd,
    fs::{IFlags, RenameFlags},
};
use std::{
    ffi::OsString,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, Sender, channel},
    },
    thread::JoinHandle,
};

/// Owner of `tmp/`.
#[derive(Debug)]
pub(crate) struct Reaper {
    tmp: PathBuf,
    bin: Sender<Option<OsString>>,
    thread: Option<JoinHandle<()>>,
    failures: Arc<Mutex<Vec<Error>>>,
}

/// Has ext4 begin every layer in an empty part of the disk, as if `tmp/` were the top of a hierarchy (`chattr +T`). Else it keeps a
/// layer close to what was unpacked and removed before, and searches every new file's inode past the ones just deleted: 7 times
/// the CPU of a load, where the file system has no journal. Other file systems need no such hint and refuse it.
fn spread(tmp: &OwnedFd) {
    if let Ok(flags) = rustix::fs::ioctl_getflags(tmp)
        && !flags.contains(IFlags::TOPDIR)
    {
        rustix::fs::ioctl_setflags(tmp, flags | IFlags::TOPDIR).ok();
    }
}

/// A folder under `tmp/`; removed when dropped, unless it was moved to its place.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: PathBuf,
    bin: Sender<Option<OsString>>,
    kept: bool,
}

impl Reaper {
    /// Takes `tmp` over; what it holds from an earlier life is removed in the background.
    pub(crate) fn start(tmp: &Path) -> Result<Self> {
        let name = tmp.display().to_string();
        std::fs::create_dir_all(tmp).at("make", &name)?;
        let folder = tree::open(tmp).at("open", &name)?;
        let old = tree::names(&folder).at("list", &name)?;
        spread(&folder);
        let (bin, work) = channel();
        let failures = Arc::new(Mutex::new(Vec::new()));
        let inside = Arc::clone(&failures);
        for name in old {
            bin.send(Some(std::ffi::OsStr::from_bytes(name.to_bytes()).to_owned())).unwrap_or_default();
        }
        let thread = std::thread::Builder::new()
            .name("reaper".to_owned())
            .stack_size(256 * 1024)
            .spawn(move || reap(&folder, &work, &inside))
            .at("start reaper of", &name)?;
        Ok(Self { tmp: tmp.to_owned(), bin, thread: Some(thread), failures })
    }

    /// A new empty folder.
    pub(crate) fn scratch(&self) -> Result<Scratch> {
        let path = self.tmp.join(tree::random_hex());
        std::fs::create_dir(&path).at("make", path.display().to_string())?;
        Ok(Scratch { path, bin: self.bin.clone(), kept: false })
    }

    /// A name for a new file.
    pub(crate) fn name(&self) -> PathBuf {
        self.tmp.join(tree::random_hex())
    }

    /// Takes `path` out of the tree at once; its content goes later.
    pub(crate) fn discard(&self, path: &Path) -> Result<()> {
        let name = tree::random_hex();
        std::fs::rename(path, self.tmp.join(&name)).at("remove", path.display().to_string())?;
        self.bin.send(Some(name.into())).unwrap_or_default(); // at the latest the next start empties tmp/
        Ok(())
    }

    /// What could not be removed since the last call.
    pub(crate) fn failures(&self) -> Vec<Error> {
        std::mem::take(&mut *self.failures.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds to what [`Reaper::failures`] reports.
    pub(crate) fn report(&self, error: Error) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).push(error);
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        self.bin.send(None).unwrap_or_default();
        if let Some(thread) = self.thread.take() {
            drop(thread.join()); // a panic was printed; the next start empties tmp/
        }
    }
}

fn reap(folder: &rustix::fd::OwnedFd, work: &Receiver<Option<OsString>>, failures: &Mutex<Vec<Error>>) {
    while let Ok(Some(name)) = work.recv() {
        if let Err(cause) = tree::remove(folder, name.as_bytes()) {
            let error = Error::io("remove", format!("tmp/{}", name.display()), cause);
            failures.lock().unwrap_or_else(PoisonError::into_inner).push(error);
        }
    }
}

impl Scratch {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Renames the folder to `target`, which must not exist.
    pub(crate) fn move_to(mut self, target: &Path) -> Result<()> {
        let (from, to) = (rustix::fs::CWD, rustix::fs::CWD);
        rustix::fs::renameat_with(from, &self.path, to, target, RenameFlags::NOREPLACE)
            .at("make", target.display().to_string())?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.kept
            && let Some(name) = self.path.file_name()
        {
            // The reaper may have ended: then the next start empties tmp/.
            self.bin.send(Some(name.to_owned())).unwrap_or_default();
        }
    }
}
