//! From create to delete.

use crate::fixture::{bench, eventually, with_descriptor_3};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::{Value, json};
use std::process::Stdio;

fn pid(state: &Value) -> Pid {
    Pid::from_raw(i32::try_from(state["pid"].as_i64().unwrap()).unwrap()).unwrap()
}

#[test]
fn root_create_start_kill_delete() {
    let Some(b) = bench(&["sleep", "1000"]) else { return };
    b.configure(|config| config["annotations"] = json!({"one": "two"}));
    let pid_file = b.dir.join("pid");
    assert_eq!(b.quietly(&["create", "--pid-file", pid_file.to_str().unwrap(), "@a"]), 0);
    let state = b.state("@a");
    assert_eq!((&state["status"], &state["id"]), (&json!("created"), &json!(b.id("a"))));
    assert_eq!(state["bundle"], b.bundle().to_str().unwrap());
    assert_eq!(state["annotations"], json!({"one": "two"}));
    assert_eq!(std::fs::read_to_string(&pid_file).unwrap(), state["pid"].to_string());
    // Nobody is its parent any more, and it still waits.
    assert!(test_kill_process(pid(&state)).is_ok());
    b.run(&["create", "@a"]).fails(1, "container with given ID already exists");
    b.run(&["start", "@a"]).ok();
    b.status_is("@a", "running");
    b.run(&["start", "@a"]).fails(1, "cannot start an already running container");
    b.run(&["delete", "@a"]).fails(1, "that is not stopped: running");
    b.run(&["kill", "@a", "0"]).ok();
    b.run(&["kill", "@a", "NOSUCH"]).fails(1, "unknown signal");
    b.run(&["kill", "@a", "KILL"]).ok();
    b.status_is("@a", "stopped");
    assert_eq!(b.state("@a")["pid"], 0);
    b.run(&["kill", "@a", "KILL"]).fails(1, "container not running");
    b.run(&["start", "@a"]).fails(1, "cannot start a container that has stopped");
    b.run(&["delete", "@a"]).ok();
    b.run(&["state", "@a"]).fails(1, "container does not exist");
    b.run(&["delete", "@a"]).fails(1, "container does not exist");
    b.run(&["delete", "--force", "@a"]).ok();
}

#[test]
fn root_run_stays_until_the_end() {
    let Some(b) = bench(&["sh", "-c", "cat; echo out; exit 7"]) else { return };
    let ran = b.run(&["run", "@a"]);
    assert_eq!((ran.code, ran.out.as_str()), (7, "out\n"), "{ran:?}");
    assert!(!b.state_dir("a").exists());
    assert_eq!(b.run(&["run", "--keep", "@b"]).code, 7);
    assert_eq!(b.state("@b")["status"], "stopped");
    b.run(&["delete", "@b"]).ok();
    b.configure(|config| {
        config["process"]["args"] =
            json!(["sh", "-c", "trap 'exit 9' TERM; echo up; while :; do sleep 0.1; done"])
    });
    let mut child = b.command(&["run", "@c"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut word = [0; 3];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut word).unwrap();
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(9));
}

#[test]
fn root_failures_leave_nothing() {
    let Some(b) = bench(&["nosuch"]) else { return };
    let log = b.dir.join("log");
    let log = log.to_str().unwrap();
    for (program, reason) in [
        ("nosuch", "exec: \"nosuch\": executable file not found in $PATH"),
        ("/nosuch", "exec: \"/nosuch\": stat /nosuch: no such file or directory"),
        ("/bin", "exec: \"/bin\": permission denied"),
    ] {
        b.configure(|config| config["process"]["args"] = json!([program]));
        b.run(&["--log", log, "--log-format", "json", "create", "@a"]).fails(1, reason);
        let text = std::fs::read_to_string(log).unwrap();
        let line: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        assert_eq!(line["level"], "error");
        assert!(line["msg"].as_str().unwrap().ends_with(reason), "{line}");
        assert!(!b.state_dir("a").exists());
    }
    b.run(&["create", "--bundle", b.dir.to_str().unwrap(), "@a"]).fails(1, "config.json not found");
    b.run(&["create", "a/b"]).fails(1, "invalid container ID format");
    b.run(&["create", "--nosuch", "@a"]).fails(1, "flag provided but not defined: -nosuch");
    b.run(&["state"]).fails(1, "requires exactly 1 argument(s)");
    b.run(&["nosuch"]).fails(3, "nosuch");
    assert_eq!(std::fs::read_dir(b.dir.join("state")).unwrap().count(), 0);
}

