//! Clients that do not behave: half a request, a byte now and then, garbage, an upload that never ends, an answer that nobody reads. None of
//! them may cost others their answers, or the daemon its memory.

use dhow_testkit::{Daemon, is_root};
use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::Shutdown,
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

/// What it sends first, and what the daemon says at once: a status, or nothing yet.
type Rude = (&'static str, Vec<u8>, Option<&'static str>);

fn head(line: &str, rest: &str) -> Vec<u8> {
    format!("{line} HTTP/1.1\r\nHost: d\r\n{rest}\r\n").into_bytes()
}

fn create(rest: &str, body: &[u8]) -> Vec<u8> {
    [head("POST /containers/create", &format!("Content-Type: application/json\r\n{rest}")), body.to_vec()]
        .concat()
}

fn kinds() -> Vec<Rude> {
    let json = |body: &[u8]| create(&format!("Content-Length: {}\r\n", body.len()), body);
    let chunked = |body: &[u8]| create("Transfer-Encoding: chunked\r\n", body);
    vec![
        ("says nothing", Vec::new(), None),
        ("one letter", b"G".to_vec(), None),
        ("a line without an end", b"GET /_ping HTTP/1.1".to_vec(), None),
        ("a head without an end", b"GET /_ping HTTP/1.1\r\nHost: d\r\nX-A".to_vec(), None),
        ("a name of a megabyte", [b"GET /".to_vec(), vec![b'a'; 1 << 20]].concat(), Some("HTTP/1.1 4")),
        (
            "a header of a megabyte",
            head("GET /_ping", &format!("X: {}\r\n", "a".repeat(1 << 20))),
            Some("HTTP/1.1 431"),
        ),
        ("ten thousand headers", head("GET /_ping", &"X: y\r\n".repeat(10_000)), Some("HTTP/1.1 431")),
        ("10 GB of JSON", create("Content-Length: 10737418240\r\n", b"{\"Image\":"), None),
        ("10 GB of images", head("POST /images/load", "Content-Length: 10737418240\r\n"), None),
        ("a build without an end", head("POST /build", "Transfer-Encoding: chunked\r\n"), None),
        (
            "a body that does not come",
            create("Content-Length: 10\r\nExpect: 100-continue\r\n", b""),
            Some("HTTP/1.1 100"),
        ),
        ("chunks of zz", chunked(b"zz\r\n{}"), Some("HTTP/1.1 400")),
        ("a chunk of 2^80", chunked(b"100000000000000000000\r\n{}"), Some("HTTP/1.1 400")),
        ("half a chunk", chunked(b"ff\r\n{\"a"), None),
        ("two lengths", create("Content-Length: 2\r\nContent-Length: 3\r\n", b"{}"), Some("HTTP/1.1 400")),
        ("a negative length", create("Content-Length: -1\r\n", b"{}"), Some("HTTP/1.1 400")),
        ("half JSON", json(b"{\"Image\":"), Some("HTTP/1.1 400")),
        ("deep JSON", json(&[b'['; 200_000]), Some("HTTP/1.1 400")),
        ("JSON that is no object", json(b"[1,2]"), Some("HTTP/1.1 400")),
        ("bytes that are no text", json(b"\xff\xfe\x00{"), Some("HTTP/1.1 400")),
        (
            "another content type",
            head("POST /containers/create", "Content-Type: text/html\r\nContent-Length: 2\r\n"),
            Some("HTTP/1.1 400"),
        ),
        (
            "TLS",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello there\r\n\r\n".to_vec(),
            Some("HTTP/1.1 400"),
        ),
        // closed without a word
        ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), Some("")),
        ("HTTP/9.9", b"GET /_ping HTTP/9.9\r\n\r\n".to_vec(), Some("HTTP/1.1 400")),
        (
            "a path with a zero",
            b"GET /containers/%00/json HTTP/1.1\r\nHost: d\r\n\r\n".to_vec(),
            Some("HTTP/1.1 4"),
        ),
        (
            "an upgrade, then silence",
            head(
                "POST /containers/cat/attach?stream=1&stdin=1&stdout=1",
                "Connection: Upgrade\r\nUpgrade: tcp\r\n",
            ),
            Some("HTTP/1.1 101"),
        ),
        (
            "a WebSocket, then silence",
            head(
                "GET /containers/cat/attach/ws?stream=1",
                "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n",
            ),
            Some("HTTP/1.1 101"),
        ),
        (
            "an upgrade of a ping",
            head("GET /_ping", "Connection: Upgrade\r\nUpgrade: h2c\r\n"),
            Some("HTTP/1.1 200"),
        ),
        ("events that nobody reads", head("GET /events", ""), Some("HTTP/1.1 200")),
        (
            "a log that nobody reads",
            head("GET /containers/talk/logs?follow=1&stdout=1", ""),
            Some("HTTP/1.1 200"),
        ),
        ("a thousand pings at once", head("GET /_ping", "").repeat(1000), Some("HTTP/1.1 200")),
    ]
}

/// Sends it; a daemon that has answered and closed takes no more.
fn begin(daemon: &Daemon, bytes: &[u8]) -> UnixStream {
    let stream = UnixStream::connect(daemon.socket()).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    (&stream).write_all(bytes).ok();
    stream
}

