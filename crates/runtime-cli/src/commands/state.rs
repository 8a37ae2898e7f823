//! `state`: what the container is, as JSON.

use super::{Command, Context, print};
use crate::arguments::Arguments;
use crate::container::Container;
use crate::failure::Failure;

pub(super) const COMMAND: Command = Command {
    name: "state",
    words: (1, 1),
    usage: "<container-id>",
    help: "print the state of a container",
    flags: &[],
    near: false,
    run,
};

fn run(context: &Context, arguments: &Arguments) -> Result<u8, Failure> {
    let container = Container::load(&context.root, arguments.first())?;
    let state = container.state(String::new())?;
    let text =
        serde_json::to_string_pretty(&state).map_err(|e| Failure::new(format!("encode state: {e}")))?;
    print(&text)?;
    Ok(0)
}
