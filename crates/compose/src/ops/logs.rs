//! `logs`, and following a container through its restarts.

use std::collections::HashMap;

use bollard::{
    Docker,
    container::LogOutput,
    models::{ContainerState, ContainerStateStatusEnum},
    query_parameters::{
        AttachContainerOptions, EventsOptionsBuilder, InspectContainerOptions, LogsOptionsBuilder,
    },
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
    let chosen: Vec<&Container> =
        containers.iter().filter(|c| request.index.is_none_or(|index| c.number == index)).collect();
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

async fn one(
    room: &Room,
    container: &Container,
    request: &LogsRequest,
    since: i32,
    until: i32,
    printer: &LogPrinter,
) -> Result<(), Error> {
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
        _ => text
            .parse::<jiff::civil::DateTime>()
            .ok()
            .and_then(|time| time.to_zoned(jiff::tz::TimeZone::system()).ok())
            .ok_or_else(bad)?
            .timestamp()
            .as_second(),
    };
    i32::try_from(seconds).map_err(|_| bad())
}

/// What became of a container: its code if it has ended, none if it runs or is gone.
async fn exit_code(docker: &Docker, id: &str) -> Result<Option<i64>, Error> {
    let state = match docker.inspect_container(id, None::<InspectContainerOptions>).await {
        Err(error) if status(&error) == Some(404) => return Ok(None),
        other => other.map_err(Error::engine(format!("inspect container {id}")))?.state.unwrap_or_default(),
    };
    let ended =
        matches!(state.status, Some(ContainerStateStatusEnum::EXITED | ContainerStateStatusEnum::DEAD));
    Ok(ended.then(|| state.exit_code.unwrap_or_default()))
}

/// Follows a container through restarts until it ends for good, leaving out what it wrote until `after`. Gives its exit
/// code; none when it was removed.
pub(super) async fn follow(
    docker: &Docker,
    container: &str,
    shown: &str,
    printer: Option<&LogPrinter>,
    timestamps: bool,
    after: Option<Timestamp>,
) -> Result<Option<i64>, Error> {
    let mut after = after.unwrap_or(Timestamp::UNIX_EPOCH);
    loop {
        let Some(state) = state(docker, container).await? else { return Ok(None) };
        let started = time(state.started_at.as_ref());
        match printer {
            Some(printer) => {
                stream(docker, container, shown, printer, &mut after, timestamps, true).await?;
            }
            None if state.running == Some(true) => {
                next_event(docker, container, started, &["die", "destroy"]).await?
            }
            None => {}
        }
        // The output has ended: for good, or until the engine starts it again?
        loop {
            let Some(state) = self::state(docker, container).await? else { return Ok(None) };
            if time(state.started_at.as_ref()) > started {
                break;
            }
            match state.status {
                Some(ContainerStateStatusEnum::RESTARTING) => {
                    if let Some(printer) = printer {
                        printer.note(
                            shown,
                            &format!("exited with code {} (restarting)", state.exit_code.unwrap_or_default()),
                        );
                    }
                    let ended = time(state.finished_at.as_ref());
                    next_event(docker, container, ended, &["start", "stop", "kill", "destroy"]).await?;
                }
                // Its log has ended before the engine has noted the end.
                Some(ContainerStateStatusEnum::RUNNING | ContainerStateStatusEnum::PAUSED) => {
                    next_event(docker, container, started, &["die", "destroy"]).await?
                }
                _ => {
                    if let Some(printer) = printer {
                        // Engines before 23.0 may end the stream of a short-lived container without its last lines.
                        stream(docker, container, shown, printer, &mut after, timestamps, false).await?;
                        printer.flush(shown);
                    }
                    return Ok(Some(state.exit_code.unwrap_or_default()));
                }
            }
        }
    }
}

/// When a container wrote its last line so far; nothing when it has written none, or its log cannot be read.
pub(crate) async fn last_line(docker: &Docker, container: &str) -> Option<Timestamp> {
    let options = LogsOptionsBuilder::default().stdout(true).stderr(true).timestamps(true).tail("1").build();
    let mut logs = std::pin::pin!(docker.logs(container, Some(options)));
    let mut last = None;
    while let Some(Ok(output)) = logs.next().await {
        last = last.max(stamp(&output.into_bytes()).map(|(time, _)| time));
    }
    last
}

/// `2026-01-02T03:04:05.123456789Z text` → the time, and where the text begins.
fn stamp(bytes: &[u8]) -> Option<(Timestamp, usize)> {
    let end = bytes.iter().position(|byte| *byte == b' ')?;
    let time = std::str::from_utf8(&bytes[..end]).ok()?.parse().ok()?;
    Some((time, end + 1))
}

async fn state(docker: &Docker, container: &str) -> Result<Option<ContainerState>, Error> {
    match docker.inspect_container(container, None::<InspectContainerOptions>).await {
        Err(error) if status(&error) == Some(404) => Ok(None),
        other => Ok(Some(
            other.map_err(Error::engine(format!("inspect container {container}")))?.state.unwrap_or_default(),
        )),
    }
}

fn time(text: Option<&String>) -> Timestamp {
    text.and_then(|text| text.parse::<Timestamp>().ok()).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Prints what a container has written after a time, with `follow` until it ends, and moves the time on.
async fn stream(
    docker: &Docker,
    container: &str,
    shown: &str,
    printer: &LogPrinter,
    after: &mut Timestamp,
    timestamps: bool,
    follow: bool,
) -> Result<(), Error> {
    let since = i32::try_from(after.as_second()).unwrap_or(0);
    let options = LogsOptionsBuilder::default()
        .follow(follow)
        .stdout(true)
        .stderr(true)
        .since(since)
        .timestamps(true)
        .tail("all")
        .build();
    let mut logs = std::pin::pin!(docker.logs(container, Some(options)));
    // The engine counts `since` in seconds, and lines of the two streams may be out of order: compare with the start only.
    let start = *after;
    while let Some(output) = logs.next().await {
        let output = match output {
            Ok(output) => output,
            // The log driver keeps nothing to read: listen to the container itself.
            Err(error) if status(&error).is_some_and(|status| status >= 500 || status == 400) => {
                return if follow { attached(docker, container, shown, printer).await } else { Ok(()) };
            }
            Err(error) if matches!(status(&error), Some(404 | 409)) => return Ok(()),
            Err(error) => return Err(Error::engine(format!("logs of container {container}"))(error)),
        };
        let is_stderr = matches!(output, LogOutput::StdErr { .. });
        let bytes = output.into_bytes();
        match stamp(&bytes) {
            Some((time, _)) if time <= start => {}
            Some((time, text)) => {
                *after = time.max(*after);
                printer.feed(shown, is_stderr, if timestamps { &bytes } else { &bytes[text..] });
            }
            None => printer.feed(shown, is_stderr, &bytes),
        }
    }
    Ok(())
}

async fn attached(docker: &Docker, container: &str, shown: &str, printer: &LogPrinter) -> Result<(), Error> {
    let options = AttachContainerOptions {
        stream: true,
        stdout: true,
        stderr: true,
        ..AttachContainerOptions::default()
    };
    let attached = docker
        .attach_container(container, Some(options))
        .await
        .map_err(Error::engine(format!("attach to container {container}")))?;
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
async fn next_event(
    docker: &Docker,
    container: &str,
    since: Timestamp,
    actions: &[&str],
) -> Result<(), Error> {
    let filters = HashMap::from([
        ("container".to_owned(), vec![container.to_owned()]),
        ("type".to_owned(), vec!["container".to_owned()]),
    ]);
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
