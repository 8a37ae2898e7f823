//! `ps`, `images`, `top`, `port`, `events`, `ls`.

use std::collections::{BTreeMap, HashMap};

use bollard::{
    models::PortSummary,
    query_parameters::{EventsOptionsBuilder, ListContainersOptionsBuilder, TopOptions},
};
use futures_util::{StreamExt, future::try_join_all};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Io, Room, table};
use crate::{error::Error, labels, observe::Container, units};

/// Options of `ps`.
#[derive(Debug, Clone, Default)]
pub struct PsRequest {
    /// Only these services.
    pub services: Vec<String>,
    /// `--all`.
    pub all: bool,
    /// `--quiet`.
    pub quiet: bool,
    /// `--services`.
    pub names_only: bool,
    /// `--status`.
    pub status: Vec<String>,
    /// `--format`.
    pub format: Option<String>,
    /// `--no-trunc`.
    pub no_trunc: bool,
    /// `--orphans` is not false.
    pub orphans: bool,
}

/// Lists the project's containers.
///
/// # Errors
/// The engine's; a template that does not parse.
pub async fn ps(room: &Room, request: &PsRequest) -> Result<(), Error> {
    let mut containers = room.containers(&request.services, request.all).await?;
    let known = |service: &String| {
        room.project.as_ref().is_none_or(|project| {
            project.services.contains_key(service) || project.disabled.contains_key(service)
        })
    };
    containers.retain(|container| match request.status.is_empty() {
        true => request.all || container.state.is_up(),
        false => request.status.iter().any(|status| status == container.state.as_str()),
    });
    containers.retain(|container| request.orphans || known(&container.service));
    if request.names_only {
        let names: std::collections::BTreeSet<&str> =
            containers.iter().map(|container| container.service.as_str()).collect();
        return room.io.print(&names.iter().map(|name| format!("{name}\n")).collect::<String>());
    }
    if request.quiet {
        return room
            .io
            .print(&containers.iter().map(|container| format!("{}\n", container.id)).collect::<String>());
    }
    containers.sort_by(|a, b| a.name.cmp(&b.name));
    let now = Timestamp::now().as_second();
    match request.format.as_deref() {
        None | Some("table" | "") => {
            let header = ["NAME", "IMAGE", "COMMAND", "SERVICE", "CREATED", "STATUS", "PORTS"]
                .map(str::to_owned)
                .to_vec();
            let row = |container: &Container| {
                let command = format!(
                    "\"{}\"",
                    if request.no_trunc {
                        container.command.clone()
                    } else {
                        table::truncate(&container.command, 20)
                    }
                );
                let created = format!("{} ago", table::ago(now - container.created));
                vec![
                    container.name.clone(),
                    container.image.clone(),
                    command,
                    container.service.clone(),
                    created,
                    container.status.clone(),
                    ports_text(&container.ports),
                ]
            };
            let rows: Vec<Vec<String>> = std::iter::once(header).chain(containers.iter().map(row)).collect();
            room.io.print(&table::columns(&rows))
        }
        Some(format) => {
            let rows: Vec<Value> =
                containers.iter().map(|container| row_json(room, container, now)).collect();
            room.io.print(&table::format(&rows, format)?)
        }
    }
}

fn row_json(room: &Room, container: &Container, now: i64) -> Value {
    let health = container
        .status
        .rsplit_once('(')
        .map(|(_, rest)| rest.trim_end_matches(')').trim_start_matches("health: "))
        .filter(|word| matches!(*word, "healthy" | "unhealthy" | "starting"));
    let code = container
        .status
        .strip_prefix("Exited (")
        .and_then(|rest| rest.split(')').next())
        .and_then(|code| code.parse::<i64>().ok())
        .unwrap_or(0);
    let sorted: BTreeMap<&String, &String> = container.labels.iter().collect();
    let label_list: Vec<String> = sorted.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let publishers: Vec<Value> = container
        .ports
        .iter()
        .map(|port| json!({"URL": port.ip.clone().unwrap_or_default(), "TargetPort": port.private_port, "PublishedPort": port.public_port.unwrap_or(0), "Protocol": protocol(port)}))
        .collect();
    json!({
        "Command": format!("\"{}\"", table::truncate(&container.command, 20)),
        "CreatedAt": Timestamp::from_second(container.created).map(|time| time.to_string()).unwrap_or_default(),
        "ExitCode": code,
        "Health": health.unwrap_or_default(),
        "ID": container.id.chars().take(12).collect::<String>(),
        "Image": container.image,
        "Labels": label_list.join(","),
        "Name": container.name,
        "Names": container.name,
        "Networks": container.networks.keys().cloned().collect::<Vec<_>>().join(","),
        "Ports": ports_text(&container.ports),
        "Project": room.name,
        "Publishers": publishers,
        "RunningFor": format!("{} ago", table::ago(now - container.created)),
        "Service": container.service,
        "State": container.state.as_str(),
        "Status": container.status,
    })
}

