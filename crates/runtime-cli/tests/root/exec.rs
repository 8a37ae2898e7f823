//! Further processes.

use crate::fixture::{bench, eventually};
use serde_json::json;

#[test]
fn root_exec_has_its_own_code() {
    let Some(b) = bench(&["sleep", "1000"]) else { return };
    assert_eq!(b.quietly(&["run", "--detach", "@a"]), 0);
    assert_eq!(b.run(&["exec", "@a", "sh", "-c", "exit 5"]).code, 5);
    assert_eq!(b.run(&["exec", "@a", "sh", "-c", "kill -KILL $$"]).code, 137);
    b.run(&["exec", "@a", "nosuch"])
        .fails(255, "exec failed: unable to start container process: exec: \"nosuch\"");
    b.run(&["exec", "@nosuch", "true"]).fails(255, "container does not exist");
    let flags = ["exec", "--user", "5:6", "-g", "7", "--env", "A=1", "--cwd", "/etc", "@a"];
    let out = b.run(&[&flags[..], &["sh", "-c", "id; echo $A; pwd"]].concat()).ok();
    assert_eq!(out, "uid=5 gid=6 groups=7\n1\n/etc\n");
    let file = b.dir.join("process.json");
    let process = json!({"args": ["sh", "-c", "echo $X $$"], "cwd": "/", "env": ["X=1", "PATH=/bin"], "user": {"uid": 0}});
    std::fs::write(&file, process.to_string()).unwrap();
    let out = b.run(&["exec", "--process", file.to_str().unwrap(), "@a"]).ok();
    assert!(out.starts_with("1 ") && out != "1 1\n", "{out}");
}

/// A further process is in the container's session keyring and not in the caller's, as with runc; unless the container has none of its own.
#[test]
fn root_exec_joins_the_containers_keyring() {
    let Some(b) = bench(&["sleep", "1000"]) else { return };
    b.configure(|config| config["linux"]["maskedPaths"] = json!([]));
    assert_eq!(b.quietly(&["run", "--detach", "@a"]), 0);
    assert_eq!(b.quietly(&["run", "--detach", "--no-new-keyring", "@b"]), 0);
    let rings = |name: &str| {
        let keys = b.run(&["exec", &format!("@{name}"), "cat", "/proc/keys"]).ok();
        let mark = format!("_ses.{}:", b.id(name));
        let ours = keys.lines().filter(|line| line.contains(&mark));
        ours.map(|line| line.split_whitespace().next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let (first, again) = (rings("a"), rings("a"));
    assert!(first.len() == 1 && first == again, "{first:?} {again:?}");
    assert!(rings("b").is_empty());
}

#[test]
fn root_exec_detached() {
    let Some(b) = bench(&["sleep", "1000"]) else { return };
    assert_eq!(b.quietly(&["run", "--detach", "@a"]), 0);
    let pid_file = b.dir.join("pid");
    let words = [
        "exec",
        "--detach",
        "--pid-file",
        pid_file.to_str().unwrap(),
        "@a",
        "sh",
        "-c",
        "echo x > /made; sleep 1000",
    ];
    assert_eq!(b.quietly(&words), 0);
    let made = b.bundle().join("rootfs/made");
    eventually(|| std::fs::read(&made).is_ok_and(|text| text == b"x\n"), || "no file".to_owned());
    let pid = std::fs::read_to_string(&pid_file).unwrap();
    let pids = b.run(&["ps", "-f", "json", "@a"]).ok();
    assert!(pids.contains(&pid), "{pids} {pid}");
}

#[test]
fn root_no_exec_where_nothing_runs() {
    let Some(b) = bench(&["sleep", "1000"]) else { return };
    assert_eq!(b.quietly(&["run", "--detach", "@a"]), 0);
    b.run(&["pause", "@a"]).ok();
    b.status_is("@a", "paused");
    b.run(&["exec", "@a", "true"]).fails(255, "cannot exec in a paused container");
    b.run(&["pause", "@a"]).fails(1, "container not running");
    b.run(&["resume", "@a"]).ok();
    b.run(&["resume", "@a"]).fails(1, "container not paused");
    b.run(&["exec", "@a", "true"]).ok();
    b.run(&["kill", "@a", "KILL"]).ok();
    b.status_is("@a", "stopped");
    b.run(&["exec", "@a", "true"]).fails(255, "cannot exec in a stopped container");
    b.run(&["pause", "@a"]).fails(1, "container not running");
}
