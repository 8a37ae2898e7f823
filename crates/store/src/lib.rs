//! Blobs, images, layers, snapshots and volumes on disk; their collection; and the journal of engine objects.
//! Blocking, no tokio, no logs. `docs/store.md` draws the tree and specifies the formats.
#![forbid(unsafe_code)]

use dhow_oci::{Digest, Platform, Reference, image};
use rustix::fd::OwnedFd;
use std::{
    collections::BTreeMap,
    io::{Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

/// What class a failure is of; upstairs maps it to a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The named thing does not exist.
    NotFound,
    /// It exists already, is in use, or is ambiguous.
    Conflict,
    /// The input is bad: tar, digest, manifest, name.
    Invalid,
    /// The disk is full or a quota hit.
    NoSpace,
    /// Anything else.
    Internal,
}

/// Operation, object, cause.
#[derive(Debug)]
pub struct Error {
    /// Class.
    pub kind: Kind,
    /// What was being done: `unpack layer`.
    pub operation: &'static str,
    /// To what.
    pub object: String,
    /// Why.
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Shorthand.
pub type Result<T> = std::result::Result<T, Error>;

/// A data root, opened. Cheap to clone; safe from many threads.
#[derive(Debug, Clone)]
pub struct Store {/* Arc<…> */}

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

/// An image: one entry of the index in memory. Its id is the digest of the manifest (or index) that names point to.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    /// Digest of the manifest or index that was pulled, loaded or built.
    pub id: Digest,
    /// Names with tag, sorted.
    pub tags: Vec<Reference>,
    /// Names by digest (pulled ones), sorted.
    pub digests: Vec<Reference>,
    /// The manifest for this platform (equal to `id` when there is no index).
    pub manifest_digest: Digest,
    /// Parsed.
    pub manifest: image::Manifest,
    /// Parsed.
    pub config: image::ImageConfig,
    /// Bytes of all layers' files.
    pub size: u64,
}

/// A change of a snapshot against its layers. docker's kinds: 0 modified, 1 added, 2 deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Absolute inside.
    pub path: String,
    /// 0, 1, 2.
    pub kind: u8,
}

/// The writable layer of a container or build step, over image layers.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The container's or step's id.
    pub id: String,
    /// `layers/<id>/diff`, top first. Empty for `scratch` (then use an empty folder the store provides).
    pub lowers: Vec<PathBuf>,
    /// `containers/<id>/upper`.
    pub upper: PathBuf,
    /// `containers/<id>/work`.
    pub work: PathBuf,
    /// `containers/<id>`: also holds the log, hosts, hostname, resolv.conf.
    pub dir: PathBuf,
}

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

/// What a load or import brought.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The image.
    pub image: Arc<Image>,
    /// Names given to it by the archive.
    pub names: Vec<Reference>,
}

impl Store {
    /// Opens or makes a data root: locks it, checks its format number, empties `tmp/`, loads the index.
    ///
    /// # Errors
    /// If another process holds it, or its format is newer.
    pub fn open(root: &Path) -> Result<Self> {
        let _unused = root;
        unimplemented!()
    }

    /// The data root.
    #[must_use]
    pub fn root(&self) -> &Path {
        unimplemented!()
    }

    // --- blobs: manifests, configs, indexes ---

    /// Writes bytes by their digest (temp, fsync, rename); a blob that is there is left alone.
    ///
    /// # Errors
    /// Disk.
    pub fn put_blob(&self, bytes: &[u8]) -> Result<Digest> {
        let _unused = bytes;
        unimplemented!()
    }

    /// Reads and verifies.
    ///
    /// # Errors
    /// `NotFound`; `Internal` if the bytes do not match.
    pub fn read_blob(&self, digest: &Digest) -> Result<Vec<u8>> {
        let _unused = digest;
        unimplemented!()
    }

    // --- layers ---

    /// Whether the layer is unpacked.
    #[must_use]
    pub fn has_layer(&self, diff_id: &Digest) -> bool {
        let _unused = diff_id;
        unimplemented!()
    }

    /// The unpacked layer of a compressed blob that was seen before: lets a pull skip the download.
    #[must_use]
    pub fn layer_of_blob(&self, blob: &Digest) -> Option<Layer> {
        let _unused = blob;
        unimplemented!()
    }

    /// Reads a layer's tar (plain, gzip or zstd by its magic) and unpacks it, verifying `expect_blob` and `expect_diff` where given. Decode and hash in
    /// one thread, write in another. Bounded; safe against `..`, links, devices, whiteout tricks. Nothing is left on failure.
    ///
    /// # Errors
    /// `Invalid` names what is wrong: truncated, wrong digest, bad entry.
    pub fn put_layer(&self, source: impl Read + Send, expect_blob: Option<&Digest>, expect_diff: Option<&Digest>) -> Result<Layer> {
        let _unused = (source, expect_blob, expect_diff);
        unimplemented!()
    }

