//! One step → one call.

use bollard::{
    models::{
        EndpointSettings, Ipam, IpamConfig, NetworkConnectRequest, NetworkCreateRequest, VolumeCreateRequest,
    },
    query_parameters::{
        CreateContainerOptions, InspectContainerOptions, RemoveContainerOptions, RemoveImageOptions,
        RemoveVolumeOptions, RenameContainerOptions, StartContainerOptions, StopContainerOptions,
    },
};

use super::{Session, Started, body, event, files, images, wait};
use crate::{
    build,
    error::{Error, status},
    labels,
    model::{Network, Project, network_hash},
    plan::{Action, Target},
    report::{Event, Phase},
};

/// Runs one step and tells of it.
pub(super) async fn step(session: &Session<'_>, action: &Action) -> Result<(), Error> {
    let Some((resource, begin, end)) = words(action) else {
        return run(session, action).await.map(|_| ());
    };
    session.reporter.event(event(resource.clone(), begin, Phase::Working));
    match run(session, action).await {
        Ok(done) => {
            let (status, phase) = done.unwrap_or((end, Phase::Done));
            session.reporter.event(event(resource, status, phase));
            Ok(())
        }
        Err(error) => {
            let detail = error.to_string();
            session.reporter.event(Event { resource, status: "Error".into(), phase: Phase::Failed, detail });
            Err(error)
        }
    }
}

/// What a step is called while it runs and when it is done.
pub(super) fn words(action: &Action) -> Option<(String, &'static str, &'static str)> {
    let container = |target: &Target| format!("Container {}", target.name);
    Some(match action {
        Action::Pull { image, .. } => (format!("Image {image}"), "Pulling", "Pulled"),
        Action::Build { image, .. } => (format!("Image {image}"), "Building", "Built"),
        Action::CreateNetwork { name, .. } => (format!("Network {name}"), "Creating", "Created"),
        Action::RemoveNetwork { name, .. } => (format!("Network {name}"), "Removing", "Removed"),
        Action::CreateVolume { name, .. } => (format!("Volume {name}"), "Creating", "Created"),
        Action::RemoveVolume { name } => (format!("Volume {name}"), "Removing", "Removed"),
        Action::Create { name, replaces: Some(_), .. } => (
            format!("Container {}", name.split_once('_').map_or(name.as_str(), |(_, name)| name)),
            "Recreate",
            "Recreated",
        ),
        Action::Create { name, .. } => (format!("Container {name}"), "Creating", "Created"),
        Action::Rename { .. } => return None,
        Action::Start { target, .. } => (container(target), "Starting", "Started"),
        Action::Unpause { target } => (container(target), "Unpausing", "Unpaused"),
        Action::Stop { target, .. } => (container(target), "Stopping", "Stopped"),
        Action::Remove { target, .. } => (container(target), "Removing", "Removed"),
        Action::RemoveImage { image } => (format!("Image {image}"), "Removing", "Removed"),
        Action::Wait { .. } | Action::WaitReady { .. } => return None,
    })
}

