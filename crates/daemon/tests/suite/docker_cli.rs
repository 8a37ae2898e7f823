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
    docker(&["network", "create", "nn"]).ok();
    docker(&["volume", "create", "vv"]).ok();
    docker(&[
        "run",
        "-d",
        "--name",
        "aa",
        "--network",
        "nn",
        "-v",
        "vv:/data",
        "-p",
        "80",
        "--label",
        "x=y",
        "busybox",
        "sh",
        "-c",
        "echo up; sleep 1000",
    ])
    .ok();
    assert!(docker(&["ps"]).ok().contains("->80/tcp"));
    assert_eq!(docker(&["ps", "-q", "--filter", "label=x=y", "--no-trunc"]).ok().len(), 64);
    assert_eq!(docker(&["exec", "-i", "aa", "sh", "-c", "echo in > /data/f; cat /data/f"]).ok(), "in");
    assert_eq!(docker(&["logs", "aa"]).ok(), "up");
    assert!(docker(&["top", "aa"]).ok().contains("sleep 1000"));
    assert!(docker(&["stats", "--no-stream", "aa"]).ok().contains("iB / "));
    assert!(docker(&["port", "aa", "80"]).ok().contains("0.0.0.0:"));
    assert_eq!(docker(&["diff", "aa"]).ok(), "A /data", "the mount point");
    let file = daemon.folder().join("f");
    docker(&["cp", "aa:/data/f", file.to_str().unwrap()]).ok();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "in\n");
    docker(&["cp", file.to_str().unwrap(), "aa:/tmp/g"]).ok();
    assert_eq!(docker(&["exec", "aa", "cat", "/tmp/g"]).ok(), "in");
    assert_eq!(
        docker(&["inspect", "-f", "{{.State.Running}} {{.HostConfig.NetworkMode}}", "aa"]).ok(),
        "true nn"
    );
    assert_eq!(docker(&["commit", "aa", "kept"]).ok().len(), 71);
    assert!(docker(&["images"]).ok().contains("kept"));
    assert!(docker(&["history", "kept"]).ok().contains("IMAGE"));
    assert!(docker(&["system", "df"]).ok().contains("Images"));
    assert_eq!(docker(&["stop", "-t", "0", "aa"]).ok(), "aa");
    assert_eq!(docker(&["start", "aa"]).ok(), "aa");
    assert_eq!(docker(&["restart", "-t", "0", "aa"]).ok(), "aa");
    assert_eq!(docker(&["rm", "-f", "aa"]).ok(), "aa");
    let events = docker(&[
        "events",
        "--since",
        "1h",
        "--until",
        // the command line cuts times to whole seconds
        "-1s",
        "--filter",
        "container=aa",
        "--format",
        "{{.Action}}",
    ]);
    for action in ["create", "start", "die", "stop", "destroy"] {
        assert!(events.ok().lines().any(|line| line == action), "{action} is not in\n{}", events.out);
    }
    assert!(docker(&["system", "prune", "-af", "--volumes"]).ok().contains("Total reclaimed space"));
    daemon.finish();
}
