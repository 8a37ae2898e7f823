//! What makes a container obsolete: a hash over the service's meaning, not over its text.

use ring::digest::{SHA256, digest};
use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    project::{Network, Project},
    service::Service,
};

/// A model as JSON with sorted keys and without what was not said.
///
/// # Errors
/// None that a model can cause; serialisation's own.
pub fn to_json(model: &impl Serialize) -> Result<Value, serde_json::Error> {
    Ok(prune(serde_json::to_value(model)?, ""))
}

/// Whether `null` is an answer below this key.
fn null_counts(key: &str) -> bool {
    matches!(key, "environment" | "args")
}

fn prune(value: Value, key: &str) -> Value {
    match value {
        Value::Object(map) => {
            let keep = |name: &String, value: &Value| match value {
                Value::Null => null_counts(key),
                Value::Object(map) => !map.is_empty() || matches!(key, "networks" | "volumes" | "services"),
                Value::Array(list) => !list.is_empty() || matches!(name.as_str(), "command" | "entrypoint"),
                Value::Bool(flag) => {
                    *flag
                        || !matches!(
                            name.as_str(),
                            "read_only"
                                | "nocopy"
                                | "external"
                                | "internal"
                                | "attachable"
                                | "disable"
                                | "no_cache"
                                | "pull"
                                | "raw"
                        )
                }
                _ => true,
            };
            let pruned = map.into_iter().map(|(name, value)| {
                let value = prune(value, &name);
                (name, value)
            });
            Value::Object(pruned.filter(|(name, value)| keep(name, value)).collect::<Map<_, _>>())
        }
        Value::Array(list) => Value::Array(list.into_iter().map(|item| prune(item, key)).collect()),
        other => other,
    }
}

/// The hash of a service: independent of the order of keys, of the number of replicas, of how the image is built and pulled,
/// and of whom it waits for. What is not said adds nothing, so a newer release that knows more keys recreates nothing.
///
/// # Errors
/// See [`to_json`].
pub fn service_hash(project: &Project, service: &Service) -> Result<String, serde_json::Error> {
    let mut json = to_json(service)?;
    if let Some(map) = json.as_object_mut() {
        for key in ["build", "pull_policy", "scale", "depends_on", "profiles", "attach", "env_file"] {
            map.remove(key);
        }
        if let Some(deploy) = map.get_mut("deploy").and_then(Value::as_object_mut) {
            deploy.remove("replicas");
            if deploy.is_empty() {
                map.remove("deploy");
            }
        }
        map.insert("image".into(), Value::String(service.image_name(&project.name)));
        // Which volume and network a key stands for, and the bytes that are copied in.
        let named = service
            .volumes
            .iter()
            .filter_map(|mount| project.volumes.get(mount.source.as_ref()?))
            .map(|volume| volume.name.clone());
        add(map, "volume_names", named.collect());
        let named = service
            .networks
            .keys()
            .filter_map(|key| project.networks.get(key))
            .map(|network| network.name.clone());
        add(map, "network_names", named.collect());
        let secrets = service.secrets.iter().map(|mount| (mount, &project.secrets));
        let configs = service.configs.iter().map(|mount| (mount, &project.configs));
        let contents = secrets.chain(configs).filter_map(|(mount, objects)| {
            let object = objects.get(&mount.source)?;
            let what = object.bytes.as_deref().map(sha256).or_else(|| object.file.clone())?;
            Some(format!("{}={what}", mount.target))
        });
        add(map, "file_contents", contents.collect());
    }
    Ok(sha256(&json.to_string()))
}

/// The hash of a network: what cannot be changed once it is made.
///
/// # Errors
/// See [`to_json`].
pub fn network_hash(network: &Network) -> Result<String, serde_json::Error> {
    Ok(sha256(&to_json(network)?.to_string()))
}

fn add(map: &mut Map<String, Value>, key: &str, mut values: Vec<String>) {
    values.sort();
    if !values.is_empty() {
        map.insert(key.into(), Value::Array(values.into_iter().map(Value::String).collect()));
    }
}

fn sha256(text: &str) -> String {
    use std::fmt::Write;
    digest(&SHA256, text.as_bytes()).as_ref().iter().fold(String::new(), |mut out, byte| {
        write!(out, "{byte:02x}").expect("a String takes every write");
        out
    })
}
