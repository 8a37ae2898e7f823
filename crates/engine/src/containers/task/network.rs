//! A container's network: which sandbox, which ends on which networks, what its `/etc/hosts` and `/etc/resolv.conf` say.

use crate::{
    Error, Kind, Result, blocking,
    containers::{
        Spec, View, files, ports,
        record::{Record, Wanted},
        spec,
    },
    kafka, networks,
    shared::Shared,
};
use dhow_net::{Attach, Endpoint, Published};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use std::{collections::BTreeMap, net::IpAddr, path::Path, sync::Arc};

/// `--network`, parsed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Mode<'a> {
    Host,
    None,
    /// Another container's.
    Container(&'a str),
    /// Bridges.
    Bridges,
}

pub(crate) fn mode(text: &str) -> Mode<'_> {
    match text {
        "host" => Mode::Host,
        "none" => Mode::None,
        text => text.strip_prefix("container:").map_or(Mode::Bridges, Mode::Container),
    }
}

/// The namespace of a container.
#[derive(Debug)]
pub(super) enum Sandbox {
    Host,
    Own(Arc<OwnedFd>),
    Joined(Arc<OwnedFd>),
}

impl Sandbox {
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Host => None,
            Self::Own(fd) | Self::Joined(fd) => Some(fd.as_fd()),
        }
    }
}

/// The ends of a container on its networks.
#[derive(Debug, Default)]
pub(super) struct Wiring {
    pub(super) endpoints: BTreeMap<String, Endpoint>,
    pub(super) ports: Vec<Published>,
}

/// Makes or finds the namespace.
pub(super) async fn sandbox(shared: &Arc<Shared>, spec: &Spec) -> Result<Sandbox> {
    match mode(&spec.host.network_mode) {
        Mode::Host => Ok(Sandbox::Host),
        Mode::Container(other) => {
            let handle = shared.containers.find(other)?;
            let live = handle.live().ok_or_else(|| {
                let id = &handle.id;
                Error::new(Kind::Conflict, format!("cannot join network of a non running container: {id}"))
            })?;
            match &live.netns {
                None => Ok(Sandbox::Host),
                Some(netns) => {
                    let fd =
                        netns.try_clone().map_err(|e| crate::error::io("share the network of", other, e))?;
                    Ok(Sandbox::Joined(Arc::new(fd)))
                }
            }
        }
        Mode::None | Mode::Bridges => {
            let (net, sysctls) = (shared.net.clone(), spec::sysctls(spec, true).0);
            let fd = blocking::run(move || net.sandbox(&sysctls).map_err(Into::into)).await?;
            Ok(Sandbox::Own(Arc::new(fd)))
        }
    }
}

/// What is to be attached, in order: the network of `--network` first, then by name.
pub(super) fn attaches(shared: &Shared, record: &Record) -> Result<Vec<(String, Attach)>> {
    let mut all: Vec<(&String, &Wanted, Arc<networks::View>)> = Vec::new();
    for (name, wanted) in &record.networks {
        let network = shared.networks.find(&wanted.network_id)?;
        if network.network.is_some() {
            all.push((name, wanted, network));
        }
    }
    let first = networks::canonical(&record.spec.host.network_mode);
    all.sort_by_key(|(name, wanted, _)| (**name != first && wanted.network_id != first, (*name).clone()));
    let gateway = all
        .iter()
        .filter(|(_, _, network)| !network.internal)
        .max_by(|a, b| a.1.config.gw_priority.cmp(&b.1.config.gw_priority).then(b.0.cmp(a.0)))
        .map(|(name, ..)| (*name).clone());
    all.into_iter()
        .map(|(name, wanted, _)| {
            let default_route = gateway.as_ref() == Some(name);
            attach(shared, record, name, wanted, default_route).map(|attach| (name.clone(), attach))
        })
        .collect()
}

