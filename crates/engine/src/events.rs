//! What happened: docker's events, in order, and the last ones kept for `since`.

use crate::{Result, filters::Filters};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, PoisonError},
};
use tokio::sync::{broadcast, mpsc};

/// Events kept for `since`, and the most that a slow reader may lag behind.
const KEPT: usize = 1024;

/// Nanoseconds since the epoch. Zero means never (docker prints `0001-01-01T00:00:00Z`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
pub struct Time(pub i64);

impl Time {
    /// Now.
    #[must_use]
    pub fn now() -> Self {
        Self(i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX))
    }
    /// RFC 3339 with nanoseconds in UTC, as Go prints it.
    #[must_use]
    pub fn rfc3339(self) -> String {
        if self.0 == 0 {
            return "0001-01-01T00:00:00Z".to_owned();
        }
        jiff::Timestamp::from_nanosecond(i128::from(self.0))
            .map_or_else(|_| "0001-01-01T00:00:00Z".to_owned(), |time| time.to_string())
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
pub struct Events {
    past: Mutex<VecDeque<Event>>,
    live: broadcast::Sender<Event>,
}

impl Default for Events {
    fn default() -> Self {
        Self { past: Mutex::default(), live: broadcast::channel(KEPT).0 }
    }
}

impl Events {
    /// Publishes.
    pub fn emit(&self, event: Event) {
        let mut past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        if past.len() == KEPT {
            past.pop_front();
        }
        past.push_back(event.clone());
        // Inside the lock, so that a subscriber sees each event once: past or live. No subscriber is no failure.
        if self.live.send(event).is_err() {}
    }

    /// Publishes something that happened now.
    pub(crate) fn note<const N: usize>(
        &self,
        kind: &'static str,
        action: &str,
        id: &str,
        attributes: [(&str, &str); N],
    ) {
        let attributes = attributes.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let event =
            Event { kind, action: action.to_owned(), id: id.to_owned(), attributes, time: Time::now() };
        self.emit(event);
    }

    /// Listeners now.
    pub(crate) fn listeners(&self) -> usize {
        self.live.receiver_count()
    }

    /// Past ones since `since`, then live ones until `until`. Registered when this returns. A slow reader loses the oldest, never blocks anybody.
    pub fn subscribe(
        &self,
        since: Option<Time>,
        until: Option<Time>,
        filters: &Filters,
    ) -> Result<mpsc::Receiver<Event>> {
        filters.only(&KNOWN)?;
        let past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        let mut live = self.live.subscribe();
        let within = |e: &Event| since.is_some_and(|t| e.time >= t) && until.is_none_or(|t| e.time <= t);
        let old: Vec<Event> = past.iter().filter(|e| within(e) && matches(e, filters)).cloned().collect();
        drop(past);
        let (sender, receiver) = mpsc::channel(64);
        let filters = filters.clone();
        tokio::spawn(async move {
            for event in old {
                if sender.send(event).await.is_err() {
                    return;
                }
            }
            let end = async {
                match until.map(|t| t.0.saturating_sub(Time::now().0)) {
                    Some(left) => {
                        tokio::time::sleep(std::time::Duration::from_nanos(left.max(0) as u64)).await
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::pin!(end);
            loop {
                let event = tokio::select! {
                    biased;
                    () = sender.closed() => return,
                    event = live.recv() => event,
                    () = &mut end => return,
                };
                match event {
                    Ok(event) if !matches(&event, &filters) => {}
                    Ok(event) => {
                        if sender.send(event).await.is_err() {
                            return;
                        }
                    }
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return,
                }
            }
        });
        Ok(receiver)
    }
}

const KNOWN: [&str; 14] = [
    "config",
    "container",
    "daemon",
    "event",
    "image",
    "label",
    "network",
    "node",
    "plugin",
    "scope",
    "secret",
    "service",
    "type",
    "volume",
];

/// Whether an event passes docker's filters.
fn matches(event: &Event, filters: &Filters) -> bool {
    let one_of = |key: &str, test: &dyn Fn(&String) -> bool| {
        let wanted = filters.all(key);
        wanted.is_empty() || wanted.iter().any(test)
    };
    let name = event.attributes.get("name").map_or("", String::as_str);
    let actor = |kind: &str| {
        one_of(kind, &|v| {
            event.kind == kind
                && (event.id == *v || name == v || (v.len() >= 4 && event.id.starts_with(v.as_str())))
        })
    };
    let image = |v: &String| {
        let of = if event.kind == "image" {
            event.id.as_str()
        } else {
            event.attributes.get("image").map_or("", |s| s)
        };
        of == v || name == v || of.split_once(':').is_some_and(|(bare, _)| bare == v)
    };
    // `exec_start` finds `exec_start: sh`, `health_status` finds `health_status: healthy`
    let action =
        |v: &String| event.action == *v || event.action.split_once(':').is_some_and(|(head, _)| head == v);
    one_of("event", &action)
        && one_of("type", &|v| event.kind == v)
        && one_of("scope", &|v| v == "local")
        && one_of("image", &image)
        && ["container", "daemon", "network", "volume", "config", "node", "plugin", "secret", "service"]
            .iter()
            .all(|kind| actor(kind))
        && filters.labels(&event.attributes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(key: &str, value: &str) -> Filters {
        Filters(BTreeMap::from([(key.to_owned(), vec![value.to_owned()])]))
    }

    #[test]
    fn times_read_as_go_writes_them() {
        assert_eq!(Time(0).rfc3339(), "0001-01-01T00:00:00Z");
        assert_eq!(Time(1_700_000_000_120_000_000).rfc3339(), "2023-11-14T22:13:20.12Z");
    }

    #[tokio::test]
    async fn past_then_live_each_once() {
        let events = Events::default();
        events.note("container", "create", "abcdef", [("name", "web")]);
        events.note("volume", "create", "data", []);
        let mut seen = events.subscribe(Some(Time(1)), None, &filter("container", "web")).unwrap();
        events.note("container", "health_status: healthy", "abcdef", [("name", "web")]);
        assert_eq!(seen.recv().await.unwrap().action, "create");
        assert_eq!(seen.recv().await.unwrap().action, "health_status: healthy");
        assert!(events.subscribe(None, None, &filter("nonsense", "x")).is_err());
        let until = Some(Time::now());
        let mut ended = events.subscribe(Some(Time(1)), until, &filter("event", "health_status")).unwrap();
        assert_eq!(ended.recv().await.unwrap().action, "health_status: healthy");
        assert!(ended.recv().await.is_none());
    }
}
