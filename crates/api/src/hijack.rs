//! Attach and exec: the connection stops being HTTP and carries the process's streams.
//!
//! A client that asks for an upgrade gets `101 UPGRADED`; one that does not (old clients, plain HTTP libraries) gets a 200 whose body
//! is the raw stream until the connection closes, and its own request body is the input.

use crate::{
    body::Body,
    call::{Call, upload},
    exec,
    failure::Failure,
    peer,
    reply::{Reply, empty},
};
use bytes::{Bytes, BytesMut};
use dhow_engine::{
    Kind,
    containers::{Attach, Duplex},
};
use dhow_wire::{
    detach::{self, Typed, Watch},
    frames,
    object::Object,
    version::ApiVersion,
};
use futures_util::future::{BoxFuture, FutureExt as _};
use http::{HeaderValue, Response, StatusCode, Version, header};
use hyper::{Request, body::Incoming, ext::ReasonPhrase, upgrade::Upgraded};
use hyper_util::rt::TokioIo;
use std::io;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::mpsc,
};

const CHUNK: usize = 32 << 10;

pub(crate) const RAW: &str = "application/vnd.docker.raw-stream";
pub(crate) const MULTIPLEXED: &str = "application/vnd.docker.multiplexed-stream";

pub(crate) async fn attach(call: Call) -> Reply {
    let containers = call.app.engine.containers();
    let view = containers.view(call.name())?;
    let query = &call.query;
    let attach = Attach {
        stdin: query.flag("stdin"),
        stdout: query.flag("stdout"),
        stderr: query.flag("stderr"),
        stream: query.flag("stream"),
        logs: query.flag("logs"),
    };
    let keys = detach::parse(query.text("detachKeys"))?;
    let stdin = attach.stdin && attach.stream && view.spec.open_stdin;
    let streams = containers.attach(call.name(), attach).await?;
    let input = Input { stdin, watch: (stdin && view.spec.tty).then(|| Watch::new(keys)), before_end: None };
    hand_over(call.request, call.version, streams, input, Framing::of(view.spec.tty)).await
}

pub(crate) async fn exec(mut call: Call) -> Reply {
    let body = call.json().await?;
    let body = Object::new(&body)?;
    let (detached, tty) = (body.flag("Detach")?, body.flag("Tty")?);
    let execs = call.app.engine.execs();
    let view = execs.view(call.name())?;
    let keys = detach::parse(&view.create.detach_keys)?;
    let streams = match execs.start(call.name(), detached, exec::console(&body)).await {
        Ok(Some(streams)) => streams,
        Ok(None) => return empty(StatusCode::OK),
        // docker has the streams open before it starts the program: what failed is said there, and the exit code is asked for.
        Err(error) if !detached && matches!(error.kind, Kind::Invalid | Kind::Internal) => {
            last_words(&error.message, view.create.tty)?
        }
        Err(error) => return Err(error.into()),
    };
    let stdin = view.create.attach.0;
    let watch = (stdin && view.create.tty).then(|| Watch::new(keys));
    let input = Input { stdin, watch, before_end: Some(execs.ended(call.name()).boxed()) };
    // docker frames what the *start* does not call a terminal, whatever the exec was made with.
    let framing = match (view.create.tty, tty) {
        (true, false) => Framing::Wrapped,
        (false, true) => Framing::Unwrapped(frames::Decoder::default()),
        (_, tty) => Framing::of(tty),
    };
    hand_over(call.request, call.version, streams, input, framing).await
}

/// How the client gets the output.
pub(crate) enum Framing {
    /// In frames, as the shim makes them.
    Frames,
    /// A terminal's bytes as they are.
    Terminal,
    /// A terminal's bytes, each piece a frame of stdout.
    Wrapped,
    /// Frames without their headers.
    Unwrapped(frames::Decoder),
}

impl Framing {
    fn of(tty: bool) -> Self {
        if tty { Self::Terminal } else { Self::Frames }
    }

