//! `pause` and `resume`: the freezer of a container's cgroups.

use super::{Command, Context};
use crate::arguments::Arguments;
use crate::container::{Container, Status};
use crate::failure::Failure;

pub(super) const PAUSE: Command = Command {
    name: "pause",
    words: (1, 1),
    usage: "<container-id>",
    help: "suspend all processes of a container",
    flags: &[],
    near: false,
    run: |context, arguments| set(context, arguments, true),
};

pub(super) const RESUME: Command = Command {
    name: "resume",
    words: (1, 1),
    usage: "<container-id>",
    help: "let the processes of a paused container go on",
    flags: &[],
    near: false,
    run: |context, arguments| set(context, arguments, false),
};

fn set(context: &Context, arguments: &Arguments, frozen: bool) -> Result<u8, Failure> {
    let container = Container::load(&context.root, arguments.first())?;
    match (container.status()?, frozen) {
        (Status::Running | Status::Created, true) | (Status::Paused, false) => {
            dhow_runtime::freeze(&container.record.cgroups, frozen)?;
            Ok(0)
        }
        (_, true) => Err(Failure::new("container not running")),
        (_, false) => Err(Failure::new("container not paused")),
    }
}
