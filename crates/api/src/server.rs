//! The server: accepting, draining, and the way of a request to its handler.

use crate::{
    body::Body,
    call::Call,
    connection,
    failure::Failure,
    peer::Peer,
    reply::Reply,
    route::{Kind, fit},
    routes::ROUTES,
    tls::Tls,
};
use dhow_build::Builder;
use dhow_engine::Engine;
use dhow_wire::{query::Query, version::ApiVersion};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use hyper::{Request, body::Incoming};
use rustix::io::Errno;
use std::{convert::Infallible, io, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, UnixListener},
    sync::{OnceCell, mpsc, watch},
};

/// [`ApiVersion::MAX`], for headers.
const API_VERSION: &str = "1.56";

/// A bound socket.
#[derive(Debug)]
pub enum Listener {
    /// The usual one.
    Unix(UnixListener),
    /// Without TLS: whoever reaches it is root.
    Tcp(TcpListener),
    /// With TLS.
    Tls(TcpListener, Tls),
}

/// What handlers work on.
pub(crate) struct App {
    pub(crate) engine: Engine,
    pub(crate) builder: Builder,
    /// Of the daemon: `0.1.0`.
    pub(crate) version: &'static str,
    /// Bytes of the machine: the limit of a container without one.
    pub(crate) memory: OnceCell<u64>,
    server: HeaderValue,
}

/// The API over an engine.
#[derive(Clone)]
pub struct Server {
    app: Arc<App>,
    stop: Arc<watch::Sender<bool>>,
    /// Held by whatever must end before the daemon does.
    busy: mpsc::Sender<Infallible>,
    idle: Arc<tokio::sync::Mutex<mpsc::Receiver<Infallible>>>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("version", &self.app.version).finish_non_exhaustive()
    }
}

impl Server {
    /// Nothing listens yet.
    #[must_use]
    pub fn new(engine: Engine, builder: Builder, version: &'static str) -> Self {
        let server = HeaderValue::from_str(&format!("Dhow/{version} (linux)"))
            .unwrap_or_else(|_| HeaderValue::from_static("Dhow (linux)"));
        let (busy, idle) = mpsc::channel(1);
        let app = App { engine, builder, version, memory: OnceCell::new(), server };
        Self {
            app: Arc::new(app),
            stop: Arc::new(watch::Sender::new(false)),
            busy,
            idle: Arc::new(tokio::sync::Mutex::new(idle)),
        }
    }

    /// Accepts until [`Server::drain`]; a slow or broken client disturbs nobody else.
    pub async fn serve(&self, listener: Listener) {
        let mut stop = self.stop.subscribe();
        loop {
            let accepted = tokio::select! {
                accepted = self.accept(&listener) => accepted,
                () = connection::stopped(&mut stop) => return,
            };
            let Err(error) = accepted else { continue };
            tracing::warn!(%error, "cannot accept a connection");
            if matches!(
                Errno::from_io_error(&error),
                Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)
            ) {
                // The backlog keeps the clients until there is room for them again.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    async fn accept(&self, listener: &Listener) -> io::Result<()> {
        let (app, busy) = (Arc::clone(&self.app), self.busy.clone());
        let (stop, held) = (self.stop.subscribe(), self.busy.clone());
        match listener {
            Listener::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                let peer = Peer::of(&stream)?;
                let gone = peer.clone().gone();
                let service = move |mut request: Request<Incoming>| {
                    request.extensions_mut().insert(peer.clone());
                    answer(Arc::clone(&app), busy.clone(), request)
                };
                tokio::spawn(connection::serve(stream, true, gone, stop, held, service));
            }
            Listener::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                let peer = Peer::of_tcp(&stream)?;
                // TCP cannot tell a half-closed from a closed connection: both end it.
                let service = move |mut request: Request<Incoming>| {
                    request.extensions_mut().insert(peer.clone());
                    answer(Arc::clone(&app), busy.clone(), request)
                };
                tokio::spawn(connection::serve(stream, false, std::future::pending(), stop, held, service));
            }
            Listener::Tls(listener, tls) => {
                let (stream, from) = listener.accept().await?;
                stream.set_nodelay(true)?;
                let (tls, peer) = (tls.clone(), Peer::of_tcp(&stream)?);
                let service = move |mut request: Request<Incoming>| {
                    request.extensions_mut().insert(peer.clone());
                    answer(Arc::clone(&app), busy.clone(), request)
                };
                tokio::spawn(async move {
                    if let Some(stream) = tls.accept(stream, from).await {
                        connection::serve(stream, false, std::future::pending(), stop, held, service).await;
                    }
                });
            }
        }
        Ok(())
    }

    /// Stops accepting, lets running changes and answers end (answers for a few seconds at most), then returns.
    pub async fn drain(self) {
        let Self { stop, busy, idle, .. } = self;
        stop.send_replace(true);
        drop(busy);
        // Only senders are dropped, nothing is ever sent.
        idle.lock().await.recv().await;
    }
}

async fn answer(app: Arc<App>, busy: mpsc::Sender<Infallible>, request: Request<Incoming>) -> Response<Body> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let server = app.server.clone();
    let mut answer = match handle(app, busy, request).await {
        Ok(answer) => answer,
        Err(failure) => {
            if failure.status.is_server_error() && failure.status != StatusCode::NOT_IMPLEMENTED {
                tracing::warn!(%method, path, status = failure.status.as_u16(), "{}", failure.message);
            }
            failure.answer()
        }
    };
    tracing::debug!(%method, path, status = answer.status().as_u16());
    let headers = answer.headers_mut();
    for (name, value) in [("api-version", API_VERSION), ("ostype", "linux"), ("docker-experimental", "false")]
    {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers.insert(http::header::SERVER, server);
    answer
}

async fn handle(app: Arc<App>, busy: mpsc::Sender<Infallible>, request: Request<Incoming>) -> Reply {
    let (version, path) = ApiVersion::split(request.uri().path());
    version.gate()?;
    let found = ROUTES.iter().find_map(|route| {
        let fits = route.method == *request.method() && version >= ApiVersion::new(route.since);
        fits.then(|| fit(route.pattern, path)).flatten().map(|params| (route, params))
    });
    let Some((route, params)) = found else {
        return Err(Failure::new(StatusCode::NOT_FOUND, "page not found"));
    };
    let query = Query::parse(request.uri().query().unwrap_or(""));
    let handler = (route.handler)(Call { app, version, params, query, request });
    match route.kind {
        Kind::Read => handler.await,
        Kind::Change => {
            let task = tokio::spawn(async move {
                let _busy = busy;
                handler.await
            });
            task.await.unwrap_or_else(|error| {
                Err(Failure::new(StatusCode::INTERNAL_SERVER_ERROR, format!("the request failed: {error}")))
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_advertised_version_is_the_newest_served() {
        assert_eq!(ApiVersion::MAX.to_string(), API_VERSION);
    }
}
