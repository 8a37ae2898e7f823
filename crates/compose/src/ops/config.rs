//! `config`: what the files mean.

use serde_json::{Map, Value, json};

use super::Room;
use crate::{
    error::Error,
    model::{Project, service_hash, to_json},
};

/// Options of `config`.
#[derive(Debug, Clone, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is one flag of the command line")]
pub struct ConfigRequest {
    /// Only these services.
    pub names: Vec<String>,
    /// `--services`.
    pub services: bool,
    /// `--volumes`.
    pub volumes: bool,
    /// `--networks`.
    pub networks: bool,
    /// `--images`.
    pub images: bool,
    /// `--profiles`.
    pub profiles: bool,
    /// `--hash`: services, comma separated, or `*`.
    pub hash: Option<String>,
    /// `--quiet`.
    pub quiet: bool,
    /// `--format json`.
    pub json: bool,
    /// `--output`.
    pub output: Option<std::path::PathBuf>,
}

/// Prints the project, or parts of it.
///
/// # Errors
/// A name that is no service.
pub fn config(room: &Room, request: &ConfigRequest) -> Result<(), Error> {
    let mut project = room.project()?.clone();
    if !request.names.is_empty() {
        let keep = project.with_dependencies(&request.names)?;
        project.services.retain(|name, _| keep.contains(name));
    }
    let lines = |names: Vec<String>| names.into_iter().map(|name| name + "\n").collect::<String>();
    let text = if request.quiet {
        return Ok(());
    } else if request.services {
        lines(project.in_order()?.into_iter().map(str::to_owned).collect())
    } else if request.volumes {
        lines(project.volumes.keys().cloned().collect())
    } else if request.networks {
        lines(project.networks.keys().cloned().collect())
    } else if request.images {
        lines(project.services.values().map(|service| service.image_name(&project.name)).collect())
    } else if request.profiles {
        let all = project
            .services
            .values()
            .chain(project.disabled.values())
            .flat_map(|service| service.profiles.clone());
        lines(all.collect::<std::collections::BTreeSet<_>>().into_iter().collect())
    } else if let Some(which) = &request.hash {
        hashes(&project, which)?
    } else {
        render(&project, request.json)?
    };
    match &request.output {
        Some(path) => std::fs::write(path, text).map_err(Error::io(path)),
        None => room.io.print(&text),
    }
}

fn hashes(project: &Project, which: &str) -> Result<String, Error> {
    let names: Vec<String> = if which == "*" {
        project.services.keys().cloned().collect()
    } else {
        which.split(',').map(str::to_owned).collect()
    };
    let mut text = String::new();
    for name in names {
        let service = project.service(&name)?;
        let hash = service_hash(project, service).map_err(|error| Error::invalid(error.to_string()))?;
        text.push_str(&format!("{name} {hash}\n"));
    }
    Ok(text)
}

/// The project in the long form of the compose file, from which it can be loaded again.
fn render(project: &Project, as_json: bool) -> Result<String, Error> {
    let bad = |error: &dyn std::fmt::Display| Error::invalid(format!("print the configuration: {error}"));
    let mut value = to_json(project).map_err(|error| bad(&error))?;
    if let Some(services) = value.get_mut("services").and_then(Value::as_object_mut) {
        services.values_mut().filter_map(Value::as_object_mut).for_each(service);
    }
    escape(&mut value);
    if as_json {
        return serde_json::to_string_pretty(&value).map(|text| text + "\n").map_err(|error| bad(&error));
    }
    serde_saphyr::to_string(&value).map_err(|error| bad(&error))
}

/// Where the file's form is not the model's.
fn service(map: &mut Map<String, Value>) {
    // Its variables are in `environment` by now.
    map.remove("env_file");
    if let Some(networks) = map.get_mut("networks").and_then(Value::as_object_mut) {
        for attachment in networks.values_mut() {
            if attachment.get("priority") == Some(&json!(0)) {
                attachment.as_object_mut().and_then(|map| map.remove("priority"));
            }
            if attachment.as_object().is_some_and(Map::is_empty) {
                *attachment = Value::Null;
            }
        }
    }
    for mount in map
        .get_mut("volumes")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
        .filter_map(Value::as_object_mut)
    {
        nest(mount);
    }
    if let Some(build) = map.get_mut("build").and_then(Value::as_object_mut)
        && let Some(secrets) = build.get_mut("secrets").and_then(Value::as_array_mut)
    {
        for secret in secrets.iter_mut().filter_map(Value::as_object_mut) {
            if let Some(id) = secret.remove("id") {
                secret.insert("target".into(), id);
            }
        }
    }
}

/// `create_host_path` and its like belong below the mount's type.
fn nest(mount: &mut Map<String, Value>) {
    let kind = mount.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut inner = Map::new();
    for key in [
        "create_host_path",
        "propagation",
        "selinux",
        "recursive",
        "nocopy",
        "subpath",
        "size",
        "mode",
        "labels",
    ] {
        if let Some(value) = mount
            .remove(key)
            .filter(|value| value != &json!({}) && (kind == "bind" || value != &json!(false)))
        {
            inner.insert(key.into(), value);
        }
    }
    if !inner.is_empty() {
        mount.insert(kind, Value::Object(inner));
    }
}

/// A dollar sign must survive the next interpolation.
fn escape(value: &mut Value) {
    match value {
        Value::String(text) if text.contains('$') => *text = text.replace('$', "$$"),
        Value::Array(list) => list.iter_mut().for_each(escape),
        Value::Object(map) => map.values_mut().for_each(escape),
        _ => {}
    }
}
