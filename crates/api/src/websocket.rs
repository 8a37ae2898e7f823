//! Attach over a WebSocket, for clients that have nothing else: browsers, and libraries that lose a hijacked connection. The output is raw
//! (stdout and stderr in one), as docker's; a message is a piece of a stream, and where it ends says nothing.

use crate::{
    call::Call,
    failure::Failure,
    hijack::{Framing, Input, typed},
    reply::Reply,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::BytesMut;
use dhow_engine::containers::{Attach, Duplex};
use dhow_wire::{
    detach::{self, Watch},
    frames,
    version::ApiVersion,
    websocket::{self, Decoder, Event, Opcode},
};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use ring::digest;
use std::{io, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::Mutex,
};

const CHUNK: usize = 32 << 10;
/// For the client to answer our close.
const FAREWELL: Duration = Duration::from_secs(2);

pub(crate) async fn attach(mut call: Call) -> Reply {
    let containers = call.app.engine.containers();
    let view = containers.view(call.name())?;
    let answer = handshake(call.headers())?;
    let query = &call.query;
    // Older versions attach everything, whatever the query says.
    let flag = |name: &str| call.version < ApiVersion::new(42) || query.flag(name);
    let attach = Attach {
        stdin: flag("stdin"),
        stdout: flag("stdout"),
        stderr: flag("stderr"),
        stream: query.flag("stream"),
        logs: query.flag("logs"),
    };
    let keys = detach::parse(query.text("detachKeys"))?;
    let (stdin, tty) = (attach.stdin && attach.stream && view.spec.open_stdin, view.spec.tty);
    let streams = containers.attach(call.name(), attach).await?;
    let input = Input { stdin, watch: (stdin && tty).then(|| Watch::new(keys)), before_end: None };
    let framing = if tty { Framing::Terminal } else { Framing::Unwrapped(frames::Decoder::default()) };
    let opcode = if call.version < ApiVersion::new(28) { Opcode::Text } else { Opcode::Binary };
    let upgrade = hyper::upgrade::on(&mut call.request);
    tokio::spawn(async move {
        if let Err(error) = serve(upgrade, streams, input, framing, opcode).await {
            tracing::debug!(%error, "a client attached by WebSocket went away");
        }
    });
    Ok(answer)
}

/// The 101 of a client that asks for a WebSocket as it should.
fn handshake(headers: &HeaderMap) -> Result<Response<crate::body::Body>, Failure> {
    let text =
        |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or_default();
    let upgrades =
        text(header::CONNECTION).split(',').any(|word| word.trim().eq_ignore_ascii_case("upgrade"));
    let key = text(header::SEC_WEBSOCKET_KEY);
    if !upgrades || !text(header::UPGRADE).eq_ignore_ascii_case("websocket") || key.is_empty() {
        return Err(Failure::bad("not websocket protocol"));
    }
    // A browser names the page that asks, and lets any page ask: only our own may (docker has no such check).
    let page = text(header::ORIGIN);
    if headers.contains_key(header::ORIGIN)
        && page.split_once("://").is_none_or(|(_, host)| host != text(header::HOST))
    {
        let detail = format!("a page of {page:?} may not attach");
        return Err(Failure::new(StatusCode::FORBIDDEN, detail));
    }
    if text(header::SEC_WEBSOCKET_VERSION) != "13" {
        return Err(Failure::bad("missing or bad WebSocket Version"));
    }
    let mut answer = Response::new(crate::body::Body::empty());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = answer.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    let accepted = HeaderValue::from_str(&accept(key)).map_err(|error| Failure::bad(error.to_string()))?;
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accepted);
    Ok(answer)
}

/// What proves that we speak WebSocket (RFC 6455, 4.2.2). Nothing is kept secret by it.
fn accept(key: &str) -> String {
    let text = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()))
}

async fn serve(
    upgrade: OnUpgrade,
    streams: Duplex,
    mut input: Input,
    mut framing: Framing,
    opcode: Opcode,
) -> io::Result<()> {
    let client = TokioIo::new(upgrade.await.map_err(io::Error::other)?);
    let (mut from_client, to_client) = tokio::io::split(client);
    // Pongs go between pieces of output.
    let to_client = Mutex::new(to_client);
    let (mut from_process, mut to_process) = streams.into_split();
    let mut decoder = Decoder::default();
    let output = async {
        let mut buffer = BytesMut::with_capacity(CHUNK);
        while from_process.read_buf(&mut buffer).await? > 0 {
            let piece = framing.convert(buffer.split())?;
            if !piece.is_empty() {
                send(&to_client, &websocket::encode(opcode, &piece)).await?;
            }
            buffer.reserve(CHUNK);
        }
        io::Result::Ok(())
    };
    let typing = async {
        let mut buffer = BytesMut::with_capacity(CHUNK);
        while from_client.read_buf(&mut buffer).await? > 0 {
            let Ok(events) = decoder.push(&buffer) else { return Ok(Some(websocket::PROTOCOL_ERROR)) };
            buffer.clear();
            for event in events {
                match event {
                    Event::Data(bytes) => {
                        if typed(&bytes, &mut to_process, &mut input).await? {
                            return Ok(Some(websocket::NORMAL));
                        }
                    }
                    Event::Ping(bytes) => send(&to_client, &websocket::encode(Opcode::Pong, &bytes)).await?,
                    Event::Close(_) => return Ok(Some(websocket::NORMAL)),
                }
            }
        }
        // It has gone without a word.
        io::Result::Ok(None)
    };
    let ended = tokio::select! {
        ended = output => ended.map(|()| Some(websocket::NORMAL))?,
        ended = typing => ended?,
    };
    if let Some(code) = ended {
        farewell(&mut from_client, &to_client, code).await?;
    }
    Ok(())
}

async fn send(to: &Mutex<impl AsyncWrite + Unpin>, frame: &[u8]) -> io::Result<()> {
    let mut to = to.lock().await;
    to.write_all(frame).await?;
    to.flush().await
}

/// Says the end, and reads on until the client has said it too: closing with unread input would lose it our last words.
async fn farewell(
    from: &mut (impl AsyncRead + Unpin),
    to: &Mutex<impl AsyncWrite + Unpin>,
    code: u16,
) -> io::Result<()> {
    let parting = async {
        send(to, &websocket::close(code)).await?;
        to.lock().await.shutdown().await?;
        let mut rest = [0; 4096];
        while from.read(&mut rest).await? > 0 {}
        Ok(())
    };
    tokio::time::timeout(FAREWELL, parting).await.unwrap_or(Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_handshake_is_the_rfcs() {
        // RFC 6455, 1.3.
        assert_eq!(accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        let headers = |pairs: &[(&str, &str)]| {
            let pair = |(name, value): &(&str, &str)| {
                (http::HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap())
            };
            handshake(&pairs.iter().map(pair).collect()).map(|answer| answer.status().as_u16())
        };
        let asks = [
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "WebSocket"),
            ("sec-websocket-key", "x"),
            ("sec-websocket-version", "13"),
        ];
        assert_eq!(headers(&asks).ok(), Some(101));
        let from = |page| headers(&[&asks[..], &[("host", "here:2375"), ("origin", page)]].concat()).ok();
        assert_eq!(
            (from("http://here:2375"), from("http://elsewhere"), from("null")),
            (Some(101), None, None)
        );
        assert!(headers(&asks[..2]).is_err_and(|failure| failure.message == "not websocket protocol"));
        assert!(headers(&asks[..3]).is_err_and(|failure| failure.message.contains("Version")));
    }
}