fn protocol(port: &PortSummary) -> String {
    port.typ.map(|typ| typ.to_string()).unwrap_or_else(|| "tcp".into())
}

/// `0.0.0.0:8080->80/tcp, 90/tcp`.
fn ports_text(ports: &[PortSummary]) -> String {
    let one = |port: &PortSummary| match port.public_port {
        Some(public) => {
            let ip = port.ip.clone().unwrap_or_default();
            let ip = if ip.contains(':') { format!("[{ip}]") } else { ip };
            format!("{ip}:{public}->{}/{}", port.private_port, protocol(port))
        }
        None => format!("{}/{}", port.private_port, protocol(port)),
    };
    let mut list: Vec<((u16, bool), String)> = ports
        .iter()
        .map(|port| ((port.private_port, port.ip.as_ref().is_some_and(|ip| ip.contains(':'))), one(port)))
        .collect();
    list.sort();
    list.dedup();
    list.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(", ")
}

/// Lists the images of the project's containers.
///
/// # Errors
/// The engine's.
pub async fn images(room: &Room, services: &[String], quiet: bool, json: bool) -> Result<(), Error> {
    let containers = room.containers(services, true).await?;
    let one = async |container: &Container| {
        let image = room
            .docker
            .inspect_image(&container.image_id)
            .await
            .map_err(Error::engine(format!("inspect image {}", container.image)))?;
        let id = image.id.unwrap_or_default();
        let short: String = id.trim_start_matches("sha256:").chars().take(12).collect();
        let (repository, tag) = container
            .image
            .rsplit_once(':')
            .filter(|(_, tag)| !tag.contains('/'))
            .unwrap_or((&container.image, "latest"));
        Ok::<_, Error>((
            container.name.clone(),
            repository.to_owned(),
            tag.to_owned(),
            short,
            id,
            image.size.unwrap_or(0),
        ))
    };
    let rows = try_join_all(containers.iter().map(one)).await?;
    if quiet {
        let ids: std::collections::BTreeSet<&str> =
            rows.iter().map(|row| row.4.trim_start_matches("sha256:")).collect();
        return room.io.print(&ids.iter().map(|id| format!("{id}\n")).collect::<String>());
    }
    if json {
        let list: Vec<Value> = rows.iter().map(|(name, repository, tag, _, id, size)| json!({"ID": id, "ContainerName": name, "Repository": repository, "Tag": tag, "Size": size})).collect();
        return room.io.print(&format!("{}\n", Value::Array(list)));
    }
    let header = ["CONTAINER", "REPOSITORY", "TAG", "IMAGE ID", "SIZE"].map(str::to_owned).to_vec();
    let body = rows.into_iter().map(|(name, repository, tag, short, _, size)| {
        vec![name, repository, tag, short, units::human_size(size)]
    });
    room.io.print(&table::columns(&std::iter::once(header).chain(body).collect::<Vec<_>>()))
}

/// Shows the processes of the project's containers.
///
/// # Errors
/// The engine's.
pub async fn top(room: &Room, services: &[String]) -> Result<(), Error> {
    for container in room.containers(services, true).await?.iter().filter(|container| container.state.is_up())
    {
        let top = room
            .docker
            .top_processes(&container.name, None::<TopOptions>)
            .await
            .map_err(Error::engine(format!("processes of container {}", container.name)))?;
        let rows: Vec<Vec<String>> =
            top.titles.into_iter().chain(top.processes.unwrap_or_default()).collect();
        room.io.print(&format!("{}\n{}\n", container.name, table::columns(&rows)))?;
    }
    Ok(())
}

