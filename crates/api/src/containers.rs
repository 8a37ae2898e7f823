//! Containers: lists, lifecycle, and what changes them.

use crate::body::Body;
use crate::{
    call::Call,
    create,
    failure::Failure,
    host,
    reply::{Reply, created, empty, json, no_content, stream},
    show,
};
use bytes::Bytes;
use dhow_engine::{
    containers::{Commit, List, Remove, WaitCondition},
    oci::image::{ContainerConfig, Empty},
};
use dhow_wire::{object::Object, record::Record};
use http::StatusCode;
use serde_json::json as value;

pub(crate) async fn list(call: Call) -> Reply {
    let limit =
        call.query.int("limit")?.and_then(|limit| usize::try_from(limit).ok()).filter(|limit| *limit > 0);
    let list = List { all: call.query.flag("all"), limit, filters: call.filters()? };
    let (size, now) = (call.query.flag("size"), show::now());
    let engine = &call.app.engine;
    let mut lines = Vec::new();
    for view in engine.containers().list(&list)? {
        let sizes = if size { Some(engine.containers().size(&view.id).await?) } else { None };
        let same = engine.images().get(&view.spec.image).is_ok_and(|image| image.id == view.image);
        let id = view.image.to_string();
        lines.push(show::listed(&view, if same { &view.spec.image } else { &id }, sizes, call.version, now));
    }
    json(lines)
}

pub(crate) async fn inspect(call: Call) -> Reply {
    let containers = call.app.engine.containers();
    let view = containers.view(call.name())?;
    let sizes = if call.query.flag("size") { Some(containers.size(&view.id).await?) } else { None };
    json(show::inspect(&view, sizes, call.version))
}

pub(crate) async fn start(mut call: Call) -> Reply {
    if !call.query.text("checkpoint").is_empty() {
        return Err(Failure::absent("checkpoints are not supported"));
    }
    // Clients before 1.24 sent a HostConfig here; docker refuses one since.
    let body = call.json().await?;
    if !Object::new(&body)?.is_empty() {
        return Err(Failure::bad(
            "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24",
        ));
    }
    call.app.engine.containers().start(call.name()).await?;
    no_content()
}

pub(crate) async fn stop(call: Call) -> Reply {
    call.app.engine.containers().stop(call.name(), signal(&call), call.query.int("t")?).await?;
    no_content()
}

pub(crate) async fn restart(call: Call) -> Reply {
    call.app.engine.containers().restart(call.name(), signal(&call), call.query.int("t")?).await?;
    no_content()
}

fn signal(call: &Call) -> Option<&str> {
    call.query.get("signal").filter(|signal| !signal.is_empty())
}

pub(crate) async fn kill(call: Call) -> Reply {
    call.app.engine.containers().kill(call.name(), call.query.text("signal")).await?;
    no_content()
}

pub(crate) async fn pause(call: Call) -> Reply {
    call.app.engine.containers().pause(call.name()).await?;
    no_content()
}

pub(crate) async fn unpause(call: Call) -> Reply {
    call.app.engine.containers().unpause(call.name()).await?;
    no_content()
}

pub(crate) async fn rename(call: Call) -> Reply {
    call.app.engine.containers().rename(call.name(), call.query.text("name").trim_start_matches('/')).await?;
    no_content()
}

pub(crate) async fn update(mut call: Call) -> Reply {
    let body = call.json().await?;
    let body = Object::new(&body)?;
    let policy = host::restart(&body.object("RestartPolicy")?)?;
    let resources = host::resources(&body)?;
    let resources = (resources != dhow_engine::containers::Resources::default()).then_some(resources);
    let warnings = call.app.engine.containers().update(call.name(), resources, policy).await?;
    json(value!({ "Warnings": warnings }))
}

pub(crate) async fn remove(call: Call) -> Reply {
    if call.query.flag("link") {
        let link = call.name();
        let (name, alias) = link.trim_start_matches('/').split_once('/').ok_or_else(|| {
            Failure::bad(format!("Conflict, cannot remove the default link name of the container: {link}"))
        })?;
        call.app.engine.containers().unlink(name, alias).await?;
        return no_content();
    }
    let remove = Remove { force: call.query.flag("force"), volumes: call.query.flag("v") };
    call.app.engine.containers().remove(call.name(), remove).await?;
    no_content()
}

