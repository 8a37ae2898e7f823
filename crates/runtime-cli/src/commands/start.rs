//! `start`: the program of a created container runs.

use super::{Command, Context, delete};
use crate::arguments::Arguments;
use crate::container::{Container, Status};
use crate::failure::Failure;
use crate::hooks;
use dhow_runtime::door::{self, Caller};
use rustix::io::Errno;

pub(super) const COMMAND: Command = Command {
    name: "start",
    words: (1, 1),
    usage: "<container-id>",
    help: "run the program of a created container",
    flags: &[],
    near: false,
    run,
};

fn run(context: &Context, arguments: &Arguments) -> Result<u8, Failure> {
    let container = Container::load(&context.root, arguments.first())?;
    let waits = match door::knock(&container.dir)? {
        Some(caller) => go(caller, &container)?,
        None => false,
    };
    if !waits {
        return Err(Failure::new(match container.status()? {
            Status::Stopped => "cannot start a container that has stopped",
            _ => "cannot start an already running container",
        }));
    }
    started(context, &container)?;
    Ok(0)
}

/// False: another caller was faster, and the door closed behind it.
fn go(caller: Caller, container: &Container) -> Result<bool, Failure> {
    match caller.go(container.pid()?, container.agent()?.as_ref()) {
        Ok(()) => Ok(true),
        Err(e) if [Errno::CONNRESET, Errno::PIPE].iter().any(|gone| gone.raw_os_error() == e.errno) => {
            Ok(false)
        }
        Err(e) => Err(e.into()),
    }
}

/// What follows when the program runs. A hook that fails ends the container and takes it away.
pub(super) fn started(context: &Context, container: &Container) -> Result<(), Failure> {
    let Err(failure) = hooks::poststart(container) else { return Ok(()) };
    delete::kill(container)?;
    delete::remove(context, container)?;
    Err(failure)
}
