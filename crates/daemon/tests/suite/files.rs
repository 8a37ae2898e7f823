//! cp, diff, export, commit: files in and out of containers.

use dhow_testkit::{Daemon, is_root};
use std::fs;

#[test]
fn root_files_go_in_and_out() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let here = daemon.folder().join("here");
    fs::create_dir_all(here.join("sub")).unwrap();
    fs::write(here.join("a.txt"), "text").unwrap();
    fs::write(here.join("sub/b.txt"), "deep").unwrap();
    let here = here.to_str().unwrap();
    daemon.dhow(&["run", "-d", "--name", "aa", "busybox", "sleep", "1000"]).ok();
    daemon.dhow(&["cp", here, "aa:/tmp/new"]).ok();
    daemon.dhow(&["cp", &format!("{here}/a.txt"), "aa:/tmp"]).ok();
    assert_eq!(
        daemon.dhow(&["exec", "aa", "sh", "-c", "cat /tmp/new/sub/b.txt /tmp/a.txt"]).ok(),
        "deeptext"
    );
    let back = daemon.folder().join("back");
    daemon.dhow(&["cp", "aa:/tmp/new", back.to_str().unwrap()]).ok();
    assert_eq!(fs::read_to_string(back.join("sub/b.txt")).unwrap(), "deep");
    daemon.dhow(&["cp", "aa:/no/such", "."]).fails(1, "/no/such");
    // a link in the container must not lead the copy to the host's file
    daemon.dhow(&["exec", "aa", "ln", "-s", "/etc", "/tmp/link"]).ok();
    daemon.dhow(&["cp", &format!("{here}/a.txt"), "aa:/tmp/link/dhow-was-here"]).ok();
    assert!(!std::path::Path::new("/etc/dhow-was-here").exists());
    assert_eq!(daemon.dhow(&["exec", "aa", "cat", "/etc/dhow-was-here"]).ok(), "text");
    let diff = daemon.dhow(&["diff", "aa"]);
    for line in ["C /tmp", "A /tmp/a.txt", "A /etc/dhow-was-here", "C /etc"] {
        assert!(diff.ok().lines().any(|found| found == line), "{line} is not in\n{}", diff.out);
    }
    daemon.dhow(&["stop", "-t", "0", "aa"]).ok();
    daemon.dhow(&["cp", "aa:/tmp/a.txt", &format!("{here}/stopped.txt")]).ok();
    assert_eq!(fs::read_to_string(format!("{here}/stopped.txt")).unwrap(), "text");
    let image = daemon.dhow(&["commit", "-m", "kept", "aa", "kept:1"]);
    assert!(image.ok().starts_with("sha256:"));
    assert_eq!(daemon.dhow(&["run", "--rm", "kept:1", "cat", "/tmp/a.txt"]).ok(), "text");
    let tar = daemon.folder().join("all.tar");
    daemon.dhow(&["export", "-o", tar.to_str().unwrap(), "aa"]).ok();
    assert!(fs::metadata(&tar).unwrap().len() > 100_000);
    daemon.finish();
}
