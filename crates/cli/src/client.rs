//! The engine's API over its socket: JSON in and out, streams, and hijacked connections. A connection that is free again takes the next
//! request.

use anyhow::{Context as _, anyhow, bail};
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::{
    fmt,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};

/// The newest API version that this program speaks: 1.47.
pub(crate) const NEWEST: (u16, u16) = (1, 47);

/// Where the engine is.
#[derive(Debug, Clone)]
pub(crate) enum Host {
    /// `unix:///run/dhow/docker.sock`
    Unix(PathBuf),
    /// `tcp://127.0.0.1:2375`
    Tcp(String),
}

/// An engine, not yet connected.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    host: Host,
    /// Agreed on with the engine.
    version: Arc<Mutex<Option<(u16, u16)>>>,
    /// Whether the engine says that it is `dhowd`: it answers some questions at once that others must be asked one after the other.
    ours: Arc<AtomicBool>,
    /// The connection used last; it may still be busy with an answer.
    last: Arc<Mutex<Option<Sender>>>,
}

type Sender = hyper::client::conn::http1::SendRequest<Body>;

/// What the engine answered when it refused: its status and its sentence.
#[derive(Debug)]
pub(crate) struct Refused {
    /// HTTP status.
    pub(crate) status: StatusCode,
    /// `{"message": …}`.
    pub(crate) message: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error response from daemon: {}", self.message)
    }
}

impl std::error::Error for Refused {}

/// Both ways of a connection after the upgrade.
pub(crate) type Hijacked = TokioIo<hyper::upgrade::Upgraded>;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

pub(crate) type Body = BoxBody<Bytes, std::io::Error>;

pub(crate) fn empty() -> Body {
    full(Bytes::new())
}

fn full(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed()
}

fn version(text: &str) -> Option<(u16, u16)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// `DOCKER_API_VERSION`.
fn fixed() -> Option<(u16, u16)> {
    std::env::var("DOCKER_API_VERSION").ok().and_then(|text| version(&text))
}

/// The newest version of an engine that finds ours too new.
fn newest_of(error: &anyhow::Error) -> Option<(u16, u16)> {
    let refused = error.downcast_ref::<Refused>().filter(|it| it.status == StatusCode::BAD_REQUEST)?;
    let (_, theirs) = refused.message.split_once("is too new. Maximum supported API version is ")?;
    version(theirs.trim())
}

/// A request body fed from a channel; an error aborts the request.
pub(crate) fn channel_body(mut chunks: tokio::sync::mpsc::Receiver<std::io::Result<Bytes>>) -> Body {
    let frames = futures_util::stream::poll_fn(move |context| {
        chunks.poll_recv(context).map(|next| next.map(|chunk| chunk.map(Frame::data)))
    });
    StreamBody::new(frames).boxed()
}

impl Host {
    /// `-H`, then `DOCKER_HOST`, then our socket, then docker's.
    pub(crate) fn choose(flag: Option<&str>) -> anyhow::Result<Self> {
        let given = flag
            .map(str::to_owned)
            .or_else(|| std::env::var("DHOW_HOST").ok())
            .or_else(|| std::env::var("DOCKER_HOST").ok());
        match given.filter(|host| !host.is_empty()) {
            Some(host) => Self::parse(&host),
            None => {
                let ours = PathBuf::from("/run/dhow/docker.sock");
                Ok(Self::Unix(if ours.exists() { ours } else { PathBuf::from("/var/run/docker.sock") }))
            }
        }
    }

    fn parse(host: &str) -> anyhow::Result<Self> {
        if let Some(path) = host.strip_prefix("unix://") {
            return Ok(Self::Unix(path.into()));
        }
        if let Some(address) = host.strip_prefix("tcp://").or_else(|| host.strip_prefix("http://")) {
            let address = address.trim_end_matches('/');
            let has_port = address.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
            return Ok(Self::Tcp(if has_port { address.to_owned() } else { format!("{address}:2375") }));
        }
        bail!("unable to parse docker host `{host}`: expected unix://PATH or tcp://HOST[:PORT]")
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
        }
    }
}

/// `a b/c` as a path segment or query value.
pub(crate) fn escape(text: &str) -> String {
    use fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            _ => write!(out, "%{byte:02X}").unwrap_or_default(),
        }
    }
    out
}

/// `?a=b&c=d` from pairs; nothing from none.
pub(crate) fn query(pairs: &[(&str, String)]) -> String {
    let mut out = String::new();
    for (key, value) in pairs {
        out.push(if out.is_empty() { '?' } else { '&' });
        out.push_str(key);
        out.push('=');
        out.push_str(&escape(value));
    }
    out
}

