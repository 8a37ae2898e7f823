//! Hooks: programs that the specification has run around a container's life, each with the container's state on its stdin.
//!
//! | hook | when | by | a failure |
//! |---|---|---|---|
//! | `prestart`, `createRuntime` | namespaces and mounts are there, before `pivot_root` | [`crate::create`], outside | takes everything back |
//! | `createContainer` | after them | [`crate::create`]: a process of the container's namespaces, found outside | the same |
//! | `startContainer` | before execve | [`crate::Process::go`]: user, capabilities and filter of the container, found inside | the same |
//! | `poststart` | after execve | the caller, with [`run`] | the caller's: runc ends the container |
//! | `poststop` | after the container is gone, also after a failed [`crate::create`] | the caller, with [`run_all`] | a warning |
//!
//! Where a hook has no environment it gets the caller's (outside) or the container's (inside), as with runc.

use crate::{Error, step};
use dhow_oci::runtime as spec;
use dhow_sys::signals::spawn_with_defaults;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::fs::{MemfdFlags, SeekFrom, memfd_create, seek};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus};

/// What a hook, or who asks for a container's state, is told.
#[derive(Debug, Clone)]
pub struct State<'a> {
    /// Of the specification.
    pub oci_version: &'a str,
    /// The container's name.
    pub id: &'a str,
    /// `creating`, `created`, `running` or `stopped`.
    pub status: &'a str,
    /// Of the container's first process as the caller sees it; none when it is stopped.
    pub pid: Option<i32>,
    /// Absolute path of the bundle.
    pub bundle: &'a str,
    /// Those of the specification.
    pub annotations: &'a BTreeMap<String, String>,
}

impl State<'_> {
    /// As the specification has it (runtime.md, "State").
    #[must_use]
    pub fn json(&self) -> String {
        let Self { oci_version, id, status, pid, bundle, annotations } = self;
        head(*pid, status) + &rest(oci_version, id, bundle, annotations)
    }
}

/// How the JSON of a state begins: what changes.
fn head(pid: Option<i32>, status: &str) -> String {
    let pid = pid.map(|pid| format!("\"pid\":{pid},")).unwrap_or_default();
    format!("{{{pid}\"status\":\"{status}\"")
}

/// How it ends: what is known with the plan.
pub(crate) fn tail(spec: &spec::Spec, id: &str, bundle: &str) -> String {
    rest(&spec.oci_version, id, bundle, &spec.annotations)
}

fn rest(version: &str, id: &str, bundle: &str, annotations: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    for (name, value) in [("ociVersion", version), ("id", id), ("bundle", bundle)] {
        text.push(',');
        quote(&mut text, name);
        text.push(':');
        quote(&mut text, value);
    }
    for (at, (name, value)) in annotations.iter().enumerate() {
        text.push_str(if at == 0 { ",\"annotations\":{" } else { "," });
        quote(&mut text, name);
        text.push(':');
        quote(&mut text, value);
    }
    text.push_str(if annotations.is_empty() { "}" } else { "}}" });
    text
}

/// A JSON string.
fn quote(text: &mut String, value: &str) {
    text.push('"');
    for c in value.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            // Writing to a String cannot fail.
            '\0'..='\u{1f}' => write!(text, "\\u{:04x}", u32::from(c)).unwrap_or_default(),
            _ => text.push(c),
        }
    }
    text.push('"');
}

/// Runs the hooks of the stage `name` one after the other, outside of the container. Not for a process that collects
/// children it does not know.
///
/// # Errors
/// Of the first that cannot be run, ends with another code than 0 or runs past its timeout, with what it wrote.
pub fn run(name: &str, hooks: &[spec::Hook], state: &State<'_>) -> Result<(), Error> {
    let json = if hooks.is_empty() { String::new() } else { state.json() };
    hooks.iter().enumerate().try_for_each(|(at, hook)| from_spec(name, at, hook, state.bundle, &json))
}

/// As [`run`], but a failure does not keep the others from running: for `poststop`.
pub fn run_all(name: &str, hooks: &[spec::Hook], state: &State<'_>) -> Vec<Error> {
    let json = if hooks.is_empty() { String::new() } else { state.json() };
    let each = hooks.iter().enumerate();
    each.filter_map(|(at, hook)| from_spec(name, at, hook, state.bundle, &json).err()).collect()
}

fn from_spec(name: &str, at: usize, hook: &spec::Hook, bundle: &str, state: &str) -> Result<(), Error> {
    let mut command = Command::new(&hook.path);
    if let Some((first, rest)) = hook.args.split_first() {
        command.arg0(first).args(rest);
    }
    if !hook.env.is_empty() {
        command.env_clear();
        let pairs = hook.env.iter().filter_map(|entry| entry.split_once('='));
        command.envs(pairs);
    }
    if std::path::Path::new(bundle).is_dir() {
        command.current_dir(bundle);
    }
    let timeout = hook.timeout.and_then(|seconds| u32::try_from(seconds).ok());
    finish(command, timeout, state, format!("{name}[{at}] {}", hook.path))
}