#[test]
fn root_a_program_that_fails_to_start_has_stopped() {
    let Some(b) = bench(&["/bin/text"]) else { return };
    let path = b.bundle().join("rootfs/bin/text");
    std::fs::write(&path, "no program").unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    assert_eq!(b.quietly(&["create", "@a"]), 0);
    b.run(&["start", "@a"]).fails(1, "exec: \"/bin/text\": exec format error");
    b.status_is("@a", "stopped");
    b.run(&["delete", "@a"]).ok();
}

#[test]
fn root_hooks_of_the_program_itself() {
    let Some(b) = bench(&["sleep", "1000"]) else { return };
    let hook = |script: &str| json!([{"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin"]}]);
    let told = |name: &str| {
        let state: Value = serde_json::from_slice(&std::fs::read(b.bundle().join(name)).unwrap()).unwrap();
        (state["status"].as_str().unwrap().to_owned(), state["id"].as_str().unwrap().to_owned())
    };
    b.configure(|config| {
        config["hooks"] = json!({"poststart": hook("cat >begin"), "poststop": hook("cat >end")})
    });
    assert_eq!(b.quietly(&["create", "@a"]), 0);
    assert!(!b.bundle().join("begin").exists());
    b.run(&["start", "@a"]).ok();
    assert_eq!(told("begin"), ("running".to_owned(), b.id("a")));
    b.run(&["delete", "--force", "@a"]).ok();
    assert_eq!(told("end"), ("stopped".to_owned(), b.id("a")));
    // A failure after the start ends the container; one at the end is only told.
    b.configure(|config| {
        config["hooks"] = json!({"poststart": hook("exit 3"), "poststop": hook("echo sorry; exit 4")})
    });
    assert_eq!(b.quietly(&["create", "@b"]), 0);
    let pid = pid(&b.state("@b"));
    let ran = b.run(&["start", "@b"]);
    assert!(ran.code == 1 && ran.err.contains("exit status 3") && ran.err.contains("sorry"), "{ran:?}");
    eventually(|| test_kill_process(pid).is_err(), || "it lives".to_owned());
    b.run(&["state", "@b"]).fails(1, "container does not exist");
    // Also after a create that failed.
    b.configure(|config| {
        config["hooks"] = json!({"poststop": hook("cat >never")});
        config["process"]["args"] = json!(["nosuch"]);
    });
    b.run(&["create", "@c"]).fails(1, "executable file not found");
    assert_eq!(told("never").0, "stopped");
}

#[test]
fn root_one_of_many_starts_wins() {
    let Some(b) = bench(&["sleep", "1000"]) else { return };
    assert_eq!(b.quietly(&["create", "@a"]), 0);
    let starts: Vec<_> =
        (0..8).map(|_| b.command(&["start", "@a"]).stderr(Stdio::null()).spawn().unwrap()).collect();
    let won =
        starts.into_iter().filter_map(|mut start| start.wait().unwrap().success().then_some(())).count();
    assert_eq!(won, 1);
    b.status_is("@a", "running");
}

#[test]
fn root_looking_does_not_start() {
    let Some(b) = bench(&["sleep", "1000"]) else { return };
    assert_eq!(b.quietly(&["create", "@a"]), 0);
    for _ in 0..40 {
        assert_eq!(b.state("@a")["status"], "created");
    }
    b.run(&["start", "@a"]).ok();
    b.status_is("@a", "running");
}

