//! `create`: everything but the start.

use super::{Command, Context};
use crate::arguments::{Arguments, Flag, switch, value};
use crate::failure::Failure;
use crate::launch::{Start, launch};

pub(super) const COMMAND: Command = Command {
    name: "create",
    words: (1, 1),
    usage: "[options] <container-id>",
    help: "make a container; its program starts with `start`",
    flags: &[BUNDLE, CONSOLE_SOCKET, PID_FILE, NO_PIVOT, NO_NEW_KEYRING, PRESERVE_FDS],
    near: true,
    run,
};

pub(super) const BUNDLE: Flag = value("bundle", "b", "folder of the bundle (default: the current one)");
pub(super) const CONSOLE_SOCKET: Flag =
    value("console-socket", "", "listening unix socket that gets the terminal's master");
pub(super) const PID_FILE: Flag = value("pid-file", "", "file to write the process id to");
pub(super) const NO_PIVOT: Flag = switch("no-pivot", "", "move the root file system instead of pivot_root");
pub(super) const NO_NEW_KEYRING: Flag = switch("no-new-keyring", "", "keep the caller's session keyring");
pub(super) const PRESERVE_FDS: Flag =
    value("preserve-fds", "", "pass so many further descriptors, from 3 on (default: 0)");

fn run(context: &Context, arguments: &Arguments) -> Result<u8, Failure> {
    let launched = launch(context, arguments.first(), arguments, Start::Later)
        .map_err(|failure| failure.during("dhow-runtime create failed"))?;
    launched.process.leave();
    Ok(0)
}
