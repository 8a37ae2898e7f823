//! `GET /containers/{}/logs`.

use crate::{
    body::Body,
    call::Call,
    failure::Failure,
    hijack,
    reply::{Reply, stream},
    show,
};
use dhow_engine::containers::{LogQuery, Status, WaitCondition};
use dhow_wire::{frames, time};
use futures_util::StreamExt;
use std::time::Duration;

/// With dockerd, whose start takes as long, a short program that was just started has written everything when its log is asked for, and
/// clients rely on that. Ends when the container does.
const FRESH: Duration = Duration::from_millis(200);

async fn settle(call: &Call) -> Result<(), Failure> {
    let containers = call.app.engine.containers();
    let view = containers.view(call.name())?;
    let age = u64::try_from(show::now() - view.started.0).map_or(Duration::ZERO, Duration::from_nanos);
    if view.status != Status::Running || age >= FRESH {
        return Ok(());
    }
    let ended = containers.wait(&view.id, WaitCondition::NotRunning).await?;
    // One that runs on is old enough then.
    drop(tokio::time::timeout(FRESH - age, ended).await);
    Ok(())
}

pub(crate) async fn logs(call: Call) -> Reply {
    let query = &call.query;
    let now = show::now();
    let wanted = LogQuery {
        follow: query.flag("follow"),
        stdout: query.flag("stdout"),
        stderr: query.flag("stderr"),
        since: time::query(query.text("since"), now)?,
        until: time::query(query.text("until"), now)?,
        timestamps: query.flag("timestamps"),
        tail: match query.text("tail") {
            "" | "all" => None,
            // As docker: what is no number shows everything.
            text => text.parse().ok(),
        },
        details: query.flag("details"),
    };
    if !wanted.stdout && !wanted.stderr {
        return Err(Failure::bad("Bad parameters: you must choose at least one stream"));
    }
    let containers = call.app.engine.containers();
    let tty = containers.view(call.name())?.spec.tty;
    if !wanted.follow {
        settle(&call).await?;
    }
    let mut output = containers.logs(call.name(), wanted).await?;
    let pieces = futures_util::stream::poll_fn(move |context| output.poll_recv(context)).map(move |piece| {
        piece.map(|piece| if tty { piece.data } else { frames::encode(piece.stream, &piece.data).into() })
    });
    stream(hijack::content_type(call.version, tty), Body::stream(pieces))
}
