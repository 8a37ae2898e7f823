//! `start`: the program of a created container runs.

use super::{Command, Context};
use crate::arguments::Arguments;
use crate::container::{Container, Status};
use crate::failure::Failure;
use dhow_runtime::door;

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
    match door::knock(&container.dir)? {
        Some(caller) => caller.go()?,
        None if container.status()? == Status::Stopped => {
            return Err(Failure::new("cannot start a container that has stopped"));
        }
        None => return Err(Failure::new("cannot start an already running container")),
    }
    Ok(0)
}
