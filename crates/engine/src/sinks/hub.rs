//! One inotify instance for all forwarders: the kernel allows a user only 128 of them, but many watches.

use rustix::{
    fd::OwnedFd,
    fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags},
    io::Errno,
};
use std::{
    collections::HashMap,
    io,
    mem::MaybeUninit,
    path::Path,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};
use tokio::{io::unix::AsyncFd, sync::Notify};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Hub(OnceLock<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    fd: AsyncFd<OwnedFd>,
    folders: Mutex<HashMap<i32, Arc<Notify>>>,
}

/// A folder that is watched. Woken by files that come, and by writes where it asked for those.
#[derive(Debug)]
pub(super) struct Folder {
    hub: Arc<Inner>,
    wd: i32,
    pub(super) changed: Arc<Notify>,
}

impl Hub {
    /// Begins to watch. Must be called within tokio.
    pub(super) fn watch(&self, folder: &Path) -> io::Result<Folder> {
        let hub = match self.0.get() {
            Some(hub) => hub.clone(),
            None => {
                let hub = Arc::new(Inner::new()?);
                let kept = self.0.get_or_init(|| hub.clone()).clone();
                if Arc::ptr_eq(&kept, &hub) {
                    tokio::spawn(hub.read());
                }
                kept
            }
        };
        let changed = Arc::new(Notify::new());
        // Held while the watch is made: its first event must find whom to wake.
        let mut folders = hub.folders.lock().unwrap_or_else(PoisonError::into_inner);
        let wd = add(&hub.fd, folder, false)?;
        folders.insert(wd, changed.clone());
        drop(folders);
        Ok(Folder { hub, wd, changed })
    }
}

fn add(fd: &AsyncFd<OwnedFd>, folder: &Path, writes: bool) -> io::Result<i32> {
    let files = WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::ONLYDIR;
    let what = if writes { files | WatchFlags::MODIFY } else { files };
    Ok(inotify::add_watch(fd.get_ref(), folder, what)?)
}

impl Folder {
    /// Whether writes wake as well. A forwarder that has something to send does not care for them.
    pub(super) fn with_writes(&self, folder: &Path, writes: bool) -> io::Result<()> {
        add(&self.hub.fd, folder, writes).map(drop)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let mut folders = self.hub.folders.lock().unwrap_or_else(PoisonError::into_inner);
        folders.remove(&self.wd);
        if let Err(errno) = inotify::remove_watch(self.hub.fd.get_ref(), self.wd) {
            // The folder went first.
            tracing::debug!(%errno, "a log folder is watched no more");
        }
    }
}

impl Inner {
    #[expect(
        deprecated,
        reason = "the descriptor is owned: what the unsafe replacement asks for holds by type"
    )]
    fn new() -> io::Result<Self> {
        let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        Ok(Self { fd: AsyncFd::new(fd)?, folders: Mutex::default() })
    }

    async fn read(self: Arc<Self>) {
        loop {
            let mut guard = match self.fd.readable().await {
                Ok(guard) => guard,
                Err(error) => return tracing::error!(%error, "log folders are not watched any more"),
            };
            if self.dispatch() == Errno::AGAIN {
                guard.clear_ready();
            }
        }
    }

    /// Wakes whom the queued events concern; ends with what ended the reading.
    fn dispatch(&self) -> Errno {
        let mut space = [MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(self.fd.get_ref(), &mut space);
        loop {
            let (wd, overflow) = match events.next() {
                Ok(event) => (event.wd(), event.events().contains(ReadFlags::QUEUE_OVERFLOW)),
                Err(errno) => return errno,
            };
            let folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
            if overflow {
                folders.values().for_each(|changed| changed.notify_one());
            } else if let Some(changed) = folders.get(&wd) {
                changed.notify_one();
            }
        }
    }
}
