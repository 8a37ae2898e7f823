//! `events`: what a container uses, every now and then, and when it ran out of memory: one JSON object a line.

use super::{Command, Context, print};
use crate::arguments::{Arguments, switch, value};
use crate::container::{Container, Status};
use crate::failure::Failure;
use dhow_oci::stats::{Event, Stats};
use dhow_runtime::OomWatch;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
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
    near: false,
    run,
};

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
    if arguments.is("stats") {
        event("stats", &container, Some(dhow_runtime::stats(&container.record.cgroups)?))?;
        return Ok(0);
    }
    let Some(pidfd) = container.record.process.open()? else { return Ok(0) };
    let mut watch = OomWatch::new(&container.record.cgroups)?;
    let mut next = Instant::now() + interval;
    loop {
        let ended = wait(&pidfd, watch.as_ref(), next)?;
        let strikes = watch.as_mut().map_or(Ok(Some(0)), OomWatch::strikes)?;
        for _ in 0..strikes.unwrap_or(0) {
            event("oom", &container, None)?;
        }
        if ended || strikes.is_none() {
            return Ok(0);
        }
        if Instant::now() >= next {
            let Ok(stats) = dhow_runtime::stats(&container.record.cgroups) else {
                // Its cgroups go when it is deleted, which may be now.
                return Ok(0);
            };
            event("stats", &container, Some(stats))?;
            next += interval;
        }
    }
}

/// Until something happens or the time has come; whether the container has ended.
fn wait(pidfd: &OwnedFd, watch: Option<&OomWatch>, until: Instant) -> Result<bool, Failure> {
    let time = until.saturating_duration_since(Instant::now());
    let time = Timespec {
        tv_sec: time.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: time.subsec_nanos().into(),
    };
    let mut fds = vec![PollFd::new(pidfd, PollFlags::IN)];
    if let Some(watch) = watch {
        let interest = if watch.is_priority() { PollFlags::PRI } else { PollFlags::IN };
        fds.push(PollFd::new(watch, interest));
    }
    rustix::io::retry_on_intr(|| poll(&mut fds, Some(&time)))
        .map_err(|e| Failure::new(format!("wait for the container: {e}")))?;
    Ok(fds.first().is_some_and(|process| !process.revents().is_empty()))
}

fn event(kind: &str, container: &Container, data: Option<Stats>) -> Result<(), Failure> {
    let event = Event { kind: kind.to_owned(), id: container.record.id.clone(), data };
    let line = serde_json::to_string(&event).map_err(|e| Failure::new(format!("encode: {e}")))?;
    print(&(line + "\n"))
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
}
