//! Volumes.

use crate::support::{Root, Tar, is_root};
use dhow_store::Kind;
use std::{collections::BTreeMap, fs, os::unix::fs::MetadataExt};

fn none() -> BTreeMap<String, String> {
    BTreeMap::new()
}

#[test]
fn root_volumes_are_made_once_and_stay() {
    if !is_root() {
        return;
    }
    let mut root = Root::new();
    let labels = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
    let options =
        BTreeMap::from([("type".to_owned(), "tmpfs".to_owned()), ("device".to_owned(), "tmpfs".to_owned())]);
    let store = root.store();
    let data = store.create_volume(Some("data"), labels, options.clone()).unwrap();
    assert_eq!(store.create_volume(Some("data"), none(), none()).unwrap(), data);
    assert_eq!(store.create_volume(Some("data"), none(), options).unwrap(), data);
    let other =
        BTreeMap::from([("type".to_owned(), "nfs".to_owned()), ("device".to_owned(), ":/x".to_owned())]);
    assert_eq!(store.create_volume(Some("data"), none(), other).unwrap_err().kind, Kind::Conflict);
    assert_eq!(store.create_volume(Some("../x"), none(), none()).unwrap_err().kind, Kind::Invalid);
    let anonymous = store.create_volume(None, none(), none()).unwrap();
    assert!(anonymous.anonymous && anonymous.name.len() == 64);
    fs::write(data.mountpoint.join("file"), "kept").unwrap();
    let store = root.reopen();
    assert_eq!(store.volume("data").unwrap(), data);
    assert_eq!(store.volumes().len(), 2);
    assert_eq!(fs::read_to_string(data.mountpoint.join("file")).unwrap(), "kept");
    // The journal is lost: what has data comes back from its meta.
    root.close();
    fs::remove_file(root.path.join("journal/log")).unwrap();
    let store = root.reopen();
    assert_eq!(store.volume("data").unwrap(), data);
    store.remove_volume("data").unwrap();
    assert_eq!(store.remove_volume("data").unwrap_err().kind, Kind::NotFound);
    store.remove_volume(&anonymous.name).unwrap();
    assert!(root.reopen().volumes().is_empty());
    root.assert_clean(0);
}

#[test]
fn root_an_empty_volume_is_filled_from_the_image() {
    if !is_root() {
        return;
    }
    let root = Root::new();
    let store = root.store();
    let mut owned = Tar::header(tar::EntryType::Directory, "var/data", 0);
    owned.set_uid(999);
    owned.set_mode(0o750);
    let tar = Tar::default()
        .raw(owned, b"")
        .file("var/data/a", b"one")
        .hardlink("var/data/b", "var/data/a")
        .symlink("data", "/var/data")
        .end();
    let layer = store.put_layer(tar.as_slice(), None, None).unwrap();
    let snapshot = store.create_snapshot("c", &[layer.diff_id]).unwrap();
    let volume = store.create_volume(Some("vol"), none(), none()).unwrap();
    store.copy_up(&volume, &snapshot, "/absent").unwrap();
    assert_eq!(fs::read_dir(&volume.mountpoint).unwrap().count(), 0);
    store.copy_up(&volume, &snapshot, "/data").unwrap();
    let meta = fs::metadata(&volume.mountpoint).unwrap();
    assert_eq!((meta.mode() & 0o7777, meta.uid()), (0o750, 999));
    let ino = |name: &str| fs::metadata(volume.mountpoint.join(name)).unwrap().ino();
    assert_eq!(ino("a"), ino("b"));
    fs::write(volume.mountpoint.join("a"), "mine").unwrap();
    store.copy_up(&volume, &snapshot, "/data").unwrap();
    assert_eq!(fs::read_to_string(volume.mountpoint.join("b")).unwrap(), "mine");
    let usage = store.usage().unwrap();
    assert!(usage.volumes > 0 && usage.layers > 0);
}
