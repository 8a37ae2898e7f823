//! A registry in this process, with the vices of real ones.

use bytes::Bytes;
use dhow_oci::Digest;
use futures_util::{StreamExt, stream};
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{
    body::{Frame, Incoming},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::net::TcpListener;

type Body = BoxBody<Bytes, io::Error>;

/// How it wants to be talked to.
#[derive(Clone, Default)]
pub(crate) enum Auth {
    #[default]
    None,
    /// This `Authorization`.
    Basic(String),
    /// A token from `/token`, which wants this `Authorization` if any; each token is good for so many requests.
    Bearer { wants: Option<String>, uses: usize },
}

#[derive(Default)]
pub(crate) struct Vices {
    pub(crate) auth: Auth,
    /// Breaks a blob's connection after so many bytes.
    pub(crate) cut_after: Option<usize>,
    /// Sends blobs' requests there.
    pub(crate) redirect: Option<String>,
    /// Flips a bit of blobs larger than so many bytes.
    pub(crate) corrupt_above: Option<usize>,
    /// Ignores `Range`.
    pub(crate) no_ranges: bool,
    pub(crate) manifests_fail: Option<StatusCode>,
}

#[derive(Default)]
struct State {
    blobs: HashMap<String, Bytes>,
    manifests: HashMap<String, (String, Bytes)>,
    vices: Vices,
    /// Method, path, range, whether there was an Authorization.
    seen: Vec<String>,
    sent: usize,
    tokens: HashMap<String, usize>,
}

#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Server {
    pub(crate) async fn new(vices: Vices) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Self { address, state: Arc::new(Mutex::new(State { vices, ..State::default() })) };
        let this = server.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let this = this.clone();
                tokio::spawn(async move {
                    let service =
                        service_fn(|request| std::future::ready(Ok::<_, io::Error>(this.answer(&request))));
                    // A client may go away, and we break connections ourselves.
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await
                        .ok();
                });
            }
        });
        server
    }

    pub(crate) fn put_blob(&self, bytes: impl Into<Bytes>) -> Digest {
        let bytes = bytes.into();
        let digest = digest(&bytes);
        self.state.lock().unwrap().blobs.insert(digest.to_string(), bytes);
        digest
    }

    pub(crate) fn put_manifest(
        &self,
        repository: &str,
        tag: &str,
        media: &str,
        bytes: impl Into<Bytes>,
    ) -> Digest {
        let bytes = bytes.into();
        let digest = digest(&bytes);
        for name in [tag, digest.as_str()] {
            let key = format!("{repository}/manifests/{name}");
            self.state.lock().unwrap().manifests.insert(key, (media.to_owned(), bytes.clone()));
        }
        digest
    }

    pub(crate) fn seen(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().seen)
    }

    /// Bytes of blobs that were sent.
    pub(crate) fn sent(&self) -> usize {
        self.state.lock().unwrap().sent
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Body> {
        let mut state = self.state.lock().unwrap();
        let header =
            |name| request.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (authorization, range) = (header(header::AUTHORIZATION), header(header::RANGE));
        let path = request.uri().path().to_owned();
        let note = |name: &str, value: &Option<String>| {
            value.as_ref().map(|v| format!(" {name}={v}")).unwrap_or_default()
        };
        let line = format!("{path}{}{}", note("range", &range), note("auth", &authorization));
        state.seen.push(line);
        if path == "/token" {
            return state.token(request, authorization.as_deref());
        }
        if let Some(refusal) = state.refuse(self.address, authorization.as_deref()) {
            return refusal;
        }
        if path == "/v1/search" {
            let asked = request.uri().query().unwrap_or("").to_owned();
            return plain(
                StatusCode::OK,
                &format!(
                    r#"{{"num_results":1,"results":[{{"name":"found/by","description":"{asked}","star_count":3,"is_official":true}}]}}"#
                ),
            );
        }
        let path = path.strip_prefix("/v2/").unwrap_or("").to_owned();
        if path.is_empty() {
            return plain(StatusCode::OK, "{}");
        }
        if path.contains("/manifests/") {
            if let Some(status) = state.vices.manifests_fail {
                return plain(status, "");
            }
            let Some((media, bytes)) = state.manifests.get(&path) else {
                return plain(
                    StatusCode::NOT_FOUND,
                    r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#,
                );
            };
            let found = digest(bytes);
            let response = Response::builder()
                .header(header::CONTENT_TYPE, media)
                .header("docker-content-digest", found.as_str());
            return response.body(whole(bytes.clone())).unwrap();
        }
        if let Some(target) = &state.vices.redirect {
            let target = format!("{target}/v2/{path}?signature=1");
            return Response::builder()
                .status(307)
                .header(header::LOCATION, target)
                .body(whole(Bytes::new()))
                .unwrap();
        }
        state.blob(path.rsplit('/').next().unwrap(), range.as_deref())
    }
}