/// One end as wanted.
pub(super) fn attach(
    shared: &Shared,
    record: &Record,
    name: &str,
    wanted: &Wanted,
    default_route: bool,
) -> Result<Attach> {
    let config = &wanted.config;
    let mut links = BTreeMap::new();
    for link in &config.links {
        let (other, alias) = link.split_once(':').unwrap_or((link, link));
        // By name, looked up when it is asked for: the other one may come later.
        let name = shared
            .containers
            .find(other)
            .map_or_else(|_| other.to_owned(), |handle| handle.view().name.clone());
        links.insert(alias.to_owned(), name);
    }
    let names = if name == networks::BRIDGE { vec![record.name.clone()] } else { record.dns_names(config) };
    Ok(Attach {
        network: wanted.network_id.clone(),
        container: record.id.clone(),
        ipv4: config.ipv4,
        ipv6: config.ipv6,
        mac: mac(&config.mac)?,
        interface: None,
        default_route,
        names,
        links,
    })
}

/// `02:42:ac:11:00:02`.
pub(crate) fn mac(text: &str) -> Result<Option<[u8; 6]>> {
    if text.is_empty() {
        return Ok(None);
    }
    let parts: Option<Vec<u8>> = text
        .split([':', '-'])
        .map(|part| (part.len() == 2).then(|| u8::from_str_radix(part, 16).ok()).flatten())
        .collect();
    parts
        .and_then(|bytes| <[u8; 6]>::try_from(bytes).ok())
        .map(Some)
        .ok_or_else(|| Error::new(Kind::Invalid, format!("invalid MAC address: {text}")))
}

/// Attaches and publishes; all or nothing. Blocking.
pub(super) fn wire(shared: &Shared, record: &Record, sandbox: BorrowedFd<'_>) -> Result<Wiring> {
    let wanted = attaches(shared, record)?;
    let publishes = ports::publishes(&record.spec)?;
    let mut wiring = Wiring::default();
    let made = (|| -> Result<()> {
        let mut publisher = None;
        for (name, attach) in &wanted {
            let endpoint = shared.net.attach(sandbox, attach)?;
            if attach.default_route {
                publisher = Some(name.clone());
            }
            wiring.endpoints.insert(name.clone(), endpoint);
        }
        if let Some(endpoint) = publisher.and_then(|name| wiring.endpoints.get(&name))
            && !publishes.is_empty()
        {
            wiring.ports = shared.net.publish(endpoint, &publishes).map_err(|error| {
                let id = &endpoint.id;
                Error::new(
                    Kind::Internal,
                    format!(
                        "failed to set up container networking: driver failed programming external connectivity on \
                         endpoint {} ({id}): {}",
                        record.name,
                        port_sentence(&error)
                    ),
                )
            })?;
        }
        Ok(())
    })();
    match made {
        Ok(()) => Ok(wiring),
        Err(failure) => {
            release(shared, &record.id, &wiring);
            Err(failure)
        }
    }
}

fn port_sentence(error: &dhow_net::Error) -> String {
    match (&error.source, error.object.contains("Bind for")) {
        (_, true) => error.object.clone(),
        (Some(source), _) => format!("{} {}: {source}", error.operation, error.object),
        (None, _) => format!("{} {}", error.operation, error.object),
    }
}

/// Gives everything back. Blocking.
pub(super) fn release(shared: &Shared, id: &str, wiring: &Wiring) {
    if wiring.endpoints.is_empty() && wiring.ports.is_empty() {
        return;
    }
    let endpoints: Vec<Endpoint> = wiring.endpoints.values().cloned().collect();
    if let Err(failures) = shared.net.release(id, &endpoints, &wiring.ports) {
        let failure = crate::error::net_errors(failures);
        tracing::warn!(id, %failure, "the network of a container was not wholly released");
    }
}

/// Writes the three files. Blocking. `endpoints` are empty before the start.
pub(crate) fn write_files(
    shared: &Shared,
    record: &Record,
    dir: &Path,
    hostname: &str,
    endpoints: &BTreeMap<String, Endpoint>,
) -> Result<()> {
    let spec = &record.spec;
    let host_mode = mode(&spec.host.network_mode) == Mode::Host;
    files::write(&dir.join("hostname"), &format!("{hostname}\n"))?;
    files::write(&dir.join("hosts"), &hosts(shared, record, hostname, endpoints)?)?;
    if host_mode
        && spec.host.dns.is_empty()
        && spec.host.dns_search.is_empty()
        && spec.host.dns_options.is_empty()
    {
        let text = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        return files::write(&dir.join("resolv.conf"), &text);
    }
    let user_network = record.networks.keys().any(|name| !networks::is_predefined(name));
    files::write(&dir.join("resolv.conf"), &resolv(shared, spec, user_network))
}

