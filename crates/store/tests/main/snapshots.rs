//! Snapshots: mounted, read without a mount, compared, committed.

use crate::support::{Root, Tar, config, is_root, listing, sha256};
use dhow_store::{Change, Kind, Layer, Snapshot};
use rustix::fd::AsRawFd;
use std::{fs, path::PathBuf};

fn base(root: &Root) -> Layer {
    let tar = Tar::default()
        .dir("etc")
        .file("etc/passwd", b"root")
        .file("etc/old", b"old")
        .symlink("etc/link", "passwd")
        .symlink("lib", "usr/lib")
        .file("usr/lib/so", b"code")
        .file("dir/a", b"a")
        .file("dir/b", b"b")
        .file("whole/x", b"x")
        .end();
    root.store().put_layer(tar.as_slice(), None, None).unwrap()
}

/// Changes a snapshot through its mount, as a container would.
fn change(snapshot: &Snapshot) {
    let mount = snapshot.mount().unwrap();
    let at = |path: &str| PathBuf::from(format!("/proc/self/fd/{}/{path}", mount.as_raw_fd()));
    fs::write(at("etc/passwd"), "changed").unwrap();
    fs::remove_file(at("etc/old")).unwrap();
    fs::remove_dir_all(at("dir")).unwrap();
    fs::create_dir(at("dir")).unwrap();
    fs::write(at("dir/new"), "new").unwrap();
    fs::hard_link(at("dir/new"), at("dir/same")).unwrap();
    fs::remove_dir_all(at("whole")).unwrap();
    fs::create_dir(at("fresh")).unwrap();
    fs::write(at("fresh/file"), vec![9; 70_000]).unwrap();
    rustix::fs::setxattr(at("fresh/file"), "user.note", b"yes", rustix::fs::XattrFlags::empty()).unwrap();
    std::os::unix::fs::symlink("file", at("fresh/link")).unwrap();
}

fn merged(snapshot: &Snapshot) -> Vec<String> {
    let mount = snapshot.mount_readonly().unwrap();
    listing(&PathBuf::from(format!("/proc/self/fd/{}/.", mount.as_raw_fd())))
}

#[test]
fn root_commit_is_deterministic_and_says_everything() {
    if !is_root() {
        return;
    }
    let root = Root::new();
    let store = root.store();
    let below = base(&root);
    let snapshot = store.create_snapshot("c1", std::slice::from_ref(&below.diff_id)).unwrap();
    change(&snapshot);
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(root.path.to_str().unwrap()), "a mount shows in the table");
    let seen = merged(&snapshot);
    let copied = store.commit_snapshot(&snapshot, false, None).unwrap();
    let taken = store.commit_snapshot(&snapshot, true, None).unwrap();
    assert_eq!(copied, taken);
    assert_eq!(store.snapshot("c1", &[]).unwrap_err().kind, Kind::NotFound);

    let mut tar = Vec::new();
    store.write_layer_tar(&taken.diff_id, &mut tar).unwrap();
    assert_eq!((sha256(&tar), tar.len() as u64), (taken.diff_id.clone(), taken.tar_size));
    let mut archive = tar::Archive::new(tar.as_slice());
    let names: Vec<String> =
        archive.entries().unwrap().map(|e| e.unwrap().path().unwrap().display().to_string()).collect();
    assert_eq!(
        names,
        [
            "dir/",
            "dir/.wh..wh..opq",
            "dir/new",
            "dir/same",
            "etc/",
            "etc/.wh.old",
            "etc/passwd",
            "fresh/",
            "fresh/file",
            "fresh/link",
            ".wh.whole"
        ]
    );
    // Read by another store, it shows the same tree.
    let other = Root::new();
    let below = base(&other);
    let again = other.store().put_layer(tar.as_slice(), None, Some(&taken.diff_id)).unwrap();
    let both = [below.diff_id, again.diff_id];
    let second = other.store().create_snapshot("c2", &both).unwrap();
    assert_eq!(merged(&second), seen);
    assert_eq!(second.changes().unwrap(), []);
    let third = store.create_snapshot("c3", &both).unwrap();
    assert_eq!(merged(&third), seen);
}

#[test]
fn root_commit_clamps_times() {
    if !is_root() {
        return;
    }
    let commit = |clamp| {
        let root = Root::new();
        let snapshot = root.store().create_snapshot("c", &[]).unwrap();
        fs::create_dir(snapshot.upper.join("d")).unwrap();
        fs::write(snapshot.upper.join("d/f"), "x").unwrap();
        let layer = root.store().commit_snapshot(&snapshot, true, clamp).unwrap();
        let file = crate::support::diff_of(root.store(), &layer).join("d/f");
        (layer.diff_id, std::os::unix::fs::MetadataExt::mtime(&fs::metadata(file).unwrap()))
    };
    let (first, time) = commit(Some(1_000_000));
    assert_eq!(time, 1_000_000);
    assert_eq!(commit(Some(1_000_000)).0, first);
    assert_ne!(commit(None).0, first);
}

