//! The public face: configuration, credentials, progress, and the client.

use crate::{
    About, Error, Found, Pushed, about, auth, endpoint,
    http::Http,
    net::{Insecure, Proxies},
    pull, push, search,
    session::Session,
};
use dhow_oci::{Platform, Reference};
use dhow_store::{Image, Store};
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex},
};

/// How registries are reached. Plain HTTP for loopback addresses and `insecure` ones only.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Hosts (or CIDRs) that may be plain HTTP or have a bad certificate.
    pub insecure: Vec<String>,
    /// URLs tried first for docker.io.
    pub mirrors: Vec<String>,
}

/// A user's credentials for one registry (`X-Registry-Auth`).
#[derive(Clone, Default)]
pub struct Credentials {
    /// Name.
    pub username: String,
    /// Password.
    pub password: String,
    /// Instead of both: an OAuth2 refresh token.
    pub identity_token: String,
    /// Instead of all: a bearer token.
    pub registry_token: String,
}

impl fmt::Debug for Credentials {
    /// Secrets are not printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

/// One step of a pull, in docker's words for its JSON stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Short layer digest or tag; empty for a line of its own.
    pub id: String,
    /// `Pulling fs layer`, `Downloading`, `Download complete`, `Extracting`, `Pull complete`, `Already exists`, `Digest: …`, `Status: …`.
    pub status: String,
    /// Bytes so far and in all, where it makes sense.
    pub bytes: Option<(u64, u64)>,
}

/// A client with its connections and tokens. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) mirrors: Vec<String>,
    pub(crate) insecure: Insecure,
    pub(crate) http: Http,
    pub(crate) tokens: auth::Tokens,
    /// Whether an insecure host, once it answered, speaks TLS.
    pub(crate) speaks_tls: Mutex<HashMap<String, bool>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("mirrors", &self.inner.mirrors).finish_non_exhaustive()
    }
}

impl Client {
    /// Reads no certificates until the first request. Proxies come from the environment (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`).
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self::with_proxies(config, Proxies::from_env())
    }

    pub(crate) fn with_proxies(config: Config, proxies: Proxies) -> Self {
        let inner = Inner {
            mirrors: config.mirrors,
            insecure: Insecure::new(&config.insecure),
            http: Http::new(proxies),
            tokens: auth::Tokens::default(),
            speaks_tls: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Pulls one image into the store and names it. Layers that the store has are not fetched.
    ///
    /// # Errors
    /// See [`crate::Kind`].
    pub async fn pull(
        &self,
        store: &Store,
        image: &Reference,
        platform: &Platform,
        credentials: Option<&Credentials>,
        progress: impl Fn(Progress) + Send + Sync,
    ) -> Result<Arc<Image>, Error> {
        let image = image.clone().with_default_tag();
        pull::pull(self, store, &image, platform, credentials, &progress).await
    }

    /// Pushes an image under a name with a tag. Layers that the registry has are not sent.
    ///
    /// # Errors
    /// See [`crate::Kind`].
    pub async fn push(
        &self,
        store: &Store,
        image: &Image,
        name: &Reference,
        credentials: Option<&Credentials>,
        progress: impl Fn(Progress) + Send + Sync,
    ) -> Result<Pushed, Error> {
        push::push(self, store, image, name, credentials, &progress).await
    }

    /// What the registry has under a name, without pulling it.
    ///
    /// # Errors
    /// See [`crate::Kind`].
    pub async fn about(&self, image: &Reference, credentials: Option<&Credentials>) -> Result<About, Error> {
        about::about(self, &image.clone().with_default_tag(), credentials).await
    }

    /// Repositories whose name or description has `term`: the hub's, or with a host before it that registry's.
    ///
    /// # Errors
    /// `Unavailable` where nobody answers or nothing can be searched.
    pub async fn search(
        &self,
        term: &str,
        limit: u8,
        credentials: Option<&Credentials>,
    ) -> Result<Vec<Found>, Error> {
        search::search(self, term, limit, credentials).await
    }

    /// Checks credentials (`POST /auth`): docker's answer is `Login Succeeded`.
    ///
    /// # Errors
    /// `Unauthorized`.
    pub async fn login(&self, server: &str, credentials: &Credentials) -> Result<(), Error> {
        let mut last = None;
        for endpoint in endpoint::of_server(self, server).await {
            let session = Session::for_login(self, endpoint.clone(), credentials);
            match session.ping().await {
                Ok(()) => return Ok(()),
                Err(error) if endpoint.falls_through(&error) => last = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(last.unwrap_or_else(|| Error::internal(format!("no way to registry {server}"))))
    }
}
