//! Everything a process can see of itself, as one JSON object. Taking it apart is left to the suite.

use rustix::process::{getgid, getgroups, getpid, getpriority_process, getuid};
use serde_json::{Map, Value, json};
use std::fs;

/// Namespaces and descriptors, environment and command line, and the kernel's texts.
pub(super) fn all() -> Value {
    let mut report = process();
    let texts = [
        "status",
        "mountinfo",
        "limits",
        "stat",
        "oom_score_adj",
        "personality",
        "cgroup",
        "uid_map",
        "gid_map",
    ];
    for name in texts {
        report[name] = text(&format!("/proc/self/{name}"));
    }
    let uts = rustix::system::uname();
    report["hostname"] = json!(uts.nodename().to_string_lossy());
    report["domainname"] = json!(uts.domainname().to_string_lossy());
    report["machine"] = json!(uts.machine().to_string_lossy());
    report["groups"] =
        json!(getgroups().unwrap_or_default().iter().map(|group| group.as_raw()).collect::<Vec<_>>());
    report["nice"] = json!(getpriority_process(None).ok());
    report["ioprio"] = json!(dhow_sys::ioprio::get().map(|(class, level)| [class, level]).ok());
    report["apparmor"] = text("/proc/self/attr/current");
    report
}

/// The short part, for hooks: what needs no /proc is there in any case.
pub(super) fn process() -> Value {
    json!({
        "pid": getpid().as_raw_nonzero().get(),
        "uid": getuid().as_raw(),
        "gid": getgid().as_raw(),
        "args": std::env::args().collect::<Vec<_>>(),
        "env": std::env::vars_os().map(|(name, value)| format!("{}={}", name.to_string_lossy(), value.to_string_lossy())).collect::<Vec<_>>(),
        "cwd": std::env::current_dir().map(|path| path.display().to_string()).ok(),
        "root": names("/"),
        "descriptors": links("/proc/self/fd"),
        "namespaces": links("/proc/self/ns"),
    })
}

fn text(path: &str) -> Value {
    fs::read_to_string(path).map_or(Value::Null, |text| json!(text.trim_end_matches(['\n', '\0'])))
}

/// Names in a folder.
fn names(path: &str) -> Value {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    json!(entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect::<Vec<_>>())
}

/// Links in a folder, by name. The descriptor that reads the folder is not among them.
fn links(path: &str) -> Value {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let names: Vec<_> = entries.map(|entry| entry.path()).collect();
    let pairs = names.iter().filter_map(|link| {
        let name = link.file_name()?.to_string_lossy().into_owned();
        Some((name, json!(fs::read_link(link).ok()?.display().to_string())))
    });
    Value::Object(pairs.collect::<Map<_, _>>())
}
