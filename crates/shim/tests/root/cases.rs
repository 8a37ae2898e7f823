//! Streams, logs, execs.

use crate::fixture::{Container, exec};
use dhow_shim::{Event, Request, StdioConfig, Target};

pub(crate) const CASES: &[(&str, fn())] = &[
    ("root_output_is_logged_and_framed", output_is_logged_and_framed),
    ("root_stdin_reaches_the_process_and_ends", stdin_reaches_the_process_and_ends),
    ("root_stdin_stays_open_without_once", stdin_stays_open_without_once),
    ("root_a_terminal_has_a_size", a_terminal_has_a_size),
    ("root_execs_have_their_own_streams_and_exits", execs_have_their_own_streams_and_exits),
    ("root_binary_and_long_lines", binary_and_long_lines),
    ("root_logs_are_rotated", logs_are_rotated),
    ("root_a_program_that_is_not_there", a_program_that_is_not_there),
    ("root_no_descriptor_leaks", no_descriptor_leaks),
    ("root_an_idle_shim_uses_no_processor", an_idle_shim_uses_no_processor),
    ("root_a_slow_client_holds_nobody_up", a_slow_client_holds_nobody_up),
    ("root_a_shim_has_the_limit_of_before", a_shim_has_the_limit_of_before),
];

fn interactive() -> StdioConfig {
    StdioConfig { stdin: true, stdin_once: true, ..StdioConfig::default() }
}

fn output_is_logged_and_framed() {
    let container = Container::new(&["both"]);
    let early = container.attach(Target::Init, false);
    container.create();
    let second = container.attach(Target::Init, false);
    container.go();
    let exit = container.exit(&Target::Init);
    assert_eq!((exit.code, exit.oom), (0, false));
    for client in [early, second] {
        assert_eq!(client.frames(), (b"to stdout\n".to_vec(), b"to stderr\nno end".to_vec()));
    }
    let mut records = container.records("");
    records.sort();
    let record = |text: &str, stream: &str| (text.to_owned(), stream.to_owned());
    assert_eq!(
        records,
        [record("no end", "stderr"), record("to stderr\n", "stderr"), record("to stdout\n", "stdout")]
    );
    assert_eq!(dhow_shim::read_exit(&container.dir).unwrap(), exit);
    // After the end there is nothing to come.
    assert_eq!(container.attach(Target::Init, false).frames(), (vec![], vec![]));
    container.finish();
}

fn stdin_reaches_the_process_and_ends() {
    let mut container = Container::new(&["cat"]);
    container.stdio = interactive();
    let client = container.attach(Target::Init, true);
    // Before it even starts, and more than a pipe holds.
    client.send(b"early\n");
    container.start();
    client.until("early\n");
    let large = vec![b'z'; 150_000];
    let mut echoed = Vec::new();
    for piece in large.chunks(50_000) {
        client.send(piece);
        while echoed.iter().filter(|b| **b == b'z').count() < piece.len() {
            echoed.extend(client.read(65536));
        }
        echoed.clear();
    }
    client.end_input();
    assert_eq!(client.frames(), (vec![], b"end of input\n".to_vec()));
    assert_eq!(container.exit(&Target::Init).code, 3);
    container.finish();
}

fn stdin_stays_open_without_once() {
    let mut container = Container::new(&["cat"]);
    container.stdio = StdioConfig { stdin: true, ..StdioConfig::default() };
    container.start();
    for text in ["one", "two"] {
        let client = container.attach(Target::Init, true);
        client.send(text.as_bytes());
        client.until(text);
        client.end_input();
    }
    container.signal(Target::Init, 9);
    assert_eq!(container.exit(&Target::Init).code, 137);
    container.finish();
}

