//! Health probes: what is asked, how answers count (pure), and the task that asks while a container runs.

use super::{
    Health, Probe, Spec,
    book::Live,
    task::{Command, Keeper},
};
use crate::{events::Time, exec, shared::Shared};
use dhow_oci::image::Healthcheck;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// Output kept of a probe, as docker does.
const MAX_OUTPUT: usize = 4096;
const KEPT: usize = 5;

/// A health check with docker's defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    /// The command line.
    pub(crate) args: Vec<String>,
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
    pub(crate) start_period: Duration,
    pub(crate) start_interval: Duration,
    pub(crate) retries: i64,
}

impl Health {
    /// Before the first probe.
    pub(crate) fn starting() -> Self {
        Self { status: "starting".to_owned(), failing_streak: 0, log: Vec::new() }
    }
}

/// The check of a container, if it has one.
pub(crate) fn settings(spec: &Spec) -> Option<Settings> {
    let check: &Healthcheck = spec.healthcheck.as_ref()?;
    let test = check.test.as_deref()?;
    let args = match test.split_first()? {
        (kind, rest) if kind == "CMD" && !rest.is_empty() => rest.to_vec(),
        (kind, rest) if kind == "CMD-SHELL" => {
            vec!["/bin/sh".to_owned(), "-c".to_owned(), rest.join(" ")]
        }
        _ => return None,
    };
    let or = |nanos: i64, default: u64| match u64::try_from(nanos) {
        Ok(nanos) if nanos > 0 => Duration::from_nanos(nanos),
        _ => Duration::from_secs(default),
    };
    Some(Settings {
        args,
        interval: or(check.interval, 30),
        timeout: or(check.timeout, 30),
        start_period: or(check.start_period, 0),
        start_interval: or(check.start_interval, 5),
        retries: if check.retries > 0 { check.retries } else { 3 },
    })
}

/// Counts one probe. Returns whether the status changed.
pub(crate) fn note(health: &mut Health, probe: Probe, retries: i64, in_start_period: bool) -> bool {
    let before = health.status.clone();
    if probe.exit_code == 0 {
        health.failing_streak = 0;
        "healthy".clone_into(&mut health.status);
    } else if !(in_start_period && health.status == "starting") {
        health.failing_streak += 1;
        if health.failing_streak >= retries {
            "unhealthy".clone_into(&mut health.status);
        }
    }
    health.log.push(probe);
    if health.log.len() > KEPT {
        health.log.remove(0);
    }
    before != health.status
}

/// Probes until it is dropped with the run.
pub(crate) fn watch(keeper: &Keeper, live: &Arc<Live>) -> Option<super::task::Probing> {
    let settings = settings(&keeper.record.spec)?;
    let (shared, handle, live, run) =
        (keeper.shared.clone(), keeper.handle.clone(), live.clone(), keeper.runs);
    let begun = Instant::now();
    let task = tokio::spawn(async move {
        loop {
            let view = handle.view();
            let starting = view.health.as_ref().is_none_or(|h| h.status == "starting");
            let early = starting && begun.elapsed() < settings.start_period;
            tokio::time::sleep(if early { settings.start_interval } else { settings.interval }).await;
            if handle.view().status == super::Status::Paused {
                continue;
            }
            let probe = ask(&shared, &handle.id, &live, &settings).await;
            handle.tell(Command::Probed { run, probe: Box::new(probe) }).await;
        }
    });
    Some(super::task::Probing(task.abort_handle()))
}

/// One probe: a process in the container without an exec object, killed with all its children when its time is over.
async fn ask(shared: &Arc<Shared>, id: &str, live: &Arc<Live>, settings: &Settings) -> Probe {
    let start = Time::now();
    let outcome = exec::probe(shared, id, live, &settings.args, settings.timeout, MAX_OUTPUT).await;
    let (exit_code, output) = match outcome {
        Ok(exec::Probed { code: Some(code), output }) => (code, output),
        Ok(exec::Probed { code: None, output }) => {
            let seconds = settings.timeout.as_secs_f64();
            (
                -1,
                format!(
                    "Health check exceeded timeout ({seconds}s){}{output}",
                    if output.is_empty() { "" } else { ": " }
                ),
            )
        }
        Err(failure) => (-1, failure.message),
    };
    Probe { start, end: Time::now(), exit_code, output }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(code: i32) -> Probe {
        Probe { start: Time(0), end: Time(0), exit_code: code, output: String::new() }
    }

    #[test]
    fn counts_as_docker_does() {
        let mut health = Health::starting();
        assert!(!note(&mut health, probe(1), 2, true));
        assert_eq!((health.status.as_str(), health.failing_streak), ("starting", 0));
        assert!(!note(&mut health, probe(1), 2, false));
        assert!(note(&mut health, probe(1), 2, false));
        assert_eq!(health.status, "unhealthy");
        assert!(note(&mut health, probe(0), 2, false));
        assert_eq!((health.status.as_str(), health.failing_streak), ("healthy", 0));
        for _ in 0..9 {
            note(&mut health, probe(0), 2, false);
        }
        assert_eq!(health.log.len(), KEPT);
    }

    #[test]
    fn kinds_of_checks() {
        let with = |test: &[&str]| {
            let test = Some(test.iter().map(|s| (*s).to_owned()).collect());
            let spec =
                Spec { healthcheck: Some(Healthcheck { test, ..Healthcheck::default() }), ..Spec::default() };
            settings(&spec).map(|s| s.args)
        };
        assert_eq!(with(&["CMD", "a", "b"]).unwrap(), ["a", "b"]);
        assert_eq!(with(&["CMD-SHELL", "exit 1"]).unwrap(), ["/bin/sh", "-c", "exit 1"]);
        assert!(with(&["NONE"]).is_none() && with(&[]).is_none());
    }
}
