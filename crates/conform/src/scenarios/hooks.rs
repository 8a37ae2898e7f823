//! config.md: hooks of all six kinds: when, where, with what, and what their failure means.

use super::{Scenario, s};
use crate::{
    case::{Case, push},
    verdict::{Verdict, failed, must, same},
};
use serde_json::{Value, json};
use std::{fs, path::PathBuf};

const HOOKS: &str = "config.md#posix-platform-hooks";
const LIFECYCLE: &str = "runtime.md#lifecycle";

pub(crate) const SCENARIOS: &[Scenario] = &[
    s("hooks.order", HOOKS, |case| {
        for kind in KINDS.iter().rev() {
            hook(case, kind, &format!("{kind}-1"), &[]);
            hook(case, kind, &format!("{kind}-2"), &[]);
        }
        case.probe(&["exit 0"]).create()?.ok()?;
        same("after create", names(case)?, twice(&KINDS[..3]))?;
        let pid = case.pid()?;
        case.start()?.ok()?;
        same("after start", names(case)?, twice(&KINDS[..5]))?;
        case.wait(pid)?;
        case.delete()?.ok()?;
        same("after delete", names(case)?, twice(KINDS))
    }),
    s("hooks.state", HOOKS, |case| {
        case.config["annotations"] = json!({"org.example": "told"});
        for (kind, _) in STATUS {
            hook(case, kind, kind, &[]);
        }
        let pid = life(case)?;
        let notes = notes(case)?;
        for (kind, status) in STATUS {
            let state = &find(&notes, kind)?["state"];
            same(&format!("{kind}: id"), &state["id"], &json!(case.id))?;
            same(&format!("{kind}: bundle"), state["bundle"].as_str(), case.bundle.to_str())?;
            same(&format!("{kind}: annotations"), &state["annotations"]["org.example"], &json!("told"))?;
            must(state["ociVersion"].is_string(), || format!("{kind}: no ociVersion"))?;
            let seen = state["status"].as_str().unwrap_or_default();
            must(status.contains(&seen), || format!("{kind}: status is {seen:?}, not one of {status:?}"))?;
            let inside = matches!(*kind, "createContainer" | "startContainer");
            if !inside && *kind != "poststop" {
                same(&format!("{kind}: pid"), &state["pid"], &json!(pid))?;
            }
        }
        Ok(())
    }),
    s("hooks.pid-inside", "runtime.md#state", |case| {
        for kind in ["createContainer", "startContainer"] {
            hook(case, kind, kind, &[]);
        }
        life(case)?;
        let notes = notes(case)?;
        for kind in ["createContainer", "startContainer"] {
            same(&format!("{kind}: pid"), &find(&notes, kind)?["state"]["pid"], &json!(1))?;
        }
        Ok(())
    }),
    s("hooks.namespaces", HOOKS, |case| {
        for kind in KINDS {
            hook(case, kind, kind, &[]);
        }
        life(case)?;
        let notes = notes(case)?;
        let host = |name: &str| fs::read_link(format!("/proc/self/ns/{name}"));
        for kind in KINDS {
            let seen = &find(&notes, kind)?["seen"]["namespaces"];
            for name in ["mnt", "net", "ipc", "uts"] {
                let outside = seen[name].as_str() == host(name)?.to_str();
                let wanted = !matches!(*kind, "createContainer" | "startContainer");
                must(outside == wanted, || {
                    format!("{kind} ran with {name} of the {}", if outside { "host" } else { "container" })
                })?;
            }
        }
        Ok(())
    }),
    s("hooks.root", HOOKS, |case| {
        for kind in KINDS {
            hook(case, kind, kind, &[]);
        }
        fs::write(case.rootfs().join("inside-the-container"), "")?;
        life(case)?;
        let notes = notes(case)?;
        for kind in KINDS {
            let names = &find(&notes, kind)?["seen"]["root"];
            let inside = names.as_array().is_some_and(|names| names.contains(&json!("inside-the-container")));
            same(&format!("{kind} saw the container's root"), inside, *kind == "startContainer")?;
        }
        Ok(())
    }),
    s("hooks.args-and-env", HOOKS, |case| {
        for kind in KINDS {
            hook(case, kind, kind, &[]);
            if let Some(entry) = case.config["hooks"][kind][0].as_object_mut() {
                entry.insert("env".to_owned(), json!(["A=1", "B=two words"]));
            }
        }
        life(case)?;
        let notes = notes(case)?;
        for kind in KINDS {
            same(
                &format!("{kind}: env"),
                &find(&notes, kind)?["seen"]["env"],
                &json!(["A=1", "B=two words"]),
            )?;
        }
        Ok(())
    }),
    s("hooks.without-args", HOOKS, |case| {
        case.config["hooks"] = json!({"createRuntime": [{"path": case.rootfs().join("probe")}]});
        same("exit code", case.probe(&["exit 0"]).run()?.code, 0)
    }),
    s("hooks.relative-path", HOOKS, |case| {
        case.config["hooks"] = json!({"createRuntime": [{"path": "rootfs/probe", "args": ["probe"]}]});
        case.rejected().map(drop)
    }),
    s("hooks.timeout-is-zero", HOOKS, |case| {
        hook(case, "createRuntime", "x", &[]);
        case.config["hooks"]["createRuntime"][0]["timeout"] = json!(0);
        case.rejected().map(drop)
    }),
    s("hooks.timeout", HOOKS, |case| {
        hook(case, "createRuntime", "slow", &["sleep 15"]);
        case.config["hooks"]["createRuntime"][0]["timeout"] = json!(1);
        let began = std::time::Instant::now();
        case.rejected()?;
        must(began.elapsed().as_secs() < 10, || format!("it took {:?}", began.elapsed()))
    }),
    s("hooks.fails-create", LIFECYCLE, |case| {
        for kind in &KINDS[..3] {
            case.config["hooks"] = Value::Null;
            hook(case, kind, kind, &["exit 9"]);
            hook(case, "poststop", "poststop", &[]);
            fs::write(log(case), "")?;
            case.probe(&["make /started"]).create()?.refused()?;
            case.on(&["state"])?.refused()?;
            must(!case.rootfs().join("started").exists(), || {
                format!("the program ran after a failed {kind} hook")
            })?;
            same(
                &format!("hooks after a failed {kind}"),
                names(case)?,
                vec![(*kind).to_owned(), "poststop".to_owned()],
            )?;
        }
        Ok(())
    }),
    s("hooks.fails-start", LIFECYCLE, |case| {
        hook(case, "startContainer", "startContainer", &["exit 9"]);
        case.probe(&["make /started"]).create()?.ok()?;
        let pid = case.pid()?;
        case.start()?.refused()?;
        case.wait(pid)?;
        must(!case.rootfs().join("started").exists(), || "the program ran after a failed hook".to_owned())
    }),
    s("hooks.fails-poststart", LIFECYCLE, |case| {
        hook(case, "poststart", "poststart", &["exit 9"]);
        hook(case, "poststop", "poststop", &[]);
        case.probe(&["hold"]).create()?.ok()?;
        let pid = case.pid()?;
        case.start()?.refused()?;
        must(crate::command::ended(pid, 5)?, || {
            "the container runs on after a failed poststart hook".to_owned()
        })?;
        case.wait(pid)?;
        same("hooks", names(case)?, vec!["poststart".to_owned(), "poststop".to_owned()])
    }),
    s("hooks.fails-poststop", LIFECYCLE, |case| {
        hook(case, "poststop", "first", &["exit 9"]);
        hook(case, "poststop", "second", &[]);
        case.probe(&["exit 0"]).run()?;
        case.on(&["state"])?.refused()?;
        same("hooks", names(case)?, vec!["first".to_owned(), "second".to_owned()])
    }),
    s("hooks.poststop-of-force", LIFECYCLE, |case| {
        hook(case, "poststop", "poststop", &[]);
        case.probe(&["hold"]).running()?;
        case.on(&["delete", "--force"])?.ok()?;
        same("hooks", names(case)?, vec!["poststop".to_owned()])
    }),
];

