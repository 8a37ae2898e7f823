//! The journal's file: read at the start, appended to, replaced by a snapshot.

use super::frame::{self, Change};
use crate::{
    error::{At as _, Error, Kind, Result},
    flush::Tail,
};
use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

pub(super) type Live = BTreeMap<String, Arc<[u8]>>;

/// Keys in one frame of a snapshot.
const SNAPSHOT_FRAME: usize = 256;

/// What is in the file.
pub(super) struct Replayed {
    pub(super) live: Live,
    /// Of the last good frame.
    pub(super) number: u64,
    /// Where the good frames end.
    end: u64,
}

/// Reads the journal in `folder` back and cuts a torn tail off.
pub(super) fn open(folder: &Path) -> Result<(Tail, Replayed)> {
    let path = folder.join("journal");
    let name = path.display();
    std::fs::create_dir_all(folder).at("make", folder.display())?;
    match std::fs::remove_file(new_path(folder)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).at("remove the half-made", name);
        }
        _ => {}
    }
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .at("open", &name)?;
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut &file, &mut bytes).at("read", &name)?;
    let replayed = replay(&bytes).map_err(|at| {
        Error::new(
            Kind::Corrupt,
            "read",
            name.to_string(),
            format!("damaged at byte {at}, before frames that had been acknowledged"),
        )
    })?;
    file.set_len(replayed.end).at("cut the torn tail of", &name)?;
    file.sync_all().at("sync", &name)?;
    sync_folder(folder)?;
    let tail = Tail::new(Arc::new(file), replayed.end).at("open", &name)?;
    Ok((tail, replayed))
}

/// The live records; an error is the byte at which damage begins.
pub(super) fn replay(bytes: &[u8]) -> std::result::Result<Replayed, usize> {
    let (mut live, mut number, mut at, mut left_of_snapshot) = (Live::new(), 0, 0, None);
    while let Some(found) = frame::decode(&bytes[at..]) {
        if found.promised == frame::SNAPSHOT {
            left_of_snapshot = Some(match left_of_snapshot {
                // Before the frames of a snapshot stands one that says how many there are.
                None => announced(&found).ok_or(at)?,
                Some(left) => left - 1,
            });
        }
        at += found.size;
        number = found.number;
        if found.promised != frame::SNAPSHOT || at != found.size {
            apply(&mut live, found.changes);
        }
    }
    if left_of_snapshot.is_some_and(|left| left > 0) || frame::promised_beyond(bytes, at, number) {
        return Err(at);
    }
    Ok(Replayed { live, number, end: at as u64 })
}

fn announced(found: &frame::Frame) -> Option<u64> {
    match found.changes.as_slice() {
        [(_, Some(count))] => count.first_chunk().map(|count| u64::from_le_bytes(*count)),
        _ => None,
    }
}

pub(super) fn apply(live: &mut Live, changes: Vec<Change>) {
    for (key, value) in changes {
        match value {
            Some(value) => drop(live.insert(key, value)),
            None => drop(live.remove(&key)),
        }
    }
}

/// Writes and syncs a snapshot beside the journal: all that `live` has, at the frame `number`.
pub(super) fn write_snapshot(folder: &Path, live: &Live, number: u64) -> Result<File> {
    let path = new_path(folder);
    let name = path.display();
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(&path)
        .at("make", &name)?;
    let mut out = io::BufWriter::new(&file);
    let keys: Vec<Change> = live.iter().map(|(key, value)| (key.clone(), Some(Arc::clone(value)))).collect();
    let count = keys.len().div_ceil(SNAPSHOT_FRAME) as u64;
    let head: [Change; 1] = [("snapshot".to_owned(), Some(count.to_le_bytes().as_slice().into()))];
    for changes in std::iter::once(head.as_slice()).chain(keys.chunks(SNAPSHOT_FRAME)) {
        // Every value was in a frame before; 256 of them may be too many for one.
        let bytes = frame::encode(number, frame::SNAPSHOT, changes).ok_or_else(|| {
            Error::new(Kind::Storage, "write", name.to_string(), "256 keys need more than 256 MiB")
        })?;
        out.write_all(&bytes).at("write", &name)?;
    }
    out.flush().at("write", &name)?;
    drop(out);
    file.sync_all().at("sync", &name)?;
    Ok(file)
}

/// Appends to the snapshot what the journal got meanwhile (its bytes from `from` on), and makes it the journal; the folder is still to be
/// synced. After an error the old one is the journal.
pub(super) fn replace(folder: &Path, snapshot: File, old: &Tail, from: u64) -> Result<Tail> {
    let name = new_path(folder);
    let name = name.display();
    let mut rest = vec![0; usize::try_from(old.end() - from).unwrap_or(usize::MAX)];
    old.file().read_exact_at(&mut rest, from).at("read", "the journal")?;
    let end = snapshot.metadata().at("look at", &name)?.len();
    snapshot.write_all_at(&rest, end).at("write", &name)?;
    snapshot.sync_all().at("sync", &name)?;
    let tail = Tail::new(Arc::new(snapshot), end + rest.len() as u64).at("open", &name)?;
    std::fs::rename(new_path(folder), folder.join("journal")).at("rename", &name)?;
    Ok(tail)
}

fn new_path(folder: &Path) -> PathBuf {
    folder.join("journal.new")
}

/// Makes renames and creations in `folder` last.
pub(crate) fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|file| file.sync_all()).at("sync", folder.display())
}
