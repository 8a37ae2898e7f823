//! Layers: what a tar says is on the disk, and the exact tar comes back.

use crate::support::{Root, Tar, diff_of, gzip, is_root, sha256};
use dhow_store::Kind;
use proptest::prelude::*;
use std::os::unix::fs::MetadataExt;
use tar::EntryType;

#[test]
fn root_a_tar_is_on_the_disk_as_it_says() {
    if !is_root() {
        return;
    }
    let mut suid = Tar::header(EntryType::Regular, "bin/su", 4);
    suid.set_mode(0o4755);
    suid.set_uid(1000);
    suid.set_gid(2000);
    let mut device = Tar::header(EntryType::Char, "dev/null", 0);
    device.set_device_major(1).unwrap();
    device.set_device_minor(3).unwrap();
    let long = "n/".repeat(80) + "file";
    let mut sticky = Tar::header(EntryType::Directory, "tmp/", 0);
    sticky.set_mode(0o1777);
    let tar = Tar::default()
        .raw(suid, b"root")
        .pax(&[("SCHILY.xattr.user.a", b"one"), ("mtime", b"1500000000.123456789")])
        .file("./with-attributes", b"")
        .raw(device, b"")
        .raw(Tar::header(EntryType::Fifo, "pipe", 0), b"")
        .pax(&[("path", long.as_bytes())])
        .file("n/short", b"long name")
        .symlink("link", "bin/su")
        .hardlink("hard", "/bin/su")
        .raw(sticky, b"")
        .file("tmp/later", b"changes the folder's time")
        .raw(Tar::header(EntryType::Directory, "./", 0), b"")
        .end();
    let root = Root::new();
    let layer = root
        .store()
        .put_layer(gzip(&tar).as_slice(), Some(&sha256(&gzip(&tar))), Some(&sha256(&tar)))
        .unwrap();
    assert_eq!((layer.tar_size, layer.size), (tar.len() as u64, 4 + 9 + 25));
    let diff = diff_of(root.store(), &layer);
    let meta = |name: &str| diff.join(name).symlink_metadata().unwrap();
    assert_eq!((meta("bin/su").mode(), meta("bin/su").uid(), meta("bin/su").gid()), (0o104_755, 1000, 2000));
    assert_eq!(meta("bin/su").ino(), meta("hard").ino());
    assert_eq!((meta("bin").mode(), meta("bin").uid()), (0o40755, 0));
    assert_eq!(
        (meta("dev/null").mode() & 0o170_000, meta("dev/null").rdev()),
        (0o020_000, rustix::fs::makedev(1, 3))
    );
    assert_eq!(meta("pipe").mode() & 0o170_000, 0o010_000);
    assert_eq!(
        (meta("with-attributes").mtime(), meta("with-attributes").mtime_nsec()),
        (1_500_000_000, 123_456_789)
    );
    let mut value = [0; 8];
    assert_eq!(rustix::fs::lgetxattr(diff.join("with-attributes"), "user.a", &mut value).unwrap(), 3);
    assert_eq!(std::fs::read(diff.join(&long)).unwrap(), b"long name");
    assert_eq!(diff.join("link").read_link().unwrap().to_str(), Some("bin/su"));
    assert_eq!((meta("tmp").mode(), meta("tmp").mtime()), (0o41777, 1_600_000_000));
    assert_eq!(meta("").mtime(), 1_600_000_000);
}

#[test]
fn root_whiteouts_become_overlayfs_marks() {
    if !is_root() {
        return;
    }
    let root = Root::new();
    let tar = Tar::default()
        .file("a/.wh.gone", b"")
        .file("b/.wh..wh..opq", b"")
        .file("c/.wh.d", b"")
        .dir("c/d")
        .file("e/f/g", b"")
        .file("e/.wh.f", b"")
        .file(".wh..wh.plnk", b"")
        .file("h/.wh.i", b"")
        .file("h/i/j", b"below a whiteout")
        .end();
    let layer = root.store().put_layer(tar.as_slice(), None, None).unwrap();
    let diff = diff_of(root.store(), &layer);
    let gone = diff.join("a/gone").symlink_metadata().unwrap();
    assert_eq!((gone.mode() & 0o170_000, gone.rdev()), (0o020_000, 0));
    for opaque in ["b", "c/d", "e/f", "h/i"] {
        let mut value = [0; 2];
        assert_eq!(
            rustix::fs::lgetxattr(diff.join(opaque), "trusted.overlay.opaque", &mut value).unwrap(),
            1,
            "{opaque}"
        );
    }
    assert!(diff.join("e/f/g").exists());
    assert!(!diff.join(".wh..wh.plnk").exists());
}