/// Prints the address on the host behind which a port of a service is.
///
/// # Errors
/// It is not published.
pub async fn port(
    room: &Room,
    service: &str,
    private: u16,
    protocol_name: &str,
    index: u32,
) -> Result<(), Error> {
    let container = room.container(service, index).await?;
    let found = container.ports.iter().find(|port| {
        port.private_port == private && protocol(port) == protocol_name && port.public_port.is_some()
    });
    let Some(port) = found else {
        return Err(Error::invalid(format!(
            "no port {private}/{protocol_name} for container {}: {}",
            container.name,
            ports_text(&container.ports)
        )));
    };
    room.io.print(&format!("{}:{}\n", port.ip.clone().unwrap_or_default(), port.public_port.unwrap_or(0)))
}

/// Prints events of the project's containers until interrupted.
///
/// # Errors
/// The engine's.
pub async fn events(room: &Room, services: &[String], json: bool) -> Result<(), Error> {
    let filters = HashMap::from([
        ("type".to_owned(), vec!["container".to_owned()]),
        ("label".to_owned(), vec![format!("{}={}", labels::PROJECT, room.name)]),
    ]);
    let mut events =
        std::pin::pin!(room.docker.events(Some(EventsOptionsBuilder::default().filters(&filters).build())));
    let mut stop = room.stop.clone();
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            () = crate::apply::stopped(&mut stop) => return Err(Error::Interrupted),
        };
        let Some(event) = event else { return Ok(()) };
        let event = event.map_err(Error::engine("listen to events"))?;
        let actor = event.actor.unwrap_or_default();
        let attributes: BTreeMap<String, String> = actor
            .attributes
            .unwrap_or_default()
            .into_iter()
            .filter(|(key, _)| !key.starts_with("com.docker.compose."))
            .collect();
        let action = event.action.unwrap_or_default();
        let time = Timestamp::from_nanosecond(i128::from(event.time_nano.unwrap_or_default()))
            .unwrap_or(Timestamp::UNIX_EPOCH);
        let service = attributes.get("name").cloned().unwrap_or_default();
        let id = actor.id.unwrap_or_default();
        let mine = services.is_empty()
            || services.iter().any(|name| {
                super::short_name(&room.name, &service).rsplit_once('-').is_some_and(|(stem, _)| stem == name)
            });
        if !mine || action.starts_with("exec_") {
            continue;
        }
        let line = match json {
            true => json!({"action": action, "attributes": attributes, "id": id, "service": service, "time": time.to_string(), "type": "container"}).to_string(),
            false => {
                let list: Vec<String> = attributes.iter().map(|(key, value)| format!("{key}={value}")).collect();
                format!("{time} container {action} {id} ({})", list.join(", "))
            }
        };
        room.io.print(&format!("{line}\n"))?;
    }
}

/// Lists the projects that the engine has containers of.
///
/// # Errors
/// The engine's.
pub async fn list(
    docker: &bollard::Docker,
    io: &Io,
    all: bool,
    quiet: bool,
    json: bool,
) -> Result<(), Error> {
    let filters = HashMap::from([("label".to_owned(), vec![labels::PROJECT.to_owned()])]);
    let options = ListContainersOptionsBuilder::default().all(all).filters(&filters).build();
    let mut projects: BTreeMap<String, (BTreeMap<String, usize>, String)> = BTreeMap::new();
    for container in docker.list_containers(Some(options)).await.map_err(Error::engine("list containers"))? {
        let labels_of = container.labels.unwrap_or_default();
        let Some(project) = labels_of.get(labels::PROJECT) else { continue };
        let state = container.state.map(|state| state.to_string()).unwrap_or_default();
        let entry = projects.entry(project.clone()).or_default();
        *entry.0.entry(state).or_default() += 1;
        if let Some(files) = labels_of.get(labels::CONFIG_FILES) {
            entry.1.clone_from(files);
        }
    }
    if quiet {
        return io.print(&projects.keys().map(|name| format!("{name}\n")).collect::<String>());
    }
    let status = |states: &BTreeMap<String, usize>| {
        states.iter().map(|(state, count)| format!("{state}({count})")).collect::<Vec<_>>().join(", ")
    };
    if json {
        let rows: Vec<Value> = projects.iter().map(|(name, (states, files))| json!({"Name": name, "Status": status(states), "ConfigFiles": files})).collect();
        return io.print(&format!("{}\n", Value::Array(rows)));
    }
    let header = ["NAME", "STATUS", "CONFIG FILES"].map(str::to_owned).to_vec();
    let rows =
        projects.iter().map(|(name, (states, files))| vec![name.clone(), status(states), files.clone()]);
    io.print(&table::columns(&std::iter::once(header).chain(rows).collect::<Vec<_>>()))
}