fn first_words(mut stream: &UnixStream) -> String {
    let mut words = [0; 64];
    let count = stream.read(&mut words).unwrap_or(0);
    String::from_utf8_lossy(&words[..count]).into_owned()
}

/// Milliseconds of each of so many questions of a well-behaved client.
fn ask(daemon: &Daemon, times: u32) -> Vec<u128> {
    let mut spent: Vec<u128> = (0..times)
        .map(|_| {
            let began = Instant::now();
            let answer = daemon.raw("GET /containers/json HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n");
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            began.elapsed().as_millis()
        })
        .collect();
    spent.sort_unstable();
    spent
}

fn descriptors(daemon: &Daemon) -> usize {
    fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap().count()
}

fn resident(daemon: &Daemon) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn settled(what: &str, daemon: &Daemon, enough: impl Fn() -> bool) {
    let began = Instant::now();
    while !enough() {
        assert!(began.elapsed() < Duration::from_secs(20), "{what}: {} descriptors", descriptors(daemon));
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn more_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
}

#[test]
fn root_rude_clients_harm_nobody() {
    if !is_root() {
        return;
    }
    more_descriptors();
    let daemon = Daemon::start();
    daemon.dhow(&["run", "-di", "--name", "cat", "--network", "none", "busybox", "cat"]).ok();
    let talk = "yes 'a line of a log' | head -c 5000000; exec sleep 1000";
    daemon.dhow(&["run", "-d", "--name", "talk", "--network", "none", "busybox", "sh", "-c", talk]).ok();
    let (before, memory) = (descriptors(&daemon), resident(&daemon));
    // Each once, looking at what is said; then all again, a thousand in all, and half of them half-closed.
    let kinds = kinds();
    assert!(kinds.len() >= 24);
    let mut open = Vec::new();
    for (name, bytes, said) in &kinds {
        let stream = begin(&daemon, bytes);
        match said {
            Some(said) => {
                let words = first_words(&stream);
                assert!(words.starts_with(said), "{name}: {words:?}");
            }
            None => {
                stream.set_read_timeout(Some(Duration::from_millis(30))).unwrap();
                let read = (&stream).read(&mut [0; 64]);
                let waits = read.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
                assert!(waits, "{name}: {read:?}");
            }
        }
        open.push(stream);
    }
    while open.len() < 1000 {
        for (number, (_, bytes, _)) in kinds.iter().enumerate() {
            let stream = begin(&daemon, bytes);
            if (open.len() + number) % 2 == 0 {
                stream.shutdown(Shutdown::Write).ok();
            }
            open.push(stream);
        }
    }
    let spent = ask(&daemon, 100);
    let (median, worst) = (spent[50], spent[98]);
    assert!(worst < 500, "with {} rude clients: median {median} ms, p99 {worst} ms", open.len());
    // Those that go on: a byte of a head or a body now and then.
    for stream in &open {
        stream.set_nonblocking(true).unwrap();
    }
    for _ in 0..20 {
        for mut stream in &open {
            stream.write_all(b"a").ok();
        }
    }
    let spent = ask(&daemon, 100);
    assert!(spent[98] < 500, "with bytes now and then: p99 {} ms", spent[98]);
    assert_eq!(daemon.dhow(&["exec", "cat", "echo", "well"]).ok(), "well");
    let grown = resident(&daemon).saturating_sub(memory);
    assert!(grown < 200 << 10, "{grown} KiB more with {} clients", open.len());
    drop(open);
    settled("rude clients have gone", &daemon, || descriptors(&daemon) <= before + 4);
    assert!(ask(&daemon, 20)[18] < 500);
    daemon.finish();
}

/// Every endpoint that reads JSON, with JSON that is none of its: a refusal, never a failure of ours.
#[test]
fn root_bad_json_is_refused_by_every_endpoint() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    daemon.dhow(&["create", "--name", "aa", "busybox"]).ok();
    let exec = {
        daemon.dhow(&["run", "-d", "--name", "bb", "--network", "none", "busybox", "sleep", "1000"]).ok();
        let body = r#"{"Cmd":["true"]}"#;
        let answer = daemon.raw(&format!(
            "POST /containers/bb/exec HTTP/1.1\r\nHost: d\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        answer.split('"').nth(3).unwrap().to_owned()
    };
    let (start, long) = (format!("/exec/{exec}/start"), format!("{{\"Image\":\"{}\"}}", "x".repeat(2 << 20)));
    for path in [
        "/containers/create",
        "/containers/aa/update",
        "/containers/aa/exec",
        &start,
        "/networks/create",
        "/networks/bridge/connect",
        "/networks/bridge/disconnect",
        "/volumes/create",
        "/commit?container=aa",
        "/auth",
    ] {
        for body in ["{", "[]", "\"text\"", "1e999", "{\"a\":}", "nul", "{\"Image\":{}}{", "\u{0}", &long] {
            // A body that is right for some: only what cannot be is asked of them.
            if body.len() > 100 && path != "/containers/create" {
                continue;
            }
            let answer = daemon.raw(&format!(
                "POST {path} HTTP/1.1\r\nHost: d\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            ));
            let status = answer.get(9..12).unwrap_or_default();
            let shown: String = body.chars().take(20).collect();
            assert!(status.starts_with('4') && answer.contains("\"message\""), "{path} {shown:?}: {answer}");
        }
    }
    daemon.finish();
}
