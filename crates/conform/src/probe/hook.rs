//! The probe as a hook: it notes in a file, one line each time, who it was and what it was told.

use super::{Answer, report};
use serde_json::json;
use std::{
    fs::OpenOptions,
    io::{self, Read as _, Write as _},
};

/// `hook FILE NAME [exit CODE | sleep SECONDS]`: appends a line of JSON to the file.
pub(super) fn note(words: &[&str]) -> Answer {
    let [file, name, rest @ ..] = words else {
        return Err(io::Error::other("hook FILE NAME"));
    };
    let mut told = String::new();
    io::stdin().read_to_string(&mut told)?;
    let state: serde_json::Value = serde_json::from_str(&told).unwrap_or_default();
    let line = json!({"hook": name, "state": state, "seen": report::process()});
    let mut log = OpenOptions::new().append(true).create(true).open(file)?;
    writeln!(log, "{line}")?;
    match rest {
        ["exit", code] => std::process::exit(code.parse().unwrap_or(1)),
        ["sleep", seconds] => {
            std::thread::sleep(std::time::Duration::from_secs(seconds.parse().unwrap_or(0)));
            Ok(String::new())
        }
        _ => Ok(String::new()),
    }
}
