//! The distribution protocol's client: pulls images from any OCI or docker registry into the store.
//!
//! From below: `http` (connections, TLS, proxies), `endpoint` (which host, which scheme), `auth` (challenges and tokens), `session`
//! (one repository: requests with credentials and redirects), `manifest`, `layer` and `pull`. `docs/registry.md` tells the rules.
#![forbid(unsafe_code)]

mod about;
mod auth;
mod client;
mod endpoint;
mod error;
mod http;
mod layer;
mod manifest;
mod net;
mod pull;
mod push;
mod search;
mod session;
mod tls;
mod upload;

pub use about::About;
pub use client::{Client, Config, Credentials, Progress};
pub use error::{Error, Kind};
pub use push::Pushed;
pub use search::Found;
pub use tls::Trust;
