//! Making a container: what `create` and `run` share.

use crate::arguments::Arguments;
use crate::bundle::Bundle;
use crate::clock;
use crate::commands::Context;
use crate::container::{Claim, Container, Record, check_id, host, write_new};
use crate::failure::Failure;
use crate::hooks;
use crate::identity::Identity;
use crate::streams::{self, Terminal};
use dhow_runtime::door::{self, Agent, Apart};
use dhow_runtime::{Options, Plan, Process, create_apart, plan};
use rustix::fd::{AsFd, OwnedFd};
use std::path::Path;

/// A container whose process waits for "go".
#[derive(Debug)]
pub(crate) struct Launched {
    pub(crate) container: Container,
    pub(crate) process: Process,
    /// The terminal's master, if it is ours.
    pub(crate) master: Option<OwnedFd>,
}

/// Who says "go".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// Another call, through the door.
    Later,
    /// This one; it leaves the process alone then.
    NowAndLeave,
    /// This one, which stays with the process.
    NowAndStay,
}

/// Makes the container `id` as `arguments` say; nothing is left if it fails.
pub(crate) fn launch(
    context: &Context,
    id: &str,
    arguments: &Arguments,
    start: Start,
) -> Result<Launched, Failure> {
    check_id(id)?;
    let mut bundle = Bundle::read(arguments.text("bundle"), id, context.systemd)?;
    let (preserve, listen) = streams::inherited(arguments)?;
    let mut size = (0, 0);
    let mut wants_terminal = false;
    if let Some(process) = &mut bundle.spec.process {
        streams::announce(listen, &mut process.env);
        wants_terminal = process.terminal;
        size = process.console_size.as_ref().map_or((0, 0), |size| (size.height, size.width));
    }
    let terminal = Terminal::choose(arguments, wants_terminal, start == Start::NowAndStay)?;
    let claim = Claim::new(&context.root, id)?;
    let options = Options {
        make_cwd: true,
        id: id.to_owned(),
        bundle: bundle.path.to_string_lossy().into_owned(),
        no_pivot: arguments.is("no-pivot"),
        keyring: !arguments.is("no-new-keyring"),
        ..Options::default()
    };
    let mut plan = plan(&bundle.spec, &options, &host(context.systemd)?)?;
    plan.identify(id, &bundle.path);
    for warning in plan.warnings() {
        context.log.write("warning", warning);
    }
    let door = if start == Start::Later { Some(door::listen(&claim.dir)?) } else { None };
    let apart = Apart { door: door.as_ref().map(AsFd::as_fd), preserve };
    let stdio = terminal.stdio(size);
    let made = create_apart(&plan, stdio, &apart)
        .map_err(|error| Failure::from(error).during("unable to start container process"))
        .and_then(|process| keep(context, arguments, claim, &bundle, &plan, &terminal, process));
    if made.is_err() {
        // The life of a container that has begun ends with these, however it ends.
        hooks::poststop_of(context, id, &bundle);
    }
    made
}

/// Everything about a process that is there: nothing is forgotten before, nothing can fail after.
fn keep(
    context: &Context,
    arguments: &Arguments,
    claim: Claim,
    bundle: &Bundle,
    plan: &Plan,
    terminal: &Terminal,
    mut process: Process,
) -> Result<Launched, Failure> {
    let hooks = bundle.spec.hooks.clone().unwrap_or_default();
    let record = Record {
        id: bundle.id.clone(),
        process: Identity::of(process.pid())?,
        bundle: bundle.path.clone(),
        rootfs: bundle.rootfs(),
        created: clock::nanoseconds(clock::now()),
        annotations: bundle.spec.annotations.clone(),
        cgroups: plan.cgroup_dirs().to_vec(),
        systemd: context.systemd,
        keyring: !arguments.is("no-new-keyring"),
        poststart: hooks.poststart,
        poststop: hooks.poststop,
    };
    let master = terminal.deliver(&mut process)?;
    pid_file(arguments, record.process.pid)?;
    let agent = Agent::of(plan).map(|agent| agent.encode());
    let container = claim.record(record, &bundle.text, agent.as_deref())?;
    Ok(Launched { container, process, master })
}

/// Writes `--pid-file`, whole or not at all.
pub(crate) fn pid_file(arguments: &Arguments, pid: i32) -> Result<(), Failure> {
    match arguments.text("pid-file").filter(|path| !path.is_empty()) {
        Some(path) => write_new(Path::new(path), pid.to_string().as_bytes()),
        None => Ok(()),
    }
}
