//! Log drivers that send: what rsyslog, the journal, a TLS server and fluentd's and GELF's own decoders make of it; and that a sink which
//! is dead or slow hurts nobody.

use dhow_testkit::{Daemon, is_root};
use std::{
    fs,
    net::{TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// A program that is ended with the test.
struct Program(Child);

impl Program {
    fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().unwrap();
    }
}

/// A port that nobody has, neither for TCP nor for UDP.
fn port() -> u16 {
    loop {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if UdpSocket::bind(("127.0.0.1", free)).is_ok() {
            return free;
        }
    }
}

fn python_sink(kind: &str, port: u16, out: &Path) -> Program {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/sink.py");
    Program::start(Command::new("/usr/bin/python3").arg(script).arg(kind).arg(port.to_string()).arg(out))
}

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// The lines of a file, once there are so many and they satisfy.
#[track_caller]
fn wait_for(path: &Path, enough: impl Fn(&[String]) -> bool) -> Vec<String> {
    let began = Instant::now();
    loop {
        let got = lines(path);
        if enough(&got) {
            return got;
        }
        assert!(began.elapsed() < Duration::from_secs(40), "{} lines, last: {:?}", got.len(), got.last());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// `run` with a driver and its options.
fn run(daemon: &Daemon, before: &[&str], driver: &str, options: &[&str], script: &str) -> String {
    let mut args = vec!["run", "--network", "none", "--log-driver", driver];
    for option in options {
        args.extend(["--log-opt", option]);
    }
    args.extend(before);
    args.extend(["busybox", "sh", "-c", script]);
    daemon.docker(&args).ok().to_owned()
}

const SCRIPT: &str = r#"echo 'hello <w>'; sleep .05; echo err >&2; sleep .05; echo; printf tail"#;

fn rsyslog(folder: &Path, port: u16) -> Program {
    let config = format!(
        "module(load=\"imudp\")\nmodule(load=\"imtcp\")\nmodule(load=\"imuxsock\" SysSock.Use=\"off\")\n\
         input(type=\"imudp\" port=\"{port}\")\ninput(type=\"imtcp\" port=\"{port}\")\n\
         input(type=\"imuxsock\" Socket=\"{0}/log.sock\")\n\
         template(name=\"t\" type=\"string\" string=\"%syslogfacility-text%.%syslogseverity-text% %hostname% %programname% %msg%\\n\")\n\
         action(type=\"omfile\" file=\"{0}/syslog.out\" template=\"t\")\n",
        folder.display()
    );
    fs::write(folder.join("rsyslog.conf"), config).unwrap();
    let program = Program::start(
        Command::new("rsyslogd")
            .arg("-n")
            .arg("-f")
            .arg(folder.join("rsyslog.conf"))
            .arg("-i")
            .arg(folder.join("rsyslog.pid")),
    );
    let began = Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(began.elapsed() < Duration::from_secs(20), "rsyslogd does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    program
}

#[test]
fn root_syslog_reaches_rsyslog() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let port = port();
    let server = rsyslog(daemon.folder(), port);
    let out = daemon.folder().join("syslog.out");
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let mut expected = 0;
    for (address, format) in [
        (format!("udp://127.0.0.1:{port}"), "rfc3164"),
        (format!("udp://127.0.0.1:{port}"), "rfc5424"),
        (format!("tcp://127.0.0.1:{port}"), "rfc5424micro"),
        (format!("tcp://127.0.0.1:{port}"), "rfc3164"),
        (format!("unixgram://{}/log.sock", daemon.folder().display()), ""),
    ] {
        let options = [
            &format!("syslog-address={address}"),
            &format!("syslog-format={format}"),
            "syslog-facility=local3",
            "tag={{.Name}}-tag",
        ];
        // With --rm nothing of the container is left when the sink gets its last lines.
        run(&daemon, &["--rm", "--name", "sy"], "syslog", &options, SCRIPT);
        expected += 3;
        let got = wait_for(&out, |got| got.len() >= expected);
        let own: Vec<&str> = got.iter().skip(expected - 3).map(String::as_str).collect();
        let line = |severity: &str, text: &str| format!("local3.{severity} {host} sy-tag {text}");
        let texts = if format.starts_with("rfc5424") {
            ["hello <w>", "err", "tail"]
        } else {
            [" hello <w>", " err", " tail"]
        };
        assert_eq!(
            own,
            [line("info", texts[0]), line("err", texts[1]), line("info", texts[2])],
            "{address} {format}"
        );
    }
    drop(server);
    daemon.finish();
}

#[test]
fn root_syslog_over_tls_with_a_client_certificate() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let folder = daemon.folder().join("tls");
    let certificates = super::tls::Certificates::make(&folder);
    let port = port();
    let out = folder.join("out");
    let server = Program::start(
        Command::new("openssl")
            .args([
                "s_server",
                "-quiet",
                "-Verify",
                "1",
                "-verify_return_error",
                "-accept",
                &port.to_string(),
            ])
            .args(["-cert", &certificates.path("server.pem"), "-key", &certificates.path("server-key.pem")])
            .args(["-CAfile", &certificates.path("ca.pem")])
            .stdin(Stdio::piped())
            .stdout(fs::File::create(&out).unwrap()),
    );
    let options = |client: &str| {
        [
            format!("syslog-address=tcp+tls://127.0.0.1:{port}"),
            "syslog-format=rfc5424".to_owned(),
            format!("syslog-tls-ca-cert={}", certificates.path("ca.pem")),
            format!("syslog-tls-cert={}", certificates.path(&format!("{client}.pem"))),
            format!("syslog-tls-key={}", certificates.path(&format!("{client}-key.pem"))),
        ]
    };
    let good = options("client");
    let good: Vec<&str> = good.iter().map(String::as_str).collect();
    run(&daemon, &["--name", "good"], "syslog", &good, "echo secret one; echo secret two");
    wait_for(&out, |got| got.len() == 2);
    let got = fs::read_to_string(&out).unwrap();
    // RFC 5425: each message behind its length.
    let (count, rest) = got.split_once(' ').unwrap();
    assert_eq!(rest.find('\n').unwrap() + 1, count.parse::<usize>().unwrap(), "{got:?}");
    assert!(rest.starts_with("<30>1 ") && got.ends_with("secret two\n"), "{got:?}");
    assert_eq!(daemon.docker(&["logs", "good"]).ok(), "secret one\nsecret two");
    let stranger = options("stranger");
    let stranger: Vec<&str> = stranger.iter().map(String::as_str).collect();
    run(&daemon, &["--name", "bad"], "syslog", &stranger, "echo never seen");
    assert_eq!(daemon.docker(&["logs", "bad"]).ok(), "never seen");
    assert!(!fs::read_to_string(&out).unwrap().contains("never seen"));
    drop(server);
    daemon.finish();
}

#[test]
fn root_gelf_is_decoded() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let (port, out) = (port(), daemon.folder().join("gelf.out"));
    let sink = python_sink("gelf", port, &out);
    let (udp, tcp) =
        (format!("gelf-address=udp://127.0.0.1:{port}"), format!("gelf-address=tcp://127.0.0.1:{port}"));
    let long = r#"i=0; while [ $i -lt 20000 ]; do printf "$i "; i=$((i+1)); done"#;
    let mut seen = 0;
    for options in [
        vec![udp.as_str()],
        vec![&udp, "gelf-compression-type=zlib", "gelf-compression-level=9"],
        vec![&udp, "gelf-compression-type=none"],
        vec![&tcp],
    ] {
        let all: Vec<&str> =
            options.iter().copied().chain(["env=A", "labels-regex=^la", "tag=t/{{.Name}}"]).collect();
        let before = ["--rm", "--name", "ge", "-e", "A=b", "-l", "lab=x", "-l", "other=y"];
        run(&daemon, &before, "gelf", &all, SCRIPT);
        let got = wait_for(&out, |got| got.len() >= seen + 3);
        for (line, (text, level)) in got.iter().skip(seen).zip([("hello <w>", 6), ("err", 3), ("tail", 6)]) {
            for part in [
                &format!("\"short_message\": \"{text}\""),
                &format!("\"level\": {level}"),
                "\"version\": \"1.1\"",
                "\"_A\": \"b\"",
                "\"_lab\": \"x\"",
                "\"_tag\": \"t/ge\"",
                "\"_container_name\": \"ge\"",
                "\"_image_name\": \"busybox\"",
                "\"_command\": \"sh -c echo",
            ] {
                assert!(line.contains(part), "{part} in {line}");
            }
            assert!(!line.contains("_other"), "{line}");
        }
        seen += 3;
        // A line of 109 kB: seven pieces, each in chunks over UDP.
        run(&daemon, &["--rm"], "gelf", &options, long);
        let got = wait_for(&out, |got| got.len() >= seen + 7);
        let text: String = got.iter().skip(seen).filter_map(|line| line.split('"').nth(11)).collect();
        assert!(text.starts_with("0 1 2 ") && text.ends_with(" 19998 19999 "), "{} bytes", text.len());
        seen += 7;
    }
    drop(sink);
    daemon.finish();
}

#[test]
fn root_fluentd_is_decoded() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let (port, out) = (port(), daemon.folder().join("fluentd.out"));
    let sink = python_sink("fluentd", port, &out);
    let address = format!("fluentd-address=127.0.0.1:{port}");
    run(
        &daemon,
        &["--name", "fl", "-e", "A=b"],
        "fluentd",
        &[&address, "env=A", "tag=docker.{{.Name}}"],
        SCRIPT,
    );
    let got = wait_for(&out, |got| got.len() >= 4);
    for (line, (text, stream)) in
        got.iter().zip([("hello <w>", "stdout"), ("err", "stderr"), ("", "stdout"), ("tail", "stdout")])
    {
        for part in [
            "\"tag\": \"docker.fl\"",
            "\"container_name\": \"/fl\"",
            "\"A\": \"b\"",
            &format!("\"log\": \"{text}\""),
            &format!("\"source\": \"{stream}\""),
        ] {
            assert!(line.contains(part), "{part} in {line}");
        }
    }
    assert!(got[3].contains("\"partial_last\": \"false\"") && !got[0].contains("partial"), "{got:?}");
    let precise =
        [&address, "fluentd-sub-second-precision=true", "fluentd-request-ack=true", "fluentd-async=true"];
    run(&daemon, &["--rm"], "fluentd", &precise, "echo one; echo two");
    let got = wait_for(&out, |got| got.len() >= 6);
    assert!(got[4].contains("\"time\": [") && got[5].contains("\"log\": \"two\""), "{got:?}");
    assert_eq!(daemon.docker(&["logs", "--tail", "1", "fl"]).ok(), "tail");
    drop(sink);
    daemon.finish();
}