#[test]
fn root_changes_are_dockers() {
    if !is_root() {
        return;
    }
    let root = Root::new();
    let below = base(&root);
    let snapshot = root.store().create_snapshot("c", &[below.diff_id]).unwrap();
    assert_eq!(snapshot.changes().unwrap(), []);
    change(&snapshot);
    let expected = [
        ("/dir", 0),
        ("/dir/a", 2),
        ("/dir/b", 2),
        ("/dir/new", 1),
        ("/dir/same", 1),
        ("/etc", 0),
        ("/etc/old", 2),
        ("/etc/passwd", 0),
        ("/fresh", 1),
        ("/fresh/file", 1),
        ("/fresh/link", 1),
        ("/whole", 2),
    ];
    let expected: Vec<_> =
        expected.iter().map(|(path, kind)| Change { path: (*path).to_owned(), kind: *kind }).collect();
    assert_eq!(snapshot.changes().unwrap(), expected);
    assert_eq!(snapshot.size().unwrap(), 7 + 3 + 70_000);
}

#[test]
fn root_files_are_read_without_a_mount() {
    if !is_root() {
        return;
    }
    let root = Root::new();
    let below = base(&root);
    let store = root.store();
    let snapshot = store.create_snapshot("c", &[below.diff_id]).unwrap();
    let read = |path: &str| {
        let read = snapshot.read_file(path, 100).unwrap();
        // found, remembered, and never what is no longer true
        for _ in 0..2 {
            assert_eq!(store.read_file(&snapshot, path, 100).unwrap(), read, "{path}");
        }
        read.map(|bytes| String::from_utf8(bytes).unwrap())
    };
    assert_eq!(read("/etc/passwd").as_deref(), Some("root"));
    assert_eq!(read("etc/link").as_deref(), Some("root"));
    assert_eq!(read("/lib/so").as_deref(), Some("code"));
    assert_eq!(read("/usr/../etc/passwd").as_deref(), Some("root"));
    assert_eq!(read("/etc/absent"), None);
    assert_eq!(read("/etc/passwd/below"), None);
    assert_eq!(read("/etc/hosts").as_deref(), Some(""), "from the layer of mount points");
    change(&snapshot);
    assert_eq!(read("/etc/passwd").as_deref(), Some("changed"));
    for hidden in ["/etc/old", "/dir/a", "/whole/x", "/whole"] {
        assert_eq!(read(hidden), None, "{hidden}");
    }
    assert_eq!(snapshot.read_file("/fresh/file", 100).unwrap_err().kind, Kind::Invalid);
    assert_eq!(snapshot.read_file("/etc", 100).unwrap_err().kind, Kind::Invalid);
    // A container's link leads nowhere outside.
    std::os::unix::fs::symlink("/proc/self/environ", snapshot.upper.join("trap")).unwrap();
    assert_eq!(read("/trap"), None);
}

#[test]
fn root_snapshots_hold_their_layers() {
    if !is_root() {
        return;
    }
    let mut root = Root::new();
    let below = base(&root);
    let store = root.store();
    let image = store.assemble_image(&config(&[&below.diff_id]), &[]).unwrap();
    assert_eq!(store.create_snapshot("c", &[sha256(b"")]).unwrap_err().kind, Kind::NotFound);
    for bad in ["", "..", "a/b", ".hidden"] {
        assert_eq!(store.create_snapshot(bad, &[]).unwrap_err().kind, Kind::Invalid, "{bad}");
    }
    let snapshot = store.create_snapshot("c", std::slice::from_ref(&below.diff_id)).unwrap();
    assert_eq!(store.create_snapshot("c", &[]).unwrap_err().kind, Kind::Conflict);
    assert_eq!(store.delete_image(&image.id, &[]).unwrap(), []);
    assert_eq!(snapshot.read_file("/etc/passwd", 9).unwrap().unwrap(), b"root");
    store.remove_snapshot("c").unwrap();
    store.remove_snapshot("c").unwrap();
    assert_eq!(store.sweep(&[]).unwrap(), [below]);
    root.assert_clean(0);
    assert_eq!(root.list("containers"), Vec::<String>::new());
}

#[test]
fn root_a_layer_may_stand_in_an_image_twice() {
    if !is_root() {
        return;
    }
    let root = Root::new();
    let store = root.store();
    let one = crate::support::layer(store, "f", "one").diff_id;
    let two = crate::support::layer(store, "f", "two").diff_id;
    let snapshot = store.create_snapshot("c", &[one.clone(), two, one]).unwrap();
    let mount = snapshot.mount().unwrap();
    assert_eq!(fs::read_to_string(format!("/proc/self/fd/{}/f", mount.as_raw_fd())).unwrap(), "one");
}