    fn is_raw(&self) -> bool {
        matches!(self, Self::Terminal | Self::Unwrapped(_))
    }

    pub(crate) fn convert(&mut self, piece: BytesMut) -> io::Result<Bytes> {
        match self {
            Self::Frames | Self::Terminal => Ok(piece.freeze()),
            Self::Wrapped => Ok(frames::encode(1, &piece).into()),
            Self::Unwrapped(decoder) => {
                decoder.push(&piece);
                let mut raw = Vec::with_capacity(piece.len());
                while let Some((_, payload)) = decoder.frame().map_err(|error| io::Error::other(error.0))? {
                    raw.extend(payload);
                }
                Ok(raw.into())
            }
        }
    }
}

/// Streams of a process that only says this.
fn last_words(text: &str, tty: bool) -> io::Result<Duplex> {
    let (ours, theirs) = Duplex::pair()?;
    let text = format!("{text}\r\n");
    let bytes = if tty { text.into_bytes() } else { frames::encode(1, text.as_bytes()) };
    tokio::spawn(async move {
        let mut theirs = theirs;
        if let Err(error) = theirs.write_all(&bytes).await {
            tracing::debug!(%error, "client went away before it heard of the failure");
        }
    });
    Ok(ours)
}

/// What becomes of the bytes a client sends.
pub(crate) struct Input {
    /// They go to the process; else they are read and dropped.
    pub(crate) stdin: bool,
    /// Looks for the detach keys.
    pub(crate) watch: Option<Watch>,
    /// What must have happened before the client hears that the output is over.
    pub(crate) before_end: Option<BoxFuture<'static, ()>>,
}

/// The content type of frames or of a terminal's bytes.
pub(crate) fn content_type(version: ApiVersion, tty: bool) -> &'static str {
    if !tty && version >= ApiVersion::new(42) { MULTIPLEXED } else { RAW }
}

/// Turns a request's connection into a process's streams.
pub(crate) async fn hand_over(
    mut request: Request<Incoming>,
    version: ApiVersion,
    streams: Duplex,
    input: Input,
    framing: Framing,
) -> Reply {
    let kind = HeaderValue::from_static(content_type(version, framing.is_raw()));
    if !request.headers().contains_key(header::UPGRADE) {
        return Ok(without_upgrade(request, streams, input, framing, kind));
    }
    let head_is_read = peer::head_is_read(&request).await?;
    let gone = peer::gone(&request);
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let client = async {
            let client = upgrade.await.map_err(io::Error::other)?;
            if let Some(read) = head_is_read {
                read.await;
            }
            Ok(client)
        };
        // A client that has said everything may have gone altogether, and the process may never say anything that shows it.
        tokio::select! {
            ended = upgraded(client, streams, input, framing) => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "attached client went away");
                }
            }
            () = gone => tracing::debug!("attached client has gone"),
        }
    });
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    answer.extensions_mut().insert(ReasonPhrase::from_static(b"UPGRADED"));
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("tcp"));
    Ok(answer)
}

async fn upgraded(
    client: impl Future<Output = io::Result<Upgraded>>,
    streams: Duplex,
    mut input: Input,
    mut framing: Framing,
) -> io::Result<()> {
    let client = TokioIo::new(client.await?);
    let (mut from_client, mut to_client) = tokio::io::split(client);
    let (mut from_process, mut to_process) = streams.into_split();
    let before_end = input.before_end.take();
    let output = async {
        copy(&mut from_process, &mut to_client, &mut framing).await?;
        if let Some(before_end) = before_end {
            before_end.await;
        }
        to_client.shutdown().await
    };
    let typed = async {
        // Only the detach keys end the connection from this side; a client that has nothing more to say still listens.
        if type_in(&mut from_client, &mut to_process, &mut input).await? {
            return Ok(());
        }
        std::future::pending::<io::Result<()>>().await
    };
    tokio::select! {
        ended = output => ended,
        ended = typed => ended,
    }
}

