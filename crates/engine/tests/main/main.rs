//! The engine against real shims, namespaces and cgroups. Each test has its own data root, exec root and network instance, and leaves nothing.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test says why it fails or is skipped")]

mod again;
mod harness;
mod life;
mod network;
mod pace;
mod rest;
