//! Networks: names, published ports, isolation, modes; and nothing left when a container stops.

use super::lifecycle::eventually;
use dhow_testkit::{Daemon, is_root};
use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

const SERVE: &str =
    "while true; do printf 'HTTP/1.0 200 OK\\r\\n\\r\\nhello from '$(hostname) | nc -l -p 80; done";

fn fetch(address: &str) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&address.parse().unwrap(), Duration::from_secs(3)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(3))).ok()?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text)
}

/// One of several tries: `nc` serves one connection at a time.
fn reaches(address: &str) -> bool {
    (0..20).any(|_| {
        let found = fetch(address).is_some_and(|text| text.contains("hello from web"));
        if !found {
            std::thread::sleep(Duration::from_millis(50));
        }
        found
    })
}

/// What a client in the container runs: the last line of the page at `host`, `port`. (The static `wget` of Debian crashes where
/// the image has no name service library.)
fn get(host: &str, port: &str) -> String {
    format!("printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 3 {host} {port} | tail -n 1 | grep .")
}

fn host_address() -> String {
    let probe = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    probe.connect("192.0.2.99:9").unwrap();
    probe.local_addr().unwrap().ip().to_string()
}

#[test]
fn root_containers_find_each_other_by_name() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    daemon.dhow(&["network", "create", "net1"]).ok();
    daemon.dhow(&["network", "create", "net2"]).ok();
    daemon
        .dhow(&[
            "run",
            "-d",
            "--name",
            "web",
            "--hostname",
            "web",
            "--network",
            "net1",
            "--network-alias",
            "www",
            "busybox",
            "sh",
            "-c",
            SERVE,
        ])
        .ok();
    for name in ["web", "www"] {
        let asked = ["run", "--rm", "--network", "net1", "busybox", "sh", "-c", &get(name, "80")];
        eventually(&daemon, &asked, |out| out == "hello from web");
    }
    daemon.dhow(&["run", "--rm", "--network", "net2", "busybox", "nslookup", "web"]).fails(1, "");
    let address = daemon
        .dhow(&["inspect", "-f", "{{.NetworkSettings.Networks.net1.IPAddress}}", "web"])
        .ok()
        .to_owned();
    let by_address = |network: &str| {
        daemon.dhow(&["run", "--rm", "--network", network, "busybox", "sh", "-c", &get(&address, "80")])
    };
    assert_eq!(by_address("net1").ok(), "hello from web");
    assert_ne!(by_address("net2").code, 0, "networks are isolated");
    daemon.dhow(&["network", "connect", "--alias", "late", "net2", "web"]).ok();
    eventually(
        &daemon,
        &["run", "--rm", "--network", "net2", "busybox", "sh", "-c", &get("late", "80")],
        |out| out == "hello from web",
    );
    daemon.dhow(&["network", "disconnect", "net2", "web"]).ok();
    daemon.dhow(&["network", "rm", "net1"]).fails(1, "has active endpoints");
    daemon.dhow(&["rm", "-f", "web"]).ok();
    assert_eq!(daemon.dhow(&["network", "rm", "net1", "net2"]).ok(), "net1\nnet2");
    daemon.finish();
}

#[test]
fn root_published_ports_are_reachable_and_go() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    // One of the kernel's choice: the engines of other tests begin at the same number, and would have it as soon as it is free.
    let port = super::examples::free_port();
    let publish = ["-p", "80", "-p", &format!("{port}:80")];
    let web = [&["run", "-d", "--name", "web", "--hostname", "web"], &publish[..]].concat();
    daemon.dhow(&[&web[..], &["busybox", "sh", "-c", SERVE]].concat()).ok();
    let chosen = daemon
        .dhow(&["inspect", "-f", "{{(index (index .NetworkSettings.Ports \"80/tcp\") 0).HostPort}}", "web"])
        .ok()
        .to_owned();
    assert!(reaches(&format!("127.0.0.1:{chosen}")), "not reachable on {chosen}\n{}", daemon.log());
    for host in ["127.0.0.1", "[::1]", &host_address()] {
        assert!(reaches(&format!("{host}:{port}")), "not reachable on {host}:{port}\n{}", daemon.log());
    }
    let from_inside = ["run", "--rm", "busybox", "sh", "-c", &get(&host_address(), &port)];
    eventually(&daemon, &from_inside, |out| out == "hello from web");
    let taken =
        daemon.dhow(&["run", "-d", "--name", "second", "-p", &format!("{port}:80"), "busybox", "sleep", "1"]);
    taken.fails(125, "port is already allocated");
    assert_eq!(daemon.dhow(&["inspect", "-f", "{{.State.Status}}", "second"]).ok(), "created");
    daemon.dhow(&["stop", "-t", "0", "web"]).ok();
    assert!(fetch(&format!("127.0.0.1:{port}")).is_none(), "the port is closed with its container");
    daemon.dhow(&["start", "second"]).ok();
    daemon.finish();
}

#[test]
fn root_a_port_of_another_program_is_refused() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    daemon
        .dhow(&["run", "--name", "aa", "-p", &format!("127.0.0.1:{port}:80"), "busybox", "true"])
        .fails(125, "address already in use");
    drop(listener);
    assert_eq!(daemon.dhow(&["start", "-a", "aa"]).code, 0, "it starts once the port is free");
    daemon.finish();
}

#[test]
fn root_modes_none_host_and_container() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    assert_eq!(
        daemon.dhow(&["run", "--rm", "--network", "none", "busybox", "sh", "-c", "ls /sys/class/net"]).ok(),
        "lo"
    );
    let ours = std::fs::read_link("/proc/self/ns/net").unwrap().display().to_string();
    assert_eq!(
        daemon.dhow(&["run", "--rm", "--network", "host", "busybox", "readlink", "/proc/self/ns/net"]).ok(),
        ours
    );
    daemon.dhow(&["run", "-d", "--name", "aa", "busybox", "sleep", "1000"]).ok();
    let theirs = daemon.dhow(&["exec", "aa", "readlink", "/proc/self/ns/net"]).ok().to_owned();
    assert_eq!(
        daemon
            .dhow(&["run", "--rm", "--network", "container:aa", "busybox", "readlink", "/proc/self/ns/net"])
            .ok(),
        theirs
    );
    daemon.dhow(&["network", "create", "--internal", "inside"]).ok();
    let out = daemon.dhow(&[
        "run",
        "--rm",
        "--network",
        "inside",
        "busybox",
        "ping",
        "-c",
        "1",
        "-W",
        "1",
        &host_address(),
    ]);
    assert_ne!(out.code, 0, "an internal network has no way out");
    daemon.finish();
}