#[test]
fn root_the_same_layer_at_once_is_one_layer() {
    if !is_root() {
        return;
    }
    let mut root = Root::new();
    let tar = Tar::default().file("f", &vec![7; 300_000]).end();
    let forms = [tar.clone(), gzip(&tar), zstd::encode_all(tar.as_slice(), 1).unwrap(), tar.clone()];
    std::thread::scope(|scope| {
        for form in &forms {
            let store = root.store().clone();
            scope.spawn(move || {
                assert_eq!(store.put_layer(form.as_slice(), None, None).unwrap().diff_id, sha256(&form_tar()))
            });
        }
    });
    for form in &forms {
        let layer = root.store().layer_of_blob(&sha256(form)).unwrap();
        assert_eq!((layer.diff_id, layer.blob), (sha256(&tar), (sha256(form), form.len() as u64)));
    }
    root.assert_clean(1);

    fn form_tar() -> Vec<u8> {
        Tar::default().file("f", &vec![7; 300_000]).end()
    }
}

#[test]
fn root_layers_survive_a_restart_and_changed_files_are_noticed() {
    if !is_root() {
        return;
    }
    let mut root = Root::new();
    let tar = Tar::default().file("f", b"content").end();
    let layer = root.store().put_layer(gzip(&tar).as_slice(), None, None).unwrap();
    let store = root.reopen();
    assert!(store.has_layer(&layer.diff_id));
    assert_eq!(store.layer_of_blob(&layer.blob.0), Some(layer.clone()));
    assert_eq!(store.layer_of_blob(&layer.diff_id), None);
    std::fs::write(diff_of(store, &layer).join("f"), "CONTENT").unwrap();
    let error = store.write_layer_tar(&layer.diff_id, &mut std::io::sink()).unwrap_err();
    assert_eq!(error.kind, Kind::Internal);
    assert_eq!(store.write_layer_tar(&sha256(b""), &mut std::io::sink()).unwrap_err().kind, Kind::NotFound);
    assert_eq!(store.sweep(std::slice::from_ref(&layer.diff_id)).unwrap(), []);
    assert_eq!(store.sweep(&[]).unwrap(), [layer]);
    root.assert_clean(0);
}

/// One entry out of a small world of names, so that they collide.
fn entry() -> impl Strategy<Value = (u8, String, String, Vec<u8>)> {
    let name = prop::sample::select(vec![
        "a",
        "b",
        "a/b",
        "a/c",
        "b/c/d",
        "./a",
        "/b",
        "a/.wh.c",
        "b/.wh..wh..opq",
        "l/x",
    ]);
    let target = prop::sample::select(vec!["a", "b", "a/b", "../a", "/b/c"]);
    let content = prop::collection::vec(any::<u8>(), 0..700);
    (0..7_u8, name.prop_map(str::to_owned), target.prop_map(str::to_owned), content)
}

fn build(entries: &[(u8, String, String, Vec<u8>)], tail: usize) -> Vec<u8> {
    let mut tar = Tar::default();
    for (kind, name, target, content) in entries {
        tar = match kind {
            0 | 1 => tar.file(name, content),
            2 => tar.dir(name),
            3 => tar.symlink(name, target),
            4 => tar.hardlink(name, target),
            5 => tar.pax(&[("mtime", b"1.5"), ("comment", content)]).file(name, content),
            // A folder with a size, as some writers make it: no payload follows.
            _ => tar.raw(Tar::header(EntryType::Directory, name, 4096), b""),
        };
    }
    let mut bytes = tar.end();
    bytes.resize(bytes.len() + tail, 0xaa);
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// Whatever a tar holds, if it is taken, the same bytes come back.
    #[test]
    fn root_the_exact_tar_comes_back(entries in prop::collection::vec(entry(), 0..12), tail in 0_usize..2000) {
        if !is_root() {
            return Ok(());
        }
        let tar = build(&entries, tail);
        let mut root = Root::new();
        match root.store().put_layer(tar.as_slice(), None, None) {
            Ok(layer) => {
                prop_assert_eq!(&layer.diff_id, &sha256(&tar));
                let mut again = Vec::new();
                root.store().write_layer_tar(&layer.diff_id, &mut again).unwrap();
                prop_assert!(again == tar);
                root.assert_clean(1);
            }
            Err(error) => {
                prop_assert_eq!(error.kind, Kind::Invalid, "{:?}", error);
                root.assert_clean(0);
            }
        }
    }
}