fn a_terminal_has_a_size() {
    let mut container = Container::new(&["size"]);
    container.stdio = StdioConfig { tty: true, stdin: true, stdin_once: true, size: (30, 100) };
    container.spec.process.as_mut().unwrap().terminal = true;
    let client = container.attach(Target::Init, true);
    container.start();
    client.send(b"a\n");
    // Raw, as a terminal gives it.
    assert!(client.until("rows 30 cols 100 a").starts_with("a\r\n"));
    container.done(&Request::Resize { target: Target::Init, rows: 50, cols: 132 }, &[]);
    client.send(b"b\n");
    client.until("rows 50 cols 132 b\r\n");
    // A second client sees the same from now on.
    let second = container.attach(Target::Init, false);
    client.send(b"c\n");
    second.until("rows 50 cols 132 c\r\n");
    client.send(b"\x04");
    assert_eq!(container.exit(&Target::Init).code, 0);
    let records = container.records("");
    assert!(records.iter().all(|(_, stream)| stream == "stdout"));
    assert!(records.iter().any(|(text, _)| text == "rows 50 cols 132 b\r\n"), "{records:?}");
    container.finish();
}

fn execs_have_their_own_streams_and_exits() {
    let container = Container::new(&["sleep"]);
    container.start();
    let client = container.attach(exec("a"), true);
    assert!(matches!(container.exec("a", &["cat"], interactive()), Event::Started { .. }));
    assert!(matches!(container.exec("b", &["exit", "42"], StdioConfig::default()), Event::Started { .. }));
    assert_eq!(container.exit(&exec("b")).code, 42);
    client.send(b"hello\n");
    client.until("hello\n");
    client.end_input();
    assert_eq!(client.frames(), (vec![], b"end of input\n".to_vec()));
    assert_eq!(container.exit(&exec("a")).code, 3);

    let terminal = StdioConfig { tty: true, stdin: true, stdin_once: true, size: (7, 77) };
    let client = container.attach(exec("t"), true);
    assert!(matches!(container.exec("t", &["size"], terminal), Event::Started { .. }));
    client.send(b"x\n");
    client.until("rows 7 cols 77 x");
    container.signal(exec("t"), 9);
    assert_eq!(container.exit(&exec("t")).code, 137);

    let Event::Failed { errno, .. } = container.exec("nope", &["x"; 0], StdioConfig::default()) else {
        let event = container.exit(&exec("nope"));
        assert_ne!(event.code, 0);
        return container.kill_and_finish();
    };
    panic!("an exec of a program that is there failed with {errno}");
}

impl Container {
    fn kill_and_finish(self) {
        self.signal(Target::Init, 9);
        assert_eq!(self.exit(&Target::Init).code, 137);
        // Nothing of the execs is in the container's log.
        assert_eq!(self.records(""), [("asleep\n".to_owned(), "stdout".to_owned())]);
        self.finish();
    }
}

fn binary_and_long_lines() {
    let container = Container::new(&["binary"]);
    let client = container.attach(Target::Init, false);
    container.start();
    let all: Vec<u8> = (0..=255).collect();
    assert_eq!(client.frames().0, all);
    container.exit(&Target::Init);
    let texts: String = container.records("").into_iter().map(|(text, _)| text).collect();
    assert_eq!(texts, String::from_utf8_lossy(&all));
    container.finish();

    let container = Container::new(&["big", "1000000"]);
    let client = container.attach(Target::Init, false);
    container.start();
    assert_eq!(client.frames().0.len(), 1_000_001);
    container.exit(&Target::Init);
    let records = container.records("");
    assert_eq!(records.len(), 1_000_000_usize.div_ceil(16384));
    assert!(records.iter().rev().skip(1).all(|(text, _)| text.len() == 16384 && !text.ends_with('\n')));
    assert!(records.last().unwrap().0.ends_with("x\n"));
    container.finish();
}

fn logs_are_rotated() {
    let mut container = Container::new(&["lines", "20000"]);
    container.rotation = (100_000, 4);
    container.start();
    assert_eq!(container.exit(&Target::Init).code, 0);
    let all: Vec<String> = [".3", ".2", ".1", ""]
        .iter()
        .flat_map(|suffix| container.records(suffix))
        .map(|(text, _)| text)
        .collect();
    assert!(!container.log().with_extension("log.4").exists());
    let expected: Vec<String> = (20_000 - all.len()..20_000).map(|n| format!("line {n}\n")).collect();
    assert!(all.len() > 3000, "{}", all.len());
    assert!(all == expected, "records are missing or out of order");
    container.finish();
}

