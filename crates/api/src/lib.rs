//! Docker's Engine API over HTTP/1.1: decode, one engine call, encode; nothing else.
//!
//! Every version from 1.24 to the newest is served on one socket, always. The routes are one list in `routes`; a handler is a
//! function in the module of its noun. What is not there yet answers with a sentence that says so (`docs/api.md`).
#![forbid(unsafe_code)]

mod absent;
mod archive;
mod body;
mod build;
mod call;
mod connection;
mod containers;
mod create;
mod exec;
mod failure;
mod hijack;
mod host;
mod image_show;
mod images;
mod kafka;
mod logs;
mod networks;
mod peer;
mod reply;
mod route;
mod routes;
mod server;
mod show;
mod show_host;
mod stats;
mod system;
mod tls;
mod transfer;
mod volumes;
mod websocket;

pub use server::{Listener, Server};
pub use tls::Tls;
