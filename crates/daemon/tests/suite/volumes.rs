//! Volumes, binds, tmpfs: content, copy-up, in use, read-only.

use dhow_testkit::{Daemon, is_root};

#[test]
fn root_volumes_outlive_containers() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    assert_eq!(daemon.dhow(&["volume", "create", "data"]).ok(), "data");
    daemon.dhow(&["run", "--rm", "-v", "data:/d", "busybox", "sh", "-c", "echo kept > /d/file"]).ok();
    assert_eq!(
        daemon
            .dhow(&["run", "--rm", "--mount", "type=volume,src=data,dst=/e", "busybox", "cat", "/e/file"])
            .ok(),
        "kept"
    );
    assert_eq!(
        daemon
            .dhow(&[
                "run",
                "--rm",
                "-v",
                "data:/d:ro",
                "busybox",
                "sh",
                "-c",
                "touch /d/x 2>/dev/null || echo refused"
            ])
            .ok(),
        "refused"
    );
    // an empty volume gets what the image has there
    assert!(
        daemon
            .dhow(&["run", "--rm", "-v", "fresh:/etc", "busybox", "cat", "/etc/passwd"])
            .ok()
            .contains("app:x:1000")
    );
    daemon.dhow(&["create", "--name", "user", "-v", "data:/d", "-v", "/anonymous", "busybox"]).ok();
    daemon.dhow(&["volume", "rm", "data"]).fails(1, "volume is in use");
    daemon.dhow(&["volume", "prune", "-f"]).ok();
    assert_eq!(
        daemon.dhow(&["volume", "ls", "-q"]).ok().lines().count(),
        3,
        "named ones and those in use stay"
    );
    daemon.dhow(&["rm", "-v", "user"]).ok();
    assert_eq!(
        daemon.dhow(&["volume", "ls", "-q"]).ok(),
        "data\nfresh",
        "the anonymous one went with its container"
    );
    assert_eq!(daemon.dhow(&["volume", "rm", "data", "fresh"]).ok(), "data\nfresh");
    daemon.finish();
}

#[test]
fn root_binds_and_their_errors() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let folder = daemon.folder().join("bound");
    std::fs::create_dir(&folder).unwrap();
    let folder = folder.to_str().unwrap();
    daemon
        .dhow(&["run", "--rm", "-v", &format!("{folder}:/b"), "busybox", "sh", "-c", "echo hi > /b/f"])
        .ok();
    assert_eq!(std::fs::read_to_string(format!("{folder}/f")).unwrap(), "hi\n");
    let missing = format!("type=bind,src={folder}/missing,dst=/b");
    daemon
        .dhow(&["run", "--rm", "--mount", &missing, "busybox", "true"])
        .fails(125, "bind source path does not exist");
    daemon.dhow(&["run", "--rm", "-v", &format!("{folder}/made:/b"), "busybox", "true"]).ok();
    assert!(std::path::Path::new(&format!("{folder}/made")).is_dir(), "-v makes a missing folder");
    daemon.dhow(&["run", "--rm", "-v", "relative/x:/b", "busybox", "true"]).fails(125, "relative/x");
    assert_eq!(daemon.dhow(&["ps", "-aq"]).ok(), "");
    daemon.finish();
}
