//! `POST /build`: a context comes in, words (or records) go out, and a client that goes away ends it.

mod request;
mod words;

use crate::{
    body::Body,
    call::Call,
    failure::{self, Failure},
    reply::{Reply, json, stream},
    transfer,
};
use bytes::Bytes;
use dhow_build::{Progress, Request};
use dhow_wire::{messages, record::Record};
use serde_json::Value;
use std::{path::PathBuf, sync::Arc};
use tokio::sync::mpsc;
use words::Words;

/// Names what the answer should be: `1` for records instead of words.
const RECORDS: &str = "x-dhow-progress";

pub(crate) async fn build(call: Call) -> Reply {
    let mut request = request::read(&call)?;
    let words = Words::new(call.header(RECORDS) == "1", call.query.flag("q"));
    let app = Arc::clone(&call.app);
    let context = Context(app.builder.unpack_context(call.upload()).await?);
    request.context.clone_from(&context.0);
    let (progress, seen) = mpsc::channel(256);
    let tags: Vec<String> = request.tags.iter().map(dhow_engine::oci::Reference::familiar).collect();
    let work = async move {
        let built = run(&app.builder, request, progress).await;
        drop(context);
        built
    };
    relay(work, seen, words, tags).await
}

async fn run(
    builder: &dhow_build::Builder,
    request: Request,
    progress: mpsc::Sender<Progress>,
) -> dhow_engine::Result<String> {
    builder.build(request, progress).await.map(|id| id.to_string())
}

/// The unpacked context: gone with the build, however it ends.
struct Context(PathBuf);

impl Drop for Context {
    fn drop(&mut self) {
        let path = std::mem::take(&mut self.0);
        // What cannot be removed now is removed when the data root is opened next: it lies in `tmp/`.
        tokio::task::spawn_blocking(move || {
            if let Err(error) = std::fs::remove_dir_all(&path) {
                tracing::debug!(%error, path = %path.display(), "cannot remove a build context");
            }
        });
    }
}

/// Runs the build and tells what happens. A failure before anything happened (a bad Dockerfile) is a status of its own.
async fn relay(
    work: impl Future<Output = dhow_engine::Result<String>> + Send + 'static,
    mut seen: mpsc::Receiver<Progress>,
    mut words: Words,
    tags: Vec<String>,
) -> Reply {
    let mut work = Box::pin(work);
    let (first, mut ended) = transfer::opening(&mut work, &mut seen).await?;
    let (sender, receiver) = mpsc::channel(64);
    tokio::spawn(async move {
        let mut next = first;
        loop {
            if let Some(progress) = next.take() {
                for message in words.tell(progress) {
                    if sender.send(encode(&message)).await.is_err() {
                        return;
                    }
                }
            }
            tokio::select! {
                biased;
                // Dropping the work kills the running steps.
                () = sender.closed() => return,
                progress = seen.recv() => match progress {
                    Some(progress) => next = Some(progress),
                    None => break,
                },
                result = &mut work, if ended.is_none() => ended = Some(result),
            }
        }
        let result = match ended {
            Some(result) => result,
            None => tokio::select! {
                () = sender.closed() => return,
                result = &mut work => result,
            },
        };
        for message in words.end(result, &tags) {
            if sender.send(encode(&message)).await.is_err() {
                return;
            }
        }
    });
    stream("application/json", Body::pieces(receiver))
}

fn encode(message: &Value) -> Bytes {
    messages::encode(message).into()
}

pub(crate) async fn prune(call: Call) -> Reply {
    let filters = call.filters()?;
    if let Some(key) = filters.0.keys().find(|key| !key.is_empty()) {
        let text = format!("the filter {key:?} is not supported when the build cache is pruned");
        return Err(Failure::new(failure::status(dhow_engine::Kind::Unsupported), text));
    }
    let (deleted, space) = call.app.builder.prune(call.query.flag("all")).await?;
    let deleted = dhow_wire::record::filled(&deleted);
    json(Record::new().put("CachesDeleted", deleted).put("SpaceReclaimed", space).end())
}
