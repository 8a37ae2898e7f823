//! `spec`: a specification to begin with.

use super::{Command, Context};
use crate::arguments::{Arguments, switch, value};
use crate::failure::Failure;
use std::io::{ErrorKind, Write};
use std::path::Path;

pub(super) const COMMAND: Command = Command {
    name: "spec",
    words: (0, 0),
    usage: "[options]",
    help: "write a specification to begin with, config.json",
    flags: &[
        value("bundle", "b", "folder to write it to (default: the current one)"),
        switch("rootless", "", "for a container of a user without rights"),
    ],
    near: false,
    run,
};

const TEMPLATE: &str = include_str!("../config.json");
const ROOTLESS: &str = include_str!("../config-rootless.json");

fn run(_context: &Context, arguments: &Arguments) -> Result<u8, Failure> {
    let path = Path::new(arguments.text("bundle").unwrap_or_default()).join("config.json");
    let text = if arguments.is("rootless") {
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        rootless(uid, gid)
    } else {
        TEMPLATE.to_owned()
    };
    let file = std::fs::OpenOptions::new().write(true).create_new(true).open(&path);
    match file.and_then(|mut file| file.write_all(text.trim_end().as_bytes())) {
        Ok(()) => Ok(0),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {
            Err(Failure::new("File config.json exists. Remove it first"))
        }
        Err(e) => Err(Failure::file("write", &path, e)),
    }
}

/// The caller's numbers in the place of user and group.
fn rootless(uid: u32, gid: u32) -> String {
    ROOTLESS.replace("\"@uid\"", &uid.to_string()).replace("\"@gid\"", &gid.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use dhow_oci::runtime::Spec;

    #[test]
    fn both_can_be_read() {
        let spec: Spec = serde_json::from_str(TEMPLATE).unwrap();
        assert_eq!(spec.process.unwrap().args, ["sh"]);
        let spec: Spec = serde_json::from_str(&rootless(1000, 100)).unwrap();
        let linux = spec.linux.unwrap();
        assert_eq!((linux.uid_mappings[0].host_id, linux.gid_mappings[0].host_id), (1000, 100));
    }
}
