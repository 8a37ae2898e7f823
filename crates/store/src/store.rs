//! The data root: its lock, its format, its folders.

use crate::{
    Error, Journal, Kind, Limits, Result, blobs, catalog::Catalog, error::At, layer, reaper::Reaper,
    snapshot::inherited::Inherited, volume,
};
use rustix::{
    fd::OwnedFd,
    fs::{FlockOperation, Mode, OFlags},
};
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

/// The number in `format`. A store refuses a larger one and upgrades a smaller one in place.
const FORMAT: u32 = 1;

/// A data root, opened. Cheap to clone; safe from many threads.
#[derive(Debug, Clone)]
pub struct Store(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) root: PathBuf,
    pub(crate) dir: OwnedFd,
    pub(crate) limits: Limits,
    pub(crate) journal: Journal,
    pub(crate) reaper: Reaper,
    /// What there is, for readers. Never held across I/O.
    catalog: RwLock<Catalog>,
    pub(crate) inherited: Inherited,
    /// Held by whoever changes images, layers or volumes, across its I/O.
    mutations: Mutex<()>,
    /// Last: the lock goes when everything else has ended.
    _lock: OwnedFd,
}

impl Store {
    /// Opens or makes a data root: locks it, checks its format number, empties `tmp/`, loads the index.
    ///
    /// # Errors
    /// If another process holds it, or its format is newer.
    pub fn open(root: &Path) -> Result<Self> {
        Self::open_with(root, Limits::default())
    }

    /// As [`Store::open`], with other bounds for layers.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_with(root: &Path, limits: Limits) -> Result<Self> {
        let name = root.display().to_string();
        std::fs::create_dir_all(root).at("make", &name)?;
        let root = root.canonicalize().at("open", &name)?;
        let lock = lock(&root)?;
        format(&root)?;
        for (folder, mode) in FOLDERS {
            make_folder(&root.join(folder), *mode)?;
        }
        layer::base::make(&root.join("layers"))?;
        let reaper = Reaper::start(&root.join("tmp"))?;
        let journal = Journal::open(&root.join("journal"))?;
        let dir = crate::tree::open(&root).at("open", &name)?;
        let mut catalog = Catalog::default();
        layer::restore(&root, &journal, &reaper, &mut catalog)?;
        crate::image::restore(&blobs::folder(&root), &journal, &reaper, &mut catalog);
        volume::restore(&root, &journal, &reaper, &mut catalog)?;
        let inner = Inner {
            root,
            dir,
            limits,
            journal,
            reaper,
            catalog: RwLock::new(catalog),
            inherited: Inherited::default(),
            mutations: Mutex::default(),
            _lock: lock,
        };
        Ok(Self(Arc::new(inner)))
    }

    /// The data root.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.0.root
    }

    /// The journal of engine objects, opened with the store: key → value as it stands. Keys `image/`, `name/`, `layer/`
    /// and `volume/` are the store's own.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.0.journal
    }

    /// What went wrong in the background since the last call: leftovers in `tmp/` that resist removal, records whose
    /// files are gone. For the log.
    #[must_use]
    pub fn leftovers(&self) -> Vec<Error> {
        self.0.reaper.failures()
    }
}

impl Inner {
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Catalog> {
        self.catalog.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, Catalog> {
        self.catalog.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn change(&self) -> MutexGuard<'_, ()> {
        self.mutations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Err(error) = self.settle() {
            // The layers are unpacked again next time.
            self.reaper.report(error);
        }
    }
}

/// Folders of the tree and their modes. Only root may look around; `containers` and `layers` must be passable for nobody
/// else either, for mounts go by descriptor.
const FOLDERS: &[(&str, u32)] = &[
    ("images", 0o700),
    ("images/blobs", 0o700),
    ("images/blobs/sha256", 0o700),
    ("layers", 0o700),
    ("containers", 0o710),
    ("volumes", 0o701),
    ("build", 0o700),
    ("tmp", 0o700),
    ("journal", 0o700),
];

fn make_folder(path: &Path, mode: u32) -> Result<()> {
    let name = || path.display().to_string();
    match std::fs::create_dir(path) {
        Ok(()) => rustix::fs::chmod(path, Mode::from_raw_mode(mode)).at("chmod", name()),
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(Error::io("make", name(), e)),
    }
}

fn lock(root: &Path) -> Result<OwnedFd> {
    let path = root.join("lock");
    let name = path.display().to_string();
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR).at("open", &name)?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => return Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => {}
        Err(e) => return Err(Error::io("lock", name, e)),
    }
    // A killed engine may have been starting a process, which shares its descriptors until it runs its own program: moments.
    let (sender, locked) = std::sync::mpsc::sync_channel(1);
    let waiting = std::thread::Builder::new().name("lock".to_owned()).spawn(move || {
        let result = rustix::fs::flock(&file, FlockOperation::LockExclusive).map(|()| file);
        // Nobody takes it any more: it is closed, and so unlocked again.
        sender.send(result).unwrap_or_default();
    });
    waiting.at("wait for lock of", &name)?;
    match locked.recv_timeout(PATIENCE) {
        Ok(result) => result.at("lock", name),
        Err(_) => Err(Error::new(
            Kind::Conflict,
            "open data root",
            root.display().to_string(),
            "another engine is using it",
        )),
    }
}

/// How long the lock of an engine that has ended may stay.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(2);

/// Checks the format number; a new root gets ours.
fn format(root: &Path) -> Result<()> {
    let path = root.join("format");
    let name = path.display().to_string();
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            let refuse =
                |why: String| Error::new(Kind::Invalid, "open data root", root.display().to_string(), why);
            let number: u32 =
                text.trim().parse().map_err(|_| refuse(format!("its format number is {:?}", text.trim())))?;
            if number > FORMAT {
                return Err(refuse(format!("its format {number} is newer than this program's ({FORMAT})")));
            }
            Ok(())
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let new = root.join("format.new");
            std::fs::write(&new, format!("{FORMAT}\n")).at("write", &name)?;
            std::fs::File::open(&new).and_then(|file| file.sync_all()).at("sync", &name)?;
            std::fs::rename(&new, &path).at("rename", &name)?;
            crate::journal::sync_folder(root)
        }
        Err(e) => Err(Error::io("read", name, e)),
    }
}
