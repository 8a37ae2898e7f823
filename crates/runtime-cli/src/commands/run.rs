//! `run`: create and start in one; in the foreground it stays until the end and takes everything away.

use super::create::{BUNDLE, CONSOLE_SOCKET, NO_NEW_KEYRING, NO_PIVOT, PID_FILE, PRESERVE_FDS};
use super::{Command, Context, delete, start};
use crate::arguments::{Arguments, switch};
use crate::failure::Failure;
use crate::launch::{Launched, Start, launch};
use crate::relay::{Signals, until_end};

pub(super) const COMMAND: Command = Command {
    name: "run",
    words: (1, 1),
    usage: "[options] <container-id>",
    help: "make a container and run its program",
    flags: &[
        BUNDLE,
        CONSOLE_SOCKET,
        switch("detach", "d", "return when the program runs"),
        switch("keep", "", "do not delete the container when it has ended"),
        PID_FILE,
        switch("no-subreaper", "", "accepted, without effect: there is never one"),
        NO_PIVOT,
        NO_NEW_KEYRING,
        PRESERVE_FDS,
    ],
    near: true,
    run,
};

fn run(context: &Context, arguments: &Arguments) -> Result<u8, Failure> {
    let failed = |failure: Failure| failure.during("dhow-runtime run failed");
    let detach = arguments.is("detach");
    let when = if detach { Start::NowAndLeave } else { Start::NowAndStay };
    let signals = if detach { None } else { Some(Signals::hold().map_err(failed)?) };
    let Launched { container, mut process, master } =
        launch(context, arguments.first(), arguments, when).map_err(failed)?;
    if let Err(error) = process.go() {
        // The process and its cgroups are gone; the folder is still there.
        delete::remove(context, &container).map_err(failed)?;
        return Err(failed(error.into()));
    }
    start::started(context, &container).map_err(failed)?;
    let Some(signals) = signals else { return Ok(0) };
    let code = until_end(&process, master, &signals).map_err(failed)?;
    if !arguments.is("keep") {
        delete::remove(context, &container).map_err(failed)?;
    }
    Ok(code)
}
