//! The crate from outside: files → project, project → plan, and the whole against an engine.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "suite/body.rs"]
mod body;
#[path = "suite/engine.rs"]
mod engine;
#[path = "suite/folder.rs"]
mod folder;
#[path = "suite/load.rs"]
mod load;
#[path = "suite/plan.rs"]
mod plan;
