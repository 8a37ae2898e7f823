//! What a container may use, and has used; what the runtime offers.

use crate::fixture::bench;
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

fn stats(text: &str) -> Value {
    serde_json::from_str(text.lines().next().unwrap_or_default()).unwrap_or_else(|e| panic!("{e}: {text}"))
}

#[test]
fn root_update_and_events() {
    let Some(b) = bench(&["sleep", "1000"]) else { return };
    assert_eq!(b.quietly(&["run", "--detach", "@a"]), 0);
    let limits = || {
        let event = stats(&b.run(&["events", "--stats", "@a"]).ok());
        let data = &event["data"];
        (data["memory"]["usage"]["limit"].as_u64().unwrap(), data["pids"]["limit"].as_u64())
    };
    b.run(&["update", "--memory", "64m", "--pids-limit", "50", "@a"]).ok();
    assert_eq!(limits(), (64 << 20, Some(50)));
    let mut update = b.command(&["update", "-r", "-", "@a"]).stdin(Stdio::piped()).spawn().unwrap();
    update.stdin.take().unwrap().write_all(br#"{"pids":{"limit":60}}"#).unwrap();
    assert!(update.wait().unwrap().success());
    assert_eq!(limits(), (64 << 20, Some(60)));
    b.run(&["update", "--memory", "much", "@a"]).fails(1, "invalid size: 'much'");
    let mut events =
        b.command(&["events", "--interval", "50ms", "@a"]).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(events.stdout.take().unwrap()).lines().take(2);
    for line in lines {
        let event = stats(&line.unwrap());
        assert_eq!((event["type"].as_str(), event["id"].as_str()), (Some("stats"), Some(b.id("a").as_str())));
        assert!(event["data"]["cpu"]["usage"]["total"].as_u64().unwrap() > 0, "{event}");
    }
    b.run(&["kill", "@a", "KILL"]).ok();
    // Its reader has gone, or the container has ended: either ends it.
    events.wait().unwrap();
    b.status_is("@a", "stopped");
    b.run(&["events", "--stats", "@a"]).fails(1, "is not running");
    b.run(&["update", "--memory", "64m", "@a"]).fails(1, "container not running");
}

#[test]
fn root_events_tell_of_the_oom_killer() {
    let Some(b) = bench(&["sleep", "1000"]) else { return };
    assert_eq!(b.quietly(&["run", "--detach", "@a"]), 0);
    b.run(&["update", "--memory", "16m", "@a"]).ok();
    let mut events =
        b.command(&["events", "--interval", "20ms", "@a"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(events.stdout.take().unwrap()).lines();
    // The first numbers say that it watches.
    assert_eq!(stats(&lines.next().unwrap().unwrap())["type"], "stats");
    assert_eq!(b.run(&["exec", "@a", "dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=1"]).code, 137);
    let oom = lines.map(|line| stats(&line.unwrap())).find(|event| event["type"] == "oom");
    assert_eq!(oom.unwrap()["id"], b.id("a"));
    b.run(&["delete", "--force", "@a"]).ok();
    assert!(events.wait().unwrap().success());
}

#[test]
fn root_spec_and_features() {
    let Some(b) = bench(&["true"]) else { return };
    b.run(&["spec"]).fails(1, "File config.json exists");
    std::fs::remove_file(b.bundle().join("config.json")).unwrap();
    b.run(&["spec", "--rootless"]).ok();
    let features: Value = serde_json::from_str(&b.run(&["features"]).ok()).unwrap();
    assert!(features["linux"]["namespaces"].as_array().unwrap().contains(&"pid".into()), "{features}");
    assert!(b.run(&["--version"]).ok().starts_with("dhow-runtime version "));
    let help = b.run(&["--help"]).ok();
    for command in [
        "create", "start", "state", "kill", "delete", "exec", "ps", "list", "update", "events", "pause",
        "resume", "spec", "features", "run",
    ] {
        assert!(help.contains(&format!("   {command} ")), "{command}");
    }
}