fn resolv(shared: &Shared, spec: &Spec, user_network: bool) -> String {
    let host = shared.net.resolvers();
    let pick = |own: &[String], host: Vec<String>| if own.is_empty() { host } else { own.to_vec() };
    let search = pick(&spec.host.dns_search, host.search);
    if user_network {
        let mut options = spec.host.dns_options.clone();
        if !options.iter().any(|o| o.starts_with("ndots:")) {
            options.push("ndots:0".to_owned());
        }
        return files::resolv(&[IpAddr::from([127, 0, 0, 11])], &search, &options);
    }
    let servers = match (spec.host.dns.as_slice(), shared.config.dns.as_slice()) {
        ([], []) => host.servers,
        ([], daemon) => daemon.to_vec(),
        (own, _) => own.to_vec(),
    };
    files::resolv(&servers, &search, &pick(&spec.host.dns_options, host.options))
}

fn hosts(
    shared: &Shared,
    record: &Record,
    hostname: &str,
    endpoints: &BTreeMap<String, Endpoint>,
) -> Result<String> {
    let spec = &record.spec;
    let mut entries = Vec::new();
    for extra in &spec.host.extra_hosts {
        entries.push(extra_host(shared, extra)?);
    }
    for link in &spec.host.links {
        entries.extend(link_entries(shared, &record.name, link)?);
    }
    if mode(&spec.host.network_mode) == Mode::Host {
        let mut text = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
        for (address, names) in entries {
            text.push_str(&format!("{address}\t{names}\n"));
        }
        return Ok(text);
    }
    let names = match spec.domainname.as_str() {
        "" => hostname.to_owned(),
        domain => format!("{hostname}.{domain} {hostname}"),
    };
    for endpoint in endpoints.values() {
        entries.extend(endpoint.ipv4.map(|(address, _)| (address.to_string(), names.clone())));
        entries.extend(endpoint.ipv6.map(|(address, _)| (address.to_string(), names.clone())));
    }
    // A network without a resolver: there the broker's name is here, unless the user has given it a meaning.
    let on_default = endpoints.get(networks::BRIDGE).and_then(|endpoint| endpoint.gateway4);
    if let Some(entry) = on_default.and_then(|gateway| kafka::host_entry(shared, gateway.into()))
        && !entries.iter().any(|(_, names)| names.split(' ').any(|name| name == entry.1))
    {
        entries.push(entry);
    }
    Ok(files::hosts(&entries, true))
}

/// `name:ip`, `name=ip`, `name:host-gateway`.
pub(crate) fn extra_host(shared: &Shared, text: &str) -> Result<(String, String)> {
    let wrong = || Error::new(Kind::Invalid, format!("bad format for add-host: \"{text}\""));
    let (name, address) = text.split_once([':', '=']).ok_or_else(wrong)?;
    let address = address.trim_start_matches('[').trim_end_matches(']');
    if address == "host-gateway" {
        let bridge = shared.networks.find(networks::BRIDGE)?;
        let pools = bridge.network.as_ref().map(|n| n.spec.pools.as_slice()).unwrap_or_default();
        let gateway = pools
            .iter()
            .find_map(|pool| pool.gateway)
            .ok_or_else(|| Error::new(Kind::Internal, "unable to derive the IP value for host-gateway"))?;
        return Ok((gateway.to_string(), name.to_owned()));
    }
    if name.is_empty() {
        return Err(wrong());
    }
    let parsed: IpAddr = address
        .parse()
        .map_err(|_| Error::new(Kind::Invalid, format!("invalid IP address in add-host: \"{address}\"")))?;
    Ok((parsed.to_string(), name.to_owned()))
}

/// `--link other:alias` on the default bridge: the other's address by alias, name and short id.
fn link_entries(shared: &Shared, own: &str, link: &str) -> Result<Vec<(String, String)>> {
    let (other, alias) = link.split_once(':').unwrap_or((link, link));
    let view: Arc<View> = shared.containers.find(other)?.view();
    if !view.status.is_up() {
        let (name, alias) = (&view.name, alias.rsplit('/').next().unwrap_or(alias));
        return Err(Error::new(
            Kind::Conflict,
            format!("Cannot link to a non running container: /{name} AS /{own}/{alias}"),
        ));
    }
    let short = view.id.get(..12).unwrap_or_default();
    let alias = alias.rsplit('/').next().unwrap_or(alias);
    let names = if alias == view.name {
        format!("{alias} {short}")
    } else {
        format!("{alias} {short} {}", view.name)
    };
    let endpoints = view.networks.values().filter_map(|n| n.endpoint.as_ref());
    Ok(endpoints.filter_map(|e| e.ipv4).map(|(address, _)| (address.to_string(), names.clone())).collect())
}

