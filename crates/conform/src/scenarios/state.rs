//! runtime.md: what `state` says.

use super::{Scenario, s};
use crate::verdict::{must, same};
use serde_json::json;

const STATE: &str = "runtime.md#state";
const QUERY: &str = "runtime.md#query-state";

pub(crate) const SCENARIOS: &[Scenario] = &[
    s("state.required", STATE, |case| {
        case.probe(&["hold"]).create()?.ok()?;
        let state = case.state()?;
        same("id", &state["id"], &json!(case.id))?;
        same("bundle", state["bundle"].as_str(), case.bundle.to_str())?;
        same("status", &state["status"], &json!("created"))?;
        must(state["ociVersion"].as_str().is_some_and(|version| version.split('.').count() >= 3), || {
            format!("ociVersion: {}", state["ociVersion"])
        })?;
        must(state["pid"].as_i64().is_some_and(|pid| pid > 0), || format!("pid: {}", state["pid"]))
    }),
    s("state.pid-is-the-container", STATE, |case| {
        let pid = case.probe(&["hold"]).running()?.as_raw_nonzero();
        let (theirs, ours) =
            (std::fs::read_link(format!("/proc/{pid}/ns/pid"))?, std::fs::read_link("/proc/self/ns/pid")?);
        must(theirs != ours, || format!("process {pid} is in the runtime's pid namespace"))
    }),
    s("state.running", STATE, |case| {
        case.probe(&["hold"]).running()?;
        same("status", case.status()?.as_str(), "running")
    }),
    s("state.stopped", STATE, |case| {
        let pid = case.probe(&["exit 0"]).running()?;
        case.wait(pid)?;
        same("status", case.status()?.as_str(), "stopped")
    }),
    s("state.stopped-by-a-signal", STATE, |case| {
        let pid = case.probe(&["hold"]).running()?;
        case.kill("KILL")?.ok()?;
        same("exit code", case.wait(pid)?, 137)?;
        same("status", case.status()?.as_str(), "stopped")
    }),
    s("state.annotations", STATE, |case| {
        case.config["annotations"] = json!({"org.example.key": "a value", "empty": ""});
        case.probe(&["hold"]).create()?.ok()?;
        let state = case.state()?;
        same("annotation", &state["annotations"]["org.example.key"], &json!("a value"))?;
        same("annotation", &state["annotations"]["empty"], &json!(""))
    }),
    s("state.bundle-is-absolute", STATE, |case| {
        case.probe(&["hold"]).write()?;
        let mut command = case.runtime.command(&["create", "--bundle", ".", &case.id]);
        command.current_dir(&case.bundle);
        crate::command::finish(&mut command, &case.bundle.join("container"))?.ok()?;
        same("bundle", case.state()?["bundle"].as_str(), case.bundle.to_str())
    }),
    s("state.without-an-id", QUERY, |case| case.call(&["state"])?.refused().map(drop)),
    s("state.of-nothing", QUERY, |case| case.call(&["state", "no-such-container"])?.refused().map(drop)),
];
