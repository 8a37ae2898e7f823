//! Where failures are told: the log that the caller named, one line each, as engines parse runc's; and stderr.

use crate::clock;
use crate::failure::Failure;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

/// The log of this call.
#[derive(Debug, Default, Clone)]
pub(crate) struct Log {
    /// None: stderr.
    pub(crate) file: Option<PathBuf>,
    pub(crate) json: bool,
}

impl Log {
    /// One line.
    fn line(&self, level: &str, message: &str) -> String {
        let time = clock::seconds(clock::now());
        if self.json {
            let quoted = serde_json::Value::from(message);
            return format!("{{\"level\":\"{level}\",\"msg\":{quoted},\"time\":\"{time}\"}}\n");
        }
        format!("time=\"{time}\" level={level} msg={message:?}\n")
    }

    /// Appends a line, to stderr if the log cannot be written.
    pub(crate) fn write(&self, level: &str, message: &str) {
        let line = self.line(level, message);
        let written = match &self.file {
            None => Err(None),
            Some(path) => OpenOptions::new()
                .append(true)
                .create(true)
                .open(path)
                .and_then(|mut file| file.write_all(line.as_bytes()))
                .map_err(Some),
        };
        let Err(reason) = written else { return };
        let complaint = match (reason, &self.file) {
            (Some(error), Some(path)) => format!("cannot write the log {}: {error}\n{line}", path.display()),
            _ => line,
        };
        // Nobody is left to tell.
        drop(std::io::stderr().write_all(complaint.as_bytes()));
    }

    /// Tells why the command failed: in the log, and on stderr if that is not the log.
    pub(crate) fn failed(&self, failure: &Failure) {
        self.write("error", &failure.message);
        if self.file.is_some() {
            // Nobody is left to tell.
            drop(std::io::stderr().write_all(format!("{}\n", failure.message).as_bytes()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_engines_parse() {
        let log = Log { file: None, json: true };
        let line = log.line("error", "exec: \"x\": no\nsuch");
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["level"], "error");
        assert_eq!(read["msg"], "exec: \"x\": no\nsuch");
        assert!(read["time"].as_str().unwrap().ends_with('Z'));
        assert!(Log::default().line("error", "a \"b\"").ends_with(" level=error msg=\"a \\\"b\\\"\"\n"));
    }
}
