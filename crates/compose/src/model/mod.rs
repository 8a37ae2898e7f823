//! A project as it is meant: typed, resolved, every name in full.

mod hash;
mod project;
mod resources;
mod service;

pub use hash::{network_hash, service_hash, to_json};
pub use project::{FileObject, Ipam, IpamPool, Network, Project, Volume};
pub use resources::{
    Attachment, Blkio, BlkioRate, BlkioWeight, Build, BuildSecret, Condition, Dependency, Deploy, Device,
    DeviceRequest, EnvFile, FileMount, Healthcheck, Limits, Logging, Mount, MountKind, Port, Resources,
    RestartRule, Ulimit,
};
pub use service::{PullPolicy, Service};
