//! Docker's API on the wire, sans-I/O: what requests may look like over ten years of clients, how answers are printed, how
//! streams are framed, and the small notations (ports, binds, sizes, durations) that clients and engine share.
//!
//! Nothing here knows a socket or an engine: `api` decodes with it, `cli` and `compose` write the same notations with it.
//!
//! - requests: [`version`], [`query`], [`filters`], [`object`] (reads JSON as Go does), [`normalise`] (old bodies → today's)
//! - answers: [`record`] (objects that keep docker's order of fields), [`status`]
//! - streams: [`frames`] (stdout/stderr multiplexing), [`messages`] (JSON progress), [`text`] (output as text)
//! - notations: [`ports`], [`mounts`], [`size`], [`duration`], [`time`], [`mode`], [`detach`]
#![forbid(unsafe_code)]

pub mod detach;
pub mod duration;
pub mod filters;
pub mod frames;
pub mod messages;
pub mod mode;
pub mod mounts;
pub mod normalise;
pub mod object;
pub mod ports;
pub mod query;
pub mod record;
pub mod size;
pub mod status;
pub mod text;
pub mod time;
pub mod version;
pub mod websocket;

/// Text that does not follow the notation it should; the sentence names it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub String);