type Done = Option<(&'static str, Phase)>;

async fn run(session: &Session<'_>, action: &Action) -> Result<Done, Error> {
    let docker = session.docker;
    match action {
        Action::Pull { service, image, policy_missing_ok } => {
            images::step(session, service, image, *policy_missing_ok).await
        }
        Action::Build { service, .. } => build::service(session, service).await.map(|()| None),
        Action::CreateNetwork { key, name } => create_network(session, key, name).await.map(|()| None),
        Action::RemoveNetwork { name, id } => match docker.remove_network(id).await {
            Err(error) if status(&error) == Some(404) => Ok(None),
            // Docker says 403 or 409 when a container of somebody else is in it.
            Err(error) if matches!(status(&error), Some(403 | 409)) => {
                Ok(Some(("Resource is still in use", Phase::Skipped)))
            }
            other => other.map(|()| None).map_err(Error::engine(format!("remove network {name}"))),
        },
        Action::CreateVolume { key, name } => create_volume(session, key, name).await.map(|()| None),
        Action::RemoveVolume { name } => {
            match docker.remove_volume(name, None::<RemoveVolumeOptions>).await {
                Err(error) if status(&error) == Some(404) => Ok(None),
                Err(error) if status(&error) == Some(409) => {
                    Ok(Some(("Resource is still in use", Phase::Skipped)))
                }
                other => other.map(|()| None).map_err(Error::engine(format!("remove volume {name}"))),
            }
        }
        Action::Create { service, number, name, replaces, keep_volumes } => {
            create(session, service, *number, name, replaces.as_deref(), *keep_volumes).await.map(|()| None)
        }
        Action::Rename { from, to } => {
            let options = RenameContainerOptions { name: to.clone() };
            docker
                .rename_container(from.reference(), options)
                .await
                .map_err(Error::engine(format!("rename container {} to {to}", from.name)))?;
            Ok(None)
        }
        Action::Start { service, target } => {
            let last = match (&session.started, &target.id) {
                (Some(_), Some(id)) => crate::ops::last_line(docker, id).await,
                _ => None,
            };
            let result = docker.start_container(target.reference(), None::<StartContainerOptions>).await;
            result.map_err(Error::engine(format!("start container {}", target.name)))?;
            if let Some(started) = &session.started {
                // Nobody listening any more is fine: the container runs all the same.
                drop(started.send(Started { service: service.clone(), name: target.name.clone(), last }));
            }
            Ok(None)
        }
        Action::Unpause { target } => {
            docker
                .unpause_container(target.reference())
                .await
                .map_err(Error::engine(format!("unpause container {}", target.name)))?;
            Ok(None)
        }
        Action::Stop { target, timeout } => stop(session, target, *timeout).await.map(|()| None),
        Action::Remove { target, volumes, force } => {
            remove(session, target, *volumes, *force).await.map(|()| None)
        }
        Action::RemoveImage { image } => {
            match docker.remove_image(image, None::<RemoveImageOptions>, None).await {
                Err(error) if status(&error) == Some(404) => Ok(None),
                Err(error) if status(&error) == Some(409) => {
                    Ok(Some(("Resource is still in use", Phase::Skipped)))
                }
                other => other.map(|_| None).map_err(Error::engine(format!("remove image {image}"))),
            }
        }
        Action::Wait { service, condition, targets, required } => {
            wait::condition(session, service, *condition, targets, *required).await.map(|()| None)
        }
        Action::WaitReady { targets, .. } => wait::ready(session, targets).await.map(|()| None),
    }
}

async fn stop(session: &Session<'_>, target: &Target, timeout: Option<i32>) -> Result<(), Error> {
    let options = StopContainerOptions { signal: None, t: timeout };
    match session.docker.stop_container(target.reference(), Some(options)).await {
        Err(error) if matches!(status(&error), Some(304 | 404)) => Ok(()),
        other => other.map_err(Error::engine(format!("stop container {}", target.name))),
    }
}

async fn remove(session: &Session<'_>, target: &Target, volumes: bool, force: bool) -> Result<(), Error> {
    let options = RemoveContainerOptions { v: volumes, force, link: false };
    match session.docker.remove_container(target.reference(), Some(options)).await {
        Err(error) if status(&error) == Some(404) => Ok(()),
        // --rm containers are being removed by the engine at the same time.
        Err(error) if status(&error) == Some(409) && error.to_string().contains("already in progress") => {
            Ok(())
        }
        other => other.map_err(Error::engine(format!("remove container {}", target.name))),
    }
}

fn project<'a>(session: &Session<'a>) -> Result<&'a Project, Error> {
    session.project.ok_or_else(|| Error::invalid("this needs a compose file"))
}