/// All kinds, in the order of the life cycle.
const KINDS: &[&str] =
    &["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// The state that each kind may be told. The specification leaves open whether `create` is over before its hooks are.
const STATUS: &[(&str, &[&str])] = &[
    ("prestart", &["creating", "created"]),
    ("createRuntime", &["creating", "created"]),
    ("createContainer", &["creating", "created"]),
    ("startContainer", &["creating", "created"]),
    ("poststart", &["running"]),
    ("poststop", &["stopped"]),
];

/// Where the hooks note what they see; startContainer's sees the same folder at /log.
fn log(case: &Case<'_>) -> PathBuf {
    case.bundle.join("hooks/log")
}

/// Adds a hook that notes `name`, and then does `then`.
fn hook(case: &mut Case<'_>, kind: &str, name: &str, then: &[&str]) {
    let folder = case.bundle.join("hooks");
    let (program, file) = if kind == "startContainer" {
        ("/probe".into(), "/log/log".into())
    } else {
        (case.rootfs().join("probe"), folder.join("log"))
    };
    if fs::create_dir(&folder).is_ok() {
        case.mount("/log", "bind", &folder.to_string_lossy(), &["bind"]);
    }
    let action = std::iter::once(format!("hook {} {name}", file.display()))
        .chain(then.iter().map(|&then| then.to_owned()));
    let action = action.collect::<Vec<_>>().join(" ");
    push(&mut case.config["hooks"][kind], json!({"path": program, "args": ["probe", action]}));
}

/// Create, start, end, delete: the process's number.
fn life(case: &mut Case<'_>) -> Verdict<i32> {
    let pid = case.probe(&["exit 0"]).running()?;
    case.wait(pid)?;
    case.delete()?.ok()?;
    Ok(pid.as_raw_nonzero().get())
}

fn notes(case: &Case<'_>) -> Verdict<Vec<Value>> {
    let text = fs::read_to_string(log(case)).unwrap_or_default();
    text.lines()
        .map(|line| serde_json::from_str(line).or_else(|error| failed(format!("{error}: {line}"))))
        .collect()
}

fn names(case: &Case<'_>) -> Verdict<Vec<String>> {
    Ok(notes(case)?.iter().map(|note| note["hook"].as_str().unwrap_or_default().to_owned()).collect())
}

fn twice(kinds: &[&str]) -> Vec<String> {
    kinds.iter().flat_map(|kind| [format!("{kind}-1"), format!("{kind}-2")]).collect()
}

fn find<'v>(notes: &'v [Value], kind: &str) -> Verdict<&'v Value> {
    notes.iter().find(|note| note["hook"] == kind).map_or_else(|| failed(format!("no {kind} hook ran")), Ok)
}
