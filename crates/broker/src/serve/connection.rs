//! One connection: requests in, answers out in the same order.
//!
//! What a producer sends is written as it comes, and answered when it is on disk: while one batch waits for the disk the next is
//! read. Every other request waits for the answers before it.

use super::{
    dispatch,
    frames::{Ended, Frames},
    reply::Reply,
};
use crate::{
    api::{self, Call, produce::Produced},
    broker::Broker,
    listen::Endpoint,
};
use dhow_kafka::{Key, header::RequestHeader};
use std::{collections::VecDeque, future::poll_fn, net::SocketAddr, pin::pin, sync::Arc};
use tokio::net::TcpStream;

/// Kafka's `socket.request.max.bytes`.
const MOST: usize = 100 * 1024 * 1024;
/// Produce requests of one connection that wait for the disk.
const PIPELINED: usize = 64;

/// A produce request that is written, and how it is to be answered.
struct Pending {
    produced: Produced,
    version: i16,
    correlation: i32,
}

/// Serves until the client goes or sends what is no request.
pub(super) async fn run(broker: &Arc<Broker>, stream: &TcpStream, peer: SocketAddr, at: Endpoint) -> Ended {
    let mut frames = Frames::new(MOST);
    let mut pending = VecDeque::new();
    loop {
        if let Err(ended) = one(broker, stream, peer, &at, &mut frames, &mut pending).await {
            return ended;
        }
    }
}

/// The next thing that happens: an answer is ready, or a request is there.
async fn one(
    broker: &Arc<Broker>,
    stream: &TcpStream,
    peer: SocketAddr,
    at: &Endpoint,
    frames: &mut Frames,
    pending: &mut VecDeque<Pending>,
) -> Result<(), Ended> {
    let full = pending.len() >= PIPELINED;
    let frame = match pending.front_mut() {
        None => frames.next(stream).await?,
        Some(first) => tokio::select! {
            biased;
            () = first.produced.ready() => return answer_first(stream, pending).await,
            frame = frames.next(stream), if !full => frame?,
        },
    };
    let bytes = &mut frames.bytes()[frame];
    let (header, body) = RequestHeader::read(bytes)
        .map_err(|why| Ended::Garbage(format!("a request's header is broken: {why}")))?;
    let key = dispatch::check(&header)?;
    let front = bytes.len() - body.len();
    let call = Call {
        broker,
        at,
        peer,
        client: header.client.as_deref().unwrap_or_default(),
        version: header.version,
    };
    if key == Key::Produce && header.version >= api::produce::FIRST {
        let produced = api::produce::produce(&call, &mut bytes[front..])
            .await
            .map_err(|why| dispatch::broken(&header, &why))?;
        if let Some(produced) = produced {
            pending.push_back(Pending { produced, version: header.version, correlation: header.correlation });
        }
        return Ok(());
    }
    while !pending.is_empty() {
        answer_first(stream, pending).await?;
    }
    let body = &bytes[front..];
    let reply = unless_gone(stream, dispatch::answer(&call, key, &header, body)).await??;
    reply.send(stream).await?;
    Ok(())
}

async fn answer_first(stream: &TcpStream, pending: &mut VecDeque<Pending>) -> Result<(), Ended> {
    let Some(Pending { produced, version, correlation }) = pending.pop_front() else { return Ok(()) };
    let response = produced.response().await;
    Reply::new((Key::Produce, version, correlation), &response, Vec::new()).send(stream).await?;
    Ok(())
}

/// Gives an answer up that nobody is there for any more: a long poll must not outlive its client.
async fn unless_gone<T>(stream: &TcpStream, answer: impl Future<Output = T>) -> Result<T, Ended> {
    let mut answer = pin!(answer);
    // most answers are there at once
    if let std::task::Poll::Ready(done) =
        poll_fn(|context| std::task::Poll::Ready(answer.as_mut().poll(context))).await
    {
        return Ok(done);
    }
    let mut byte = [0];
    tokio::select! {
        biased;
        done = &mut answer => return Ok(done),
        seen = stream.peek(&mut byte) => if seen? == 0 {
            return Err(Ended::Closed);
        }
    }
    // the next request is there already: whether the client goes after it, is seen when that is read
    Ok(answer.await)
}
