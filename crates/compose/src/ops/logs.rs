//! `logs`, and following a container through its restarts.

use std::collections::HashMap;

use bollard::{
    Docker,
    container::LogOutput,
    models::ContainerStateStatusEnum,
    query_parameters::{AttachContainerOptions, EventsOptionsBuilder, InspectContainerOptions, LogsOptionsBuilder},
};
use futures_util::{StreamExt, future::join_all};
use jiff::Timestamp;

use super::{Room, short_name};
use crate::{
    error::{Error, status},
    observe::Container,
    report::LogPrinter,
};

/// Options of `logs`.
#[derive(Debug, Clone)]
#[allow(clippy::struct_excessive_bools, reason = "each is one flag of the command line")]
pub struct LogsRequest {
    /// Only these services.
    pub services: Vec<String>,
    /// `--follow`.
    pub follow: bool,
    /// `--tail`.
    pub tail: String,
    /// `--timestamps`.
    pub timestamps: bool,
    /// `--since`: a time or how long ago.
    pub since: Option<String>,
    /// `--until`.
    pub until: Option<String>,
    /// `--no-color` is false.
    pub color: bool,
    /// `--no-log-prefix` is false.
    pub prefix: bool,
    /// `--index`.
    pub index: Option<u32>,
}

/// Prints the logs of a project.
///
/// # Errors
/// The engine's.
pub async fn logs(room: &Room, request: &LogsRequest) -> Result<(), Error> {
    let containers = room.containers(&request.services, true).await?;
    let chosen: Vec<&Container> = containers.iter().filter(|c| request.index.is_none_or(|index| c.number == index)).collect();
    let printer = room.printer(request.color, request.prefix);
    chosen.iter().for_each(|container| printer.register(&short_name(&room.name, &container.name)));
    let (since, until) = (moment(request.since.as_deref())?, moment(request.until.as_deref())?);
    let all = join_all(chosen.iter().map(|container| one(room, container, request, since, until, &printer)));
    let mut stop = room.stop.clone();
    tokio::select! {
        results = all => results.into_iter().collect::<Result<Vec<()>, Error>>().map(|_| ()),
        () = crate::apply::stopped(&mut stop) => Err(Error::Interrupted),
    }
}

async fn one(room: &Room, container: &Container, request: &LogsRequest, since: i32, until: i32, printer: &LogPrinter) -> Result<(), Error> {
    let name = short_name(&room.name, &container.name);
    let options = LogsOptionsBuilder::default()
        .follow(request.follow)
        .stdout(true)
        .stderr(true)
        .since(since)
        .until(until)
        .timestamps(request.timestamps)
        .tail(&request.tail)
        .build();
    let mut stream = std::pin::pin!(room.docker.logs(&container.id, Some(options)));
    while let Some(output) = stream.next().await {
        let output = output.map_err(Error::engine(format!("logs of container {}", container.name)))?;
        let is_stderr = matches!(output, LogOutput::StdErr { .. });
        printer.feed(&name, is_stderr, &output.into_bytes());
    }
    printer.flush(&name);
    if !request.follow {
        return Ok(());
    }
    let code = exit_code(&room.docker, &container.id).await?;
    if let Some(code) = code {
        printer.note(&name, &format!("exited with code {code}"));
    }
    Ok(())
}

/// `2026-01-02T03:04:05Z`, `1700000000`, or `10m` ago → seconds.
fn moment(text: Option<&str>) -> Result<i32, Error> {
    let Some(text) = text else { return Ok(0) };
    let bad = || Error::invalid(format!("\"{text}\" is neither a time nor a duration"));
    let seconds = match (crate::units::duration(text), text.parse::<Timestamp>(), text.parse::<i64>()) {
        (_, _, Ok(seconds)) => seconds,
        (Some(ago), ..) => Timestamp::now().as_second() - ago.seconds(),
        (_, Ok(time), _) => time.as_second(),
        _ => text.parse::<jiff::civil::DateTime>().ok().and_then(|time| time.to_zoned(jiff::tz::TimeZone::system()).ok()).ok_or_else(bad)?.timestamp().as_second(),
    };
    i32::try_from(seconds).map_err(|_| bad())
}

/// What became of a container: its code if it has ended, none if it runs or is gone.
async fn exit_code(docker: &Docker, id: &str) -> Result<Option<i64>, Error> {
    let state = match docker.inspect_container(id, None::<InspectContainerOptions>).await {
        Err(error) if status(&error) == Some(404) => return Ok(None),
        other => other.map_err(Error::engine(format!("inspect container {id}")))?.state.unwrap_or_default(),
    };
    let ended = matches!(state.status, Some(ContainerStateStatusEnum::EXITED | ContainerStateStatusEnum::DEAD));
    Ok(ended.then(|| state.exit_code.unwrap_or_default()))
}