    /// Writes the layer's exact tar: its digest is `diff_id`.
    ///
    /// # Errors
    /// `NotFound`; disk.
    pub fn write_layer_tar(&self, diff_id: &Digest, out: &mut dyn Write) -> Result<()> {
        let _unused = (diff_id, out);
        unimplemented!()
    }

    /// Turns what a snapshot changed into a layer (deterministic tar order; whiteouts in OCI form) and consumes the snapshot when
    /// `take` (its upper becomes the layer's folder by rename), else copies. Timestamps above `clamp` (seconds) are set to it when given.
    ///
    /// # Errors
    /// Disk.
    pub fn commit_snapshot(&self, snapshot: &Snapshot, take: bool, clamp: Option<i64>) -> Result<Layer> {
        let _unused = (snapshot, take, clamp);
        unimplemented!()
    }

    // --- images ---

    /// All images, newest first, from memory.
    #[must_use]
    pub fn images(&self) -> Vec<Arc<Image>> {
        unimplemented!()
    }

    /// By name (default tag `latest`), `name@digest`, id or unique prefix of one (with or without `sha256:`).
    ///
    /// # Errors
    /// `NotFound`, `Conflict` when a prefix is ambiguous, `Invalid` name.
    pub fn image(&self, name: &str) -> Result<Arc<Image>> {
        let _unused = name;
        unimplemented!()
    }

    /// Records an image whose config and manifest bytes are given and whose layers are unpacked; moves `names` to it. `index` is the index the
    /// manifest came from, kept byte for byte; then the image's id is its digest.
    ///
    /// # Errors
    /// `Invalid` if a layer is missing or counts differ.
    pub fn put_image(&self, config: &[u8], manifest: &[u8], index: Option<&[u8]>, names: &[Reference]) -> Result<Arc<Image>> {
        let _unused = (config, manifest, index, names);
        unimplemented!()
    }

    /// Builds a manifest over `config` (whose `rootfs.diff_ids` name layers that are unpacked) and records it: for builds, commits, imports.
    ///
    /// # Errors
    /// As [`Store::put_image`].
    pub fn assemble_image(&self, config: &image::ImageConfig, names: &[Reference]) -> Result<Arc<Image>> {
        let _unused = (config, names);
        unimplemented!()
    }

