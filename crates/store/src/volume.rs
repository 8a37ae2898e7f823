//! Volumes: `volumes/<name>/{_data/,meta}`. The journal holds what an answer promised; `meta` is for people, and brings a
//! volume back whose record is gone: data is never dropped because a record is missing.

use crate::{
    Error, Journal, Kind, Result, Snapshot, Store, catalog::Catalog, error::At, reaper::Reaper, tree,
};
use rustix::fs::{AtFlags, OFlags};
use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// A named or anonymous volume.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Volume {
    /// 64 hexadecimal digits when anonymous.
    pub name: String,
    /// `local`.
    pub driver: String,
    /// `volumes/<name>/_data`.
    pub mountpoint: PathBuf,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// `type`, `o`, `device`.
    pub options: BTreeMap<String, String>,
    /// RFC 3339.
    pub created: String,
    /// Made without a name.
    pub anonymous: bool,
}

fn key(name: &str) -> String {
    format!("volume/{name}")
}

/// docker's rule: `[a-zA-Z0-9][a-zA-Z0-9_.-]+`.
fn check_name(name: &str) -> Result<()> {
    let bytes = name.as_bytes();
    let rest = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    let why = match bytes {
        [_] => "volume name is too short, names should be at least two alphanumeric characters",
        _ if bytes.len() > 255 => "volume name is longer than 255 characters",
        [first, others @ ..] if first.is_ascii_alphanumeric() && others.iter().all(rest) => return Ok(()),
        _ => {
            "includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path"
        }
    };
    Err(Error::invalid("name volume", name, why))
}

/// What the local driver understands; mounting it is the engine's.
fn check_options(name: &str, options: &BTreeMap<String, String>) -> Result<()> {
    let invalid = |why: String| Err(Error::invalid("create", name, why));
    for option in options.keys() {
        if !matches!(option.as_str(), "type" | "o" | "device") {
            return invalid(format!("invalid option: {option:?}"));
        }
    }
    for (option, wanted) in [("device", "type"), ("type", "device"), ("o", "device"), ("o", "type")] {
        let given = |key: &str| options.get(key).is_some_and(|value| !value.is_empty());
        if given(option) && !given(wanted) {
            return invalid(format!("missing required option: {wanted:?}"));
        }
    }
    Ok(())
}

/// Loads the volumes. A folder that has `meta` and no record is taken in; a record without a folder gets one.
pub(crate) fn restore(root: &Path, journal: &Journal, reaper: &Reaper, catalog: &mut Catalog) -> Result<()> {
    let folder = root.join("volumes");
    for (key, value) in journal.scan("volume/") {
        match serde_json::from_slice::<Volume>(&value) {
            Ok(volume) => {
                let home = folder.join(&volume.name);
                let mountpoint = home.join("_data");
                if !mountpoint.is_dir() {
                    std::fs::create_dir_all(&mountpoint).at("restore volume", volume.name.clone())?;
                    reaper.report(Error::new(
                        Kind::Internal,
                        "open volume",
                        volume.name.clone(),
                        "its folder was gone; it is empty now",
                    ));
                }
                catalog.volumes.insert(volume.name.clone(), Arc::new(Volume { mountpoint, ..volume }));
            }
            Err(e) => reaper.report(Error::new(Kind::Internal, "read record", key, e)),
        }
    }
    let name = folder.display().to_string();
    for entry in std::fs::read_dir(&folder).at("list", &name)? {
        let name = entry.at("list", &name)?.file_name().to_string_lossy().into_owned();
        if catalog.volumes.contains_key(&name) {
            continue;
        }
        let read = std::fs::read(folder.join(&name).join("meta")).map_err(|e| e.to_string());
        match read.and_then(|bytes| serde_json::from_slice::<Volume>(&bytes).map_err(|e| e.to_string())) {
            Ok(volume) if volume.name == name => {
                let volume = Volume { mountpoint: folder.join(&name).join("_data"), ..volume };
                journal.put(&key(&name), Some(&bytes_of(&volume)?)).forget();
                catalog.volumes.insert(name, Arc::new(volume));
            }
            Ok(_) => {
                reaper.report(Error::new(Kind::Internal, "open volume", name, "its meta is another volume's"))
            }
            Err(why) => reaper.report(Error::new(Kind::Internal, "open volume", name, why)),
        }
    }
    Ok(())
}

fn bytes_of(volume: &Volume) -> Result<Vec<u8>> {
    serde_json::to_vec(volume)
        .map_err(|e| Error::new(Kind::Internal, "write record of volume", volume.name.clone(), e))
}

impl Store {
    /// All volumes.
    #[must_use]
    pub fn volumes(&self) -> Vec<Arc<Volume>> {
        self.0.read().volumes.values().cloned().collect()
    }