/// The hooks of a plan that run outside.
pub(crate) fn outside(name: &str, hooks: &[step::Hook], pid: Pid, state: &str) -> Result<(), Error> {
    let json = head(Some(pid.as_raw_nonzero().get()), "creating") + state;
    for (at, hook) in hooks.iter().enumerate() {
        let word = |text: &'_ std::ffi::CString| OsStr::from_bytes(text.as_bytes()).to_owned();
        let mut command = Command::new(word(&hook.path));
        if let Some((first, rest)) = hook.args.split_first() {
            command.arg0(word(first)).args(rest.iter().map(word));
        }
        if !hook.env.is_empty() {
            command.env_clear();
            for entry in &hook.env {
                let bytes = entry.as_bytes();
                if let Some(equals) = bytes.iter().position(|&b| b == b'=') {
                    let (key, value) = bytes.split_at(equals);
                    command
                        .env(OsStr::from_bytes(key), OsStr::from_bytes(value.get(1..).unwrap_or_default()));
                }
            }
        }
        let object = format!("{name}[{at}] {}", hook.path.to_string_lossy());
        finish(command, hook.timeout, &json, object)?;
    }
    Ok(())
}

/// Runs one to its end. State and output are files in memory: nobody waits for a reader or a writer.
fn finish(mut command: Command, timeout: Option<u32>, state: &str, object: String) -> Result<(), Error> {
    const STEP: &str = "run hook";
    let failed = |error: std::io::Error| Error::io(STEP, &object, &error);
    let os = |errno: Errno| Error::os(STEP, &object, errno);
    let mut input = std::fs::File::from(memory().map_err(os)?);
    input.write_all(state.as_bytes()).map_err(failed)?;
    seek(&input, SeekFrom::Start(0)).map_err(os)?;
    let output = memory().map_err(os)?;
    let copy = || rustix::io::fcntl_dupfd_cloexec(&output, 3);
    command.stdin(input).stdout(copy().map_err(os)?).stderr(copy().map_err(os)?);
    let mut child = spawn_with_defaults(&mut command).map_err(failed)?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH).map_err(os)?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).map_err(os)?;
    let limit = timeout.map(|seconds| Timespec { tv_sec: i64::from(seconds), tv_nsec: 0 });
    let ended =
        retry_on_intr(|| poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], limit.as_ref())).map_err(os)?;
    if ended == 0 {
        child.kill().map_err(failed)?;
    }
    let status = child.wait().map_err(failed)?;
    let said = said(output);
    if ended == 0 {
        let seconds = timeout.unwrap_or_default();
        return Err(failure(object, format_args!("ran past its timeout of {seconds} s{said}")));
    }
    if status.success() { Ok(()) } else { Err(failure(object, format_args!("{}{said}", end(status)))) }
}

fn failure(object: String, detail: std::fmt::Arguments<'_>) -> Error {
    Error { step: "run hook".to_owned(), object, errno: 0, detail: detail.to_string() }
}

fn end(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, signal) => format!("ended by signal {}", signal.unwrap_or_default()),
    }
}

/// A file in memory, close-on-exec.
pub(crate) fn memory() -> rustix::io::Result<OwnedFd> {
    memfd_create(c"hook", MemfdFlags::CLOEXEC)
}

/// What a hook wrote, cut where a sentence ends to be one.
pub(crate) fn said(output: OwnedFd) -> String {
    const MOST: u64 = 4096;
    let mut bytes = Vec::new();
    let file = std::fs::File::from(output);
    // The output only explains a failure that is being reported.
    if seek(&file, SeekFrom::Start(0)).is_ok() {
        file.take(MOST).read_to_end(&mut bytes).unwrap_or_default();
    }
    let text = String::from_utf8_lossy(&bytes).trim().replace('\n', "; ");
    if text.is_empty() { text } else { format!(": {text}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_json() {
        let annotations = BTreeMap::from([("a\n".to_owned(), "\"b\"".to_owned())]);
        let state = State {
            oci_version: "1.2.0",
            id: "c",
            status: "stopped",
            pid: None,
            bundle: "/b",
            annotations: &annotations,
        };
        let json = r#"{"status":"stopped","ociVersion":"1.2.0","id":"c","bundle":"/b","annotations":{"a\u000a":"\"b\""}}"#;
        assert_eq!(state.json(), json);
        let with = State { pid: Some(7), annotations: &BTreeMap::new(), ..state }.json();
        assert_eq!(with, r#"{"pid":7,"status":"stopped","ociVersion":"1.2.0","id":"c","bundle":"/b"}"#);
    }

    #[test]
    fn a_hook_has_the_state_and_its_failure_says_why() {
        let annotations = BTreeMap::new();
        let state = State {
            oci_version: "1.2.0",
            id: "c",
            status: "running",
            pid: Some(1),
            bundle: "/",
            annotations: &annotations,
        };
        let hook = |script: &str, timeout| spec::Hook {
            path: "/bin/sh".to_owned(),
            args: ["sh", "-c", script].map(str::to_owned).to_vec(),
            env: vec!["A=b".to_owned()],
            timeout,
        };
        run("poststart", &[hook("grep -q '\"status\":\"running\"' && test $A = b", None)], &state).unwrap();
        let error = run("poststart", &[hook("echo no; exit 3", None)], &state).unwrap_err();
        assert_eq!(error.to_string(), "run hook poststart[0] /bin/sh: exit status 3: no");
        let error = run("poststart", &[hook("exec sleep 100", Some(1))], &state).unwrap_err();
        assert!(error.to_string().contains("ran past its timeout of 1 s"), "{error}");
        let errors = run_all("poststop", &[hook("exit 1", None), hook("kill -9 $$", None)], &state);
        assert_eq!(errors.len(), 2);
        assert!(errors[1].to_string().ends_with("ended by signal 9"), "{}", errors[1]);
    }
}