impl Client {
    pub(crate) fn new(host: Host) -> Self {
        Self { host, version: Arc::default(), ours: Arc::default(), last: Arc::default() }
    }

    /// Known once it has answered anything.
    pub(crate) fn is_ours(&self) -> bool {
        self.ours.load(Ordering::Relaxed)
    }

    pub(crate) fn host(&self) -> &Host {
        &self.host
    }

    async fn connect(&self) -> anyhow::Result<Sender> {
        let lost = || format!("Cannot connect to the Docker daemon at {}. Is dhowd running?", self.host);
        let stream: Box<dyn Stream> = match &self.host {
            Host::Unix(path) => Box::new(UnixStream::connect(path).await.with_context(lost)?),
            Host::Tcp(address) => {
                let stream = TcpStream::connect(address).await.with_context(lost)?;
                stream.set_nodelay(true).with_context(lost)?;
                Box::new(stream)
            }
        };
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.with_context(lost)?;
        tokio::spawn(async move {
            // its error also reaches the request
            drop(connection.with_upgrades().await);
        });
        Ok(sender)
    }

    fn last(&self) -> std::sync::MutexGuard<'_, Option<Sender>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a request over the last connection if that is free, else over a new one.
    async fn exchange(&self, mut request: Request<Body>) -> anyhow::Result<http::Response<Incoming>> {
        let last = self.last().take();
        if let Some(mut sender) = last.filter(Sender::is_ready) {
            match sender.try_send_request(request).await {
                Ok(response) => {
                    *self.last() = Some(sender);
                    return Ok(response);
                }
                // the engine closed it meanwhile and has not seen the request
                Err(mut failure) => match failure.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(failure.into_error().into()),
                },
            }
        }
        let mut sender = self.connect().await?;
        let response = sender.send_request(request).await?;
        let server = response.headers().get(header::SERVER);
        self.ours.store(server.is_some_and(|it| it.as_bytes().starts_with(b"Dhow/")), Ordering::Relaxed);
        *self.last() = Some(sender);
        Ok(response)
    }

    fn agreed(&self) -> std::sync::MutexGuard<'_, Option<(u16, u16)>> {
        self.version.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The API version to speak: `DOCKER_API_VERSION`, else the lower of ours and the engine's.
    async fn version(&self) -> anyhow::Result<(u16, u16)> {
        let known = self.agreed().or_else(fixed);
        if let Some(known) = known {
            return Ok(known);
        }
        let request = Request::builder().uri("/_ping").header(header::HOST, "docker").body(empty())?;
        let response = self.exchange(request).await?;
        let theirs = response.headers().get("Api-Version").and_then(|it| version(it.to_str().ok()?));
        // read to its end: then the connection is free
        response.into_body().collect().await?;
        Ok(*self.agreed().insert(theirs.map_or(NEWEST, |theirs| theirs.min(NEWEST))))
    }

    /// Sends a request as it is; any status comes back.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, String)],
        body: Body,
    ) -> anyhow::Result<http::Response<Incoming>> {
        let (major, minor) = self.version().await?;
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/v{major}.{minor}{path}"))
            .header(header::HOST, "docker")
            .header(header::USER_AGENT, concat!("dhow/", env!("CARGO_PKG_VERSION")));
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        self.exchange(request.body(body)?).await
    }

    /// Sends a request; a status of 400 or more is an error with the engine's sentence.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, String)],
        body: Body,
    ) -> anyhow::Result<http::Response<Incoming>> {
        let response = self.send(method, path, headers, body).await?;
        if response.status().as_u16() < 400 {
            return Ok(response);
        }
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        let message = serde_json::from_slice::<Value>(&body)
            .ok()
            .and_then(|value| value.get("message")?.as_str().map(str::to_owned))
            .unwrap_or_else(|| String::from_utf8_lossy(&body).trim().to_owned());
        Err(Refused { status, message }.into())
    }

    /// [`Client::call`] with a body that can be sent again, so that nothing needs to be agreed on before: an engine that finds our newest
    /// version too new says which it speaks, and has done nothing.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, String)],
        body: Bytes,
    ) -> anyhow::Result<http::Response<Incoming>> {
        if self.agreed().is_some() || fixed().is_some() {
            return self.call(method, path, headers, full(body)).await;
        }
        *self.agreed() = Some(NEWEST);
        let outcome = self.call(method.clone(), path, headers, full(body.clone())).await;
        let Some(theirs) = outcome.as_ref().err().and_then(newest_of) else { return outcome };
        *self.agreed() = Some(theirs);
        self.call(method, path, headers, full(body)).await
    }

    async fn value(response: http::Response<Incoming>) -> anyhow::Result<Value> {
        let body = response.into_body().collect().await?.to_bytes();
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body).context("the engine's answer is not JSON")
    }

    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        Self::value(self.ask(Method::GET, path, &[], Bytes::new()).await?).await
    }

    pub(crate) async fn delete(&self, path: &str) -> anyhow::Result<Value> {
        Self::value(self.ask(Method::DELETE, path, &[], Bytes::new()).await?).await
    }

    pub(crate) async fn post(&self, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        Self::value(self.post_response(path, body, &[]).await?).await
    }

    pub(crate) async fn post_response(
        &self,
        path: &str,
        body: Option<&Value>,
        headers: &[(&str, String)],
    ) -> anyhow::Result<http::Response<Incoming>> {
        match body {
            Some(value) => {
                let mut headers = headers.to_vec();
                headers.push(("Content-Type", "application/json".to_owned()));
                self.ask(Method::POST, path, &headers, value.to_string().into()).await
            }
            None => self.ask(Method::POST, path, headers, Bytes::new()).await,
        }
    }

    /// A POST whose connection becomes a raw stream.
    pub(crate) async fn hijack(&self, path: &str, body: Option<&Value>) -> anyhow::Result<Hijacked> {
        let headers = [("Connection", "Upgrade".to_owned()), ("Upgrade", "tcp".to_owned())];
        let response = self.post_response(path, body, &headers).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(anyhow!(
                "the engine did not upgrade the connection of POST {path}: {}",
                response.status()
            ));
        }
        Ok(TokioIo::new(hyper::upgrade::on(response).await?))
    }
}