    /// One volume.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn volume(&self, name: &str) -> Result<Arc<Volume>> {
        self.0.read().volumes.get(name).cloned().ok_or_else(|| Error::absent("find volume", name))
    }

    /// Makes a volume; `None` for an anonymous one. An existing one of the same driver and options is returned.
    ///
    /// # Errors
    /// `Invalid` name or options; `Conflict`.
    pub fn create_volume(
        &self,
        name: Option<&str>,
        labels: BTreeMap<String, String>,
        options: BTreeMap<String, String>,
    ) -> Result<Arc<Volume>> {
        let anonymous = name.is_none();
        let name = name.map_or_else(anonymous_name, |name| Ok(name.to_owned()))?;
        check_name(&name)?;
        check_options(&name, &options)?;
        let changing = self.0.change();
        if let Some(there) = self.0.read().volumes.get(&name) {
            if options.is_empty() || there.options == options {
                return Ok(Arc::clone(there));
            }
            return Err(Error::new(Kind::Conflict, "create volume", name, "it exists with other options"));
        }
        let home = self.0.root.join("volumes").join(&name);
        let created = now();
        let mountpoint = home.join("_data");
        let volume =
            Volume { name, driver: "local".to_owned(), mountpoint, labels, options, created, anonymous };
        let bytes = bytes_of(&volume)?;
        let scratch = self.0.reaper.scratch()?;
        let make = || -> io::Result<()> {
            let data = scratch.path().join("_data");
            std::fs::create_dir(&data)?;
            std::fs::write(scratch.path().join("meta"), &bytes)?;
            rustix::fs::chmod(&data, tree::mode(0o755))?;
            Ok(rustix::fs::chmod(scratch.path(), tree::mode(0o701))?)
        };
        make().at("create volume", volume.name.clone())?;
        scratch.move_to(&home)?;
        let ticket = self.0.journal.put(&key(&volume.name), Some(&bytes));
        let volume = Arc::new(volume);
        self.0.write().volumes.insert(volume.name.clone(), Arc::clone(&volume));
        drop(changing);
        // An anonymous volume is promised by its container's record, which follows in the same journal.
        if anonymous {
            ticket.forget()
        } else {
            ticket.wait()?
        }
        Ok(volume)
    }

    /// Removes it with its data.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn remove_volume(&self, name: &str) -> Result<()> {
        let _changing = self.0.change();
        if self.0.write().volumes.remove(name).is_none() {
            return Err(Error::absent("remove volume", name));
        }
        self.0.journal.put(&key(name), None).wait()?;
        self.0.reaper.discard(&self.0.root.join("volumes").join(name))
    }

    /// Fills an empty volume with what the image has at `path` (docker's copy-up), owner and mode of the folder included. No-op if the volume has content.
    ///
    /// # Errors
    /// Disk.
    pub fn copy_up(&self, volume: &Volume, snapshot: &Snapshot, path: &str) -> Result<()> {
        let failed = |e: io::Error| Error::io("fill volume", format!("{} from {path}", volume.name), e);
        let data = tree::open(&volume.mountpoint).map_err(failed)?;
        if !tree::names(&data).map_err(failed)?.is_empty() {
            return Ok(());
        }
        let merged = snapshot.mount_readonly()?;
        let source = match tree::in_root(&merged, path, OFlags::RDONLY | OFlags::DIRECTORY) {
            Ok(source) => source,
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok(()),
            Err(e) => return Err(failed(e.into())),
        };
        tree::copy(&source, &data, |name| !name.starts_with(b"trusted.overlay.")).map_err(failed)?;
        let folder = rustix::fs::fstat(&source).map_err(|e| failed(e.into()))?;
        tree::own(&data, ".", folder.st_uid, folder.st_gid)
            .and_then(|()| rustix::fs::chmodat(&data, ".", tree::permissions(&folder), AtFlags::empty()))
            .map_err(|e| failed(e.into()))
    }
}

fn anonymous_name() -> Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|e| Error::new(Kind::Internal, "name", "anonymous volume", e))?;
    let digest = dhow_oci::Digest::sha256(&bytes);
    Ok(digest.hex().to_owned())
}

/// This second, RFC 3339.
fn now() -> String {
    let seconds =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs();
    rfc3339(i64::try_from(seconds).unwrap_or(0))
}

/// Howard Hinnant's civil from days.
fn rfc3339(seconds: i64) -> String {
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let z = days + 719_468;
    let (era, day) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{date:02}T{:02}:{:02}:{:02}Z",
        second / 3_600,
        second / 60 % 60,
        second % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_times() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(1_709_208_000), "2024-02-29T12:00:00Z");
        assert_eq!(rfc3339(1_735_689_599), "2024-12-31T23:59:59Z");
    }

    #[test]
    fn takes_dockers_names_only() {
        for good in ["ab", "a_b.c-d", "0x", &"a".repeat(255)] {
            check_name(good).unwrap();
        }
        for bad in ["", "a", "-a", ".a", "_a", "a/b", "a b", "..", "é1", &"a".repeat(256)] {
            assert_eq!(check_name(bad).unwrap_err().kind, Kind::Invalid, "{bad}");
        }
    }

    #[test]
    fn options_are_complete_or_refused() {
        let of =
            |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        check_options("v", &of(&[])).unwrap();
        check_options("v", &of(&[("type", "tmpfs"), ("device", "tmpfs"), ("o", "size=1m")])).unwrap();
        for bad in [
            &[("o", "ro")][..],
            &[("type", "tmpfs")],
            &[("device", "x")],
            &[("size", "1")],
            &[("colour", "red")],
        ] {
            assert!(check_options("v", &of(bad)).is_err(), "{bad:?}");
        }
    }
}
