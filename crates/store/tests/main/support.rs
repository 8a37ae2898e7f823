//! Data roots that go with their test, and tars of any kind.

use dhow_oci::{Digest, image::ImageConfig};
use dhow_store::{Layer, Limits, Store};
use std::path::{Path, PathBuf};
use tar::{EntryType, Header};

/// A data root of one test.
pub(crate) struct Root {
    pub(crate) path: PathBuf,
    store: Option<Store>,
}

impl Root {
    pub(crate) fn new() -> Self {
        Self::with(Limits::default())
    }

    pub(crate) fn with(limits: Limits) -> Self {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).unwrap();
        let path = std::env::temp_dir().join(format!("dhow-store-{:016x}", u64::from_le_bytes(bytes)));
        let store = Some(Store::open_with(&path, limits).unwrap());
        Self { path, store }
    }

    pub(crate) fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    /// Closes the store and waits for its background work.
    pub(crate) fn close(&mut self) {
        self.store = None;
    }

    /// As after a restart.
    pub(crate) fn reopen(&mut self) -> &Store {
        self.close();
        self.store.insert(Store::open(&self.path).unwrap())
    }

    /// Names in a folder of the data root, sorted.
    pub(crate) fn list(&self, folder: &str) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(self.path.join(folder))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// Nothing half-made or half-gone is left, and only `layers` layers.
    pub(crate) fn assert_clean(&mut self, layers: usize) {
        self.close();
        assert_eq!(self.list("tmp"), Vec::<String>::new(), "tmp/ is not empty");
        assert_eq!(self.list("layers").len(), layers + 1, "layers/ holds {:?}", self.list("layers"));
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        self.close();
        std::fs::remove_dir_all(&self.path).unwrap();
    }
}

/// Whether the test can run; says so if not.
pub(crate) fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        assert!(std::env::var_os("REQUIRE_ROOT").is_none(), "root is required");
        eprintln!("skipped: needs root");
    }
    root
}

/// A tar being written, header by header: what no honest writer makes can be made too.
#[derive(Default, Clone)]
pub(crate) struct Tar(pub(crate) Vec<u8>);

impl Tar {
    pub(crate) fn header(kind: EntryType, path: &str, size: usize) -> Header {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.set_mode(if kind == EntryType::Directory { 0o755 } else { 0o644 });
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_600_000_000);
        header.set_size(size as u64);
        header.set_cksum();
        header
    }

    pub(crate) fn raw(mut self, mut header: Header, payload: &[u8]) -> Self {
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(payload);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub(crate) fn file(self, path: &str, content: &[u8]) -> Self {
        self.raw(Self::header(EntryType::Regular, path, content.len()), content)
    }

    pub(crate) fn dir(self, path: &str) -> Self {
        self.raw(Self::header(EntryType::Directory, path, 0), b"")
    }

    pub(crate) fn symlink(self, path: &str, target: &str) -> Self {
        self.link(EntryType::Symlink, path, target)
    }

    pub(crate) fn hardlink(self, path: &str, target: &str) -> Self {
        self.link(EntryType::Link, path, target)
    }

    fn link(self, kind: EntryType, path: &str, target: &str) -> Self {
        let mut header = Self::header(kind, path, 0);
        header.as_mut_bytes()[157..157 + target.len()].copy_from_slice(target.as_bytes());
        self.raw(header, b"")
    }

    pub(crate) fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let mut body = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let length = (rest..).find(|n| rest + n.to_string().len() == *n).unwrap();
            body.extend_from_slice(format!("{length} {key}=").as_bytes());
            body.extend_from_slice(value);
            body.push(b'\n');
        }
        self.raw(Self::header(EntryType::XHeader, "pax", body.len()), &body)
    }

    pub(crate) fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn sha256(bytes: &[u8]) -> Digest {
    let sum = ring::digest::digest(&ring::digest::SHA256, bytes);
    Digest::sha256(sum.as_ref().try_into().unwrap())
}

/// A layer with one file.
pub(crate) fn layer(store: &Store, path: &str, content: &str) -> Layer {
    store.put_layer(Tar::default().file(path, content.as_bytes()).end().as_slice(), None, None).unwrap()
}

pub(crate) fn config(diff_ids: &[&Digest]) -> ImageConfig {
    let mut config =
        ImageConfig { architecture: "amd64".to_owned(), os: "linux".to_owned(), ..ImageConfig::default() };
    config.rootfs.diff_ids = diff_ids.iter().map(|d| (*d).clone()).collect();
    config
}

/// Where a layer's files lie.
pub(crate) fn diff_of(store: &Store, layer: &Layer) -> PathBuf {
    let snapshot = store.create_snapshot("diff-of", std::slice::from_ref(&layer.diff_id)).unwrap();
    store.remove_snapshot("diff-of").unwrap();
    snapshot.lowers[0].clone()
}

/// Everything below a folder: kind and mode, owner, time, content or target. Two equal trees have equal lists.
pub(crate) fn listing(path: &Path) -> Vec<String> {
    use std::os::unix::fs::MetadataExt;
    let mut lines = Vec::new();
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path_of = entry.unwrap().path();
            let meta = path_of.symlink_metadata().unwrap();
            let content = if meta.is_file() {
                String::from_utf8_lossy(&std::fs::read(&path_of).unwrap()).into_owned()
            } else if meta.is_symlink() {
                path_of.read_link().unwrap().display().to_string()
            } else {
                String::new()
            };
            let name = path_of.strip_prefix(path).unwrap().display().to_string();
            let (mode, uid, gid, rdev) = (meta.mode(), meta.uid(), meta.gid(), meta.rdev());
            lines.push(format!("{name} {mode:o} {uid}:{gid} {rdev} {} {content}", meta.mtime()));
            if meta.is_dir() {
                folders.push(path_of);
            }
        }
    }
    lines.sort();
    lines
}