fn a_program_that_is_not_there() {
    let mut container = Container::new(&["exit", "0"]);
    container.spec.process.as_mut().unwrap().args = vec!["/bin/nothing".to_owned()];
    let client = container.attach(Target::Init, false);
    container.create();
    let event = container.ask(&Request::Go, &[]);
    let Event::Failed { step, object, errno, .. } = event else { panic!("{event:?}") };
    assert_eq!((step.as_str(), object.contains("nothing"), errno), ("exec", true, 2), "{object}");
    assert_eq!(client.frames(), (vec![], vec![]));
    container.finish();
}

fn no_descriptor_leaks() {
    let container = Container::new(&["fds"]);
    container.start();
    assert_eq!(container.exit(&Target::Init).code, 0);
    let records = container.records("");
    // 0, 1, 2 and the folder that is being read.
    assert_eq!(records.len(), 4, "{records:?}");
    assert!(matches!(container.ask(&Request::Go, &[]), Event::Failed { .. }));
    container.finish();
}

fn a_slow_client_holds_nobody_up() {
    let container = Container::new(&["lines", "300000"]);
    let slow = container.attach(Target::Init, false);
    let gone = container.attach(Target::Init, false);
    let begin = std::time::Instant::now();
    container.start();
    drop(gone);
    // It reads nothing at all for a while, then everything is there: 3 MB fit.
    assert_eq!(container.exit(&Target::Init).code, 0);
    // an emulated processor may be as slow as a client that is dropped
    assert!(begin.elapsed().as_secs() < 9 || std::env::var_os("DHOW_EMULATED").is_some());
    let (out, _) = slow.frames();
    assert!(out.ends_with(b"line 299999\n"));
    assert_eq!(out.iter().filter(|b| **b == b'\n').count(), 300_000);
    assert_eq!(container.records("").len(), 300_000);
    container.finish();
}

fn an_idle_shim_uses_no_processor() {
    let mut container = Container::new(&["cat"]);
    container.stdio = StdioConfig { stdin: true, ..StdioConfig::default() };
    container.start();
    let half = container.attach(Target::Init, true);
    half.send(b"x");
    half.until("x");
    half.end_input();
    let _watches = container.attach(Target::Init, false);
    drop(container.attach(Target::Init, true));
    let early = container.attach(exec("never"), true);
    early.send(b"waits");
    early.end_input();
    drop(container.attach(exec("never either"), true));
    // A process that does not read, with more input than fits.
    let deaf = container.attach(exec("deaf"), true);
    container.exec("deaf", &["sleep"], interactive());
    deaf.until("asleep");
    while rustix::io::write(&deaf.0, &[b'z'; 65536]).is_ok() {}
    drop(deaf);
    let used = || -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", container.shim_pid())).unwrap();
        stat.split_whitespace().skip(13).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum()
    };
    std::thread::sleep(std::time::Duration::from_millis(200));
    let before = used();
    std::thread::sleep(std::time::Duration::from_millis(600));
    // Hundredths of a second: one that spins uses sixty.
    assert!(used() - before <= 2, "{} ticks", used() - before);
    container.signal(Target::Init, 9);
    assert_eq!(container.exit(&Target::Init).code, 137);
    container.finish();
}

fn a_shim_has_the_limit_of_before() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let before = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(321), ..before }).unwrap();
    let launcher = dhow_shim::Launcher::new(env!("CARGO_BIN_EXE_dhow-shim").as_ref()).unwrap();
    assert_eq!(getrlimit(Resource::Nofile).current, before.maximum);
    let dir = std::env::temp_dir().join(format!("dhow-shim-limit-{}", std::process::id()));
    let (client, mut child) = launcher.spawn(&dir).unwrap();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert_eq!(line.split_whitespace().nth(3), Some("321"), "{line}");
    setrlimit(Resource::Nofile, before).unwrap();
    drop(client);
    child.wait().unwrap();
    std::fs::remove_dir_all(&dir).unwrap();
}
