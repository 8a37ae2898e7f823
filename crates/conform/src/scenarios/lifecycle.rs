//! runtime.md: create, start, kill, delete, in every order.

use super::{Scenario, s};
use crate::verdict::{must, same};
use serde_json::{Value, json};
use std::fs;

const LIFECYCLE: &str = "runtime.md#lifecycle";
const ERRORS: &str = "runtime.md#errors";
const CREATE: &str = "runtime.md#create";
const START: &str = "runtime.md#start";
const KILL: &str = "runtime.md#kill";
const DELETE: &str = "runtime.md#delete";
const VERSION: &str = "config.md#specification-version";
const EXTENSIBILITY: &str = "config.md#extensibility";
const VALUES: &str = "config.md#valid-values";
const BUNDLE: &str = "bundle.md#container-format";

pub(crate) const SCENARIOS: &[Scenario] = &[
    s("create.does-not-run", LIFECYCLE, |case| {
        case.probe(&["make /started", "hold"]).create()?.ok()?;
        let mark = case.rootfs().join("started");
        must(!mark.exists(), || "the program ran before start".to_owned())?;
        same("status", case.status()?.as_str(), "created")
    }),
    s("lifecycle.exit-code", LIFECYCLE, |case| same("exit code", case.probe(&["exit 42"]).run()?.code, 42)),
    s("lifecycle.config-is-read-once", LIFECYCLE, |case| {
        case.probe(&["getcwd"]).create()?.ok()?;
        fs::write(case.bundle.join("config.json"), "{}")?;
        let pid = case.pid()?;
        case.start()?.ok()?;
        same("exit code", case.wait(pid)?, 0)?;
        same("output", case.output()?.as_str(), "/\n")
    }),
    s("create.without-an-id", CREATE, |case| {
        case.probe(&["hold"]).write()?;
        let bundle = case.bundle.to_string_lossy().into_owned();
        case.call(&["create", "--bundle", &bundle])?.refused().map(drop)
    }),
    s("create.without-a-bundle", CREATE, |case| {
        case.call(&["create", "--bundle", "/no/such/bundle", &case.id])?.refused().map(drop)
    }),
    s("create.id-in-use", CREATE, |case| {
        let pid = case.probe(&["hold"]).running()?;
        case.create()?.refused()?;
        same("status of the first", case.status()?.as_str(), "running")?;
        same("pid of the first", case.pid()?, pid)
    }),
    s("create.bad-ids", CREATE, |case| {
        case.probe(&["hold"]).write()?;
        let bundle = case.bundle.to_string_lossy().into_owned();
        for id in ["", "a/b", "..", ".", "../x", "a b", "a\nb"] {
            case.call(&["create", "--bundle", &bundle, id])?.refused()?;
        }
        Ok(())
    }),
    s("create.good-ids", CREATE, |case| {
        case.probe(&["hold"]);
        for id in ["A", "a_b", "a-b.c", "0", "a+b"] {
            case.id = format!("{id}{}", std::process::id());
            case.create()?.ok()?;
            case.on(&["delete", "--force"])?.ok()?;
        }
        Ok(())
    }),
    s("create.error-leaves-nothing", ERRORS, |case| {
        case.probe(&["hold"]).mount("/x", "bind", "/no/such/source", &["bind"]);
        case.create()?.refused()?;
        case.on(&["state"])?.refused()?;
        case.unmount("/x");
        case.create()?.ok().map(drop)
    }),
    s("create.without-config", BUNDLE, |case| {
        let bundle = case.bundle.to_string_lossy().into_owned();
        case.call(&["create", "--bundle", &bundle, &case.id])?.refused().map(drop)
    }),
    s("create.broken-json", BUNDLE, |case| {
        fs::write(case.bundle.join("config.json"), "{\"ociVersion\": ")?;
        let bundle = case.bundle.to_string_lossy().into_owned();
        case.call(&["create", "--bundle", &bundle, &case.id])?.refused()?;
        case.on(&["state"])?.refused().map(drop)
    }),
    s("start.without-an-id", START, |case| case.call(&["start"])?.refused().map(drop)),
    s("start.nothing", START, |case| case.call(&["start", "no-such-container"])?.refused().map(drop)),
    s("start.twice", START, |case| {
        let pid = case.probe(&["hold"]).running()?;
        case.start()?.refused()?;
        same("status", case.status()?.as_str(), "running")?;
        same("pid", case.pid()?, pid)
    }),
    s("start.stopped", START, |case| {
        let pid = case.probe(&["exit 0"]).running()?;
        case.wait(pid)?;
        case.start()?.refused()?;
        same("status", case.status()?.as_str(), "stopped")
    }),
    s("start.without-process", START, |case| {
        if let Some(config) = case.config.as_object_mut() {
            config.remove("process");
        }
        case.rejected().map(drop)
    }),
    s("start.no-such-program", START, |case| {
        case.config["process"]["args"] = json!(["/no/such/program"]);
        case.rejected().map(drop)
    }),
    s("kill.without-an-id", KILL, |case| case.call(&["kill"])?.refused().map(drop)),
    s("kill.nothing", KILL, |case| case.call(&["kill", "no-such-container", "KILL"])?.refused().map(drop)),
    s("kill.created", KILL, |case| {
        case.probe(&["make /started"]).create()?.ok()?;
        let pid = case.pid()?;
        case.kill("KILL")?.ok()?;
        case.wait(pid)?;
        must(!case.rootfs().join("started").exists(), || "the program ran".to_owned())?;
        same("status", case.status()?.as_str(), "stopped")
    }),
    s("kill.stopped", KILL, |case| {
        let pid = case.probe(&["exit 0"]).running()?;
        case.wait(pid)?;
        case.kill("TERM")?.refused()?;
        same("status", case.status()?.as_str(), "stopped")
    }),
    s("kill.sends-the-signal", KILL, |case| {
        for (word, number) in [("TERM", 15), ("SIGHUP", 1), ("10", 10), ("usr2", 12)] {
            let pid = case.probe(&["signal"]).running()?;
            let ready = case.rootfs().join("tmp/ready");
            wait_for(&ready)?;
            case.kill(word)?.ok()?;
            same("exit code", case.wait(pid)?, 0)?;
            same(word, case.output()?.trim(), number.to_string().as_str())?;
            case.delete()?.ok()?;
            fs::remove_file(ready)?;
        }
        Ok(())
    }),
    s("kill.real-time-signal", KILL, |case| {
        let pid = case.probe(&["signal"]).running()?;
        wait_for(&case.rootfs().join("tmp/ready"))?;
        case.kill("SIGRTMIN+3")?.ok()?;
        case.wait(pid)?;
        same("signal", case.output()?.trim(), "37")
    }),
    s("kill.default-is-term", KILL, |case| {
        let pid = case.probe(&["signal"]).running()?;
        wait_for(&case.rootfs().join("tmp/ready"))?;
        case.on(&["kill"])?.ok()?;
        case.wait(pid)?;
        same("signal", case.output()?.trim(), "15")
    }),
    s("kill.unknown-signal", KILL, |case| {
        case.probe(&["hold"]).running()?;
        case.kill("NONSENSE")?.refused()?;
        same("status", case.status()?.as_str(), "running")
    }),
    s("kill.all", KILL, |case| {
        case.namespace("pid", None);
        let pid = case.probe(&["spawn", "hold"]).running()?;
        let child = child_of(case)?;
        case.call(&["kill", "--all", &case.id, "KILL"])?.ok()?;
        case.wait(pid)?;
        must(crate::command::ended(child, 10)?, || "the second process lives on".to_owned())
    }),
    s("delete.without-an-id", DELETE, |case| case.call(&["delete"])?.refused().map(drop)),
    s("delete.nothing", DELETE, |case| case.call(&["delete", "no-such-container"])?.refused().map(drop)),
    s("delete.force-nothing", DELETE, |case| {
        case.call(&["delete", "--force", "no-such-container"])?.ok().map(drop)
    }),
    s("delete.created", DELETE, |case| {
        case.probe(&["hold"]).create()?.ok()?;
        case.delete()?.refused()?;
        same("status", case.status()?.as_str(), "created")
    }),
    s("delete.running", DELETE, |case| {
        case.probe(&["hold"]).running()?;
        case.delete()?.refused()?;
        same("status", case.status()?.as_str(), "running")
    }),
    s("delete.force-running", DELETE, |case| {
        let pid = case.probe(&["hold"]).running()?;
        case.on(&["delete", "--force"])?.ok()?;
        same("exit code", case.wait(pid)?, 137)?;
        case.on(&["state"])?.refused().map(drop)
    }),
    s("delete.removes-what-create-made", DELETE, |case| {
        let pid = case.probe(&["hold"]).running()?;
        let cgroups = case.cgroups()?;
        case.kill("KILL")?.ok()?;
        case.wait(pid)?;
        case.delete()?.ok()?;
        case.on(&["state"])?.refused()?;
        let mine = |folder: &&std::path::PathBuf| folder.to_string_lossy().contains(&case.id);
        let left = cgroups.folders().filter(mine).find(|folder| folder.exists());
        must(left.is_none(), || format!("{left:?} is still there"))
    }),
    s("delete.keeps-what-it-did-not-make", DELETE, |case| {
        case.probe(&["write /tmp/mine hello"]).run()?;
        same(
            "a file of the container",
            fs::read_to_string(case.rootfs().join("tmp/mine"))?.as_str(),
            "hello",
        )?;
        must(case.bundle.join("config.json").exists(), || "the bundle is gone".to_owned())
    }),
    s("delete.frees-the-id", DELETE, |case| {
        for code in [1, 2] {
            same("exit code", case.probe(&[&format!("exit {code}")]).run()?.code, code)?;
        }
        Ok(())
    }),
    s("version.supported", VERSION, |case| {
        for version in ["1.0.0", "1.0.2", "1.1.0", "1.2.0"] {
            case.config["ociVersion"] = json!(version);
            case.probe(&["exit 0"]).run()?;
        }
        Ok(())
    }),
    s("version.missing", VERSION, |case| {
        case.config["ociVersion"] = json!("");
        case.rejected().map(drop)
    }),
    s("version.not-semver", VERSION, |case| {
        case.config["ociVersion"] = json!("one");
        case.rejected().map(drop)
    }),
    s("version.next-major", VERSION, |case| {
        case.config["ociVersion"] = json!("2.0.0");
        case.rejected().map(drop)
    }),
    s("config.unknown-properties", EXTENSIBILITY, |case| {
        case.config["org.example"] = json!({"deep": [1, 2]});
        case.config["process"]["unknown"] = json!(true);
        case.config["linux"]["unknown"] = json!("text");
        case.config["annotations"] = json!({"org.example.unknown": "x"});
        same("exit code", case.probe(&["exit 0"]).run()?.code, 0)
    }),
    s("config.nulls", EXTENSIBILITY, |case| {
        case.config["hooks"] = Value::Null;
        case.config["linux"]["resources"] = Value::Null;
        case.config["process"]["rlimits"] = Value::Null;
        same("exit code", case.probe(&["exit 0"]).run()?.code, 0)
    }),
    s("config.wrong-types", VALUES, |case| {
        case.config["process"]["cwd"] = json!(7);
        case.rejected().map(drop)
    }),
    s("config.root-is-missing", "config.md#root", |case| {
        case.config["root"]["path"] = json!("no-such-folder");
        case.rejected().map(drop)
    }),
    s("config.root-is-a-file", "config.md#root", |case| {
        case.config["root"]["path"] = json!("rootfs/probe");
        case.rejected().map(drop)
    }),
    s("config.root-is-absolute", "config.md#root", |case| {
        case.config["root"]["path"] = json!(case.rootfs());
        same("exit code", case.probe(&["exit 3"]).run()?.code, 3)
    }),
    s("config.root-read-only", "config.md#root", |case| {
        case.config["root"]["readonly"] = json!(true);
        let answers = case.ask(&["make /x", "make /dev/x"])?;
        same("answers", answers, ["EROFS", "ok"])
    }),
    s("config.root-writable", "config.md#root", |case| same("answers", case.ask(&["make /x"])?, ["ok"])),
];

/// Waits for a file that the container makes.
pub(super) fn wait_for(path: &std::path::Path) -> crate::verdict::Verdict {
    for _ in 0..500 {
        if path.exists() {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    crate::verdict::failed(format!("{} did not appear", path.display()))
}

/// The process whose number the container printed: it shares the host's pid namespace.
fn child_of(case: &crate::case::Case<'_>) -> crate::verdict::Verdict<rustix::process::Pid> {
    for _ in 0..500 {
        if let Some(pid) = case.output()?.trim().parse().ok().and_then(rustix::process::Pid::from_raw) {
            return Ok(pid);
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    crate::verdict::failed("the container started no second process")
}