/// The head of the answer goes out at once: clients start the container only after they have seen it. With `start` (ours) it is
/// started here, once the wait stands, and a start that fails is the answer.
pub(crate) async fn wait(call: Call) -> Reply {
    let condition = match call.query.text("condition") {
        "" | "not-running" => WaitCondition::NotRunning,
        "next-exit" => WaitCondition::NextExit,
        "removed" => WaitCondition::Removed,
        other => return Err(Failure::bad(format!("invalid condition: {other:?}"))),
    };
    let containers = call.app.engine.containers();
    // Why a start fails is the answer to the start: told here too, docker's CLI would print it twice. Later it is told.
    let tell = condition == WaitCondition::NotRunning
        && containers.view(call.name()).is_ok_and(|view| !view.status.is_up());
    let ended = containers.wait(call.name(), condition).await?;
    if call.query.flag("start") {
        containers.start(call.name()).await?;
    }
    let answer = async move {
        let record = match ended.await {
            Ok((code, error)) => Record::new()
                .some("Error", (tell && !error.is_empty()).then(|| value!({ "Message": error })))
                .put("StatusCode", code),
            Err(_) => Record::new()
                .put("Error", value!({ "Message": "the engine ended before the container did" }))
                .put("StatusCode", 125),
        };
        Ok(Bytes::from(format!("{}\n", record.end().get())))
    };
    stream("application/json", Body::stream(futures_util::stream::once(answer)))
}

pub(crate) async fn resize(call: Call) -> Reply {
    let (rows, cols) = size(&call)?;
    call.app.engine.containers().resize(call.name(), rows, cols).await?;
    empty(StatusCode::OK)
}

/// `h` and `w`.
pub(crate) fn size(call: &Call) -> Result<(u16, u16), Failure> {
    let side = |key: &str| -> Result<u16, Failure> {
        let missing = || Failure::bad(format!("invalid resize: {key} is missing"));
        let number = call.query.int(key)?.ok_or_else(missing)?;
        u16::try_from(number).map_err(|_| Failure::bad(format!("invalid {key}: {number}")))
    };
    Ok((side("h")?, side("w")?))
}

pub(crate) async fn top(call: Call) -> Reply {
    let top = call.app.engine.containers().top(call.name(), call.query.text("ps_args")).await?;
    json(value!({ "Processes": top.processes, "Titles": top.titles }))
}

pub(crate) async fn changes(call: Call) -> Reply {
    let changes = call.app.engine.containers().changes(call.name()).await?;
    let lines: Vec<_> = changes
        .iter()
        .map(|change| Record::new().put("Path", &change.path).put("Kind", change.kind).end())
        .collect();
    // As docker: nothing is `null` here, and clients ask for that.
    json(dhow_wire::record::filled(&lines))
}

pub(crate) async fn prune(call: Call) -> Reply {
    let pruned = call.app.engine.containers().prune(&call.filters()?).await?;
    json(Record::new().put("ContainersDeleted", &pruned.deleted).put("SpaceReclaimed", pruned.space).end())
}

pub(crate) async fn commit(mut call: Call) -> Reply {
    let body = call.json().await?;
    let query = &call.query;
    let name = match (query.text("repo"), query.text("tag")) {
        ("", _) => None,
        (repo, "") => Some(repo.parse::<dhow_engine::oci::Reference>()?.with_default_tag()),
        (repo, tag) => Some(repo.parse::<dhow_engine::oci::Reference>()?.with_tag(tag)?),
    };
    let config = if body.is_null() { None } else { Some(image_config(&Object::new(&body)?)?) };
    let commit = Commit {
        name,
        author: query.text("author").to_owned(),
        comment: query.text("comment").to_owned(),
        changes: query.all("changes").flat_map(str::lines).map(str::to_owned).collect(),
        pause: query.flag_or("pause", true),
        config,
    };
    let id = call.app.engine.containers().commit(query.text("container"), commit).await?;
    created(value!({ "Id": id }))
}

/// docker's Config as the defaults of an image.
fn image_config(body: &Object<'_>) -> Result<ContainerConfig, Failure> {
    let spec = create::config(body)?;
    let set =
        |keys: Vec<String>| (!keys.is_empty()).then(|| keys.into_iter().map(|key| (key, Empty {})).collect());
    Ok(ContainerConfig {
        user: spec.user,
        exposed_ports: set(spec.exposed_ports),
        env: Some(spec.env).filter(|env| !env.is_empty()),
        entrypoint: spec.entrypoint,
        cmd: spec.cmd,
        healthcheck: spec.healthcheck,
        volumes: set(spec.volumes),
        working_dir: spec.working_dir,
        labels: Some(spec.labels).filter(|labels| !labels.is_empty()),
        stop_signal: Some(spec.stop_signal).filter(|signal| !signal.is_empty()),
        stop_timeout: spec.stop_timeout,
        shell: body.opt_texts("Shell")?,
        on_build: body.opt_texts("OnBuild")?,
        args_escaped: body.flag("ArgsEscaped")?,
        image: None,
    })
}
