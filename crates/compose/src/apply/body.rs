//! A service → the body of `POST /containers/create`.

use std::collections::{BTreeMap, HashMap};

use bollard::models::{
    ContainerCreateBody, EndpointIpamConfig, EndpointSettings, HealthConfig, MountPoint, NetworkingConfig,
};

use super::host;
use crate::{
    error::Error,
    labels,
    model::{Attachment, Healthcheck, Project, Service, service_hash},
};

/// What a container has beside its service's settings.
#[derive(Debug, Clone, Default)]
pub struct Extras {
    /// The id of the image.
    pub image_id: String,
    /// Answer to the service's name in its networks; containers of `run` do so only when asked.
    pub aliases: bool,
    /// Further labels, which win.
    pub labels: Vec<(String, String)>,
    /// Mounts of the container that this one replaces: its anonymous volumes are taken over.
    pub inherit: Vec<MountPoint>,
    /// Service → id of the container whose namespace or volumes are shared.
    pub parents: BTreeMap<String, String>,
    /// The engine takes all networks at creation.
    pub all_networks: bool,
    /// `run --rm`.
    pub auto_remove: bool,
    /// `run`: standard input is attached.
    pub attach_stdin: bool,
}

/// The body, and the networks to connect to afterwards.
///
/// # Errors
/// Settings that contradict each other.
pub fn body(
    project: &Project,
    service: &Service,
    number: u32,
    extras: &Extras,
) -> Result<(ContainerCreateBody, Vec<(String, EndpointSettings)>), Error> {
    let hash = service_hash(project, service)
        .map_err(|error| Error::invalid(format!("service {}: {error}", service.name)))?;
    let mut all_labels = labels::container(project, service, number, &hash, &extras.image_id);
    all_labels.extend(extras.labels.iter().cloned());
    let (endpoints, later) = endpoints(project, service, number, extras);
    let host_config = host::config(project, service, extras)?;
    let exposed = service.ports.iter().map(|port| format!("{}/{}", port.target, port.protocol));
    let mut exposed: Vec<String> =
        exposed.chain(service.expose.iter().flat_map(|text| expose(text))).collect();
    exposed.sort();
    exposed.dedup();
    let body = ContainerCreateBody {
        hostname: service.hostname.clone(),
        domainname: service.domainname.clone(),
        user: service.user.clone(),
        attach_stdin: Some(extras.attach_stdin),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        exposed_ports: (!exposed.is_empty()).then_some(exposed),
        tty: service.tty,
        open_stdin: service.stdin_open,
        stdin_once: Some(extras.attach_stdin && service.stdin_open == Some(true)),
        env: Some(service.environment.iter().map(env).collect()),
        cmd: service.command.clone(),
        healthcheck: service.healthcheck.as_ref().map(health),
        image: Some(service.image_name(&project.name)),
        working_dir: service.working_dir.clone(),
        entrypoint: service
            .entrypoint
            .clone()
            .map(|words| if words.is_empty() { vec![String::new()] } else { words }),
        labels: Some(all_labels),
        stop_signal: service.stop_signal.clone(),
        stop_timeout: service.stop_grace_period.map(crate::units::Nanoseconds::seconds),
        host_config: Some(host_config),
        networking_config: (!endpoints.is_empty())
            .then_some(NetworkingConfig { endpoints_config: Some(endpoints) }),
        ..ContainerCreateBody::default()
    };
    Ok((body, later))
}

/// `KEY=value`, or `KEY` alone: take the image's away.
fn env((key, value): (&String, &Option<String>)) -> String {
    value.as_ref().map_or_else(|| key.clone(), |value| format!("{key}={value}"))
}

/// `8000-8002/udp` → each port.
fn expose(text: &str) -> Vec<String> {
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let (low, high) = ports.split_once('-').unwrap_or((ports, ports));
    match (low.parse::<u16>(), high.parse::<u16>()) {
        (Ok(low), Ok(high)) => (low..=high).map(|port| format!("{port}/{protocol}")).collect(),
        _ => vec![format!("{ports}/{protocol}")],
    }
}

fn health(check: &Healthcheck) -> HealthConfig {
    if check.is_off() {
        return HealthConfig { test: Some(vec!["NONE".into()]), ..HealthConfig::default() };
    }
    HealthConfig {
        test: check.test.clone(),
        interval: check.interval.map(|d| d.0),
        timeout: check.timeout.map(|d| d.0),
        retries: check.retries,
        start_period: check.start_period.map(|d| d.0),
        start_interval: check.start_interval.map(|d| d.0),
    }
}

type Endpoints = (HashMap<String, EndpointSettings>, Vec<(String, EndpointSettings)>);

fn endpoints(project: &Project, service: &Service, number: u32, extras: &Extras) -> Endpoints {
    let (mut first, mut later) = (HashMap::new(), Vec::new());
    for (i, (key, attachment)) in service.networks_by_priority().into_iter().enumerate() {
        let Some(network) = project.networks.get(key) else { continue };
        let mut settings = endpoint(project, service, number, attachment, extras);
        if i == 0 && settings.mac_address.is_none() {
            settings.mac_address.clone_from(&service.mac_address);
        }
        if i == 0 || extras.all_networks {
            first.insert(network.name.clone(), settings);
        } else {
            later.push((network.name.clone(), settings));
        }
    }
    (first, later)
}

fn endpoint(
    project: &Project,
    service: &Service,
    number: u32,
    attachment: &Attachment,
    extras: &Extras,
) -> EndpointSettings {
    let own =
        extras.aliases.then(|| vec![service.container_name(&project.name, number), service.name.clone()]);
    let mut aliases: Vec<String> = own.into_iter().flatten().chain(attachment.aliases.clone()).collect();
    let mut seen = std::collections::BTreeSet::new();
    aliases.retain(|alias| seen.insert(alias.clone()));
    let addressed = attachment.ipv4_address.is_some()
        || attachment.ipv6_address.is_some()
        || !attachment.link_local_ips.is_empty();
    let link = |link: &String| {
        let (target, alias) = link.split_once(':').unwrap_or((link, link));
        project
            .services
            .get(target)
            .map(|target| format!("{}:{alias}", target.container_name(&project.name, 1)))
    };
    let external = |link: &String| if link.contains(':') { link.clone() } else { format!("{link}:{link}") };
    let links: Vec<String> =
        service.links.iter().filter_map(link).chain(service.external_links.iter().map(external)).collect();
    EndpointSettings {
        aliases: Some(aliases),
        ipam_config: addressed.then(|| EndpointIpamConfig {
            ipv4_address: attachment.ipv4_address.clone(),
            ipv6_address: attachment.ipv6_address.clone(),
            link_local_ips: (!attachment.link_local_ips.is_empty())
                .then(|| attachment.link_local_ips.clone()),
        }),
        links: (!links.is_empty()).then_some(links),
        mac_address: attachment.mac_address.clone(),
        driver_opts: (!attachment.driver_opts.is_empty())
            .then(|| attachment.driver_opts.clone().into_iter().collect()),
        gw_priority: attachment.gw_priority,
        ..EndpointSettings::default()
    }
}