/// The variables that tell a container on the default bridge of those it is linked to, in docker's form: `DB_NAME`, `DB_ENV_…`, and for
/// what the other one exposes `DB_PORT_5432_TCP…`.
pub(crate) fn link_env(shared: &Shared, record: &Record) -> Result<Vec<String>> {
    let mut env = Vec::new();
    for link in &record.spec.host.links {
        let (other, alias) = link.split_once(':').unwrap_or((link, link));
        let alias = alias.rsplit('/').next().unwrap_or(alias);
        let view = shared.containers.find(other)?.view();
        let address = view
            .networks
            .values()
            .filter_map(|n| n.endpoint.as_ref()?.ipv4)
            .map(|(ip, _)| ip.to_string())
            .next();
        env.extend(link_variables(&record.name, alias, address.as_deref().unwrap_or(""), &view.spec));
    }
    Ok(env)
}

fn link_variables(parent: &str, alias: &str, address: &str, other: &Spec) -> Vec<String> {
    let prefix = alias.to_uppercase().replace('-', "_");
    let mut ports: Vec<(u16, String)> = other
        .exposed_ports
        .iter()
        .filter_map(|port| {
            let (number, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
            Some((number.parse().ok()?, protocol.to_ascii_lowercase()))
        })
        .collect();
    ports.sort_unstable_by_key(|(number, protocol)| (protocol != "tcp", *number));
    let mut env = Vec::new();
    if let Some((number, protocol)) = ports.first() {
        env.push(format!("{prefix}_PORT={protocol}://{address}:{number}"));
    }
    for (number, protocol) in &ports {
        let port = format!("{prefix}_PORT_{number}_{}", protocol.to_uppercase());
        env.push(format!("{port}={protocol}://{address}:{number}"));
        env.push(format!("{port}_ADDR={address}"));
        env.push(format!("{port}_PORT={number}"));
        env.push(format!("{port}_PROTO={protocol}"));
    }
    env.push(format!("{prefix}_NAME=/{parent}/{alias}"));
    let own = other.env.iter().filter(|entry| entry.contains('='));
    let told = own.filter(|entry| !entry.starts_with("HOME=") && !entry.starts_with("PATH="));
    env.extend(told.map(|entry| format!("{prefix}_ENV_{entry}")));
    env
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_told_in_variables() {
        let other = Spec {
            env: vec!["PATH=/bin".into(), "FOO=1".into()],
            exposed_ports: vec!["53/udp".into(), "80/tcp".into()],
            ..Spec::default()
        };
        let wanted = [
            "MY_DB_PORT=tcp://10.0.0.2:80",
            "MY_DB_PORT_80_TCP=tcp://10.0.0.2:80",
            "MY_DB_PORT_80_TCP_ADDR=10.0.0.2",
            "MY_DB_PORT_80_TCP_PORT=80",
            "MY_DB_PORT_80_TCP_PROTO=tcp",
            "MY_DB_PORT_53_UDP=udp://10.0.0.2:53",
            "MY_DB_PORT_53_UDP_ADDR=10.0.0.2",
            "MY_DB_PORT_53_UDP_PORT=53",
            "MY_DB_PORT_53_UDP_PROTO=udp",
            "MY_DB_NAME=/web/my-db",
            "MY_DB_ENV_FOO=1",
        ];
        assert_eq!(link_variables("web", "my-db", "10.0.0.2", &other), wanted);
    }

    #[test]
    fn modes_and_macs() {
        assert_eq!(mode("container:abc"), Mode::Container("abc"));
        assert_eq!(mode("default"), Mode::Bridges);
        assert_eq!(mac("02:42:ac:11:00:02").unwrap(), Some([2, 0x42, 0xac, 0x11, 0, 2]));
        assert_eq!(mac("").unwrap(), None);
        assert!(mac("02:42:ac:11:00").is_err() && mac("zz:42:ac:11:00:02").is_err());
    }
}
