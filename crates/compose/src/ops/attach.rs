//! `up` in the foreground: the logs of all containers in one stream, until they end or the user has had enough.

use std::{collections::BTreeSet, sync::Arc};

use bollard::query_parameters::KillContainerOptions;
use futures_util::{FutureExt, StreamExt, future::LocalBoxFuture, stream::FuturesUnordered};
use tokio::sync::{mpsc, watch};

use super::{Room, UpRequest, logs, short_name};
use crate::{
    apply::{self, Session, Started},
    error::Error,
    observe,
    plan::{self, Action, Plan, Target},
    report::LogPrinter,
};

type Follower<'a> = LocalBoxFuture<'a, (String, String, Result<Option<i64>, Error>)>;

/// Runs the plan and shows what its containers write. Gives the exit code.
pub(super) async fn attached(
    room: &Room,
    mut session: Session<'_>,
    plan: &Plan,
    request: &UpRequest,
    targets: &BTreeSet<String>,
) -> Result<u8, Error> {
    let (started, mut starts) = mpsc::unbounded_channel();
    session.started = Some(started);
    let printer = room.printer(request.color, request.prefix);
    let shown = |service: &str| wanted(room, request, targets, service);
    let names = targets
        .iter()
        .filter(|name| shown(name))
        .filter_map(|name| session.project.and_then(|project| project.services.get(name)));
    for service in names {
        (1..=service.replicas()).for_each(|number| {
            printer.register(&short_name(&room.name, &service.container_name(&room.name, number)))
        });
    }
    let (halt, halted) = watch::channel(false);
    session.stop = halted;
    let mut followers: FuturesUnordered<Follower<'_>> = FuturesUnordered::new();
    let mut known = BTreeSet::new();
    let begin = |started: Started, known: &mut BTreeSet<String>| {
        let Started { service, name, last } = started;
        let show = shown(&service);
        known
            .insert(name.clone())
            .then(|| follower(room, &printer, service, name, show, request.timestamps, last))
    };
    let ended = |service: &str, name: &str, code: Option<i64>| {
        if let (Some(code), true) = (code, shown(service)) {
            printer.note(&short_name(&room.name, name), &format!("exited with code {code}"));
        }
    };
    let (mut applied, mut end) = (false, None);
    let mut run = Box::pin(apply::run(&session, plan));
    let mut stop = room.stop.clone();
    loop {
        // Nothing is stopped while starts are under way: one could slip through.
        if let Some(code) = end.filter(|_| applied) {
            let mut stopping = Box::pin(stop_all(room, request));
            let mut stopped = false;
            // What they say on their way out is shown too.
            while !(stopped && followers.is_empty()) {
                tokio::select! {
                    result = &mut stopping, if !stopped => {
                        result?;
                        stopped = true;
                    }
                    Some((service, name, result)) = followers.next() => ended(&service, &name, result?),
                }
            }
            return Ok(code);
        }
        if applied && followers.is_empty() {
            return Ok(0);
        }
        tokio::select! {
            biased;
            Some(started) = starts.recv() => followers.extend(begin(started, &mut known)),
            result = &mut run, if !applied => {
                applied = true;
                // Its last starts were told in the same breath.
                while let Ok(started) = starts.try_recv() {
                    followers.extend(begin(started, &mut known));
                }
                match result {
                    Err(Error::Interrupted) if end.is_some() => continue,
                    other => other?,
                }
                for container in room.containers(&[], false).await? {
                    let mine = targets.contains(&container.service) && container.state.is_up();
                    if mine && known.insert(container.name.clone()) {
                        let show = shown(&container.service);
                        let last = logs::last_line(&room.docker, &container.id).await;
                        followers.push(follower(room, &printer, container.service, container.name, show, request.timestamps, last));
                    }
                }
            }
            Some((service, name, result)) = followers.next() => {
                let code = result?;
                ended(&service, &name, code);
                if let (None, Some(exit)) = (end, ending(request, &service, code)) {
                    room.io.print("Aborting on container exit...\n")?;
                    end = Some(exit);
                    halt.send_replace(true);
                }
            }
            () = apply::stopped(&mut stop), if end.is_none() => {
                room.io.print("Gracefully stopping... (press Ctrl+C again to force)\n")?;
                end = Some(130);
                halt.send_replace(true);
            }
        }
    }
}

fn follower<'a>(
    room: &'a Room,
    printer: &'a LogPrinter,
    service: String,
    name: String,
    show: bool,
    timestamps: bool,
    after: Option<jiff::Timestamp>,
) -> Follower<'a> {
    let shown = short_name(&room.name, &name);
    async move {
        let result =
            logs::follow(&room.docker, &name, &shown, show.then_some(printer), timestamps, after).await;
        (service, name, result)
    }
    .boxed_local()
}

/// Is this service's output to be shown?
fn wanted(room: &Room, request: &UpRequest, targets: &BTreeSet<String>, service: &str) -> bool {
    if request.no_attach.iter().any(|name| name == service) {
        return false;
    }
    if !request.attach.is_empty() {
        return request.attach.iter().any(|name| name == service);
    }
    let asked_off = room
        .project
        .as_ref()
        .and_then(|project| project.services.get(service))
        .is_some_and(|service| service.attach == Some(false));
    let named = request.plan.services.is_empty()
        || request.attach_dependencies
        || request.plan.services.iter().any(|name| name == service);
    named && !asked_off && targets.contains(service)
}

/// The exit code, if this container's end is the end of all.
fn ending(request: &UpRequest, service: &str, code: Option<i64>) -> Option<u8> {
    let code = code?;
    let byte = u8::try_from(code).unwrap_or(1);
    if let Some(from) = &request.exit_code_from {
        return (from == service).then_some(byte);
    }
    let failure = request.abort_on_failure && code != 0;
    (request.abort_on_exit || failure).then_some(byte)
}

/// Stops everything, dependents first; a second Ctrl-C kills.
async fn stop_all(room: &Room, request: &UpRequest) -> Result<(), Error> {
    let containers: Vec<_> = observe::containers(&room.docker, &room.name)
        .await?
        .into_iter()
        .filter(|c| c.state.is_up() && !c.oneoff)
        .collect();
    let mut plan = Plan::default();
    let mut before: Vec<usize> = Vec::new();
    for wave in plan::stop_order(room.project.as_ref(), &containers) {
        let stops = wave.iter().map(|container| {
            let target = Target { id: Some(container.id.clone()), name: container.name.clone() };
            plan.add(Action::Stop { target, timeout: request.plan.timeout }, before.iter().copied())
        });
        before = stops.collect();
    }
    let reporter = room.reporter("Stopping");
    let none = std::collections::BTreeMap::new();
    let (_keep, stop) = watch::channel(false);
    let session = Session { stop, ..room.session(&*reporter, &none) };
    tokio::select! {
        result = apply::run(&session, &plan) => result,
        result = tokio::signal::ctrl_c() => {
            result?;
            for container in &containers {
                let options = KillContainerOptions { signal: "SIGKILL".into() };
                if let Err(error) = room.docker.kill_container(&container.id, Some(options)).await {
                    // It may have ended by itself in the meantime.
                    Arc::clone(&reporter).warn(&format!("kill container {}: {error}", container.name));
                }
            }
            Ok(())
        }
    }
}