/// Reads a stream of JSON values (one a line, or only one behind the other) as they come.
pub(crate) struct Lines {
    body: Incoming,
    buffer: Vec<u8>,
}

impl Lines {
    pub(crate) fn new(response: http::Response<Incoming>) -> Self {
        Self { body: response.into_body(), buffer: Vec::new() }
    }

    pub(crate) async fn next(&mut self) -> anyhow::Result<Option<Value>> {
        loop {
            if let Some(value) = self.take()? {
                return Ok(Some(value));
            }
            match self.body.frame().await {
                None if self.buffer.iter().all(u8::is_ascii_whitespace) => return Ok(None),
                None => bail!("the engine's stream ended in the middle of a message"),
                Some(frame) => {
                    if let Ok(data) = frame?.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
            }
        }
    }

    fn take(&mut self) -> anyhow::Result<Option<Value>> {
        let mut values = serde_json::Deserializer::from_slice(&self.buffer).into_iter::<Value>();
        match values.next() {
            None => Ok(None),
            Some(Ok(value)) => {
                let used = values.byte_offset();
                self.buffer.drain(..used);
                Ok(Some(value))
            }
            Some(Err(error)) if error.is_eof() => Ok(None),
            Some(Err(error)) => Err(error).context("the engine's stream is not JSON"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_parse_as_docker_reads_them() {
        for (text, shown) in [
            ("unix:///a/b.sock", "unix:///a/b.sock"),
            ("tcp://1.2.3.4", "tcp://1.2.3.4:2375"),
            ("tcp://localhost:99/", "tcp://localhost:99"),
        ] {
            assert_eq!(Host::parse(text).unwrap().to_string(), shown);
        }
        assert!(Host::parse("ssh://x").is_err());
    }

    #[test]
    fn an_older_engine_says_which_version_it_speaks() {
        let refused = |status, message: &str| Refused { status, message: message.to_owned() }.into();
        let text = "client version 1.47 is too new. Maximum supported API version is 1.41";
        assert_eq!(newest_of(&refused(StatusCode::BAD_REQUEST, text)), Some((1, 41)));
        assert_eq!(newest_of(&refused(StatusCode::NOT_FOUND, text)), None);
        assert_eq!(newest_of(&refused(StatusCode::BAD_REQUEST, "no such image")), None);
    }

    #[test]
    fn queries_are_escaped() {
        assert_eq!(query(&[("a", "b c/&".into()), ("d", "é".into())]), "?a=b%20c%2F%26&d=%C3%A9");
        assert_eq!(query(&[]), "");
    }
}
