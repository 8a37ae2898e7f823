//! tag, rmi, history, save, load, import, prune, inspect; and a registry.

use dhow_testkit::{Daemon, is_root};

/// The names in a folder of the daemon's.
pub(super) fn names_in(daemon: &Daemon, folder: &str) -> Vec<String> {
    let found = std::fs::read_dir(daemon.folder().join(folder)).unwrap();
    found.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

/// Waits until nothing is half-made or half-gone: what leaves the store is removed in the background.
#[track_caller]
pub(super) fn nothing_temporary(daemon: &Daemon) {
    let began = std::time::Instant::now();
    loop {
        let left = names_in(daemon, "data/tmp");
        if left.is_empty() {
            return;
        }
        assert!(began.elapsed().as_secs() < 10, "data/tmp keeps {left:?}");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

/// Layers in the store, less `base`, which is the engine's own and lowest in every container.
pub(super) fn stored_layers(daemon: &Daemon) -> Vec<String> {
    let mut names = names_in(daemon, "data/layers");
    names.retain(|name| name != "base");
    names.sort();
    names
}

#[test]
fn root_images_are_named_saved_and_removed() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let id = daemon.dhow(&["inspect", "-f", "{{.Id}}", "busybox"]).ok().to_owned();
    daemon.dhow(&["tag", "busybox", "reg.example:5000/team/app:2"]).ok();
    let list = daemon.dhow(&["images", "--format", "{{.Repository}}:{{.Tag}}"]);
    assert_eq!(
        list.ok().lines().collect::<std::collections::BTreeSet<_>>(),
        ["busybox:latest", "reg.example:5000/team/app:2"].into()
    );
    let tar = daemon.folder().join("saved.tar");
    daemon.dhow(&["save", "-o", tar.to_str().unwrap(), "busybox", "reg.example:5000/team/app:2"]).ok();
    let container = daemon.dhow(&["create", "busybox"]).ok().to_owned();
    daemon.dhow(&["rmi", &id]).fails(1, "conflict");
    daemon.dhow(&["rm", &container]).ok();
    assert!(daemon.dhow(&["rmi", "busybox"]).ok().contains("Untagged: busybox:latest"));
    assert!(daemon.dhow(&["rmi", "reg.example:5000/team/app:2"]).ok().contains(&format!("Deleted: {id}")));
    daemon.dhow(&["run", "--pull", "never", "busybox"]).fails(125, "No such image");
    let loaded = daemon.dhow(&["load", "-i", tar.to_str().unwrap()]);
    assert!(loaded.ok().contains("Loaded image: busybox:latest"), "{}", loaded.out);
    assert_eq!(
        daemon.dhow(&["inspect", "-f", "{{.Id}}", "busybox"]).ok(),
        id,
        "the same image, byte for byte"
    );
    assert_eq!(daemon.dhow(&["run", "--rm", "busybox", "echo", "again"]).ok(), "again");
    assert!(daemon.dhow(&["history", "busybox"]).ok().contains("IMAGE"));
    daemon.finish();
}

#[test]
fn root_layers_go_with_the_last_user_of_a_deleted_image() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    daemon.dhow(&["run", "--name", "aa", "busybox", "true"]).ok();
    daemon.dhow(&["create", "--name", "bb", "busybox", "true"]).ok();
    daemon.dhow(&["rmi", "-f", "busybox"]).ok();
    assert_eq!(daemon.dhow(&["images", "-aq"]).ok(), "");
    assert_eq!(stored_layers(&daemon).len(), 1, "containers hold it");
    daemon.dhow(&["rm", "aa"]).ok();
    assert_eq!(stored_layers(&daemon).len(), 1, "the other one holds it");
    daemon.dhow(&["rm", "bb"]).ok();
    assert_eq!(stored_layers(&daemon), Vec::<String>::new());
    daemon.finish();
}

#[test]
fn root_bad_archives_leave_nothing() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let tar = daemon.folder().join("saved.tar");
    daemon.dhow(&["save", "-o", tar.to_str().unwrap(), "busybox"]).ok();
    daemon.dhow(&["rmi", "busybox"]).ok();
    let whole = std::fs::read(&tar).unwrap();
    let cut = daemon.folder().join("cut.tar");
    std::fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    assert_eq!(daemon.dhow(&["load", "-i", cut.to_str().unwrap()]).code, 1);
    let mut wrong = whole;
    let middle = wrong.len() / 2;
    wrong[middle] ^= 0xff;
    std::fs::write(&cut, &wrong).unwrap();
    assert_eq!(daemon.dhow(&["load", "-i", cut.to_str().unwrap()]).code, 1);
    std::fs::write(&cut, b"this is no tar").unwrap();
    assert_eq!(daemon.dhow(&["load", "-i", cut.to_str().unwrap()]).code, 1);
    assert_eq!(daemon.dhow(&["images", "-aq"]).ok(), "");
    assert_eq!(stored_layers(&daemon), Vec::<String>::new());
    nothing_temporary(&daemon);
    daemon.finish();
}
