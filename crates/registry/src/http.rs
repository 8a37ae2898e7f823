//! Requests over pooled connections, directly or through a proxy, with time-outs.

use crate::{
    Error,
    net::{Proxies, Proxy},
    tls::Trust,
};
use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full, Limited, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{
        Client,
        connect::{HttpConnector, proxy::Tunnel},
    },
    rt::{TokioExecutor, TokioTimer},
};
use std::{collections::HashMap, io, sync::Mutex, time::Duration};

/// To be connected to one address.
const CONNECT: Duration = Duration::from_secs(5);
/// To have the head of an answer: name, connection, TLS, request.
pub(crate) const ANSWER: Duration = Duration::from_secs(20);
/// Between two pieces of a body.
pub(crate) const STALL: Duration = Duration::from_secs(30);

/// What a request carries.
pub(crate) type Content = UnsyncBoxBody<Bytes, io::Error>;

/// Content that is known at once.
pub(crate) fn whole(bytes: impl Into<Bytes>) -> Content {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

type Direct = Client<HttpsConnector<HttpConnector>, Content>;
type Tunnelled = Client<HttpsConnector<Tunnel<HttpConnector>>, Content>;

#[derive(Clone)]
enum Pool {
    Direct(Direct),
    Tunnelled(Tunnelled),
}

pub(crate) struct Http {
    proxies: Proxies,
    /// By whether certificates are verified, and proxy.
    pools: Mutex<HashMap<(bool, Option<Proxy>), Pool>>,
}

impl Http {
    pub(crate) fn new(proxies: Proxies) -> Self {
        Self { proxies, pools: Mutex::default() }
    }

    /// Sends a request; the answer whatever its status, if its head comes within `patience`.
    pub(crate) async fn send(
        &self,
        request: Request<Content>,
        verify: bool,
        patience: Duration,
    ) -> Result<Response<Incoming>, Error> {
        let (method, uri) = (go_name(request.method()), request.uri().clone());
        let pool = self.pool(&uri, verify).await?;
        let answer = async {
            match pool {
                Pool::Direct(client) => client.request(request).await,
                Pool::Tunnelled(client) => client.request(request).await,
            }
        };
        match tokio::time::timeout(patience, answer).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(Error::transport(method, &uri, error)),
            Err(_) => Err(Error::transport(method, &uri, io::Error::from(io::ErrorKind::TimedOut))),
        }
    }

    async fn pool(&self, uri: &Uri, verify: bool) -> Result<Pool, Error> {
        let key = (verify, self.proxies.of(uri).cloned());
        let known = |pools: &Mutex<HashMap<_, Pool>>| {
            pools.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get(&key).cloned()
        };
        if let Some(pool) = known(&self.pools) {
            return Ok(pool);
        }
        // Certificates are read from disk.
        let config = tokio::task::spawn_blocking(move || Trust { verify, ..Trust::default() }.config()).await;
        let config = config.map_err(|error| Error::internal(format!("set up TLS: {error}")))?;
        let config = config.map_err(|error| Error::internal(format!("set up TLS: {error}")))?;
        let https = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_http1();
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECT));
        tcp.set_nodelay(true);
        let mut builder = Client::builder(TokioExecutor::new());
        builder
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(60))
            .pool_max_idle_per_host(4);
        let pool = match &key.1 {
            None => Pool::Direct(builder.build(https.wrap_connector(tcp))),
            Some(proxy) => {
                let mut tunnel = Tunnel::new(proxy.uri.clone(), tcp);
                if let Some(auth) = &proxy.auth {
                    tunnel = tunnel.with_auth(auth.clone());
                }
                Pool::Tunnelled(builder.build(https.wrap_connector(tunnel)))
            }
        };
        let mut pools = self.pools.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Ok(pools.entry(key).or_insert(pool).clone())
    }
}

/// Go's `http.Get` says `Get`.
pub(crate) fn go_name(method: &http::Method) -> &'static str {
    match *method {
        http::Method::GET => "Get",
        http::Method::HEAD => "Head",
        http::Method::POST => "Post",
        http::Method::PUT => "Put",
        http::Method::PATCH => "Patch",
        _ => "Request",
    }
}

/// A whole body of at most `limit` bytes.
pub(crate) async fn body(response: Response<Incoming>, limit: usize, what: &str) -> Result<Bytes, Error> {
    let reading = Limited::new(response.into_body(), limit).collect();
    match tokio::time::timeout(STALL, reading).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) => Err(Error::unavailable(format!("read {what}: {error}"))),
        Err(_) => Err(Error::unavailable(format!("read {what}: i/o timeout"))),
    }
}
