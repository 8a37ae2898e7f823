//! Containers: what they are made from, how they stand, what can be asked of them.

mod adopt;
mod archive;
mod book;
mod commit;
mod cpuset;
mod create;
pub(crate) mod files;
mod health;
pub(crate) mod inside;
pub(crate) mod limits;
mod list;
pub(crate) mod logging;
pub(crate) mod mounts;
mod ports;
pub(crate) mod record;
mod requests;
mod restart;
mod seccomp;
mod service;
pub(crate) mod signals;
pub(crate) mod spec;
mod stats;
pub(crate) mod task;
mod top;
pub(crate) mod user;
mod validate;
mod view;
mod wanted;

pub(crate) use adopt::restore;
pub(crate) use archive::{pipe_in, pipe_out};
pub(crate) use book::{Book, Handle, Live, not_running};
pub(crate) use create::check_endpoint;
pub use logging::{DRIVERS as LOG_DRIVERS, check as check_log};
pub use ports::canonical as port_key;
pub(crate) use record::Record;
pub use requests::{
    Attach, Commit, Create, Duplex, List, LogQuery, Output, PathStat, Pruned, Remove, Sample, Top,
    WaitCondition,
};
pub(crate) use seccomp::kernel_version;
pub use service::Containers;
pub(crate) use service::duplex;
pub use view::{EndpointView, Health, MountPoint, Probe, Status, View};
pub use wanted::{
    DeviceSpec, Host, LogSpec, MountKind, MountSpec, PortBinding, Resources, Restart, Spec, Ulimit,
};
