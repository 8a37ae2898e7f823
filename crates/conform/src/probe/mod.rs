//! The program inside the containers. Its command line is a list of actions, one word each (`write /etc/x hello`); it does them
//! in order and answers each with one line: what it got, or the name of the error.

mod actions;
mod files;
mod hook;
mod report;

use std::{io, io::Write as _, process::ExitCode};

/// What an action answers.
type Answer = io::Result<String>;

/// Does the actions.
pub(crate) fn main(actions: &[String]) -> ExitCode {
    for action in actions {
        let words: Vec<&str> = action.split(' ').collect();
        if let ["exit", code] = words.as_slice() {
            return ExitCode::from(code.parse::<u8>().unwrap_or(255));
        }
        let line = match act(&words) {
            Ok(line) => line,
            Err(error) => name(&error),
        };
        let mut out = io::stdout().lock();
        if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
            return ExitCode::from(254);
        }
    }
    ExitCode::SUCCESS
}

fn act(words: &[&str]) -> Answer {
    match words {
        ["report"] => Ok(report::all().to_string()),
        ["hook", rest @ ..] => hook::note(rest),
        [
            "read" | "write" | "make" | "mkdir" | "list" | "stat" | "open" | "link" | "mknod" | "run"
            | "chmod" | "mount",
            ..,
        ] => files::act(words),
        _ => actions::act(words),
    }
}

/// The kernel's word for an error, as far as scenarios ask for it.
fn name(error: &io::Error) -> String {
    let names = [
        (1, "EPERM"),
        (2, "ENOENT"),
        (5, "EIO"),
        (6, "ENXIO"),
        (11, "EAGAIN"),
        (12, "ENOMEM"),
        (13, "EACCES"),
        (16, "EBUSY"),
        (17, "EEXIST"),
        (20, "ENOTDIR"),
        (21, "EISDIR"),
        (22, "EINVAL"),
        (28, "ENOSPC"),
        (30, "EROFS"),
        (38, "ENOSYS"),
        (40, "ELOOP"),
        (95, "EOPNOTSUPP"),
        (97, "EAFNOSUPPORT"),
    ];
    let code = error.raw_os_error();
    let known = names.iter().find(|(number, _)| Some(*number) == code);
    known.map_or_else(|| format!("error {error}"), |(_, name)| (*name).to_owned())
}
