//! The host's CA bundle in build steps (`--host-ca`): for networks whose way out re-signs TLS. A copy stands where programs look for the
//! system's bundle, not a mount: `update-ca-certificates` renames over it, which a mount point refuses. A second, mounted one in `/dev` is what the
//! environment points to, so that it is there whatever the step does to the first. Neither ends up in the image.

use super::{
    layers::{Found, look},
    stubs::{folder, uncopy, upper},
};
use crate::{Result, error::io};
use dhow_oci::runtime as oci;
use dhow_store::Snapshot;
use rustix::{
    fs::{AtFlags, Mode, OFlags},
    io::Errno,
};
use std::{fs::File, io::Write, path::Path};

const PLACES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
/// Where the environment points to: `/dev` is a tmpfs of the step.
const HINT: &str = "/dev/.host-ca.crt";
const FOLDER: &str = "/etc/ssl/certs";
const NAME: &str = "ca-certificates.crt";

/// The host's bundle, if it has one.
pub(super) fn host_bundle() -> Option<&'static Path> {
    PLACES.iter().map(Path::new).find(|path| path.is_file())
}

/// The mounted one.
pub(super) fn mount(bundle: &Path) -> oci::Mount {
    super::bind(bundle, HINT, "ro")
}

/// Variables that programs ask, unless the step sets them itself.
pub(super) fn hint(env: &mut Vec<String>) {
    for name in [
        "SSL_CERT_FILE",
        "REQUESTS_CA_BUNDLE",
        "PIP_CERT",
        "CURL_CA_BUNDLE",
        "NODE_EXTRA_CA_CERTS",
        "GIT_SSL_CAINFO",
        "CARGO_HTTP_CAINFO",
    ] {
        if !env.iter().any(|entry| entry.split('=').next() == Some(name)) {
            env.push(format!("{name}={HINT}"));
        }
    }
}

/// A copy in the writable layer.
#[derive(Debug)]
pub(super) struct Planted {
    /// Real folder inside, links followed.
    folder: String,
    /// Device and inode of the copy: what a step puts there instead is its own.
    inode: u64,
    size: i64,
    mtime: (i64, i64),
    /// Folders that were missing.
    made: Vec<String>,
}

/// Puts the copy where the system's bundle is looked for. `None` if the step's own layer has one, or if the image has links on the way there.
pub(super) fn plant(snapshot: &Snapshot, bundle: &Path) -> Result<Option<Planted>> {
    let text = std::fs::read(bundle).map_err(|e| io("read", bundle.display(), e))?;
    if look(snapshot, FOLDER) == Found::Other
        || snapshot.upper.join("etc/ssl/certs").join(NAME).symlink_metadata().is_ok()
    {
        return Ok(None);
    }
    let mut made = Vec::new();
    let (mut path, mut place) = (String::new(), snapshot.upper.clone());
    for part in FOLDER.split('/').filter(|p| !p.is_empty()) {
        path = format!("{path}/{part}");
        place.push(part);
        let found = look(snapshot, &path);
        match found {
            Found::Folder(at) if at == place => {}
            Found::Folder(below) => copy_up(&below, &place)?,
            // hidden by a whiteout: the step's layer has ideas of its own
            Found::Absent if place.symlink_metadata().is_ok() => return Ok(None),
            Found::Absent => {
                std::fs::create_dir(&place).map_err(|e| io("make", place.display(), e))?;
                made.push(path.clone());
            }
            Found::Other => return Ok(None),
        }
    }
    let upper = upper(snapshot)?;
    let fail = |e: Errno| io("write", format!("{FOLDER}/{NAME}"), e.into());
    let place = folder(&upper, FOLDER).map_err(fail)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file =
        File::from(rustix::fs::openat(&place, NAME, flags, Mode::from_raw_mode(0o644)).map_err(fail)?);
    file.write_all(&text).map_err(|e| io("write", NAME, e))?;
    let stat = rustix::fs::fstat(&file).map_err(fail)?;
    Ok(Some(Planted {
        folder: FOLDER.to_owned(),
        inode: stat.st_ino,
        size: stat.st_size,
        mtime: (stat.st_mtime, stat.st_mtime_nsec as i64),
        made,
    }))
}

/// A folder of a layer below, as the kernel would copy it up: same mode, owner, times.
fn copy_up(below: &Path, place: &Path) -> Result<()> {
    use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
    let copy = || {
        let meta = below.metadata()?;
        std::fs::DirBuilder::new().mode(0o700).create(place)?;
        std::os::unix::fs::chown(place, Some(meta.uid()), Some(meta.gid()))?;
        std::fs::set_permissions(place, std::fs::Permissions::from_mode(meta.mode() & 0o7777))
    };
    copy().map_err(|e| io("copy up", place.display(), e))
}

impl Planted {
    /// Takes the copy out again, unless the step replaced it.
    pub(super) fn remove(&self, snapshot: &Snapshot) -> Result<()> {
        let upper = upper(snapshot)?;
        let Ok(place) = folder(&upper, &self.folder) else { return Ok(()) };
        let Ok(stat) = rustix::fs::statat(&place, NAME, AtFlags::SYMLINK_NOFOLLOW) else { return Ok(()) };
        let ours = stat.st_ino == self.inode
            && stat.st_size == self.size
            && (stat.st_mtime, stat.st_mtime_nsec as i64) == self.mtime;
        if !ours {
            return Ok(());
        }
        let fail = |e: Errno| io("take out of the layer", NAME, e.into());
        rustix::fs::unlinkat(&place, NAME, AtFlags::empty()).map_err(fail)?;
        drop(place);
        for path in self.made.iter().rev() {
            let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
            let Ok(parent) = folder(&upper, parent) else { continue };
            match rustix::fs::unlinkat(&parent, name, AtFlags::REMOVEDIR) {
                Ok(()) | Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOENT) => {}
                Err(failure) => return Err(fail(failure)),
            }
        }
        uncopy(snapshot, &upper, &format!("{}/{NAME}", self.folder))?;
        for path in &self.made {
            uncopy(snapshot, &upper, path)?;
        }
        Ok(())
    }
}