async fn create_network(session: &Session<'_>, key: &str, name: &str) -> Result<(), Error> {
    let project = project(session)?;
    let network = project
        .networks
        .get(key)
        .ok_or_else(|| Error::invalid(format!("no network \"{key}\" in the project")))?;
    let mut labels = labels::shared(&project.name, labels::NETWORK, key, &network.labels);
    labels.insert(
        labels::CONFIG_HASH.into(),
        network_hash(network).map_err(|error| Error::invalid(format!("network {key}: {error}")))?,
    );
    let request = NetworkCreateRequest {
        name: name.to_owned(),
        driver: Some(network.driver.clone().unwrap_or_else(|| "bridge".into())),
        internal: Some(network.internal),
        attachable: Some(network.attachable),
        enable_ipv4: network.enable_ipv4,
        enable_ipv6: network.enable_ipv6,
        ipam: ipam(network),
        options: (!network.driver_opts.is_empty()).then(|| network.driver_opts.clone().into_iter().collect()),
        labels: Some(labels),
        ..NetworkCreateRequest::default()
    };
    session.docker.create_network(request).await.map_err(Error::engine(format!("create network {name}")))?;
    Ok(())
}

fn ipam(network: &Network) -> Option<Ipam> {
    let ipam = network.ipam.as_ref()?;
    let pool = |pool: &crate::model::IpamPool| IpamConfig {
        subnet: pool.subnet.clone(),
        ip_range: pool.ip_range.clone(),
        gateway: pool.gateway.clone(),
        auxiliary_addresses: (!pool.aux_addresses.is_empty())
            .then(|| pool.aux_addresses.clone().into_iter().collect()),
    };
    Some(Ipam {
        driver: Some(ipam.driver.clone().unwrap_or_else(|| "default".into())),
        config: Some(ipam.config.iter().map(pool).collect()),
        options: (!ipam.options.is_empty()).then(|| ipam.options.clone().into_iter().collect()),
    })
}

async fn create_volume(session: &Session<'_>, key: &str, name: &str) -> Result<(), Error> {
    let project = project(session)?;
    let volume = project
        .volumes
        .get(key)
        .ok_or_else(|| Error::invalid(format!("no volume \"{key}\" in the project")))?;
    let request = VolumeCreateRequest {
        name: Some(name.to_owned()),
        driver: volume.driver.clone(),
        driver_opts: (!volume.driver_opts.is_empty())
            .then(|| volume.driver_opts.clone().into_iter().collect()),
        labels: Some(labels::shared(&project.name, labels::VOLUME, key, &volume.labels)),
        cluster_volume_spec: None,
    };
    session.docker.create_volume(request).await.map_err(Error::engine(format!("create volume {name}")))?;
    Ok(())
}

async fn create(
    session: &Session<'_>,
    service: &str,
    number: u32,
    name: &str,
    replaces: Option<&str>,
    keep_volumes: bool,
) -> Result<(), Error> {
    let project = project(session)?;
    let service = project.service(service)?;
    let mut extras = body::Extras {
        aliases: true,
        image_id: image_id(session, &service.image_name(&project.name)).await?,
        ..body::Extras::default()
    };
    if let Some(old) = replaces {
        extras.labels.push((labels::REPLACE.to_owned(), old.to_owned()));
        if keep_volumes {
            let old = session
                .docker
                .inspect_container(old, None::<InspectContainerOptions>)
                .await
                .map_err(Error::engine(format!("inspect container {name}")))?;
            extras.inherit = old.mounts.unwrap_or_default();
        }
    }
    container(session, service, number, name, extras).await?;
    Ok(())
}

/// The image's id for the label: known from observing, or asked now because a step brought it.
async fn image_id(session: &Session<'_>, image: &str) -> Result<String, Error> {
    match session.images.get(image) {
        Some(id) => Ok(id.clone()),
        None => {
            let image = session
                .docker
                .inspect_image(image)
                .await
                .map_err(Error::engine(format!("inspect image {image}")))?;
            Ok(image.id.unwrap_or_default())
        }
    }
}

