//! The engine against real shims, namespaces and cgroups. Each test has its own data root, exec root and network instance, and leaves nothing.

mod again;
mod harness;
mod life;
mod network;
mod rest;
