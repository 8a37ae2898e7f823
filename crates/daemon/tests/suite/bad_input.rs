//! Bad input: one sentence that names the thing, an exit code, and nothing half-made.

use dhow_testkit::{Daemon, is_root};

#[test]
fn root_bad_input_is_named_and_leaves_nothing() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let create = |flags: &[&str]| daemon.dhow(&[&["create"], flags, &["busybox"]].concat());
    create(&["--name", "-bad-"]).fails(1, "Invalid container name (-bad-)");
    create(&["--memory", "1m"]).fails(1, "Minimum memory limit allowed is 6MB");
    create(&["--cpuset-cpus", "99"])
        .fails(1, "Requested CPUs are not available - requested 99, available: 0");
    create(&["--memory", "lots"]).fails(1, "lots");
    create(&["--cap-add", "NOT_A_CAP"]).fails(1, "NOT_A_CAP");
    create(&["-p", "80:http"]).fails(1, "http");
    create(&["--restart", "sometimes"]).fails(1, "sometimes");
    // docker makes the container here and fails when it starts: half-made
    create(&["--network", "nowhere"]).fails(1, "network nowhere not found");
    create(&["--log-driver", "carrier-pigeon"]).fails(1, "carrier-pigeon");
    create(&["--log-opt", "no-such=1"]).fails(1, "no-such");
    create(&["--mount", "type=volume,what=1,dst=/x"]).fails(1, "what");
    create(&["--ulimit", "nofile=x"]).fails(1, "nofile=x");
    create(&["--sysctl", "kernel.panic=1"]).fails(1, "kernel.panic");
    create(&["--security-opt", "magic"]).fails(1, "magic");
    daemon.dhow(&["run", "--rm", "-u", "stranger", "busybox", "true"]).fails(125, "stranger");
    daemon.dhow(&["run", "--rm", "-w", "relative", "busybox", "true"]).fails(125, "relative");
    daemon.dhow(&["create", "--name", "twice", "busybox"]).ok();
    create(&["--name", "twice"]).fails(1, "The container name \"/twice\" is already in use");
    daemon.dhow(&["rm", "twice"]).ok();
    daemon.dhow(&["network", "create", "--subnet", "10.1.2.3/99", "x"]).fails(1, "10.1.2.3/99");
    daemon.dhow(&["network", "create", "-d", "overlay", "x"]).fails(1, "overlay");
    daemon.dhow(&["network", "rm", "bridge"]).fails(1, "bridge");
    daemon.dhow(&["volume", "create", "a/b"]).fails(1, "a/b");
    daemon.dhow(&["load", "-i", "/no/such/file"]).fails(1, "/no/such/file");
    daemon.dhow(&["tag", "busybox", "UPPER"]).fails(1, "lowercase");
    daemon.dhow(&["no-such-command"]).fails(1, "no-such-command");
    assert_eq!(daemon.dhow(&["ps", "-aq"]).ok(), "");
    assert_eq!(daemon.dhow(&["volume", "ls", "-q"]).ok(), "");
    assert!(std::fs::read_dir(daemon.folder().join("data/containers")).unwrap().next().is_none());
    daemon.finish();
}

#[test]
fn root_the_api_answers_garbage_with_sentences() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let post = |path: &str, body: &str| {
        daemon.raw(&format!("POST {path} HTTP/1.1\r\nHost: d\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
    };
    let broken = post("/v1.41/containers/create", "{\"Image\": ");
    assert!(broken.starts_with("HTTP/1.1 400 ") && broken.contains("\"message\""), "{broken}");
    let wrong = post("/v1.41/containers/create", "{\"Image\": 7}");
    assert!(wrong.starts_with("HTTP/1.1 400 ") && wrong.contains("Image"), "{wrong}");
    let missing = post("/v1.41/containers/nobody/start", "");
    assert!(
        missing.starts_with("HTTP/1.1 404 ") && missing.contains("No such container: nobody"),
        "{missing}"
    );
    let nowhere = post("/v1.41/no/such/page", "");
    assert!(nowhere.starts_with("HTTP/1.1 404 ") && nowhere.contains("page not found"), "{nowhere}");
    let future = daemon.raw("GET /v9.99/info HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n");
    assert!(
        future.starts_with("HTTP/1.1 400 ") && future.contains("client version 9.99 is too new"),
        "{future}"
    );
    let swarm = daemon.raw("GET /v1.41/services HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n");
    assert!(swarm.starts_with("HTTP/1.1 503 ") && swarm.contains("not a swarm manager"), "{swarm}");
    daemon.finish();
}
