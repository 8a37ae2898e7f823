//! OCI specification → plan of system calls → running process. Blocking, no tokio, no logs.
//!
//! [`Host::observe`] reads what this machine offers; [`plan()`] is pure; [`create`] applies and decides nothing.
#![forbid(unsafe_code)]

mod agent;
mod birth;
mod bundle;
mod caps;
mod cgroup;
mod child;
mod code;
pub mod door;
mod error;
pub mod hooks;
mod host;
mod init;
mod interfaces;
mod plan;
mod process;
pub mod seccomp;
mod start;
mod step;
mod systemd;
mod trees;
mod userns;
mod wire;

pub use bundle::mount_bundle;
pub use caps::CAPABILITIES;
pub use cgroup::control::{freeze, frozen, processes, signal_all};
pub use cgroup::kill::{kill_all, remove_cgroups};
pub use cgroup::lack::Lack;
pub use cgroup::oom::{OomWatch, oom_kills};
pub use cgroup::stats::stats;
pub use cgroup::update::update;
pub use cgroup::usage::{Pressure, Usage, usage};
pub use error::Error;
pub use host::Host;
pub use init::init_main;
pub use plan::{Options, Plan, RootFs, plan, plan_exec};
pub use process::{Process, try_wait};
pub use start::{Stdio, create, create_apart, exec, exec_apart};