#[test]
fn root_delete_of_what_still_lives() {
    let Some(b) = bench(&["sleep", "1000"]) else { return };
    assert_eq!(b.quietly(&["create", "@a"]), 0);
    b.run(&["delete", "@a"]).ok();
    assert_eq!(b.quietly(&["run", "--detach", "@b"]), 0);
    b.run(&["pause", "@b"]).ok();
    let pid = pid(&b.state("@b"));
    b.run(&["delete", "--force", "@b"]).ok();
    eventually(|| test_kill_process(pid).is_err(), || "it lives".to_owned());
    // What an aborted create leaves.
    std::fs::create_dir_all(b.state_dir("c")).unwrap();
    b.run(&["state", "@c"]).fails(1, "container does not exist");
    b.run(&["delete", "--force", "@c"]).ok();
    assert!(!b.state_dir("c").exists());
}

#[test]
fn root_another_process_with_the_number_is_left_alone() {
    let Some(b) = bench(&["sleep", "1000"]) else { return };
    assert_eq!(b.quietly(&["run", "--detach", "@a"]), 0);
    let path = b.state_dir("a").join("state.json");
    let mut record: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    // A process's start is told in hundredths of a second: in the same one it would be the same process.
    std::thread::sleep(std::time::Duration::from_millis(30));
    let mut victim = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    let container = record["process"].clone();
    record["process"]["pid"] = json!(victim.id());
    std::fs::write(&path, record.to_string()).unwrap();
    let state = b.state("@a");
    b.run(&["kill", "@a", "KILL"]).fails(1, "container not running");
    let lives = victim.try_wait().unwrap().is_none();
    victim.kill().unwrap();
    victim.wait().unwrap();
    assert!(lives && state["status"] == "stopped", "{state}");
    record["process"] = container;
    std::fs::write(&path, record.to_string()).unwrap();
}

#[test]
fn root_descriptors_are_passed_on_request_only() {
    let Some(b) = bench(&["sh", "-c", "cat <&3; echo $LISTEN_FDS $LISTEN_PID"]) else { return };
    let file = b.dir.join("file");
    std::fs::write(&file, "content\n").unwrap();
    let run = |flags: &[&str], prelude: &str| {
        with_descriptor_3(&b, &file, &[&["run"], flags, &["@a"]].concat(), prelude)
    };
    assert_eq!(run(&["--preserve-fds", "1"], "").ok(), "content\n\n");
    assert!(!run(&[], "").out.contains("content"));
    assert_eq!(run(&[], "export LISTEN_FDS=1 LISTEN_PID=$$;").ok(), "content\n1 1\n");
    assert!(!run(&[], "export LISTEN_FDS=1 LISTEN_PID=1;").out.contains("content"));
    // Far above what a test's own parents leave open.
    run(&["--preserve-fds", "500"], "").fails(1, " (of 500) is present");
}

#[test]
fn root_list_and_ps() {
    let Some(b) = bench(&["sh", "-c", "sleep 1000 & wait"]) else { return };
    assert_eq!(b.quietly(&["create", "@a"]), 0);
    assert_eq!(b.quietly(&["run", "--detach", "@b"]), 0);
    assert_eq!(b.run(&["list", "-q"]).ok(), format!("{}\n{}\n", b.id("a"), b.id("b")));
    let rows: Vec<Value> = serde_json::from_str(&b.run(&["list", "-f", "json"]).ok()).unwrap();
    let statuses: Vec<_> = rows.iter().map(|row| row["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["created", "running"]);
    assert_eq!(rows[0]["owner"], "root");
    let table = b.run(&["list"]).ok();
    assert!(table.starts_with("ID ") && table.lines().count() == 3, "{table}");
    let first = rows[1]["pid"].as_i64().unwrap();
    let pids = || -> Vec<i64> { serde_json::from_str(&b.run(&["ps", "-f", "json", "@b"]).ok()).unwrap() };
    eventually(|| pids().len() == 2, || format!("{:?}", pids()));
    assert!(pids().contains(&first));
    assert_eq!(b.run(&["ps", "@b"]).ok().lines().count(), 3);
    b.run(&["kill", "--all", "@b", "KILL"]).ok();
    eventually(|| pids().is_empty(), || format!("{:?}", pids()));
}
