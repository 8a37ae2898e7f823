//! Where the machine says no: a full disk, and a caller that is not root.

use super::images::nothing_temporary;
use dhow_testkit::{Daemon, busybox_tar, is_root, program};
use std::{
    fs,
    io::{Read, Write},
    os::unix::net::UnixListener,
    process::{Command, Stdio},
};

#[test]
fn root_a_full_disk_is_said_and_leaves_nothing_half_made() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start_on_small_disk("12m");
    let filler = daemon.folder().join("filler");
    fs::create_dir(&filler).unwrap();
    let big = filler.join("big");
    fs::write(&big, vec![b'x'; 30 << 20]).unwrap();
    fs::write(filler.join("Dockerfile"), "FROM busybox\nCOPY big /big\n").unwrap();
    fs::write(filler.join("run"), "FROM busybox\nRUN head -c 30m /dev/urandom > /big\n").unwrap();
    let filler = filler.to_str().unwrap();
    let images = daemon.dhow(&["images", "-aq"]).ok().to_owned();
    let layers = super::images::stored_layers(&daemon);
    let full = "No space left on device";

    // an archive with one file that does not fit
    let tar = daemon.folder().join("big.tar");
    let packed = Command::new("tar").args(["-C", filler, "-cf"]).arg(&tar).arg("big").status().unwrap();
    assert!(packed.success());
    let nothing_new = |what: &str| {
        assert_eq!(daemon.dhow(&["images", "-aq"]).ok(), images, "{what}");
        assert_eq!(super::images::stored_layers(&daemon), layers, "{what}");
        nothing_temporary(&daemon);
        assert_eq!(daemon.dhow(&["ps", "-aq"]).ok(), "", "{what}");
        assert_eq!(daemon.dhow(&["run", "--rm", "busybox", "echo", "fine"]).ok(), "fine", "{what}");
    };
    daemon.dhow(&["import", tar.to_str().unwrap(), "big"]).fails(1, full);
    nothing_new("import");
    daemon.dhow(&["build", "-t", "big", filler]).fails(1, full);
    nothing_new("build: COPY");
    let file = format!("{filler}/run");
    let ran = daemon.dhow(&["build", "-t", "big", "-f", &file, filler]);
    assert_ne!(ran.code, 0);
    nothing_new("build: RUN");
    daemon.dhow(&["create", "--name", "aa", "busybox"]).ok();
    daemon.dhow(&["cp", big.to_str().unwrap(), "aa:/big"]).fails(1, full);
    daemon.dhow(&["rm", "aa"]).ok();
    nothing_new("cp");
    daemon.finish();
}

#[test]
fn root_whoever_is_not_root_is_told_so() {
    if !is_root() {
        return;
    }
    let folder = std::env::temp_dir().join(format!("dhow-test-nobody-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    std::os::unix::fs::chown(&folder, Some(65534), Some(65534)).unwrap();
    // a copy where nobody may execute it, whatever folder cargo builds in
    let dhowd = folder.join("dhowd");
    fs::copy(program("dhowd"), &dhowd).unwrap();
    let output = Command::new("setpriv")
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--"])
        .arg(&dhowd)
        .arg("--data-root")
        .arg(folder.join("data"))
        .arg("--exec-root")
        .arg(folder.join("run"))
        .arg("--pidfile")
        .arg(folder.join("pid"))
        .args(["--host", &format!("unix://{}/docker.sock", folder.display())])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let left: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("root"), "{said}");
    assert_eq!(left, ["dhowd"], "nothing is made before that is known");
    // the socket is root's: a stranger hears why, and no more
    let daemon = Daemon::start();
    let dhow = daemon.folder().join("dhow");
    fs::copy(program("dhow"), &dhow).unwrap();
    let output = Command::new("setpriv")
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--"])
        .arg(&dhow)
        .arg("ps")
        .env("DHOW_HOST", format!("unix://{}", daemon.socket().display()))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.to_lowercase().contains("permission denied") && said.contains("docker.sock"), "{said}");
    // a truncated tar over stdin is not an image either
    let mut tar = busybox_tar();
    tar.truncate(100_000);
    fs::write(daemon.folder().join("cut.tar"), tar).unwrap();
    let cut = daemon.folder().join("cut.tar");
    assert_eq!(daemon.dhow(&["import", cut.to_str().unwrap(), "cut"]).code, 1);
    assert_eq!(daemon.dhow(&["images", "-q", "cut"]).ok(), "");
    daemon.finish();
}

/// A broken pipe of our output is the reader's wish; one of the engine's socket is a failure.
#[test]
fn an_engine_that_hangs_up_in_the_middle_of_an_upload_is_no_success() {
    let folder = std::env::temp_dir().join(format!("dhow-test-hang-up-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let (socket, tar) = (folder.join("docker.sock"), folder.join("images.tar"));
    fs::write(&tar, vec![b'x'; 30 << 20]).unwrap();
    let listener = UnixListener::bind(&socket).unwrap();
    let engine = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut head = [0; 4096];
        assert!(client.read(&mut head).unwrap() > 0);
        client.write_all(b"HTTP/1.1 200 OK\r\nApi-Version: 1.47\r\nContent-Length: 0\r\n\r\n").unwrap();
        assert!(client.read(&mut head).unwrap() > 0);
    });
    let load = Command::new(program("dhow"))
        .args(["-H", &format!("unix://{}", socket.display()), "load", "-i"])
        .arg(&tar)
        .output()
        .unwrap();
    engine.join().unwrap();
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!(load.status.code(), Some(1), "{load:?}");
    assert!(!load.stderr.is_empty());
}

/// The engine takes as many descriptors as it may; containers get the limit that it was started with.
#[test]
fn root_the_engine_raises_its_own_limit_of_open_files_only() {
    if !is_root() {
        return;
    }
    let files = |pid: &str| -> Vec<String> {
        let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
        let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
        line.split_whitespace().take(2).map(str::to_owned).collect()
    };
    let daemon = Daemon::start();
    let (given, own) = (files("self"), files(&daemon.pid().to_string()));
    assert_eq!(own, [given[1].clone(), given[1].clone()]);
    let inside = daemon.dhow(&["run", "--rm", "busybox", "sh", "-c", "ulimit -Sn; ulimit -Hn"]);
    assert_eq!(inside.ok().lines().collect::<Vec<_>>(), given);
    daemon.finish();
}
