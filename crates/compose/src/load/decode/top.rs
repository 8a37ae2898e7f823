//! The top level: services, networks, volumes, secrets, configs, and the references between them.

use std::collections::{BTreeMap, BTreeSet};

use super::{Context, network, service};
use crate::{
    error::Error,
    model::{Attachment, Condition, Dependency, FileObject, MountKind, Network, Project, Service, Volume},
    yaml::{Cursor, Node},
};

/// Builds the project from its merged tree. `profiles` are those that are on; `wanted` are services named on the command
/// line, whose profiles count as on.
///
/// # Errors
/// The first fault, with its place.
pub(in crate::load) fn project(
    root: &Node,
    name: &str,
    context: &Context<'_>,
    profiles: &BTreeSet<String>,
    wanted: &BTreeSet<String>,
) -> Result<Project, Error> {
    let root = Cursor::root(root);
    let fields = root.fields(&[
        "version", "name", "include", "services", "models", "networks", "volumes", "secrets", "configs",
    ])?;
    if let Some(models) = fields.get("models") {
        return Err(models.fail("models are not supported"));
    }
    let mut project = Project { name: name.to_owned(), ..Project::default() };
    if let Some(networks) = fields.get("networks") {
        project.networks = section(&networks, |key, cursor| network::network(cursor, name, key))?;
    }
    if let Some(volumes) = fields.get("volumes") {
        project.volumes = section(&volumes, |key, cursor| network::volume(cursor, name, key))?;
    }
    for (key, target) in [("secrets", &mut project.secrets), ("configs", &mut project.configs)] {
        if let Some(objects) = fields.get(key) {
            *target = section(&objects, |key, cursor| network::file_object(cursor, name, key, context))?;
        }
    }
    let Some(services) = fields.get("services") else {
        return Ok(project);
    };
    let mut all = BTreeMap::new();
    for (key, cursor) in services.entries()? {
        if key.starts_with("x-") {
            continue;
        }
        check_name(&cursor, key)?;
        let mut service = service::service(&cursor, key, context)?;
        if service.network_mode.is_none() && service.networks.is_empty() {
            service.networks.insert("default".into(), Attachment::default());
        }
        implied(&mut service);
        references(&service, &cursor, &project)?;
        all.insert(key.to_owned(), service);
    }
    let on = |service: &Service| {
        service.profiles.is_empty()
            || wanted.contains(&service.name)
            || service.profiles.iter().any(|p| profiles.contains(p))
            || profiles.contains("*")
    };
    (project.services, project.disabled) = all.into_iter().partition(|(_, service)| on(service));
    dependencies(&mut project, &services)?;
    project.in_order()?;
    prune_unused(&mut project);
    Ok(project)
}

fn section<T>(
    cursor: &Cursor<'_>,
    read: impl Fn(&str, &Cursor<'_>) -> Result<T, Error>,
) -> Result<BTreeMap<String, T>, Error> {
    let entries = cursor.entries()?.into_iter().filter(|(key, _)| !key.starts_with("x-"));
    entries.map(|(key, cursor)| Ok((key.to_owned(), read(key, &cursor)?))).collect()
}

fn check_name(cursor: &Cursor<'_>, name: &str) -> Result<(), Error> {
    let legal = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
    if name.is_empty() || !legal {
        return Err(cursor.fail(format!(
            "\"{name}\" is not a service name: letters, digits, \".\", \"_\" and \"-\" only"
        )));
    }
    Ok(())
}

/// Whom it shares something with, it depends on.
fn implied(service: &mut Service) {
    let links = service.links.iter().map(|link| link.split(':').next().unwrap_or_default().to_owned());
    let spaces = [&service.network_mode, &service.ipc, &service.pid]
        .into_iter()
        .filter_map(|mode| Service::shared(mode.as_ref()))
        .map(str::to_owned);
    let restarting: Vec<String> = links.chain(spaces).collect();
    for (name, restart) in restarting
        .into_iter()
        .map(|name| (name, true))
        .chain(service.shared_dependencies().into_iter().map(|name| (name, false)))
    {
        service.depends_on.entry(name).or_insert(Dependency {
            condition: Condition::Started,
            restart,
            required: true,
        });
    }
}

/// Networks, volumes, secrets and configs that a service uses must be there.
fn references(service: &Service, cursor: &Cursor<'_>, project: &Project) -> Result<(), Error> {
    let missing =
        |kind: &str, key: &str| cursor.fail(format!("refers to {kind} \"{key}\", which is not defined"));
    for key in service.networks.keys() {
        if key != "default" && !project.networks.contains_key(key) {
            return Err(missing("network", key));
        }
    }
    for mount in service.volumes.iter().filter(|mount| mount.kind == MountKind::Volume) {
        if let Some(key) = mount.source.as_ref().filter(|key| !project.volumes.contains_key(*key)) {
            return Err(missing("volume", key));
        }
    }
    let secrets = service.secrets.iter().map(|mount| ("secret", &mount.source, &project.secrets));
    let configs = service.configs.iter().map(|mount| ("config", &mount.source, &project.configs));
    for (kind, key, known) in secrets.chain(configs) {
        match known.get(key) {
            None => return Err(missing(kind, key)),
            Some(object) if object.external => {
                return Err(cursor.fail(format!("{kind} \"{key}\" is external: only swarm holds {kind}s")));
            }
            Some(_) => {}
        }
    }
    for secret in service.build.iter().flat_map(|build| &build.secrets) {
        if !project.secrets.contains_key(&secret.source) {
            return Err(missing("secret", &secret.source));
        }
    }
    Ok(())
}

/// What services depend on must be there, and on.
fn dependencies(project: &mut Project, services: &Cursor<'_>) -> Result<(), Error> {
    let mut dropped = Vec::new();
    for (name, cursor) in services.entries()? {
        let Some(service) = project.services.get(name) else { continue };
        for dependency in service.dependencies() {
            if project.services.contains_key(&dependency) {
                continue;
            }
            let required = service.depends_on.get(&dependency).is_none_or(|rule| rule.required);
            let disabled = project.disabled.get(&dependency);
            match disabled {
                _ if !required => dropped.push((name.to_owned(), dependency)),
                Some(off) => {
                    let profiles = off.profiles.join(", ");
                    return Err(cursor.fail(format!(
                        "depends on service \"{dependency}\", whose profiles ({profiles}) are not enabled"
                    )));
                }
                None => {
                    return Err(
                        cursor.fail(format!("depends on service \"{dependency}\", which is not defined"))
                    );
                }
            }
        }
    }
    for (name, dependency) in dropped {
        if let Some(service) = project.services.get_mut(&name) {
            service.depends_on.remove(&dependency);
        }
    }
    Ok(())
}

/// Networks and volumes that no enabled service uses are not made.
fn prune_unused(project: &mut Project) {
    let used: BTreeSet<String> =
        project.services.values().flat_map(|service| service.networks.keys().cloned()).collect();
    if used.contains("default") && !project.networks.contains_key("default") {
        let name = format!("{}_default", project.name);
        project.networks.insert("default".into(), Network { name, ..Network::default() });
    }
    project.networks.retain(|key, _| used.contains(key));
    let mounts = project.services.values().flat_map(|service| &service.volumes);
    let used: BTreeSet<String> = mounts
        .filter(|mount| mount.kind == MountKind::Volume)
        .filter_map(|mount| mount.source.clone())
        .collect();
    project.volumes.retain(|key: &String, _: &mut Volume| used.contains(key));
    let in_use = |object: &FileObject| !object.external;
    project.secrets.retain(|_, object| in_use(object));
    project.configs.retain(|_, object| in_use(object));
}
