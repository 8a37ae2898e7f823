//! The systemd cgroup driver: a container is a transient scope. The dialogue with systemd is D-Bus, spoken here.

mod bus;
mod message;
mod scope;
mod unit;

pub(crate) use scope::{Scope, set_properties, unit_of};
pub(crate) use unit::{compile, properties};
