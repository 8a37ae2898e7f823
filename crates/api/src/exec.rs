//! Execs: made, looked at, resized. Their streams are in `hijack`.

use crate::{
    call::Call,
    containers,
    failure::Failure,
    reply::{Reply, created, empty, json},
};
use dhow_engine::exec::Create;
use dhow_wire::{detach, object::Object, record::Record};
use http::StatusCode;

pub(crate) async fn create(mut call: Call) -> Reply {
    let body = call.json().await?;
    let body = Object::new(&body)?;
    let cmd = body.texts("Cmd")?;
    if cmd.is_empty() {
        return Err(Failure::bad("No exec command specified"));
    }
    let detach_keys = body.text("DetachKeys")?;
    detach::parse(&detach_keys)?;
    let create = Create {
        attach: (body.flag("AttachStdin")?, body.flag("AttachStdout")?, body.flag("AttachStderr")?),
        tty: body.flag("Tty")?,
        env: body.texts("Env")?,
        cmd,
        user: body.text("User")?,
        working_dir: body.text("WorkingDir")?,
        privileged: body.flag("Privileged")?,
        detach_keys,
        console_size: console(&body),
    };
    let id = call.app.engine.execs().create(call.name(), create).await?;
    created(Record::new().put("Id", id).end())
}

/// `ConsoleSize: [rows, columns]`.
pub(crate) fn console(body: &Object<'_>) -> (u16, u16) {
    let side = |index: usize| {
        let sizes = body.value("ConsoleSize").and_then(serde_json::Value::as_array);
        sizes.and_then(|sizes| u16::try_from(sizes.get(index)?.as_u64()?).ok()).unwrap_or(0)
    };
    (side(0), side(1))
}

pub(crate) async fn resize(call: Call) -> Reply {
    let (rows, cols) = containers::size(&call)?;
    call.app.engine.execs().resize(call.name(), rows, cols).await?;
    empty(StatusCode::OK)
}

pub(crate) async fn inspect(call: Call) -> Reply {
    let view = call.app.engine.execs().view(call.name())?;
    let wanted = &view.create;
    let process = Record::new()
        .put("tty", wanted.tty)
        .put("entrypoint", wanted.cmd.first())
        .put("arguments", wanted.cmd.get(1..).unwrap_or(&[]))
        .put("privileged", wanted.privileged)
        .some("user", Some(&wanted.user).filter(|user| !user.is_empty()));
    let (stdin, stdout, stderr) = wanted.attach;
    // Before docker 27 a program that was not found was no other than one that may not be executed.
    let old = view.failed && !call.version.since(46);
    json(
        Record::new()
            .put("ID", &view.id)
            .put("Running", view.running)
            .put("ExitCode", if old { Some(126) } else { view.exit_code })
            .put("ProcessConfig", process.end())
            .put("OpenStdin", stdin)
            .put("OpenStderr", stderr)
            .put("OpenStdout", stdout)
            .put("CanRemove", false)
            .put("ContainerID", &view.container)
            .put("DetachKeys", &wanted.detach_keys)
            .put("Pid", view.pid)
            .end(),
    )
}