/// The machine's journal, or one of this test's own where there is none.
struct Journal {
    own: Option<(Program, PathBuf)>,
}

impl Journal {
    fn start() -> Self {
        let socket = Path::new("/run/systemd/journal/socket");
        if socket.exists() {
            return Self { own: None };
        }
        let name = format!("dhow{}", std::process::id());
        let server = Program::start(Command::new("/lib/systemd/systemd-journald").arg(&name));
        let own = PathBuf::from(format!("/run/systemd/journal.{name}/socket"));
        let began = Instant::now();
        while !own.exists() {
            assert!(began.elapsed() < Duration::from_secs(20), "journald does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        fs::create_dir_all(socket.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(&own, socket).unwrap();
        Self { own: Some((server, own)) }
    }

    fn entries(&self, container: &str) -> Vec<String> {
        let mut command = Command::new("journalctl");
        if self.own.is_some() {
            command.arg(format!("--namespace=dhow{}", std::process::id()));
        }
        command.args(["-q", "-a", "-o", "json", &format!("CONTAINER_NAME={container}")]);
        let output = command.output().unwrap();
        String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        let Some((server, socket)) = self.own.take() else { return };
        drop(server);
        fs::remove_file("/run/systemd/journal/socket").unwrap();
        fs::remove_dir("/run/systemd/journal").ok();
        fs::remove_dir_all(socket.parent().unwrap()).unwrap();
        for root in ["/run/log/journal", "/var/log/journal"] {
            for entry in fs::read_dir(root).into_iter().flatten().flatten() {
                if entry.file_name().to_string_lossy().ends_with(&format!(".dhow{}", std::process::id())) {
                    fs::remove_dir_all(entry.path()).unwrap();
                }
            }
        }
    }
}

#[test]
fn root_journald_keeps_it() {
    if !is_root() {
        return;
    }
    let journal = Journal::start();
    let daemon = Daemon::start();
    // Two variables too long for one datagram together: the journal gets them in a file.
    let name = format!("jo{}", std::process::id());
    let big = "x".repeat(120_000);
    let (one, two) = (format!("ONE={big}"), format!("TWO={big}"));
    run(
        &daemon,
        &["--name", &name, "-l", "my.label=v"],
        "journald",
        &["labels=my.label", "tag=jtag"],
        SCRIPT,
    );
    let began = Instant::now();
    let entries = loop {
        let entries = journal.entries(&name);
        if entries.len() >= 4 {
            break entries;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{entries:?}\n{}", daemon.log());
        std::thread::sleep(Duration::from_millis(50));
    };
    for (entry, (text, priority)) in entries.iter().zip([("hello <w>", 6), ("err", 3), ("", 6), ("tail", 6)])
    {
        for part in [
            &format!("\"MESSAGE\":\"{text}\""),
            &format!("\"PRIORITY\":\"{priority}\""),
            "\"MY_LABEL\":\"v\"",
            "\"CONTAINER_TAG\":\"jtag\"",
            "\"SYSLOG_IDENTIFIER\":\"jtag\"",
            "\"IMAGE_NAME\":\"busybox\"",
        ] {
            assert!(entry.contains(part), "{part} in {entry}");
        }
    }
    assert!(entries[3].contains("\"CONTAINER_PARTIAL_MESSAGE\":\"true\""), "{}", entries[3]);
    let large = format!("{name}b");
    run(
        &daemon,
        &["--name", &large, "-e", &one, "-e", &two],
        "journald",
        &["env-regex=^(ONE|TWO)$"],
        "echo big",
    );
    let began = Instant::now();
    while !journal.entries(&large).iter().any(|entry| entry.contains(&big)) {
        assert!(began.elapsed() < Duration::from_secs(20), "{}", daemon.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(daemon.docker(&["logs", &large]).ok(), "big");
    daemon.finish();
}

#[test]
fn root_a_dead_sink_slows_nothing() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    // One that is not there, and one that accepts and never reads.
    let (nobody, out) = (port(), daemon.folder().join("late.out"));
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_port = silent.local_addr().unwrap().port();
    let script =
        "i=0; while [ $i -lt 40000 ]; do echo line $i of the log that nobody takes; i=$((i+1)); done";
    for (name, driver, address) in [
        ("free", "json-file", String::new()),
        ("dead", "fluentd", format!("fluentd-address=127.0.0.1:{nobody}")),
        ("deaf", "gelf", format!("gelf-address=tcp://127.0.0.1:{silent_port}")),
    ] {
        let mut options = vec!["cache-max-size=1m", "cache-max-file=2"];
        if driver == "json-file" {
            options = vec!["max-size=1m", "max-file=2"];
        } else {
            options.push(&address);
        }
        run(&daemon, &["-d", "--name", name], driver, &options, &format!("{script}; sleep 1000"));
    }
    let began = Instant::now();
    let last = |name: &str| daemon.docker(&["logs", "--tail", "1", name]).ok().to_owned();
    for name in ["free", "dead", "deaf"] {
        while last(name) != "line 39999 of the log that nobody takes" {
            assert!(began.elapsed() < Duration::from_secs(60), "{name}: {}", last(name));
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    // 40,000 records of 110 bytes in a spool of two megabytes.
    let told = || daemon.log().lines().filter(|line| line.contains("dropped before they were sent")).count();
    assert!(told() >= 2, "{}", daemon.log());
    let began = Instant::now();
    daemon.docker(&["exec", "dead", "true"]).ok();
    daemon.docker(&["kill", "deaf"]).ok();
    daemon.docker(&["rm", "deaf"]).ok();
    daemon.docker(&["run", "--rm", "--network", "none", "busybox", "true"]).ok();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    // The sink comes: it gets what the spool has kept, in order, to the end.
    let sink = python_sink("fluentd", nobody, &out);
    let got = wait_for(&out, |got| got.last().is_some_and(|line| line.contains("line 39999 ")));
    let number = |line: &String| {
        line.split("line ").nth(1).and_then(|rest| rest.split(' ').next()?.parse::<u32>().ok())
    };
    let numbers: Vec<u32> = got.iter().filter_map(number).collect();
    assert_eq!(numbers.len(), got.len());
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "not in order, or twice");
    assert!((5_000..39_000).contains(&numbers.len()), "{} of 40000", numbers.len());
    let log = daemon.log();
    let counted = log
        .lines()
        .filter(|line| line.contains("dropped=") && line.contains("lost="))
        .filter_map(|line| line.split("dropped=").nth(1)?.split(' ').next()?.trim().parse::<usize>().ok());
    let counts: Vec<usize> = counted.collect();
    assert!(counts.contains(&(40_000 - numbers.len())), "{} sent, {counts:?} dropped", numbers.len());
    drop((sink, silent));
    daemon.finish();
}

#[test]
fn root_a_killed_daemon_sends_no_record_twice() {
    if !is_root() {
        return;
    }
    let mut daemon = Daemon::start();
    let (port, out) = (port(), daemon.folder().join("once.out"));
    let sink = python_sink("fluentd", port, &out);
    let options = [&format!("fluentd-address=127.0.0.1:{port}"), "cache-max-size=20k", "cache-max-file=50"];
    let script = "i=0; while [ $i -lt 4000 ]; do echo number $i; i=$((i+1)); usleep 500; done; sleep 1000";
    run(&daemon, &["-d", "--name", "once"], "fluentd", &options, script);
    let kills = 4;
    for round in 1..=kills {
        wait_for(&out, |got| got.len() >= round * 600);
        daemon.kill();
        daemon.restart();
    }
    let got = wait_for(&out, |got| got.last().is_some_and(|line| line.contains("number 3999\"")));
    let number = |line: &String| line.split("number ").nth(1)?.split('"').next()?.parse::<usize>().ok();
    let mut numbers: Vec<usize> = got.iter().filter_map(number).collect();
    let sent = numbers.len();
    numbers.dedup();
    assert_eq!(numbers, (0..4000).collect::<Vec<_>>(), "in order, none missing");
    assert!(sent <= 4000 + kills, "{} twice after {kills} kills", sent - 4000);
    drop(sink);
    daemon.finish();
}

#[test]
fn root_log_drivers_are_refused_by_name() {
    if !is_root() {
        return;
    }
    let daemon =
        Daemon::start_with(&["--log-driver", "syslog", "--log-opt", "syslog-address=udp://127.0.0.1:9"]);
    for (args, text) in [
        (&["--log-driver", "splunk"][..], "log driver \"splunk\" is not supported by this engine"),
        (&["--log-driver", "nope"], "no log driver named 'nope' is registered"),
        (&["--log-driver", "gelf"], "gelf-address is a required parameter"),
        (&["--log-opt", "nope=1"], "unknown log opt 'nope' for syslog log driver"),
        (&["--log-opt", "tag={{.Nope}}"], "log-tag"),
    ] {
        let ran = daemon.docker(&[&["create"], args, &["busybox"]].concat());
        assert!(ran.code == 1 && ran.err.contains(text), "{args:?}: {}", ran.err);
    }
    daemon.docker(&["run", "--name", "std", "busybox", "echo", "kept"]).ok();
    assert_eq!(daemon.docker(&["inspect", "-f", "{{.HostConfig.LogConfig.Type}}", "std"]).ok(), "syslog");
    assert_eq!(daemon.docker(&["logs", "std"]).ok(), "kept");
    assert!(
        daemon
            .docker(&["info", "-f", "{{.LoggingDriver}} {{.Plugins.Log}}"])
            .ok()
            .starts_with("syslog [fluentd gelf journald")
    );
    daemon.finish();
}
