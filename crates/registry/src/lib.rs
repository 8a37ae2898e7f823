//! The distribution protocol's client: pulls images from any OCI or docker registry into the store.
#![forbid(unsafe_code)]

use dhow_oci::{Platform, Reference};
use dhow_store::{Image, Store};
use std::sync::Arc;

/// Class of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// No such repository, tag or digest (also: access denied without credentials).
    NotFound,
    /// Credentials refused.
    Unauthorized,
    /// No answer: name, route, TLS, time-out.
    Unavailable,
    /// The registry sent what is wrong: digest, manifest, media type.
    Invalid,
    /// Anything else.
    Internal,
}

/// What failed, in one sentence that names the image or host.
#[derive(Debug)]
pub struct Error {
    /// Class.
    pub kind: Kind,
    /// The sentence.
    pub message: String,
    /// Why.
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// How registries are reached. Plain HTTP for loopback addresses and `insecure` ones only.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Hosts (or CIDRs) that may be plain HTTP or have a bad certificate.
    pub insecure: Vec<String>,
    /// URLs tried first for docker.io.
    pub mirrors: Vec<String>,
}

/// A user's credentials for one registry (`X-Registry-Auth`).
#[derive(Debug, Clone, Default)]
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
#[derive(Debug, Clone)]
pub struct Client {/* Arc<…> */}

impl Client {
    /// Reads no certificates until the first request.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let _unused = config;
        unimplemented!()
    }

    /// Pulls one image into the store and names it. Layers that the store has are not fetched.
    ///
    /// # Errors
    /// See [`Kind`].
    pub async fn pull(
        &self,
        store: &Store,
        image: &Reference,
        platform: &Platform,
        credentials: Option<&Credentials>,
        progress: impl Fn(Progress) + Send + Sync,
    ) -> Result<Arc<Image>, Error> {
        let _unused = (store, image, platform, credentials);
        progress(Progress { id: String::new(), status: String::new(), bytes: None });
        unimplemented!()
    }

    /// Checks credentials (`POST /auth`): docker's answer is `Login Succeeded`.
    ///
    /// # Errors
    /// `Unauthorized`.
    pub async fn login(&self, server: &str, credentials: &Credentials) -> Result<(), Error> {
        let _unused = (server, credentials);
        unimplemented!()
    }
}
