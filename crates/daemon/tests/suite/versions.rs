//! Every version of the API on one socket: what is told before anything else, who is refused, and which fields come and go.

use dhow_testkit::{
    Daemon,
    http::{Answer, ask, ask_with},
    is_root,
};
use serde_json::{Value, json};

const NEWEST: u32 = 56;

fn get(daemon: &Daemon, target: &str) -> Answer {
    ask(&daemon.socket(), "GET", target, None)
}

#[test]
fn root_every_version_is_served() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let create = json!({"Image": "busybox", "Cmd": ["sleep", "1000"], "StopTimeout": 0});
    assert_eq!(ask(&daemon.socket(), "POST", "/v1.24/containers/create?name=cc", Some(&create)).status, 201);
    // docker 20.10's command line says so of no body at all.
    let plain = "Content-Type: text/plain\r\n";
    assert_eq!(ask_with(&daemon.socket(), "POST", "/v1.24/containers/cc/start", plain, b"").status, 204);
    for minor in 24..=NEWEST {
        let at = |path: &str| format!("/v1.{minor}{path}");
        for method in ["GET", "HEAD"] {
            let ping = ask(&daemon.socket(), method, &at("/_ping"), None);
            assert_eq!((ping.status, ping.header("api-version")), (200, "1.56"), "{method} 1.{minor}");
            assert_eq!((ping.header("ostype"), ping.header("swarm")), ("linux", "inactive"));
            assert_eq!(ping.text(), if method == "GET" { "OK" } else { "" });
        }
        let version = get(&daemon, &at("/version")).json();
        assert_eq!([&version["ApiVersion"], &version["MinAPIVersion"]], ["1.56", "1.24"]);
        for path in [
            "/info",
            "/containers/json?all=1",
            "/images/json",
            "/networks",
            "/volumes",
            "/containers/cc/json",
        ] {
            let answer = get(&daemon, &at(path));
            assert_eq!(answer.status, 200, "1.{minor} {path}: {}", answer.text());
        }
        fields(&daemon, minor);
        let swarm = get(&daemon, &at("/nodes"));
        assert_eq!(swarm.status, 503);
        assert!(swarm.json()["message"].as_str().unwrap().starts_with("This node is not a swarm manager."));
    }
    refusals(&daemon);
    daemon.finish();
}

/// What clients of one age rely on and clients of another would stumble over.
fn fields(daemon: &Daemon, minor: u32) {
    let json = |path: &str| get(daemon, &format!("/v1.{minor}{path}")).json();
    let has = |value: &Value, field: &str| value.get(field).is_some();
    let container = json("/containers/cc/json");
    let settings = &container["NetworkSettings"];
    assert_eq!(has(settings, "IPAddress"), minor < 52, "1.{minor}");
    assert!(settings["Networks"]["bridge"]["IPAddress"].as_str().is_some_and(|ip| !ip.is_empty()));
    assert_eq!(has(&settings["Networks"]["bridge"], "DNSNames"), minor >= 44);
    assert_eq!(has(&container["HostConfig"], "KernelMemory"), minor < 42);
    let image = json("/images/busybox/json");
    assert_eq!(has(&image, "VirtualSize"), minor < 44, "1.{minor}");
    assert_eq!(has(&image, "ContainerConfig"), minor < 45);
    assert_eq!(has(&image, "Parent"), minor < 52);
    assert_eq!(has(&json("/containers/json")[0], "Health"), minor >= 52);
    let network = json("/networks/bridge");
    assert_eq!((has(&network, "Status"), has(&network, "EnableIPv4")), (minor >= 52, minor >= 48));
    assert_eq!(has(&json("/networks")[0], "Containers"), minor < 52);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() + 1;
    let filter = "%7B%22event%22%3A%5B%22start%22%5D%7D";
    let events = get(daemon, &format!("/v1.{minor}/events?since=1&until={now}&filters={filter}")).documents();
    assert_eq!((events.len(), has(&events[0], "status")), (1, minor < 52), "1.{minor}");
    if minor >= 25 {
        let usage = json("/system/df");
        assert_eq!(
            (has(&usage, "Images"), has(&usage, "ImageUsage")),
            (minor < 53, minor >= 52),
            "1.{minor}"
        );
    }
}

fn refusals(daemon: &Daemon) {
    let message = |target: &str| {
        let answer = get(daemon, target);
        (answer.status, answer.json()["message"].as_str().unwrap_or_default().to_owned())
    };
    let new = "client version 1.57 is too new. Maximum supported API version is 1.56";
    assert_eq!(message("/v1.57/info"), (400, new.to_owned()));
    let old = "client version 1.23 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version";
    assert_eq!(message("/v1.23/info"), (400, old.to_owned()));
    assert_eq!(message("/v1.24/system/df"), (404, "page not found".to_owned()));
    assert_eq!(message("/nowhere"), (404, "page not found".to_owned()));
    assert_eq!(message("/v1.54/images/busybox/attestations").0, 404);
    assert_eq!(message("/v1.55/images/busybox/attestations").0, 501);
    let plugin = ask(&daemon.socket(), "POST", "/plugins/x/enable", None);
    assert_eq!((plugin.status, &plugin.json()["message"]), (501, &json!("plugins are not supported")));
}

#[test]
fn root_an_exec_that_is_not_found_ends_as_engines_of_its_age_say() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    daemon.dhow(&["run", "-d", "--name", "cc", "busybox", "sleep", "1000"]).ok();
    let post = |target: &str, body: &Value| ask(&daemon.socket(), "POST", target, Some(body)).json();
    let id =
        post("/containers/cc/exec", &json!({"Cmd": ["nothing-here"]}))["Id"].as_str().unwrap().to_owned();
    post(&format!("/exec/{id}/start"), &json!({}));
    for (minor, code) in [(41, 126), (45, 126), (46, 127), (56, 127)] {
        assert_eq!(
            get(&daemon, &format!("/v1.{minor}/exec/{id}/json")).json()["ExitCode"],
            code,
            "1.{minor}"
        );
    }
    daemon.finish();
}

#[test]
fn root_the_log_of_a_program_that_was_just_started_is_whole() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let create = json!({"Image": "busybox", "Cmd": ["sh", "-c", "usleep 50000; echo whole"], "Tty": true});
    for _ in 0..5 {
        let post = |target: &str, body: Option<&Value>| ask(&daemon.socket(), "POST", target, body);
        let id = post("/containers/create", Some(&create)).json()["Id"].as_str().unwrap().to_owned();
        assert_eq!(post(&format!("/containers/{id}/start"), None).status, 204);
        assert_eq!(get(&daemon, &format!("/containers/{id}/logs?stdout=1")).text(), "whole\r\n");
    }
    daemon.finish();
}
