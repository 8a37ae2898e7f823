//! `GET /containers/{}/logs`.

use crate::{
    body::Body,
    call::Call,
    failure::Failure,
    hijack,
    reply::{Reply, stream},
    show,
};
use dhow_engine::containers::LogQuery;
use dhow_wire::{frames, time};
use futures_util::StreamExt;

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
    let mut output = containers.logs(call.name(), wanted).await?;
    let pieces = futures_util::stream::poll_fn(move |context| output.poll_recv(context)).map(move |piece| {
        piece.map(|piece| if tty { piece.data } else { frames::encode(piece.stream, &piece.data).into() })
    });
    stream(hijack::content_type(call.version, tty), Body::stream(pieces))
}
