//! `events`: what a container uses, every now and then, and when it ran out of memory: one JSON object a line.

use super::{Command, Context, print};
use crate::arguments::{Arguments, switch, value};
use crate::container::{Container, Status};
use crate::failure::Failure;
use dhow_runtime::Usage;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::{Map, Value, json};
use std::time::{Duration, Instant};

pub(super) const COMMAND: Command = Command {
    name: "events",
    words: (1, 1),
    usage: "[options] <container-id>",
    help: "print what a container uses, and its out-of-memory events",
    flags: &[
        value("interval", "", "time between two (default: 5s)"),
        switch("stats", "", "print what it uses once, and end"),
    ],
    run,
};

/// How late an out-of-memory event may be told.
const LOOK: Duration = Duration::from_millis(100);

fn run(context: &Context, arguments: &Arguments) -> Result<u8, Failure> {
    let interval = match arguments.text("interval") {
        None => Duration::from_secs(5),
        Some(text) => duration(text)
            .filter(|interval| !interval.is_zero())
            .ok_or_else(|| Failure::new("duration interval must be greater than 0"))?,
    };
    let container = Container::load(&context.root, arguments.first())?;
    if container.status()? == Status::Stopped {
        return Err(Failure::new(format!("container with id {} is not running", container.record.id)));
    }
    let usage = || dhow_runtime::usage(&container.record.cgroups).map_err(Failure::from);
    if arguments.is("stats") {
        return stats(&container, &usage()?).map(|()| 0);
    }
    let Some(pidfd) = container.record.process.open()? else { return Ok(0) };
    let (mut kills, mut next) = (usage()?.oom_kills, Instant::now() + interval);
    loop {
        let wait = next.saturating_duration_since(Instant::now()).min(LOOK);
        let wait = Timespec { tv_sec: 0, tv_nsec: i64::from(wait.subsec_nanos()) };
        let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
        let ended = rustix::io::retry_on_intr(|| poll(&mut fds, Some(&wait)))
            .map_err(|e| Failure::new(format!("wait for the container: {e}")))?;
        // Its cgroups go when it is deleted, which may be now.
        let Ok(now) = usage() else { return Ok(0) };
        if now.oom_kills > kills {
            kills = now.oom_kills;
            event("oom", &container.record.id, None)?;
        }
        if ended > 0 {
            return Ok(0);
        }
        if Instant::now() >= next {
            stats(&container, &now)?;
            next += interval;
        }
    }
}

fn stats(container: &Container, usage: &Usage) -> Result<(), Failure> {
    event("stats", &container.record.id, Some(data(usage)))
}

fn event(kind: &str, id: &str, data: Option<Value>) -> Result<(), Failure> {
    let mut line = json!({ "type": kind, "id": id });
    if let (Some(data), Some(object)) = (data, line.as_object_mut()) {
        object.insert("data".to_owned(), data);
    }
    print(&format!("{line}\n"))
}

/// runc's names.
fn data(usage: &Usage) -> Value {
    // What the kernel says where there is no limit: v1's largest multiple of a page.
    let limit = |limit: u64| if limit == u64::MAX { 9_223_372_036_854_771_712 } else { limit };
    let (periods, throttled, time) = usage.cpu_throttling;
    let raw: Map<String, Value> =
        usage.memory_stat.iter().map(|(name, value)| (name.clone(), Value::from(limit(*value)))).collect();
    let cached = |name: &str| raw.get(name).cloned().unwrap_or_else(|| Value::from(0));
    let devices = |list: &[(u64, u64, String, u64)]| -> Vec<Value> {
        let entry = |(major, minor, op, value): &(u64, u64, String, u64)| json!({"major": major, "minor": minor, "op": op, "value": value});
        list.iter().map(entry).collect()
    };
    let mut pids = json!({ "current": usage.pids });
    if let (true, Some(pids)) = (usage.pids_limit != u64::MAX, pids.as_object_mut()) {
        pids.insert("limit".to_owned(), Value::from(usage.pids_limit));
    }
    json!({
        "cpu": {
            "usage": {
                "total": usage.cpu_total,
                "percpu": usage.cpu_per_core,
                "kernel": usage.cpu_kernel,
                "user": usage.cpu_user,
            },
            "throttling": { "periods": periods, "throttledPeriods": throttled, "throttledTime": time },
        },
        "memory": {
            "cache": cached(if raw.contains_key("cache") { "cache" } else { "file" }),
            "usage": {
                "limit": limit(usage.memory_limit),
                "usage": usage.memory,
                "max": usage.memory_peak,
                "failcnt": usage.memory_failures,
            },
            "raw": raw,
        },
        "pids": pids,
        "blkio": {
            "ioServiceBytesRecursive": devices(&usage.io_bytes),
            "ioServicedRecursive": devices(&usage.io_ops),
        },
        "hugetlb": {},
        "intel_rdt": {},
        "network_interfaces": null,
    })
}

/// Go's notation: `5s`, `1m30s`, `250ms`.
fn duration(text: &str) -> Option<Duration> {
    let (mut rest, mut all) = (text, Duration::ZERO);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at_checked(end)?;
        let end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(end)?;
        let seconds = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        all += Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()?;
        rest = after;
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_as_go_writes_them() {
        assert_eq!(duration("1m30s"), Some(Duration::from_secs(90)));
        assert_eq!(duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(duration("1.5s"), Some(Duration::from_millis(1500)));
        assert_eq!(duration("5"), None);
        assert_eq!(duration("5 parsecs"), None);
    }

    #[test]
    fn usage_has_runcs_names() {
        let usage =
            Usage { pids: 2, pids_limit: u64::MAX, memory: 7, memory_limit: u64::MAX, ..Usage::default() };
        let data = data(&usage);
        assert_eq!(data["memory"]["usage"]["usage"], 7);
        assert_eq!(data["memory"]["usage"]["limit"], 9_223_372_036_854_771_712_u64);
        assert_eq!(data["pids"], json!({ "current": 2 }));
    }
}