    /// Gives an image another name; a name moves from the image that had it.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn tag(&self, id: &Digest, name: &Reference) -> Result<()> {
        let _unused = (id, name);
        unimplemented!()
    }

    /// Takes a name away; the image stays, dangling if it was the last.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn untag(&self, name: &Reference) -> Result<()> {
        let _unused = name;
        unimplemented!()
    }

    /// Forgets an image and removes every layer and blob that nothing else needs. `keep` are diff ids in use by containers and the build cache.
    /// Returns the layers removed.
    ///
    /// # Errors
    /// `NotFound`; disk.
    pub fn delete_image(&self, id: &Digest, keep: &[Digest]) -> Result<Vec<Layer>> {
        let _unused = (id, keep);
        unimplemented!()
    }

    /// Reads a docker-archive or OCI-layout tar (plain or compressed).
    ///
    /// # Errors
    /// `Invalid` says what; nothing is left then.
    pub fn load(&self, source: impl Read + Send, platform: &Platform) -> Result<Vec<Loaded>> {
        let _unused = (source, platform);
        unimplemented!()
    }

    /// Writes images as a tar that is docker-archive and OCI layout at once.
    ///
    /// # Errors
    /// `NotFound` names the image.
    pub fn save(&self, names: &[String], out: &mut dyn Write) -> Result<()> {
        let _unused = (names, out);
        unimplemented!()
    }

    /// A root file system's tar as a new image of one layer.
    ///
    /// # Errors
    /// As [`Store::put_layer`].
    pub fn import(&self, source: impl Read + Send, config: image::ImageConfig, name: Option<&Reference>) -> Result<Arc<Image>> {
        let _unused = (source, config, name);
        unimplemented!()
    }

    // --- snapshots ---

    /// Makes `containers/<id>/{upper,work}` over layers given base first.
    ///
    /// # Errors
    /// `NotFound` names a missing layer; `Conflict` if the id exists.
    pub fn create_snapshot(&self, id: &str, diff_ids: &[Digest]) -> Result<Snapshot> {
        let _unused = (id, diff_ids);
        unimplemented!()
    }

    /// The snapshot made before under `id` (paths only, no I/O beyond a check).
    ///
    /// # Errors
    /// `NotFound`.
    pub fn snapshot(&self, id: &str, diff_ids: &[Digest]) -> Result<Snapshot> {
        let _unused = (id, diff_ids);
        unimplemented!()
    }

    /// Removes `containers/<id>` whole (renamed into tmp/ first).
    ///
    /// # Errors
    /// Disk.
    pub fn remove_snapshot(&self, id: &str) -> Result<()> {
        let _unused = id;
        unimplemented!()
    }

    // --- volumes ---

    /// All volumes.
    #[must_use]
    pub fn volumes(&self) -> Vec<Arc<Volume>> {
        unimplemented!()
    }

    /// One volume.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn volume(&self, name: &str) -> Result<Arc<Volume>> {
        let _unused = name;
        unimplemented!()
    }

    /// Makes a volume; `None` for an anonymous one. An existing one of the same driver and options is returned.
    ///
    /// # Errors
    /// `Invalid` name or options; `Conflict`.
    pub fn create_volume(&self, name: Option<&str>, labels: BTreeMap<String, String>, options: BTreeMap<String, String>) -> Result<Arc<Volume>> {
        let _unused = (name, labels, options);
        unimplemented!()
    }

    /// Removes it with its data.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn remove_volume(&self, name: &str) -> Result<()> {
        let _unused = name;
        unimplemented!()
    }

    /// Fills an empty volume with what the image has at `path` (docker's copy-up), owner and mode of the folder included. No-op if the volume has content.
    ///
    /// # Errors
    /// Disk.
    pub fn copy_up(&self, volume: &Volume, snapshot: &Snapshot, path: &str) -> Result<()> {
        let _unused = (volume, snapshot, path);
        unimplemented!()
    }

    // --- journal ---

    /// The journal of engine objects, opened with the store: key → value as it stands.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        unimplemented!()
    }

    /// Bytes on disk: (layers, containers' writable layers, volumes, build cache folder).
    ///
    /// # Errors
    /// Disk.
    pub fn usage(&self) -> Result<Usage> {
        unimplemented!()
    }
}

/// Bytes on disk by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// `layers/`.
    pub layers: u64,
    /// `containers/`.
    pub containers: u64,
    /// `volumes/`.
    pub volumes: u64,
    /// `build/`.
    pub build: u64,
}

impl Snapshot {
    /// The merged tree as a detached mount: nothing appears in any mount table; open files relative to it with
    /// openat2(RESOLVE_IN_ROOT). Do not write to it while a container runs on the snapshot.
    ///
    /// # Errors
    /// If overlayfs refuses.
    pub fn mount(&self) -> Result<OwnedFd> {
        unimplemented!()
    }

    /// A small file of the merged tree (`/etc/passwd`), found layer by layer without a mount; `None` if absent.
    ///
    /// # Errors
    /// Disk; `Invalid` if larger than `max` bytes.
    pub fn read_file(&self, path: &str, max: u64) -> Result<Option<Vec<u8>>> {
        let _unused = (path, max);
        unimplemented!()
    }

    /// What differs from the layers, sorted by path.
    ///
    /// # Errors
    /// Disk.
    pub fn changes(&self) -> Result<Vec<Change>> {
        unimplemented!()
    }

    /// Bytes in the writable layer.
    ///
    /// # Errors
    /// Disk.
    pub fn size(&self) -> Result<u64> {
        unimplemented!()
    }
}

/// Append-only records with a CRC each and group commit; compacted in the background. Key → value, both opaque.
#[derive(Debug)]
pub struct Journal {/* private */}

impl Journal {
    /// Every live record whose key starts with `prefix`, sorted by key.
    #[must_use]
    pub fn scan(&self, prefix: &str) -> Vec<(String, Vec<u8>)> {
        let _unused = prefix;
        unimplemented!()
    }

    /// Appends; returns without waiting. A `None` value deletes.
    pub fn put(&self, key: &str, value: Option<&[u8]>) -> Ticket {
        let _unused = (key, value);
        unimplemented!()
    }
}

/// A promise that a record will be on disk.
#[derive(Debug)]
#[must_use]
pub struct Ticket {/* private */}

impl Ticket {
    /// Returns when the record is synced (shared with every other record of the same moment).
    ///
    /// # Errors
    /// If the disk failed: then nothing later is promised either.
    pub fn wait(self) -> Result<()> {
        unimplemented!()
    }

    /// The answer does not depend on it.
    pub fn forget(self) {}
}
