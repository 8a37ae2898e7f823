//! Layers: unpacked once, keyed by the digest of their plain tar, `layers/<short id>/{diff,tar-index,meta}`.

mod attributes;
pub(crate) mod base;
mod commit;
pub(crate) mod emit;
mod index;
mod ingest;
mod pack;
mod tarball;
mod unpack;

pub(crate) use ingest::{Compression, Hashed, Unpacked, compression, digest_of, ingest};

use crate::{
    Error, Journal, Kind, Result, Snapshot, Store,
    catalog::{Catalog, Held},
    error::At,
    reaper::{Reaper, Scratch},
    store::Inner,
    tree,
};
use dhow_oci::Digest;
use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashSet,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

/// A layer on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Digest of its plain tar; its identity.
    pub diff_id: Digest,
    /// Bytes of the plain tar.
    pub tar_size: u64,
    /// Bytes of its files.
    pub size: u64,
    /// Digest and size of the (compressed) stream it was read from.
    pub blob: (Digest, u64),
}

/// Bounds of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Entries of its tar.
    pub entries: u64,
    /// Bytes of its plain tar.
    pub bytes: u64,
    /// Plain bytes for each compressed byte …
    pub ratio: u64,
    /// … once it is larger than this.
    pub ratio_from: u64,
}

impl Default for Limits {
    /// A million entries, 256 GiB; 1,100 to 1 (gzip's own bound) beyond 4 GiB.
    fn default() -> Self {
        Self { entries: 1_000_000, bytes: 256 << 30, ratio: 1_100, ratio_from: 4 << 30 }
    }
}

/// Plain bytes of unsettled layers beyond which they are synced without being asked.
const SETTLE_FROM: u64 = 512 << 20;

/// The journal's record of a layer, and `meta` in its folder.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    diff_id: Digest,
    short: String,
    tar_size: u64,
    size: u64,
    blobs: Vec<(Digest, u64)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    packed: Option<(Digest, u64)>,
}

impl Record {
    fn of(held: &Held) -> Self {
        Self {
            diff_id: held.layer.diff_id.clone(),
            short: held.short.clone(),
            tar_size: held.layer.tar_size,
            size: held.layer.size,
            blobs: held.blobs.clone(),
            packed: held.packed.clone(),
        }
    }

    fn bytes(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self)
            .map_err(|e| Error::new(Kind::Internal, "write record of layer", self.diff_id.as_str(), e))
    }
}

fn key(diff_id: &Digest) -> String {
    format!("layer/{diff_id}")
}

/// Loads the layers. A folder without a record was never promised and goes; a record without a folder is reported.
pub(crate) fn restore(root: &Path, journal: &Journal, reaper: &Reaper, catalog: &mut Catalog) -> Result<()> {
    let folder = root.join("layers");
    let name = folder.display().to_string();
    let mut there: HashSet<String> = HashSet::new();
    for entry in std::fs::read_dir(&folder).at("list", &name)? {
        there.insert(entry.at("list", &name)?.file_name().to_string_lossy().into_owned());
    }
    there.remove(base::NAME);
    for (key, value) in journal.scan("layer/") {
        let record: Record = match serde_json::from_slice(&value) {
            Ok(record) => record,
            Err(e) => {
                reaper.report(Error::new(Kind::Internal, "read record", key, e));
                continue;
            }
        };
        if !there.remove(&record.short) {
            reaper.report(Error::new(
                Kind::Internal,
                "open layer",
                record.diff_id.as_str(),
                "its folder is gone",
            ));
            journal.put(&key, None).forget();
            continue;
        }
        let Record { diff_id, short, tar_size, size, blobs, packed } = record;
        let blob = blobs.first().cloned().unwrap_or_else(|| (diff_id.clone(), tar_size));
        let layer = Layer { diff_id, tar_size, size, blob };
        catalog.add_layer(Held { short, layer, blobs, packed, settled: true });
    }
    for orphan in there {
        reaper.discard(&folder.join(orphan))?;
    }
    Ok(())
}

impl Store {
    /// Whether the layer is unpacked.
    #[must_use]
    pub fn has_layer(&self, diff_id: &Digest) -> bool {
        self.0.read().layers.contains_key(diff_id)
    }