/// Makes a container, connects it to its further networks and copies its files into it. Returns its id.
pub(crate) async fn container(
    session: &Session<'_>,
    service: &crate::model::Service,
    number: u32,
    name: &str,
    mut extras: body::Extras,
) -> Result<String, Error> {
    let project = project(session)?;
    let docker = session.docker;
    for parent in service.shared_dependencies() {
        let parent_name = project.service(&parent)?.container_name(&project.name, 1);
        extras.parents.insert(parent.clone(), parent_id(session, &parent, &parent_name).await?);
    }
    // Before 1.44 an engine takes one network at creation.
    let version = docker.client_version();
    extras.all_networks = (version.major_version, version.minor_version) >= (1, 44);
    for (key, minor) in too_new(service, (version.major_version, version.minor_version)) {
        session.reporter.warn(&format!(
            "service {}: {key} needs an engine with API 1.{minor} and is ignored by this one",
            service.name
        ));
    }
    let (request, later) = body::body(project, service, number, &extras)?;
    let options = CreateContainerOptions {
        name: Some(name.to_owned()),
        platform: service.platform.clone().unwrap_or_default(),
    };
    let made = docker
        .create_container(Some(options), request)
        .await
        .map_err(Error::engine(format!("create container {name}")))?;
    for warning in made.warnings {
        session.reporter.warn(&format!("container {name}: {warning}"));
    }
    for (network, endpoint) in later {
        connect(session, &network, &made.id, name, endpoint).await?;
    }
    files::copy_in(session, project, service, &made.id, name).await?;
    Ok(made.id)
}

/// Settings that an engine of this version does not know and would drop without a word.
fn too_new(service: &crate::model::Service, version: (usize, usize)) -> Vec<(&'static str, usize)> {
    let networks = || service.networks.values();
    let asked = [
        ("annotations", 43, !service.annotations.is_empty()),
        ("mac_address", 44, service.mac_address.is_some() || networks().any(|net| net.mac_address.is_some())),
        (
            "healthcheck.start_interval",
            44,
            service.healthcheck.as_ref().is_some_and(|check| check.start_interval.is_some()),
        ),
        ("volumes.subpath", 45, service.volumes.iter().any(|mount| mount.subpath.is_some())),
        ("networks.gw_priority", 48, networks().any(|net| net.gw_priority.is_some())),
    ];
    asked
        .into_iter()
        .filter(|(_, minor, asked)| *asked && version < (1, *minor))
        .map(|(key, minor, _)| (key, minor))
        .collect()
}

async fn parent_id(session: &Session<'_>, service: &str, name: &str) -> Result<String, Error> {
    let all = crate::observe::containers(session.docker, session.name).await?;
    let mut own = all.into_iter().filter(|container| container.service == service && !container.oneoff);
    match own.next() {
        Some(container) => Ok(container.id),
        None => Err(Error::invalid(format!(
            "container {name} of service {service} is missing, and its namespace or volumes are to be shared"
        ))),
    }
}

async fn connect(
    session: &Session<'_>,
    network: &str,
    id: &str,
    name: &str,
    endpoint: EndpointSettings,
) -> Result<(), Error> {
    let request = NetworkConnectRequest { container: id.to_owned(), endpoint_config: Some(endpoint) };
    session
        .docker
        .connect_network(network, request)
        .await
        .map_err(Error::engine(format!("connect container {name} to network {network}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Healthcheck, Service};

    #[test]
    fn what_an_old_engine_would_drop_is_said() {
        let check =
            Healthcheck { start_interval: Some(crate::units::Nanoseconds(1)), ..Healthcheck::default() };
        let service =
            Service { mac_address: Some("x".into()), healthcheck: Some(check), ..Service::default() };
        assert_eq!(too_new(&service, (1, 41)), [("mac_address", 44), ("healthcheck.start_interval", 44)]);
        assert!(too_new(&service, (1, 44)).is_empty());
    }
}
