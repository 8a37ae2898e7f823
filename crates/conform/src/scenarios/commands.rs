//! runc's command line: what engines call beside the specification's operations.

use super::{Scenario, s};
use crate::{
    command::finish,
    verdict::{must, same},
};
use serde_json::{Value, json};
use std::{fs, process::Stdio};

const RUN: &str = "runc(8): run";
const CREATE: &str = "runc(8): create";
const LIST: &str = "runc(8): list";
const SPEC: &str = "runc(8): spec";
const GLOBAL: &str = "runc(8)";

pub(crate) const SCENARIOS: &[Scenario] = &[
    s("run.exit-code", RUN, |case| {
        case.probe(&["exit 42"]).write()?;
        let bundle = case.bundle.to_string_lossy().into_owned();
        same("exit code", case.on(&["run", "--bundle", &bundle])?.code, Some(42))?;
        case.on(&["state"])?.refused().map(drop)
    }),
    s("run.by-a-signal", RUN, |case| {
        case.config["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["sethostname"], "action": "SCMP_ACT_KILL_PROCESS"}]});
        case.probe(&["hostname x"]).write()?;
        let bundle = case.bundle.to_string_lossy().into_owned();
        same("exit code", case.on(&["run", "--bundle", &bundle])?.code, Some(128 + 31))
    }),
    s("run.output", RUN, |case| {
        case.probe(&["getcwd"]).write()?;
        let bundle = case.bundle.to_string_lossy().into_owned();
        same("stdout", case.on(&["run", "--bundle", &bundle])?.ok()?.out.as_str(), "/\n")
    }),
    s("run.input", RUN, |case| {
        case.probe(&["read /dev/stdin"]).write()?;
        let (bundle, file) = (case.bundle.to_string_lossy().into_owned(), case.bundle.join("input"));
        fs::write(&file, "from stdin")?;
        let mut command = case.runtime.command(&["run", "--bundle", &bundle, &case.id]);
        let call = finish(command.stdin(Stdio::from(fs::File::open(file)?)), &case.bundle.join("call"))?;
        same("stdout", call.ok()?.out.trim(), "from stdin")
    }),
    s("run.detached", RUN, |case| {
        case.probe(&["hold"]).write()?;
        let (bundle, file) = (case.bundle.to_string_lossy().into_owned(), case.bundle.join("run.pid"));
        case.on(&["run", "--detach", "--bundle", &bundle, "--pid-file", &file.to_string_lossy()])?.ok()?;
        same("status", case.status()?.as_str(), "running")?;
        let pid = case.pid()?.as_raw_nonzero().to_string();
        same("pid file", fs::read_to_string(file)?.trim(), pid.as_str())
    }),
    s("run.keep", RUN, |case| {
        case.probe(&["exit 0"]).write()?;
        let bundle = case.bundle.to_string_lossy().into_owned();
        case.on(&["run", "--keep", "--bundle", &bundle])?.ok()?;
        same("status", case.status()?.as_str(), "stopped")
    }),
    s("run.preserved-descriptors", RUN, |case| {
        case.probe(&["report"]).write()?;
        let bundle = case.bundle.to_string_lossy().into_owned();
        let file = fs::File::open(case.bundle.join("config.json"))?;
        let mut shell = std::process::Command::new("/bin/sh");
        let run = case.runtime.command(&["run", "--preserve-fds", "1", "--bundle", &bundle, &case.id]);
        shell.args(["-c", "exec \"$@\" 3<&0 </dev/null", "sh"]).arg(run.get_program()).args(run.get_args());
        let call = finish(shell.stdin(Stdio::from(file)), &case.bundle.join("call"))?.ok()?;
        let facts = crate::facts::Facts::read(&call.out)?;
        let mut open: Vec<_> =
            facts.get("descriptors").as_object().into_iter().flat_map(|all| all.keys()).collect();
        open.sort();
        same("descriptors", open, ["0", "1", "2", "3"])
    }),
    s("create.pid-file", CREATE, |case| {
        let file = case.bundle.join("create.pid");
        case.probe(&["hold"]).create_with(&["--pid-file", &file.to_string_lossy()])?.ok()?;
        let pid = case.pid()?.as_raw_nonzero().to_string();
        same("pid file", fs::read_to_string(file)?.as_str(), pid.as_str())
    }),
    s("create.no-pivot", CREATE, |case| {
        case.probe(&["list /", "exit 0"]).create_with(&["--no-pivot"])?.ok()?;
        let pid = case.pid()?;
        case.start()?.ok()?;
        case.wait(pid)?;
        must(case.output()?.contains("probe"), || format!("{:?}", case.output()))
    }),
    s("create.bundle-is-the-working-directory", CREATE, |case| {
        case.probe(&["hold"]).write()?;
        let mut command = case.runtime.command(&["create", &case.id]);
        finish(command.current_dir(&case.bundle), &case.bundle.join("container"))?.ok().map(drop)
    }),
    s("list.json", LIST, |case| {
        let pid = case.probe(&["hold"]).running()?.as_raw_nonzero().get();
        let out = case.call(&["list", "--format", "json"])?.ok()?.out;
        let list: Value = serde_json::from_str(&out).unwrap_or_default();
        let mine = list.as_array().into_iter().flatten().find(|one| one["id"] == case.id.as_str()).cloned();
        let mine = mine.unwrap_or_default();
        same("status", &mine["status"], &json!("running"))?;
        same("pid", &mine["pid"], &json!(pid))?;
        same("bundle", mine["bundle"].as_str(), case.bundle.to_str())
    }),
    s("list.table", LIST, |case| {
        case.probe(&["hold"]).running()?;
        let out = case.call(&["list"])?.ok()?.out;
        let line = out.lines().find(|line| line.starts_with(&case.id)).unwrap_or_default().to_owned();
        must(line.contains("running") && line.contains(&*case.bundle.to_string_lossy()), || out.clone())
    }),
    s("list.quiet", LIST, |case| {
        case.probe(&["hold"]).create()?.ok()?;
        let out = case.call(&["list", "--quiet"])?.ok()?.out;
        must(out.lines().any(|line| line == case.id), || out.clone())
    }),
    s("list.empty", LIST, |case| {
        let out = case.call(&["list", "--format", "json"])?.ok()?.out;
        must(matches!(out.trim(), "null" | "[]"), || out.clone())
    }),
    s("spec.runs", SPEC, |case| {
        let bundle = case.bundle.to_string_lossy().into_owned();
        case.call(&["spec", "--bundle", &bundle])?.ok()?;
        let mut config: Value =
            serde_json::from_slice(&fs::read(case.bundle.join("config.json"))?).unwrap_or_default();
        config["process"]["args"] = json!(["/probe", "exit 6"]);
        config["process"]["terminal"] = json!(false);
        case.config = config;
        same("exit code", case.run()?.code, 6)
    }),
    s("spec.does-not-overwrite", SPEC, |case| {
        case.write()?;
        let bundle = case.bundle.to_string_lossy().into_owned();
        case.call(&["spec", "--bundle", &bundle])?.refused().map(drop)
    }),
    s("log.json", GLOBAL, |case| {
        let log = case.bundle.join("log");
        case.call(&["--log", &log.to_string_lossy(), "--log-format", "json", "start", "no-such-container"])?
            .refused()?;
        let text = fs::read_to_string(log)?;
        let line: Value = serde_json::from_str(text.lines().last().unwrap_or_default()).unwrap_or_default();
        same("level", &line["level"], &json!("error"))?;
        must(line["msg"].as_str().is_some_and(|text| !text.is_empty()), || text.clone())?;
        must(line["time"].is_string(), || text.clone())
    }),
    s("log.text", GLOBAL, |case| {
        let log = case.bundle.join("log");
        case.call(&["--log", &log.to_string_lossy(), "start", "no-such-container"])?.refused()?;
        let text = fs::read_to_string(log)?;
        must(text.contains("level=error") && text.contains("msg="), || text.clone())
    }),
    s("version.says-the-specification", GLOBAL, |case| {
        let out = case.call(&["--version"])?.ok()?.out;
        must(out.lines().any(|line| line.starts_with("spec: ")), || out.clone())
    }),
    s("command.unknown", GLOBAL, |case| case.call(&["nonsense"])?.refused().map(drop)),
];
