//! Docker's own command line on our socket: the same scenario, nothing set but the host.

use dhow_testkit::{Daemon, is_root};

#[test]
fn root_the_stock_docker_cli_works() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let docker = |args: &[&str]| daemon.docker(args);
    assert!(docker(&["version", "--format", "{{.Server.Os}}"]).ok().contains("linux"));
    assert!(docker(&["info"]).ok().contains("Server Version"));
    assert_eq!(docker(&["run", "--rm", "busybox", "echo", "hello"]).ok(), "hello");
    docker(&["run", "--rm", "busybox", "sh", "-c", "exit 3"]).fails(3, "");
    docker(&["run", "--rm", "busybox", "nothing-here"]).fails(127, "executable file not found");
    docker(&["network", "create", "n"]).ok();
    docker(&["volume", "create", "v"]).ok();
    docker(&[
        "run",
        "-d",
        "--name",
        "a",
        "--network",
        "n",
        "-v",
        "v:/data",
        "-p",
        "80",
        "--label",
        "x=y",
        "busybox",
        "sh",
        "-c",
        "echo up; sleep 1000",
    ])
    .ok()
    .to_owned();
    assert!(docker(&["ps"]).ok().contains("->80/tcp"));
    assert_eq!(docker(&["ps", "-q", "--filter", "label=x=y", "--no-trunc"]).ok().len(), 64);
    assert_eq!(docker(&["exec", "-i", "a", "sh", "-c", "echo in > /data/f; cat /data/f"]).ok(), "in");
    assert_eq!(docker(&["logs", "a"]).ok(), "up");
    assert!(docker(&["top", "a"]).ok().contains("sleep 1000"));
    assert!(docker(&["stats", "--no-stream", "a"]).ok().contains("MiB"));
    assert!(docker(&["port", "a", "80"]).ok().contains("0.0.0.0:"));
    assert!(docker(&["diff", "a"]).ok().contains("C /") || docker(&["diff", "a"]).ok().is_empty());
    let file = daemon.folder().join("f");
    docker(&["cp", "a:/data/f", file.to_str().unwrap()]).ok();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "in\n");
    docker(&["cp", file.to_str().unwrap(), "a:/tmp/g"]).ok();
    assert_eq!(docker(&["exec", "a", "cat", "/tmp/g"]).ok(), "in");
    assert_eq!(
        docker(&["inspect", "-f", "{{.State.Running}} {{.HostConfig.NetworkMode}}", "a"]).ok(),
        "true n"
    );
    assert_eq!(docker(&["commit", "a", "kept"]).ok().len(), 71);
    assert!(docker(&["images"]).ok().contains("kept"));
    assert!(docker(&["history", "kept"]).ok().contains("IMAGE"));
    assert!(docker(&["system", "df"]).ok().contains("Images"));
    assert_eq!(docker(&["stop", "-t", "0", "a"]).ok(), "a");
    assert_eq!(docker(&["start", "a"]).ok(), "a");
    assert_eq!(docker(&["restart", "-t", "0", "a"]).ok(), "a");
    assert_eq!(docker(&["rm", "-f", "a"]).ok(), "a");
    let events = docker(&[
        "events",
        "--since",
        "1h",
        "--until",
        "0s",
        "--filter",
        "container=a",
        "--format",
        "{{.Action}}",
    ]);
    for action in ["create", "start", "die", "stop", "destroy"] {
        assert!(events.ok().lines().any(|line| line == action), "{action} is not in\n{}", events.out);
    }
    assert!(docker(&["system", "prune", "-af", "--volumes"]).ok().contains("Total reclaimed space"));
    daemon.finish();
}
