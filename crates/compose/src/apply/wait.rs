//! Waiting for containers, by the engine's events: nothing is polled.

use std::collections::HashMap;

use bollard::{
    container::LogOutput,
    models::{ContainerInspectResponse, ContainerStateStatusEnum, HealthStatusEnum},
    query_parameters::{EventsOptionsBuilder, InspectContainerOptions, LogsOptionsBuilder},
};
use futures_util::{StreamExt, future::try_join_all};

use super::{Session, event};
use crate::{error::Error, model::Condition, plan::Target, report::Phase};

/// What a look at a container says.
enum Verdict {
    Good(&'static str),
    Bad(String),
    NotYet,
}

/// Waits until all containers of a dependency meet the condition.
pub(super) async fn condition(
    session: &Session<'_>,
    service: &str,
    condition: Condition,
    targets: &[Target],
    required: bool,
) -> Result<(), Error> {
    let all = try_join_all(
        targets.iter().map(|target| until(session, target, |seen| judge(seen, condition, &target.name))),
    )
    .await;
    match all {
        Err(Error::Wait { container, why }) if required => Err(Error::Dependency { container, why }),
        Err(Error::Wait { why, .. }) => {
            session.reporter.warn(&format!("optional dependency {service} failed to start: {why}"));
            Ok(())
        }
        other => other.map(|_| ()),
    }
}

/// Waits until all containers run, are healthy where they can be, or have ended well.
pub(super) async fn ready(session: &Session<'_>, targets: &[Target]) -> Result<(), Error> {
    try_join_all(targets.iter().map(|target| until(session, target, |seen| judge_ready(seen, &target.name))))
        .await
        .map(|_| ())
}

async fn until(
    session: &Session<'_>,
    target: &Target,
    judge: impl Fn(&ContainerInspectResponse) -> Verdict,
) -> Result<(), Error> {
    let resource = format!("Container {}", target.name);
    session.reporter.event(event(resource.clone(), "Waiting", Phase::Working));
    let result = watch(session, target, judge).await;
    match &result {
        Ok(word) => session.reporter.event(event(resource, word, Phase::Done)),
        Err(_) => session.reporter.event(event(resource, "Error", Phase::Failed)),
    }
    result.map(|_| ())
}

async fn watch(
    session: &Session<'_>,
    target: &Target,
    judge: impl Fn(&ContainerInspectResponse) -> Verdict,
) -> Result<&'static str, Error> {
    let look = async || {
        session
            .docker
            .inspect_container(target.reference(), None::<InspectContainerOptions>)
            .await
            .map_err(Error::engine(format!("inspect container {}", target.name)))
    };
    let bad = |why| Error::Wait { container: target.name.clone(), why };
    let seen = look().await?;
    let id = seen.id.clone().unwrap_or_default();
    match judge(&seen) {
        Verdict::Good(word) => return Ok(word),
        Verdict::Bad(why) => return Err(bad(why)),
        Verdict::NotYet => {}
    }
    // From the container's own start, by the engine's clock: no event between the look and the listening can be missed.
    let since = seen
        .state
        .and_then(|state| state.started_at)
        .and_then(|text| text.parse::<jiff::Timestamp>().ok())
        .filter(|time| time.as_second() > 0);
    let filters = HashMap::from([
        ("container".to_owned(), vec![id]),
        ("type".to_owned(), vec!["container".to_owned()]),
    ]);
    let mut options = EventsOptionsBuilder::default().filters(&filters);
    let since = since.map(|time| format!("{}.{:09}", time.as_second(), time.subsec_nanosecond()));
    if let Some(since) = &since {
        options = options.since(since);
    }
    let mut events = std::pin::pin!(session.docker.events(Some(options.build())));
    while let Some(event) = events.next().await {
        let event = event.map_err(Error::engine("listen to events"))?;
        let action = event.action.unwrap_or_default();
        if !(action.starts_with("health_status")
            || matches!(action.as_str(), "start" | "die" | "stop" | "restart" | "unpause" | "destroy"))
        {
            continue;
        }
        match judge(&look().await?) {
            Verdict::Good(word) => return Ok(word),
            Verdict::Bad(why) => return Err(bad(why)),
            Verdict::NotYet => {}
        }
    }
    Err(bad(format!("container {}: the engine ended its event stream", target.name)))
}

struct Seen {
    up: bool,
    ended: bool,
    code: i64,
    health: Option<HealthStatusEnum>,
}

fn seen(container: &ContainerInspectResponse) -> Seen {
    let state = container.state.clone().unwrap_or_default();
    let health = state
        .health
        .and_then(|health| health.status)
        .filter(|status| !matches!(status, HealthStatusEnum::NONE | HealthStatusEnum::EMPTY));
    Seen {
        up: state.status == Some(ContainerStateStatusEnum::RUNNING),
        ended: matches!(
            state.status,
            Some(ContainerStateStatusEnum::EXITED | ContainerStateStatusEnum::DEAD)
        ),
        code: state.exit_code.unwrap_or_default(),
        health,
    }
}

fn judge(container: &ContainerInspectResponse, condition: Condition, name: &str) -> Verdict {
    let seen = seen(container);
    match condition {
        Condition::Started if seen.up || seen.ended => Verdict::Good("Started"),
        Condition::Started => Verdict::NotYet,
        Condition::Completed if seen.ended && seen.code == 0 => Verdict::Good("Exited"),
        Condition::Completed if seen.ended => {
            Verdict::Bad(format!("container {name} exited ({})", seen.code))
        }
        Condition::Completed => Verdict::NotYet,
        Condition::Healthy if seen.ended => Verdict::Bad(format!("container {name} exited ({})", seen.code)),
        Condition::Healthy => match seen.health {
            Some(HealthStatusEnum::HEALTHY) => Verdict::Good("Healthy"),
            Some(HealthStatusEnum::UNHEALTHY) => Verdict::Bad(format!("container {name} is unhealthy")),
            None if seen.up => Verdict::Bad(format!("container {name} has no healthcheck configured")),
            _ => Verdict::NotYet,
        },
    }
}

/// For `--wait`: a job that ends with 0 is as good as a server that runs.
fn judge_ready(container: &ContainerInspectResponse, name: &str) -> Verdict {
    let seen = seen(container);
    match (seen.ended, seen.up, &seen.health) {
        (true, ..) if seen.code == 0 => Verdict::Good("Exited"),
        (true, ..) => Verdict::Bad(format!("container {name} exited ({})", seen.code)),
        (_, true, None) => Verdict::Good("Running"),
        (_, true, Some(HealthStatusEnum::HEALTHY)) => Verdict::Good("Healthy"),
        (_, true, Some(HealthStatusEnum::UNHEALTHY)) => {
            Verdict::Bad(format!("container {name} is unhealthy"))
        }
        _ => Verdict::NotYet,
    }
}

/// The last lines of a container that failed, for the error's reader.
pub async fn logs_of_failed(docker: &bollard::Docker, name: &str) -> String {
    let options = LogsOptionsBuilder::default().stdout(true).stderr(true).tail("10").build();
    let mut stream = std::pin::pin!(docker.logs(name, Some(options)));
    let mut text = Vec::new();
    while let Some(Ok(
        LogOutput::StdErr { message } | LogOutput::StdOut { message } | LogOutput::Console { message },
    )) = stream.next().await
    {
        text.extend_from_slice(&message);
    }
    String::from_utf8_lossy(&text).into_owned()
}