    /// The layer with this diff id.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn layer(&self, diff_id: &Digest) -> Result<Layer> {
        let catalog = self.0.read();
        let held =
            catalog.layers.get(diff_id).ok_or_else(|| Error::absent("find layer", diff_id.as_str()))?;
        Ok(held.layer.clone())
    }

    /// The unpacked layer of a compressed blob that was seen before: lets a pull skip the download.
    #[must_use]
    pub fn layer_of_blob(&self, blob: &Digest) -> Option<Layer> {
        let catalog = self.0.read();
        let held = catalog.layers.get(catalog.blobs.get(blob)?)?;
        let size = held.blobs.iter().find(|(known, _)| known == blob)?.1;
        Some(Layer { blob: (blob.clone(), size), ..held.layer.clone() })
    }

    /// Reads a layer's tar (plain, gzip or zstd by its magic) and unpacks it, verifying `expect_blob` and `expect_diff` where given. Decode and hash in
    /// one thread, write in another. Bounded; safe against `..`, links, devices, whiteout tricks. Nothing is left on failure.
    ///
    /// # Errors
    /// `Invalid` names what is wrong: truncated, wrong digest, bad entry.
    pub fn put_layer(
        &self,
        source: impl Read + Send,
        expect_blob: Option<&Digest>,
        expect_diff: Option<&Digest>,
    ) -> Result<Layer> {
        let unpacked = ingest(source, self.0.reaper.scratch()?, self.0.limits)?;
        for (what, found, wanted) in
            [("compressed", &unpacked.blob.0, expect_blob), ("plain", &unpacked.diff_id, expect_diff)]
        {
            if let Some(wanted) = wanted.filter(|&wanted| wanted != found) {
                let why = format!("the digest of its {what} bytes is {found}");
                return Err(Error::invalid("verify layer", wanted.as_str(), why));
            }
        }
        self.0.install(unpacked)
    }

    /// Writes the layer's exact tar: its digest is `diff_id`.
    ///
    /// # Errors
    /// `NotFound`; disk.
    pub fn write_layer_tar(&self, diff_id: &Digest, out: &mut dyn Write) -> Result<()> {
        let short = {
            let catalog = self.0.read();
            let held =
                catalog.layers.get(diff_id).ok_or_else(|| Error::absent("find layer", diff_id.as_str()))?;
            held.short.clone()
        };
        let home = tree::open(&self.0.layer_folder(&short)).at("open layer", diff_id.as_str())?;
        let mut hashing = HashedWriter { out, context: Context::new(&SHA256) };
        index::replay(&home, &mut hashing).at("write layer", diff_id.as_str())?;
        let found = ingest::digest(hashing.context);
        if found == *diff_id {
            return Ok(());
        }
        let why = format!("its files were changed: they make a tar with the digest {found}");
        Err(Error::new(Kind::Internal, "write layer", diff_id.as_str(), why))
    }

    /// Turns what a snapshot changed into a layer (deterministic tar order; whiteouts in OCI form) and consumes the snapshot when
    /// `take` (its upper becomes the layer's folder by rename), else copies. Timestamps above `clamp` (seconds) are set to it when given.
    ///
    /// # Errors
    /// Disk.
    pub fn commit_snapshot(&self, snapshot: &Snapshot, take: bool, clamp: Option<i64>) -> Result<Layer> {
        let failed = |e: io::Error| Error::io("commit snapshot", snapshot.id.clone(), e);
        let scratch = self.0.reaper.scratch()?;
        let home = tree::open(scratch.path()).map_err(failed)?;
        let diff = scratch.path().join("diff");
        let mut upper = tree::open(&snapshot.upper).map_err(failed)?;
        if !take {
            std::fs::create_dir(&diff).map_err(failed)?;
            let copy = tree::open(&diff).map_err(failed)?;
            tree::copy(&upper, &copy, |_| true).map_err(failed)?;
            rustix::fs::chmod(&diff, tree::mode(0o755)).map_err(|e| failed(e.into()))?;
            upper = copy;
        }
        let lowers: Vec<_> =
            snapshot.lowers.iter().map(|path| tree::open(path)).collect::<io::Result<_>>().map_err(failed)?;
        let index = index::IndexWriter::create(&home).map_err(failed)?;
        let committed = commit::Commit::new(index, &lowers, clamp)
            .run(rustix::fd::AsFd::as_fd(&upper))
            .map_err(failed)?;
        if take {
            std::fs::rename(&snapshot.upper, &diff).map_err(failed)?;
        }
        let commit::Committed { diff_id, tar_size, size } = committed;
        let blob = (diff_id.clone(), tar_size);
        let layer = self.0.install(Unpacked { scratch, diff_id, tar_size, size, blob })?;
        if take {
            self.remove_snapshot(&snapshot.id)?;
        }
        Ok(layer)
    }
}