/// Follows a container from its present start through restarts until it ends for good. Gives its exit code; none when it
/// was removed.
pub(super) async fn follow(docker: &Docker, container: &str, shown: &str, printer: Option<&LogPrinter>, timestamps: bool) -> Result<Option<i64>, Error> {
    let mut from: Option<Timestamp> = None;
    loop {
        let seen = match docker.inspect_container(container, None::<InspectContainerOptions>).await {
            Err(error) if status(&error) == Some(404) => return Ok(None),
            other => other.map_err(Error::engine(format!("inspect container {container}")))?,
        };
        let state = seen.state.unwrap_or_default();
        let started = state.started_at.and_then(|text| text.parse::<Timestamp>().ok()).unwrap_or(Timestamp::UNIX_EPOCH);
        let fresh = from.is_none_or(|from| started > from);
        if fresh {
            from = Some(started);
            match printer {
                Some(printer) => stream(docker, container, shown, printer, started, timestamps).await?,
                None => next_event(docker, container, started, &["die", "destroy"]).await?,
            }
            continue_note(docker, container, shown, printer).await?;
        } else if matches!(state.status, Some(ContainerStateStatusEnum::RESTARTING)) || state.running == Some(true) {
            let since = state.finished_at.and_then(|text| text.parse::<Timestamp>().ok()).unwrap_or(started);
            next_event(docker, container, since.max(started), &["start", "die", "destroy"]).await?;
            if docker.inspect_container(container, None::<InspectContainerOptions>).await.is_ok_and(|seen| !restarted(&seen, started)) {
                continue;
            }
        } else {
            return Ok(Some(state.exit_code.unwrap_or_default()));
        }
    }
}

fn restarted(seen: &bollard::models::ContainerInspectResponse, started: Timestamp) -> bool {
    let now = seen.state.as_ref().and_then(|state| state.started_at.as_ref()).and_then(|text| text.parse::<Timestamp>().ok());
    now.is_some_and(|now| now > started)
}

/// Tells of an end after which the engine starts the container again.
async fn continue_note(docker: &Docker, container: &str, shown: &str, printer: Option<&LogPrinter>) -> Result<(), Error> {
    let Ok(seen) = docker.inspect_container(container, None::<InspectContainerOptions>).await else { return Ok(()) };
    let state = seen.state.unwrap_or_default();
    if let (Some(ContainerStateStatusEnum::RESTARTING), Some(printer)) = (state.status, printer) {
        printer.note(shown, &format!("exited with code {} (restarting)", state.exit_code.unwrap_or_default()));
    }
    Ok(())
}

/// Prints what a container writes from this start on, until it ends.
async fn stream(docker: &Docker, container: &str, shown: &str, printer: &LogPrinter, started: Timestamp, timestamps: bool) -> Result<(), Error> {
    let since = i32::try_from(started.as_second()).unwrap_or(0);
    let options = LogsOptionsBuilder::default().follow(true).stdout(true).stderr(true).since(since).timestamps(true).tail("all").build();
    let mut logs = std::pin::pin!(docker.logs(container, Some(options)));
    while let Some(output) = logs.next().await {
        let output = match output {
            Ok(output) => output,
            // The log driver keeps nothing to read: listen to the container itself.
            Err(error) if status(&error).is_some_and(|status| status >= 500 || status == 400) => return attached(docker, container, shown, printer).await,
            Err(error) if status(&error) == Some(404) => return Ok(()),
            Err(error) => return Err(Error::engine(format!("logs of container {container}"))(error)),
        };
        let is_stderr = matches!(output, LogOutput::StdErr { .. });
        let bytes = output.into_bytes();
        // `2026-01-02T03:04:05.123456789Z text`: the engine counts `since` in seconds, we in nanoseconds.
        let split = bytes.iter().position(|byte| *byte == b' ').map(|at| bytes.split_at(at));
        let time = split.and_then(|(stamp, _)| std::str::from_utf8(stamp).ok()?.parse::<Timestamp>().ok());
        match (split, time) {
            (_, Some(time)) if time < started => {}
            (Some((_, rest)), Some(_)) if !timestamps => printer.feed(shown, is_stderr, &rest[1..]),
            _ => printer.feed(shown, is_stderr, &bytes),
        }
    }
    printer.flush(shown);
    Ok(())
}

async fn attached(docker: &Docker, container: &str, shown: &str, printer: &LogPrinter) -> Result<(), Error> {
    let options = AttachContainerOptions { stream: true, stdout: true, stderr: true, ..AttachContainerOptions::default() };
    let attached = docker.attach_container(container, Some(options)).await.map_err(Error::engine(format!("attach to container {container}")))?;
    let mut output = attached.output;
    while let Some(piece) = output.next().await {
        let piece = piece.map_err(Error::engine(format!("output of container {container}")))?;
        let is_stderr = matches!(piece, LogOutput::StdErr { .. });
        printer.feed(shown, is_stderr, &piece.into_bytes());
    }
    printer.flush(shown);
    Ok(())
}

/// Waits for one of these events of a container, counting from a time by the engine's clock.
async fn next_event(docker: &Docker, container: &str, since: Timestamp, actions: &[&str]) -> Result<(), Error> {
    let filters = HashMap::from([("container".to_owned(), vec![container.to_owned()]), ("type".to_owned(), vec!["container".to_owned()])]);
    let since = format!("{}.{:09}", since.as_second(), since.subsec_nanosecond());
    let options = EventsOptionsBuilder::default().since(&since).filters(&filters).build();
    let mut events = std::pin::pin!(docker.events(Some(options)));
    while let Some(event) = events.next().await {
        let event = event.map_err(Error::engine("listen to events"))?;
        if event.action.as_deref().is_some_and(|action| actions.contains(&action)) {
            return Ok(());
        }
    }
    Ok(())
}