async fn copy(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    framing: &mut Framing,
) -> io::Result<()> {
    let mut buffer = BytesMut::with_capacity(CHUNK);
    while from.read_buf(&mut buffer).await? > 0 {
        let piece = framing.convert(buffer.split())?;
        to.write_all(&piece).await?;
        to.flush().await?;
        drop(piece);
        buffer.reserve(CHUNK);
    }
    Ok(())
}

/// Copies the client's bytes to the process until they end (false) or hold the detach keys (true).
async fn type_in(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    input: &mut Input,
) -> io::Result<bool> {
    let mut buffer = BytesMut::with_capacity(CHUNK);
    while from.read_buf(&mut buffer).await? > 0 {
        let detach = typed(&buffer, to, input).await?;
        buffer.clear();
        if detach {
            return Ok(true);
        }
    }
    if input.stdin {
        hang_up(to).await?;
    }
    Ok(false)
}

/// Gives bytes to the process; `true`: they held the detach keys.
pub(crate) async fn typed(
    bytes: &[u8],
    to: &mut (impl AsyncWrite + Unpin),
    input: &mut Input,
) -> io::Result<bool> {
    if !input.stdin {
        return Ok(false);
    }
    let Some(watch) = &mut input.watch else {
        return ignore_closed(to.write_all(bytes).await).map(|()| false);
    };
    let (pass, detach) = match watch.feed(bytes) {
        Typed::Pass(pass) => (pass, false),
        Typed::Detach(pass) => (pass, true),
    };
    ignore_closed(to.write_all(&pass).await).map(|()| detach)
}

async fn hang_up(to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    ignore_closed(to.shutdown().await)
}

/// A process may close its stdin before the client has sent everything: its output still counts.
fn ignore_closed(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::NotConnected
            ) =>
        {
            Ok(())
        }
        other => other,
    }
}

/// 200, the stream as body. Answered as HTTP/1.0, so that the body is not chunked: it is raw until the connection closes.
fn without_upgrade(
    request: Request<Incoming>,
    streams: Duplex,
    mut input: Input,
    framing: Framing,
    kind: HeaderValue,
) -> Response<Body> {
    let (from_process, mut to_process) = streams.into_split();
    let before_end = input.before_end.take();
    let (stop, stopped) = mpsc::channel::<()>(1);
    let mut upload = upload(request.into_body());
    tokio::spawn(async move {
        let mut any = false;
        // An error is the client's going: nothing more to type.
        while let Some(Ok(bytes)) = upload.recv().await {
            any |= !bytes.is_empty();
            match typed(&bytes, &mut to_process, &mut input).await {
                Ok(false) => {}
                Ok(true) => break,
                Err(error) => tracing::debug!(%error, "attached process takes no input"),
            }
        }
        if any
            && input.stdin
            && let Err(error) = hang_up(&mut to_process).await
        {
            tracing::debug!(%error, "attached process takes no input");
        }
        // Kept until the stream ends: dropping it would tell the process's side that the client has gone.
        stop.closed().await;
    });
    let open = (from_process, stopped, before_end, framing);
    let pieces =
        futures_util::stream::unfold(open, |(mut from, stopped, before_end, mut framing)| async move {
            let mut buffer = BytesMut::with_capacity(CHUNK);
            match from.read_buf(&mut buffer).await {
                Ok(0) => {
                    if let Some(before_end) = before_end {
                        before_end.await;
                    }
                    None
                }
                Ok(_) => match framing.convert(buffer) {
                    Ok(piece) => {
                        Some((Ok::<Bytes, dhow_engine::Error>(piece), (from, stopped, before_end, framing)))
                    }
                    Err(error) => {
                        tracing::debug!(%error, "attached process's stream is garbled");
                        None
                    }
                },
                Err(error) => {
                    tracing::debug!(%error, "attached process's stream broke");
                    None
                }
            }
        });
    let mut answer = Response::new(Body::stream(pieces));
    *answer.version_mut() = Version::HTTP_10;
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    }
}
