//! `exec`: a further process in a running container.

use super::create::{CONSOLE_SOCKET, PID_FILE, PRESERVE_FDS};
use super::{Command, Context};
use crate::arguments::{Arguments, switch, value};
use crate::container::{Container, Status};
use crate::failure::Failure;
use crate::launch::pid_file;
use crate::relay::{Signals, until_end};
use crate::streams::{self, Terminal};
use dhow_oci::runtime::{Capabilities, Process, Spec, User};
use dhow_runtime::door::Apart;
use dhow_runtime::{exec_apart, plan_exec};
use std::path::Path;

pub(super) const COMMAND: Command = Command {
    name: "exec",
    words: (1, usize::MAX),
    usage: "[options] <container-id> <command> [words] || -p process.json <container-id>",
    help: "run a further process in a container",
    flags: &[
        CONSOLE_SOCKET,
        value("cwd", "", "working directory"),
        value("env", "e", "NAME=value, once for each variable"),
        switch("tty", "t", "give it a terminal"),
        value("user", "u", "uid[:gid]"),
        value("additional-gids", "g", "one more group, once for each"),
        value("process", "p", "file with the process as in config.json"),
        switch("detach", "d", "return when the program runs"),
        PID_FILE,
        value("process-label", "", "SELinux label"),
        value("apparmor", "", "AppArmor profile"),
        switch("no-new-privs", "", "it can gain no privileges"),
        value("cap", "c", "one more capability, once for each"),
        PRESERVE_FDS,
        switch("ignore-paused", "", "also in a paused container"),
    ],
    near: true,
    run,
};

/// What runc exits with when the process could not be started, so that it is not mistaken for the process's own code 1.
const NOT_STARTED: u8 = 255;

fn run(context: &Context, arguments: &Arguments) -> Result<u8, Failure> {
    start(context, arguments).map_err(|failure| failure.during("exec failed").code(NOT_STARTED))
}

fn start(context: &Context, arguments: &Arguments) -> Result<u8, Failure> {
    let container = Container::load(&context.root, arguments.first())?;
    match container.status()? {
        Status::Stopped => return Err(Failure::new("cannot exec in a stopped container")),
        Status::Paused if !arguments.is("ignore-paused") => {
            return Err(Failure::new("cannot exec in a paused container (use --ignore-paused to override)"));
        }
        _ => {}
    }
    let spec = container.spec()?;
    let mut process = wanted(&spec, arguments)?;
    let (preserve, listen) = streams::inherited(arguments)?;
    streams::announce(listen, &mut process.env);
    let detach = arguments.is("detach");
    let terminal = Terminal::choose(arguments, process.terminal, !detach)?;
    let mut plan = plan_exec(&spec, &process, &container.host()?)?;
    plan.identify(&container.record.id, &container.record.bundle);
    if container.record.keyring {
        plan = plan.in_keyring(&container.record.id)?;
    }
    let signals = if detach { None } else { Some(Signals::hold()?) };
    let unable = |failure: Failure| failure.during("unable to start container process");
    let pid = container.pid()?;
    let size = process.console_size.as_ref().map_or((0, 0), |size| (size.height, size.width));
    let mut child = exec_apart(&plan, pid, terminal.stdio(size), &Apart { door: None, preserve })
        .map_err(|error| unable(error.into()))?;
    // The number may have come to mean another process while it was being joined.
    if !container.record.process.alive() {
        return Err(Failure::new("cannot exec in a stopped container"));
    }
    let master = terminal.deliver(&mut child)?;
    pid_file(arguments, child.pid().as_raw_nonzero().get())?;
    child.go().map_err(|error| unable(error.into()))?;
    match signals {
        Some(signals) => until_end(&child, master, &signals),
        None => Ok(0),
    }
}