impl State {
    fn token(&mut self, request: &Request<Incoming>, authorization: Option<&str>) -> Response<Body> {
        let Auth::Bearer { wants, uses } = &self.vices.auth else { return plain(StatusCode::NOT_FOUND, "") };
        if wants.is_some() && wants.as_deref() != authorization {
            return plain(StatusCode::UNAUTHORIZED, r#"{"details":"incorrect username or password"}"#);
        }
        let scope = request.uri().query().unwrap_or("");
        let token = format!("token-{}-{}", self.tokens.len(), scope.len());
        self.tokens.insert(format!("Bearer {token}"), *uses);
        plain(StatusCode::OK, &format!(r#"{{"token":"{token}","expires_in":300}}"#))
    }

    fn refuse(&mut self, address: SocketAddr, authorization: Option<&str>) -> Option<Response<Body>> {
        let challenge = match &self.vices.auth {
            Auth::None => return None,
            Auth::Basic(right) if authorization == Some(right) => return None,
            Auth::Basic(_) => "Basic realm=\"here\"".to_owned(),
            Auth::Bearer { .. } => {
                if let Some(left) =
                    authorization.and_then(|value| self.tokens.get_mut(value)).filter(|left| **left > 0)
                {
                    *left -= 1;
                    return None;
                }
                format!(
                    "Bearer realm=\"http://{address}/token\",service=\"test\",scope=\"repository:a/b:pull\""
                )
            }
        };
        let body = r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#;
        let response = Response::builder().status(401).header(header::WWW_AUTHENTICATE, challenge);
        Some(response.body(whole(Bytes::from_static(body.as_bytes()))).unwrap())
    }

    fn blob(&mut self, digest: &str, range: Option<&str>) -> Response<Body> {
        let Some(bytes) = self.blobs.get(digest).cloned() else {
            return plain(
                StatusCode::NOT_FOUND,
                r#"{"errors":[{"code":"BLOB_UNKNOWN","message":"blob unknown to registry"}]}"#,
            );
        };
        let total = bytes.len();
        let first = range.filter(|_| !self.vices.no_ranges).map_or(0, |range| {
            range.strip_prefix("bytes=").and_then(|rest| rest.strip_suffix('-')).unwrap().parse().unwrap()
        });
        let mut bytes = bytes.slice(first..);
        if self.vices.corrupt_above.is_some_and(|size| total > size) {
            let mut changed = bytes.to_vec();
            let middle = changed.len() / 2;
            changed[middle] ^= 1;
            bytes = changed.into();
        }
        let mut response = Response::builder().header(header::CONTENT_LENGTH, bytes.len());
        if first > 0 {
            response = response
                .status(206)
                .header(header::CONTENT_RANGE, format!("bytes {first}-{}/{total}", total - 1));
        }
        let body = match self.vices.cut_after.filter(|cut| *cut < bytes.len()) {
            Some(cut) => {
                bytes.truncate(cut);
                // What was written before must have left when the connection breaks.
                let broken = stream::once(async {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    Err(io::Error::other("cut"))
                });
                BodyExt::boxed(StreamBody::new(stream::iter([Ok(Frame::data(bytes.clone()))]).chain(broken)))
            }
            None => whole(bytes.clone()),
        };
        self.sent += bytes.len();
        response.body(body).unwrap()
    }
}

fn whole(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed()
}

fn plain(status: StatusCode, text: &str) -> Response<Body> {
    Response::builder().status(status).body(whole(Bytes::copy_from_slice(text.as_bytes()))).unwrap()
}

pub(crate) fn digest(bytes: &[u8]) -> Digest {
    Digest::sha256(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref().try_into().unwrap())
}

/// A tar with one file.
pub(crate) fn tar(name: &str, content: &[u8]) -> Vec<u8> {
    let mut header = [0_u8; 512];
    let mut put = |at: usize, text: &[u8]| header[at..at + text.len()].copy_from_slice(text);
    put(0, name.as_bytes());
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{:011o}\0", content.len()).as_bytes());
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|b| u32::from(*b)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut all = header.to_vec();
    all.extend_from_slice(content);
    all.resize(all.len().next_multiple_of(512) + 1024, 0);
    all
}
