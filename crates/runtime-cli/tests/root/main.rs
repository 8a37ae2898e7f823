//! The program itself, in every command, and under the engines it is made for.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test")]

mod containerd;
mod exec;
mod fixture;
mod life;
mod limits;
mod podman;
mod protection;
mod terminal;