impl Inner {
    /// `layers/<short>`.
    pub(crate) fn layer_folder(&self, short: &str) -> PathBuf {
        self.root.join("layers").join(short)
    }

    /// An empty folder for a layer that is being read.
    pub(crate) fn layer_scratch(&self) -> Result<Scratch> {
        self.reaper.scratch()
    }

    /// Moves an unpacked layer to its place; if it is there already, the new copy goes.
    pub(crate) fn install(&self, unpacked: Unpacked) -> Result<Layer> {
        let Unpacked { scratch, diff_id, tar_size, size, blob } = unpacked;
        let layer = Layer { diff_id, tar_size, size, blob: blob.clone() };
        let changing = self.change();
        let there = self.read().layers.get(&layer.diff_id).cloned();
        if let Some(mut held) = there {
            drop(scratch);
            if held.blobs.iter().all(|(known, _)| *known != blob.0) {
                held.blobs.push(blob);
                if held.settled {
                    self.journal.put(&key(&layer.diff_id), Some(&Record::of(&held).bytes()?)).forget();
                }
                self.write().add_layer(held);
            }
            return Ok(layer);
        }
        let held = Held {
            short: self.short(&layer.diff_id),
            layer: layer.clone(),
            blobs: vec![blob],
            packed: None,
            settled: false,
        };
        let meta = scratch.path().join("meta");
        std::fs::write(&meta, Record::of(&held).bytes()?).at("write", meta.display().to_string())?;
        scratch.move_to(&self.layer_folder(&held.short))?;
        let mut catalog = self.write();
        catalog.add_layer(held);
        let waiting: u64 =
            catalog.layers.values().filter(|held| !held.settled).map(|held| held.layer.tar_size).sum();
        drop((catalog, changing));
        if waiting > SETTLE_FROM {
            self.settle()?;
        }
        Ok(layer)
    }

    /// The shortest free beginning of a digest, from twelve digits on: mount options are bounded.
    fn short(&self, diff_id: &Digest) -> String {
        let catalog = self.read();
        let taken: HashSet<&str> = catalog.layers.values().map(|held| held.short.as_str()).collect();
        let mut length = 12;
        while taken.contains(&diff_id.hex()[..length]) && length < diff_id.hex().len() {
            length += 4;
        }
        diff_id.hex()[..length].to_owned()
    }

    /// Makes every layer of this moment last: one sync of the file system for all, then their records. A record never
    /// stands before its files.
    pub(crate) fn settle(&self) -> Result<()> {
        let waiting: Vec<Digest> = self
            .read()
            .layers
            .values()
            .filter(|held| !held.settled)
            .map(|held| held.layer.diff_id.clone())
            .collect();
        if waiting.is_empty() {
            return Ok(());
        }
        rustix::fs::syncfs(&self.dir).at("sync", self.root.display().to_string())?;
        let _changing = self.change();
        for diff_id in waiting {
            let Some(held) = self.read().layers.get(&diff_id).filter(|held| !held.settled).cloned() else {
                continue;
            };
            self.journal.put(&key(&diff_id), Some(&Record::of(&held).bytes()?)).forget();
            self.write().add_layer(Held { settled: true, ..held });
        }
        Ok(())
    }

    /// Takes layers out of the catalog and the journal. Their folders follow by [`Inner::discard_layers`] once that is on disk.
    pub(crate) fn forget_layer(
        &self,
        catalog: &mut Catalog,
        diff_id: &Digest,
    ) -> Option<(Held, crate::Ticket)> {
        let held = catalog.remove_layer(diff_id)?;
        Some((held, self.journal.put(&key(diff_id), None)))
    }
}

struct HashedWriter<'a> {
    out: &'a mut dyn Write,
    context: Context,
}

impl Write for HashedWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let size = self.out.write(bytes)?;
        self.context.update(&bytes[..size]);
        Ok(size)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
