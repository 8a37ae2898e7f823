//! The doors beside the unix socket: TCP with TLS and client certificates, and sockets that systemd passes.

use super::tls::Certificates;
use dhow_testkit::{Daemon, Leftovers, Ran, is_root, program};
use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU8, Ordering},
    time::{Duration, Instant},
};

fn port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn root_tls_lets_in_whom_the_ca_has_signed() {
    if !is_root() {
        return;
    }
    let folder = std::env::temp_dir().join(format!("dhow-tls-{}", std::process::id()));
    let certificates = Certificates::make(&folder);
    let host = format!("tcp://127.0.0.1:{}", port());
    let path = |name: &str| certificates.path(name);
    let flags = [
        "--tlsverify",
        "--tlscacert",
        &path("ca.pem"),
        "--tlscert",
        &path("server.pem"),
        "--tlskey",
        &path("server-key.pem"),
    ];
    let daemon = Daemon::start_with(&[&["-H", host.as_str()], &flags[..]].concat());
    let docker = |client: &str, args: &[&str]| {
        let (cert, key) = (path(&format!("{client}.pem")), path(&format!("{client}-key.pem")));
        let mut command = Command::new("docker");
        command
            .env_remove("DOCKER_HOST")
            .env_remove("DOCKER_CONTEXT")
            .env("DOCKER_CONFIG", daemon.folder().join("dc"));
        command.args([
            "--tlsverify",
            "--tlscacert",
            &path("ca.pem"),
            "--tlscert",
            &cert,
            "--tlskey",
            &key,
            "-H",
            &host,
        ]);
        command.args(args);
        command
    };
    let asked = |client: &str, args: &[&str]| Daemon::ran(&mut docker(client, args));
    assert_eq!(asked("client", &["version", "-f", "{{.Server.Os}}"]).ok(), "linux");
    assert_eq!(asked("client", &["run", "--rm", "busybox", "echo", "over TLS"]).ok(), "over TLS");
    // A client closes its side and is still answered: input and output over one hijacked connection.
    let mut cat = docker("client", &["run", "--rm", "-i", "busybox", "cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let text = "a line\n".repeat(100_000);
    let mut input = cat.stdin.take().unwrap();
    let sent = text.clone();
    let typing = std::thread::spawn(move || input.write_all(sent.as_bytes()).unwrap());
    let output = cat.wait_with_output().unwrap();
    typing.join().unwrap();
    assert!(output.status.success() && output.stdout == text.as_bytes(), "{} bytes", output.stdout.len());
    let stranger = asked("stranger", &["version"]);
    assert!(stranger.code != 0 && stranger.err.contains("certificate"), "{}", stranger.err);
    let plain: Ran = Daemon::ran(
        Command::new("docker")
            .env_remove("DOCKER_CONTEXT")
            .env("DOCKER_CONFIG", daemon.folder().join("dc"))
            .args(["-H", &host, "ps"]),
    );
    assert!(plain.err.contains("Client sent an HTTP request to an HTTPS server"), "{}", plain.err);
    // Without a certificate at all: the handshake does not end well, whatever curl calls it.
    let curl = Command::new("curl")
        .args(["-s", "--cacert", &path("ca.pem"), &host.replace("tcp", "https")])
        .output()
        .unwrap();
    assert!(!curl.status.success() && curl.stdout.is_empty());
    daemon.finish();
    fs::remove_dir_all(folder).unwrap();
}

/// `dhowd` with its own folder, until it ends by itself.
fn refused(flags: &[&str]) -> (Option<i32>, String) {
    let folder = std::env::temp_dir().join(format!("dhow-door-{}-{}", std::process::id(), port()));
    let instance = instance();
    let output = dhowd(&folder, &instance, flags).output().unwrap();
    fs::remove_dir_all(folder).unwrap();
    Leftovers::of(&[&instance]).assert_none();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn dhowd(folder: &Path, instance: &str, flags: &[&str]) -> Command {
    fs::create_dir_all(folder).unwrap();
    let mut command = Command::new(program("dhowd"));
    command.arg("--data-root").arg(folder.join("data")).arg("--exec-root").arg(folder.join("run"));
    command.args(["--instance", instance, "--cleanup"]).args(flags);
    command
}

fn instance() -> String {
    static NEXT: AtomicU8 = AtomicU8::new(0);
    format!("d{:x}d{}", std::process::id() & 0xffff, NEXT.fetch_add(1, Ordering::Relaxed))
}

#[test]
fn root_the_network_is_not_served_without_tls() {
    if !is_root() {
        return;
    }
    let (code, said) = refused(&["-H", "tcp://0.0.0.0:0"]);
    assert!(code == Some(1) && said.contains("without TLS"), "{said}");
    let (code, said) =
        refused(&["-H", "tcp://127.0.0.1:0", "--tls", "--tlscert", "/nonexist", "--tlskey", "/nonexist"]);
    assert!(code == Some(1) && said.contains("could not read TLS certificate \"/nonexist\""), "{said}");
    let (code, said) = refused(&["-H", "fd://"]);
    assert!(code == Some(1) && said.contains("no sockets found via socket activation"), "{said}");
}

/// Ends a daemon that systemd-socket-activate has become.
struct Activated(Child, PathBuf);

impl Drop for Activated {
    fn drop(&mut self) {
        drop(Command::new("kill").arg(self.0.id().to_string()).status());
        self.0.wait().unwrap();
        fs::remove_dir_all(&self.1).ok();
    }
}

#[test]
fn root_sockets_of_systemd_are_served() {
    if !is_root() {
        return;
    }
    let folder = std::env::temp_dir().join(format!("dhow-fd-{}", std::process::id()));
    let (socket, port) = (folder.join("passed.sock"), port());
    let daemon = dhowd(&folder, &instance(), &["-H", "fd://"]);
    // It binds both, and becomes dhowd when the first client comes.
    let mut activate = Command::new("systemd-socket-activate");
    activate.arg("-l").arg(&socket).args(["-l", &format!("127.0.0.1:{port}")]);
    activate.arg(daemon.get_program()).args(daemon.get_args());
    activate.stderr(fs::File::create(folder.join("log")).unwrap());
    let _running = Activated(activate.spawn().unwrap(), folder.clone());
    let began = Instant::now();
    let ask = "GET /_ping HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n";
    let mut over_unix = loop {
        match UnixStream::connect(&socket) {
            Ok(stream) => break stream,
            Err(error) => assert!(began.elapsed() < Duration::from_secs(20), "{error}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let mut answer = String::new();
    over_unix.write_all(ask.as_bytes()).unwrap();
    over_unix.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("OK"), "{answer}");
    let (mut over_tcp, mut answer) = (TcpStream::connect(("127.0.0.1", port)).unwrap(), String::new());
    over_tcp.write_all(ask.as_bytes()).unwrap();
    over_tcp.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let log = fs::read_to_string(folder.join("log")).unwrap();
    assert!(log.contains("fd:// (unix)"), "{log}");
}

/// docker-py's own client: `attach_socket(ws=True)`.
const OVER_WEBSOCKET: &str = r#"
import docker, sys, websocket
client = docker.DockerClient(base_url=sys.argv[1], version=sys.argv[2])
params = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}

def read(ws, size):
    got = b""
    while len(got) < size:
        data = ws.recv()
        got += data.encode() if isinstance(data, str) else data
    return got

cat = client.containers.create("busybox", "cat", stdin_open=True, name="cat" + sys.argv[3])
ws = cat.attach_socket(params=params, ws=True)
cat.start()
ws.send("hello\n")
assert read(ws, 6) == b"hello\n"
big = b"0123456789abcdef" * 40000
ws.send_binary(big)
assert read(ws, len(big)) == big
ws.ping("here?")
opcode, frame = ws.recv_data_frame(True)
assert (opcode, frame.data) == (websocket.ABNF.OPCODE_PONG, b"here?"), (opcode, frame.data)
ws.close()
# docker-py's containers end their input with their first client
assert cat.wait(timeout=10)["StatusCode"] == 0
both = client.containers.create("busybox", ["sh", "-c", "echo out; sleep .2; echo err >&2; read x; echo got $x"], stdin_open=True)
ws = both.attach_socket(params=params, ws=True)
both.start()
assert read(ws, 8) == b"out\nerr\n"
ws.send("it\n")
assert read(ws, 7) == b"got it\n"
opcode, data = ws.recv_data()
assert (opcode, data[:2]) == (websocket.ABNF.OPCODE_CLOSE, b"\x03\xe8"), (opcode, data)
ws = both.attach_socket(params={"stdout": 1, "stderr": 1, "logs": 1}, ws=True)
assert read(ws, 15) == b"out\nerr\ngot it\n"
term = client.containers.create("busybox", "sh", stdin_open=True, tty=True)
ws = term.attach_socket(params=dict(params, detachKeys="ctrl-x"), ws=True)
term.start()
ws.send("echo $((6 * 7))\n")
while b"42" not in ws.recv().encode() if sys.argv[2] < "1.28" else b"42" not in read(ws, 1):
    pass
ws.send("\x18")
while ws.recv_data()[0] != websocket.ABNF.OPCODE_CLOSE:
    pass
term.reload()
assert term.status == "running", term.status
print("fine")
"#;

#[test]
fn root_attach_over_websocket() {
    if !is_root() {
        return;
    }
    let host = format!("tcp://127.0.0.1:{}", port());
    let daemon = Daemon::start_with(&["-H", &host]);
    for version in ["1.41", "1.43"] {
        let mut python = Command::new("/usr/bin/python3");
        python
            .args(["-c", OVER_WEBSOCKET, &host, version, &version.replace('.', "")])
            .env_remove("DOCKER_HOST");
        assert_eq!(Daemon::ran(&mut python).ok(), "fine", "{version}");
    }
    let head = "GET /containers/cat141/attach/ws?stream=1 HTTP/1.1\r\nHost: d\r\nConnection: close\r\n";
    let plain = daemon.raw(&format!("{head}\r\n"));
    assert!(plain.starts_with("HTTP/1.1 400") && plain.contains("not websocket protocol"), "{plain}");
    // A client whose frames are not masked is told that it is wrong, and let go.
    let upgrade = head.replace("close", "Upgrade");
    let asks = format!(
        "{upgrade}Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n\r\n"
    );
    let mut stream = UnixStream::connect(daemon.socket()).unwrap();
    stream.write_all(&[asks.as_bytes(), b"\x82\x01x"].concat()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(
        answer.starts_with(b"HTTP/1.1 101") && answer.ends_with(b"\x88\x02\x03\xea"),
        "{}",
        answer.escape_ascii()
    );
    daemon.finish();
}
