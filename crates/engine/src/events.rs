//! What happened: docker's events, in order, and the last ones kept for `since`.

use crate::{Result, filters::Filters};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tokio::sync::mpsc;

/// Nanoseconds since the epoch. Zero means never (docker prints `0001-01-01T00:00:00Z`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
pub struct Time(pub i64);

impl Time {
    /// Now.
    #[must_use]
    pub fn now() -> Self {
        unimplemented!()
    }
    /// RFC 3339 with nanoseconds in UTC, as Go prints it.
    #[must_use]
    pub fn rfc3339(self) -> String {
        unimplemented!()
    }
}

/// One event, as docker has it: type `container`, action `start`, actor id, attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// `container image network volume builder daemon`.
    pub kind: &'static str,
    /// `create start die …`, `exec_create: sh`, `health_status: healthy`.
    pub action: String,
    /// Id or name.
    pub id: String,
    /// `name`, `image`, labels, `exitCode`, …
    pub attributes: BTreeMap<String, String>,
    /// When.
    pub time: Time,
}

/// The service.
#[derive(Debug)]
pub struct Events {/* private */}

impl Events {
    /// Publishes.
    pub fn emit(&self, event: Event) {
        let _unused = event;
    }
    /// Past ones since `since`, then live ones until `until`. Registered when this returns. A slow reader loses the oldest, never blocks anybody.
    pub fn subscribe(&self, since: Option<Time>, until: Option<Time>, filters: &Filters) -> Result<mpsc::Receiver<Event>> {
        let _unused = (since, until, filters);
        unimplemented!()
    }
}
