//! `delete`: takes away what is left of a container.

use super::{Command, Context};
use crate::arguments::{Arguments, switch};
use crate::container::{Container, Status, check_id};
use crate::failure::Failure;
use crate::hooks;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

pub(super) const COMMAND: Command = Command {
    name: "delete",
    words: (1, 1),
    usage: "[options] <container-id>",
    help: "take away what is left of a container",
    flags: &[switch("force", "f", "kill it first if it runs")],
    near: false,
    run,
};

const KILL: i32 = 9;
/// For a killed process to end.
const PATIENCE: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

fn run(context: &Context, arguments: &Arguments) -> Result<u8, Failure> {
    let (id, force) = (arguments.first(), arguments.is("force"));
    check_id(id)?;
    let Some((container, _lock)) = Container::lock(&context.root, id)? else {
        // An aborted create leaves a folder without a state; whoever makes one now holds its lock.
        let dir = context.root.join(id);
        match std::fs::remove_dir_all(&dir) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(Failure::file("remove", &dir, e));
            }
            _ if force => return Ok(0),
            _ => return Err(Failure::new("container does not exist")),
        }
    };
    match container.status()? {
        Status::Stopped => {}
        Status::Created => kill(&container)?,
        _ if force => kill(&container)?,
        status => {
            let word = status.word();
            return Err(Failure::new(format!("cannot delete container {id} that is not stopped: {word}")));
        }
    }
    remove(context, &container)?;
    Ok(0)
}

/// Kills the first process and waits for its end.
pub(super) fn kill(container: &Container) -> Result<(), Failure> {
    let process = container.record.process;
    let Some(pidfd) = process.open()? else { return Ok(()) };
    process.signal(KILL)?;
    // What is frozen does not end.
    if dhow_runtime::frozen(&container.record.cgroups)? {
        dhow_runtime::freeze(&container.record.cgroups, false)?;
    }
    let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
    match rustix::io::retry_on_intr(|| poll(&mut fds, Some(&PATIENCE))) {
        Ok(0) => {
            Err(Failure::new(format!("container {} is still running after SIGKILL", container.record.id)))
        }
        Ok(_) => Ok(()),
        Err(e) => Err(Failure::new(format!("wait for process {}: {e}", process.pid))),
    }
}

/// Cgroups and folder, then the hooks of the end.
pub(super) fn remove(context: &Context, container: &Container) -> Result<(), Failure> {
    container.destroy()?;
    hooks::poststop(context, container);
    Ok(())
}