/// The process of `--process`, or the container's own with what was typed.
fn wanted(spec: &Spec, arguments: &Arguments) -> Result<Process, Failure> {
    if let Some(path) = arguments.text("process").filter(|path| !path.is_empty()) {
        let path = Path::new(path);
        let text = std::fs::read(path).map_err(|e| Failure::file("open", path, e))?;
        return serde_json::from_slice(&text).map_err(|e| Failure::file("read", path, e));
    }
    let words = arguments.rest.get(1..).unwrap_or_default();
    if words.is_empty() {
        return Err(Failure::new("process args cannot be empty"));
    }
    let mut process = spec.process.clone().unwrap_or_default();
    process.args = words.to_vec();
    process.terminal = arguments.is("tty");
    if let Some(folder) = arguments.text("cwd").filter(|folder| !folder.is_empty()) {
        process.cwd = folder.to_owned();
    }
    if let Some(profile) = arguments.text("apparmor").filter(|profile| !profile.is_empty()) {
        process.apparmor_profile = Some(profile.to_owned());
    }
    if let Some(label) = arguments.text("process-label").filter(|label| !label.is_empty()) {
        process.selinux_label = Some(label.to_owned());
    }
    if arguments.text("no-new-privs").is_some() {
        process.no_new_privileges = arguments.is("no-new-privs");
    }
    process.env.extend(arguments.all("env").map(str::to_owned));
    capabilities(&mut process, arguments.all("cap"));
    user(&mut process.user, arguments)?;
    Ok(process)
}

/// Not the inheritable set: a program without capabilities of its own must not get any (CVE-2022-29162).
fn capabilities<'a>(process: &mut Process, more: impl Iterator<Item = &'a str>) {
    for name in more {
        let sets = process.capabilities.get_or_insert_with(Capabilities::default);
        for set in [&mut sets.bounding, &mut sets.effective, &mut sets.permitted] {
            set.push(name.to_owned());
        }
    }
}

fn user(user: &mut User, arguments: &Arguments) -> Result<(), Failure> {
    let number = |text: &str, what: &str| {
        text.parse::<u32>().map_err(|_| Failure::new(format!("parsing {text} as int for {what} failed")))
    };
    if let Some(text) = arguments.text("user").filter(|text| !text.is_empty()) {
        let (uid, gid) = text.split_once(':').map_or((text, None), |(uid, gid)| (uid, Some(gid)));
        user.uid = number(uid, "uid")?;
        user.gid = gid.map_or(Ok(user.gid), |gid| number(gid, "gid"))?;
    }
    for text in arguments.all("additional-gids") {
        user.additional_gids.push(number(text, "gid")?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted_by(line: &str) -> Result<Process, Failure> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let spec: Spec = serde_json::from_str(
            r#"{"process":{"terminal":true,"cwd":"/","args":["a"],"env":["A=1"],"user":{"gid":9},"noNewPrivileges":true}}"#,
        )
        .unwrap();
        wanted(&spec, &Arguments::parse(&words, COMMAND.flags)?)
    }

    #[test]
    fn what_is_typed_changes_the_containers_process() {
        let process =
            wanted_by("-u 5:6 -g 7 -e B=2 --cwd /x --cap CAP_KILL --no-new-privs=false id sh -c x").unwrap();
        assert_eq!(process.args, ["sh", "-c", "x"]);
        assert_eq!((process.user.uid, process.user.gid), (5, 6));
        assert_eq!(process.user.additional_gids, [7]);
        assert_eq!(process.env, ["A=1", "B=2"]);
        assert!(!process.terminal && !process.no_new_privileges && process.cwd == "/x");
        let sets = process.capabilities.unwrap();
        assert_eq!((sets.bounding.len(), sets.inheritable.len(), sets.ambient.len()), (1, 0, 0));
        let kept = wanted_by("-u 3 id true").unwrap();
        assert_eq!((kept.user.uid, kept.user.gid, kept.no_new_privileges), (3, 9, true));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        assert_eq!(wanted_by("id").unwrap_err().message, "process args cannot be empty");
        assert!(wanted_by("-u root id true").is_err());
        assert!(wanted_by("-p /nonexistent id").is_err());
    }
}
