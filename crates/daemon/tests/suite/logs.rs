//! Logs: whole, in order, bounded, and readable while they grow.

use super::lifecycle::eventually;
use dhow_testkit::{Daemon, is_root};

#[test]
fn root_logs_have_dockers_flags() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    daemon
        .dhow(&[
            "run",
            "--name",
            "aa",
            "busybox",
            "sh",
            "-c",
            "for i in 1 2 3 4 5; do echo line $i; done; echo err >&2; printf tail",
        ])
        .ok();
    let logs = daemon.dhow(&["logs", "aa"]);
    assert_eq!(
        (logs.out.as_str(), logs.err.as_str()),
        ("line 1\nline 2\nline 3\nline 4\nline 5\ntail", "err\n")
    );
    assert_eq!(daemon.dhow(&["logs", "--tail", "1", "aa"]).out, "tail");
    let stamped = daemon.dhow(&["logs", "-t", "aa"]);
    assert!(
        stamped.ok().lines().all(|line| line.starts_with("20") && line.contains("Z ")),
        "{}",
        stamped.out
    );
    assert_eq!(
        daemon.dhow(&["logs", "--since", "1h", "--tail", "2", "aa"]).out.lines().count(),
        1,
        "one of the two is on stderr"
    );
    assert_eq!(daemon.dhow(&["logs", "--until", "1h", "aa"]).out, "");
    let labelled = [
        "--log-opt",
        "labels=lab",
        "--log-opt",
        "env-regex=^A",
        "--log-opt",
        "tag={{.Name}}/{{.ID}}",
        "-l",
        "lab=x y",
        "-e",
        "AB=c",
    ];
    daemon
        .docker(
            &[&["run", "--name", "de", "--network", "none"], &labelled[..], &["busybox", "echo", "hi"]]
                .concat(),
        )
        .ok();
    let id = daemon.docker(&["inspect", "-f", "{{slice .Id 0 12}}", "de"]).ok().to_owned();
    assert_eq!(daemon.docker(&["logs", "--details", "de"]).ok(), format!("AB=c,lab=x+y,tag=de%2F{id} hi"));
    daemon.dhow(&["logs", "nobody"]).fails(1, "No such container: nobody");
    daemon.finish();
}

#[test]
fn root_logs_follow_over_rotation() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let options = ["--log-opt", "max-size=20k", "--log-opt", "max-file=100"];
    let script = "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done";
    daemon
        .dhow(&[&["run", "-d", "--name", "aa"], &options[..], &["busybox", "sh", "-c", script]].concat())
        .ok();
    let followed = daemon.dhow(&["logs", "-f", "aa"]);
    let wanted: Vec<String> = (0..3000).map(|i| format!("line {i}")).collect();
    assert_eq!(followed.ok().lines().collect::<Vec<_>>(), wanted);
    assert_eq!(daemon.dhow(&["logs", "aa"]).ok().lines().count(), 3000);
    daemon
        .dhow(&[
            "run",
            "-d",
            "--name",
            "small",
            "--log-opt",
            "max-size=10k",
            "--log-opt",
            "max-file=2",
            "busybox",
            "sh",
            "-c",
            script,
        ])
        .ok();
    eventually(&daemon, &["inspect", "-f", "{{.State.Status}}", "small"], |out| out == "exited");
    let kept = daemon.dhow(&["logs", "small"]);
    let kept: Vec<&str> = kept.ok().lines().collect();
    assert!(kept.len() < 600 && kept.last() == Some(&"line 2999"), "{} lines are kept", kept.len());
    daemon.finish();
}

/// With the log on this machine and with one that is sent: what is read back is the same.
#[test]
fn root_logs_of_odd_output_are_whole_with_every_driver() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    // A line of a megabyte, bytes that are no text, zeros, a carriage return, no end of line at the end.
    let script = "yes abcdefghijklmno | head -c 1048576 | tr -d '\\n'; echo; printf 'a\\0b\\377c\\r\\n'; printf 'no end'";
    let discard = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = format!("syslog-address=udp://{}", discard.local_addr().unwrap());
    for (name, options) in [
        ("json", &["--log-driver", "json-file"][..]),
        ("local", &["--log-driver", "local"]),
        ("sent", &["--log-driver", "syslog", "--log-opt", &address]),
    ] {
        daemon
            .docker(
                &[&["run", "--name", name, "--network", "none"], options, &["busybox", "sh", "-c", script]]
                    .concat(),
            )
            .ok();
        let out = daemon.docker(&["logs", name]).out;
        let rest = out.trim_start_matches("abcdefghijklmno");
        assert_eq!(out.len() - rest.len() + 1, (1 << 20) - (1 << 16) + 1, "{name}: {}", out.len());
        assert_eq!(rest, "\na\0b\u{fffd}c\r\nno end", "{name}");
        assert_eq!(daemon.docker(&["logs", "--tail", "1", name]).out, "no end", "{name}");
    }
    daemon.docker(&["run", "--name", "kept", "--log-driver", "none", "busybox", "echo", "nowhere"]).ok();
    daemon.docker(&["logs", "kept"]).fails(1, "configured logging driver does not support reading");
    daemon.finish();
}

#[test]
fn root_logs_since_until_and_tail_go_over_rotation_and_torn_records() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let script = "i=0; while [ $i -lt 500 ]; do echo first $i; i=$((i+1)); done; sleep 1.2; \
                  i=0; while [ $i -lt 500 ]; do echo second $i; i=$((i+1)); done; sleep 1000";
    let options = ["--log-opt", "max-size=8k", "--log-opt", "max-file=50"];
    daemon
        .docker(&[&["run", "-d", "--name", "aa"], &options[..], &["busybox", "sh", "-c", script]].concat())
        .ok();
    eventually(&daemon, &["logs", "--tail", "1", "aa"], |out| out == "second 499");
    let logs = |args: &[&str]| {
        let out = daemon.docker(&[&["logs"], args, &["aa"]].concat());
        out.ok().lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let stamped = logs(&["-t"]);
    assert_eq!(stamped.len(), 1000);
    let time = |line: &String| line.split(' ').next().unwrap().to_owned();
    let (last_first, first_second) = (time(&stamped[499]), time(&stamped[500]));
    assert_eq!(logs(&["--since", &first_second]).first().unwrap(), "second 0");
    assert_eq!(logs(&["--since", &first_second]).len(), 500);
    assert_eq!(logs(&["--until", &last_first]).last().unwrap(), "first 499");
    assert_eq!(logs(&["--until", &last_first]).len(), 500);
    assert_eq!(logs(&["--tail", "700"]).len(), 700);
    assert_eq!(logs(&["--tail", "700"])[0], "first 300");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let soon = (now + 2).to_string();
    assert_eq!(logs(&["-f", "--tail", "3", "--until", &soon]), ["second 497", "second 498", "second 499"]);
    // A record that a power cut tore: only it is missing, whether at the end of an older file or of the newest.
    let id = daemon.docker(&["inspect", "-f", "{{.Id}}", "aa"]).ok().to_owned();
    let log = daemon.folder().join(format!("data/containers/{id}/{id}-json.log"));
    for file in [format!("{}.2", log.display()), log.display().to_string()] {
        let length = std::fs::metadata(&file).unwrap().len();
        std::fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(length - 30).unwrap();
    }
    let torn = logs(&[]);
    assert_eq!(torn.len(), 998);
    assert_eq!(torn.last().unwrap(), "second 498");
    daemon.finish();
}
