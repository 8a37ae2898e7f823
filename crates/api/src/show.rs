//! A container as `inspect` and `ps` print it: docker's fields in docker's order.

use crate::show_host;
use dhow_engine::{
    Endpoint, Protocol,
    containers::{self, EndpointView, Health, MountKind, MountPoint, Spec, Status, View},
    events::Time,
    oci::image::{Empty, Healthcheck},
};
use dhow_wire::{
    record::{Record, filled},
    status, time,
    version::ApiVersion,
};
use serde_json::{json, value::RawValue};
use std::{collections::BTreeMap, path::PathBuf};

pub(crate) type Json = Box<RawValue>;

/// Nanoseconds since the epoch, now.
pub(crate) fn now() -> i64 {
    i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX)
}

/// RFC 3339.
pub(crate) fn text(time: Time) -> String {
    time::format(time.0)
}

/// Whole seconds: what lists print for `Created`.
pub(crate) fn seconds(nanos: i64) -> i64 {
    nanos.div_euclid(1_000_000_000)
}

pub(crate) fn word(status: Status) -> &'static str {
    match status {
        Status::Created => "created",
        Status::Running => "running",
        Status::Paused => "paused",
        Status::Restarting => "restarting",
        Status::Removing => "removing",
        Status::Exited => "exited",
        Status::Dead => "dead",
    }
}

/// `GET /containers/{}/json`. Sizes: (writable layer, all).
pub(crate) fn inspect(view: &View, sizes: Option<(u64, u64)>, version: ApiVersion) -> Json {
    let in_dir = |file: &str| view.dir.join(file);
    // docker shows no such files for a container that was never started.
    let made = |path: PathBuf| if view.started.0 == 0 { PathBuf::new() } else { path };
    let driver = Record::new()
        .put("Data", json!({ "UpperDir": in_dir("upper"), "WorkDir": in_dir("work") }))
        .put("Name", "overlay2");
    Record::new()
        .put("Id", &view.id)
        .put("Created", text(view.created))
        .put("Path", &view.path)
        .put("Args", &view.args)
        .put("State", state(view))
        .put("Image", &view.image)
        .put("ResolvConfPath", made(in_dir("resolv.conf")))
        .put("HostnamePath", made(in_dir("hostname")))
        .put("HostsPath", made(in_dir("hosts")))
        .put("LogPath", made(view.log_path.clone()))
        .put("Name", format!("/{}", view.name))
        .put("RestartCount", view.restart_count)
        .put("Driver", "overlay2")
        .put("Platform", "linux")
        .put("MountLabel", "")
        .put("ProcessLabel", "")
        .put("AppArmorProfile", "")
        .put("ExecIDs", filled(&view.exec_ids))
        .put("HostConfig", show_host::host(&view.spec.host, &view.name, version))
        .put("GraphDriver", driver.end())
        .some("SizeRw", sizes.map(|(rw, _)| rw))
        .some("SizeRootFs", sizes.map(|(_, all)| all))
        .put("Mounts", view.mounts.iter().map(mount_point).collect::<Vec<_>>())
        .put("Config", config(&view.spec))
        .put("NetworkSettings", network_settings(view, version))
        .end()
}

fn state(view: &View) -> Json {
    let is = |status| view.status == status;
    // docker: a paused container runs too, and so does a restarting one.
    let running = matches!(view.status, Status::Running | Status::Paused | Status::Restarting);
    Record::new()
        .put("Status", word(view.status))
        .put("Running", running)
        .put("Paused", is(Status::Paused))
        .put("Restarting", is(Status::Restarting))
        .put("OOMKilled", view.oom_killed)
        .put("Dead", is(Status::Dead))
        .put("Pid", view.pid)
        .put("ExitCode", view.exit_code)
        .put("Error", &view.error)
        .put("StartedAt", text(view.started))
        .put("FinishedAt", text(view.finished))
        .some("Health", view.health.as_ref().map(health))
        .end()
}

fn health(health: &Health) -> Json {
    let probe = |probe: &dhow_engine::containers::Probe| {
        Record::new()
            .put("Start", text(probe.start))
            .put("End", text(probe.end))
            .put("ExitCode", probe.exit_code)
            .put("Output", &probe.output)
            .end()
    };
    Record::new()
        .put("Status", &health.status)
        .put("FailingStreak", health.failing_streak)
        .put("Log", health.log.iter().map(probe).collect::<Vec<_>>())
        .end()
}

/// Health in a list: docker says `none` where nothing is asked.
fn health_summary(view: &View) -> Json {
    let (status, streak) =
        view.health.as_ref().map_or(("none", 0), |health| (health.status.as_str(), health.failing_streak));
    Record::new().put("Status", status).put("FailingStreak", streak).end()
}

/// docker's Config.
pub(crate) fn config(spec: &Spec) -> Json {
    let set = |keys: &[String]| keys.iter().map(|key| (key.clone(), Empty {})).collect::<BTreeMap<_, _>>();
    let (stdin, stdout, stderr) = spec.attach;
    Record::new()
        .put("Hostname", &spec.hostname)
        .put("Domainname", &spec.domainname)
        .put("User", &spec.user)
        .put("AttachStdin", stdin)
        .put("AttachStdout", stdout)
        .put("AttachStderr", stderr)
        .some("ExposedPorts", filled(&spec.exposed_ports).map(|ports| set(ports)))
        .put("Tty", spec.tty)
        .put("OpenStdin", spec.open_stdin)
        .put("StdinOnce", spec.stdin_once)
        .put("Env", &spec.env)
        .put("Cmd", &spec.cmd)
        .some("Healthcheck", spec.healthcheck.as_ref().map(healthcheck))
        .put("Image", &spec.image)
        .put("Volumes", filled(&spec.volumes).map(|volumes| set(volumes)))
        .put("WorkingDir", &spec.working_dir)
        .put("Entrypoint", &spec.entrypoint)
        .put("OnBuild", None::<()>)
        .put("Labels", &spec.labels)
        .some("StopSignal", Some(&spec.stop_signal).filter(|signal| !signal.is_empty()))
        .some("StopTimeout", spec.stop_timeout)
        .end()
}

pub(crate) fn healthcheck(check: &Healthcheck) -> Json {
    let some = |number: i64| Some(number).filter(|number| *number != 0);
    Record::new()
        .some("Test", check.test.as_ref())
        .some("Interval", some(check.interval))
        .some("Timeout", some(check.timeout))
        .some("StartPeriod", some(check.start_period))
        .some("StartInterval", some(check.start_interval))
        .some("Retries", some(check.retries))
        .end()
}

pub(crate) fn kind(kind: MountKind) -> &'static str {
    match kind {
        MountKind::Bind => "bind",
        MountKind::Volume => "volume",
        MountKind::Tmpfs => "tmpfs",
        MountKind::Image => "image",
    }
}

pub(crate) fn mount_point(mount: &MountPoint) -> Json {
    let text = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    Record::new()
        .put("Type", kind(mount.kind))
        .some("Name", text(&mount.name))
        .put("Source", &mount.source)
        .put("Destination", &mount.target)
        .some("Driver", text(&mount.driver))
        .put("Mode", &mount.mode)
        .put("RW", mount.rw)
        .put("Propagation", &mount.propagation)
        .end()
}

fn network_settings(view: &View, version: ApiVersion) -> Json {
    let first = view.networks.get("bridge").and_then(|network| network.endpoint.as_ref());
    let networks: BTreeMap<_, _> = view
        .networks
        .iter()
        .map(|(name, network)| (name, endpoint_settings(view, network, version)))
        .collect();
    if version.since(52) {
        return Record::new()
            .put("SandboxID", sandbox_id(view))
            .put("SandboxKey", &view.sandbox_key)
            .put("Ports", ports(view))
            .put("Networks", networks)
            .end();
    }
    let record = Record::new()
        .put("Bridge", "")
        .put("SandboxID", sandbox_id(view))
        .put("SandboxKey", &view.sandbox_key)
        .put("Ports", ports(view))
        .put("HairpinMode", false)
        .put("LinkLocalIPv6Address", "")
        .put("LinkLocalIPv6PrefixLen", 0)
        .put("SecondaryIPAddresses", None::<()>)
        .put("SecondaryIPv6Addresses", None::<()>);
    // Those of the default bridge once more, until API 1.52 took them away.
    addresses(record, first, true).put("Networks", networks).end()
}

fn sandbox_id(view: &View) -> &str {
    if view.sandbox_key.is_empty() { "" } else { &view.id }
}

/// Address fields of an endpoint; `legacy` is the order of the top level.
fn addresses(record: Record, endpoint: Option<&Endpoint>, legacy: bool) -> Record {
    let mac = endpoint.map(|endpoint| mac(endpoint.mac)).unwrap_or_default();
    let show = |address: Option<String>| address.unwrap_or_default();
    let gateway = show(endpoint.and_then(|e| e.gateway4).map(|ip| ip.to_string()));
    let gateway6 = show(endpoint.and_then(|e| e.gateway6).map(|ip| ip.to_string()));
    let (ip, prefix) =
        endpoint.and_then(|e| e.ipv4).map_or((String::new(), 0), |(ip, len)| (ip.to_string(), len));
    let (ip6, prefix6) =
        endpoint.and_then(|e| e.ipv6).map_or((String::new(), 0), |(ip, len)| (ip.to_string(), len));
    let id = endpoint.map_or("", |endpoint| endpoint.id.as_str());
    if legacy {
        return record
            .put("EndpointID", id)
            .put("Gateway", gateway)
            .put("GlobalIPv6Address", ip6)
            .put("GlobalIPv6PrefixLen", prefix6)
            .put("IPAddress", ip)
            .put("IPPrefixLen", prefix)
            .put("IPv6Gateway", gateway6)
            .put("MacAddress", mac);
    }
    record
        .put("EndpointID", id)
        .put("Gateway", gateway)
        .put("IPAddress", ip)
        .put("IPPrefixLen", prefix)
        .put("IPv6Gateway", gateway6)
        .put("GlobalIPv6Address", ip6)
        .put("GlobalIPv6PrefixLen", prefix6)
}

pub(crate) fn mac(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

fn endpoint_settings(view: &View, network: &EndpointView, version: ApiVersion) -> Json {
    let config = &network.config;
    let ipam =
        (config.ipv4.is_some() || config.ipv6.is_some() || !config.link_local_ips.is_empty()).then(|| {
            Record::new()
                .some("IPv4Address", config.ipv4)
                .some("IPv6Address", config.ipv6)
                .some("LinkLocalIPs", filled(&config.link_local_ips))
                .end()
        });
    let endpoint = network.endpoint.as_ref();
    let mac = endpoint.map_or_else(|| config.mac.clone(), |endpoint| mac(endpoint.mac));
    // Before 1.45 the aliases were the only place for the short id.
    let mut aliases = config.aliases.clone();
    if !version.since(45) && !network.dns_names.is_empty() {
        aliases.extend(
            view.id.get(..12).filter(|short| !aliases.iter().any(|alias| alias == short)).map(str::to_owned),
        );
    }
    let record = Record::new()
        .put("IPAMConfig", ipam)
        .put("Links", filled(&config.links))
        .put("Aliases", filled(&aliases))
        .when(version.since(44), "MacAddress", &mac)
        .put("DriverOpts", filled(&config.driver_opts))
        .when(version.since(48), "GwPriority", config.gw_priority)
        .put("NetworkID", &network.network_id);
    addresses(record, endpoint, false)
        .when(!version.since(44), "MacAddress", &mac)
        .when(version.since(44), "DNSNames", filled(&network.dns_names))
        .end()
}

pub(crate) fn protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
        Protocol::Sctp => "sctp",
    }
}

/// `80/tcp` → where it is published, or `null` when it is only exposed. Empty when it does not run.
fn ports(view: &View) -> BTreeMap<String, Option<Vec<Json>>> {
    if view.sandbox_key.is_empty() {
        return BTreeMap::new();
    }
    let mut map: BTreeMap<String, Option<Vec<Json>>> =
        view.spec.exposed_ports.iter().map(|port| (containers::port_key(port), None)).collect();
    for port in &view.ports {
        let key = format!("{}/{}", port.container_port, protocol(port.protocol));
        let binding = Record::new().put("HostIp", port.host_ip).put("HostPort", port.host_port.to_string());
        map.entry(key).or_default().get_or_insert_default().push(binding.end());
    }
    map
}

/// One line of `GET /containers/json`. `image` is its name while it still means the same image, else the id.
pub(crate) fn listed(
    view: &View,
    image: &str,
    sizes: Option<(u64, u64)>,
    version: ApiVersion,
    now: i64,
) -> Json {
    let standing = status::Standing {
        status: word(view.status),
        exit_code: view.exit_code,
        started: view.started.0,
        finished: view.finished.0,
        health: view.health.as_ref().map_or("", |health| health.status.as_str()),
    };
    let networks: BTreeMap<_, _> = view
        .networks
        .iter()
        .map(|(name, network)| (name, endpoint_settings(view, network, version)))
        .collect();
    let host = Record::new()
        .put("NetworkMode", &view.spec.host.network_mode)
        .some("Annotations", filled(&view.spec.host.annotations));
    Record::new()
        .put("Id", &view.id)
        .put("Names", [format!("/{}", view.name)])
        .put("Image", image)
        .put("ImageID", &view.image)
        .put("Command", status::command(&view.path, &view.args))
        .put("Created", seconds(view.created.0))
        .put("Ports", listed_ports(view))
        .some("SizeRw", sizes.map(|(rw, _)| rw).filter(|rw| *rw != 0))
        .some("SizeRootFs", sizes.map(|(_, all)| all))
        .put("Labels", &view.spec.labels)
        .put("State", word(view.status))
        .put("Status", status::text(&standing, now))
        .when(version.since(52), "Health", health_summary(view))
        .put("HostConfig", host.end())
        .put("NetworkSettings", Record::new().put("Networks", networks).end())
        .put("Mounts", view.mounts.iter().map(mount_point).collect::<Vec<_>>())
        .end()
}

fn listed_ports(view: &View) -> Vec<Json> {
    if view.sandbox_key.is_empty() {
        return Vec::new();
    }
    let published = view.ports.iter().map(|port| {
        Record::new()
            .put("IP", port.host_ip)
            .put("PrivatePort", port.container_port)
            .put("PublicPort", port.host_port)
            .put("Type", protocol(port.protocol))
            .end()
    });
    let exposed = view.spec.exposed_ports.iter().filter_map(|key| {
        let key = containers::port_key(key);
        let (port, protocol_name) = key.split_once('/')?;
        let port: u16 = port.parse().ok()?;
        let taken =
            |p: &dhow_engine::Published| p.container_port == port && protocol(p.protocol) == protocol_name;
        (!view.ports.iter().any(taken))
            .then(|| Record::new().put("PrivatePort", port).put("Type", protocol_name).end())
    });
    exposed.chain(published).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use dhow_engine::{
        Published,
        containers::{PortBinding, Probe},
        networks::EndpointConfig,
    };
    use std::sync::Arc;

    const ID: &str = "24e79d5764d03cb6755ba05b47c135f2b7f43e464c5100eca65a24ff1db92cfc";
    const SECOND: i64 = 1_000_000_000;

    fn end(address: [u8; 4], gateway: [u8; 4]) -> Endpoint {
        Endpoint {
            id: "e".repeat(64),
            network: "9".repeat(64),
            container: ID.into(),
            interface: "eth0".into(),
            host_interface: "veth0".into(),
            ipv4: Some((address.into(), 16)),
            ipv6: None,
            mac: [2, 0x42, 0xac, 0x11, 0, 2],
            gateway4: Some(gateway.into()),
            gateway6: None,
            names: Vec::new(),
            links: BTreeMap::new(),
        }
    }

    fn spec() -> Spec {
        let mut spec = Spec {
            image: "busybox".into(),
            hostname: "24e79d5764d0".into(),
            exposed_ports: vec!["80/tcp".into(), "90/udp".into()],
            env: vec!["A=b".into()],
            cmd: Some(vec!["sleep".into(), "600".into()]),
            labels: BTreeMap::from([("x".into(), "y".into())]),
            healthcheck: Some(Healthcheck {
                test: Some(vec!["CMD-SHELL".into(), "true".into()]),
                ..Healthcheck::default()
            }),
            ..Spec::default()
        };
        spec.host.binds = vec!["apivol:/data".into()];
        spec.host.network_mode = "default".into();
        spec.host.port_bindings = BTreeMap::from([(
            "80/tcp".into(),
            vec![PortBinding { host_ip: String::new(), host_port: "8081".into() }],
        )]);
        spec
    }

    /// What `docker run -d -p 8081:80 -v apivol:/data --mount type=bind,… --health-cmd true -e A=b -l x=y busybox sleep 600` makes.
    fn view() -> View {
        let mount = |kind, source: &str, target: &str| MountPoint {
            kind,
            name: if kind == MountKind::Volume { "apivol".into() } else { String::new() },
            source: source.into(),
            target: target.into(),
            driver: if kind == MountKind::Volume { "local".into() } else { String::new() },
            mode: String::new(),
            rw: kind == MountKind::Volume,
            propagation: if kind == MountKind::Bind { "rprivate".into() } else { String::new() },
        };
        let published = |host_ip: &str| Published {
            container_port: 80,
            protocol: Protocol::Tcp,
            host_ip: host_ip.parse().unwrap(),
            host_port: 8081,
        };
        let network = |endpoint, aliases: &[&str]| EndpointView {
            config: EndpointConfig {
                aliases: aliases.iter().map(|a| (*a).to_owned()).collect(),
                ..EndpointConfig::default()
            },
            network_id: "9".repeat(64),
            endpoint: Some(endpoint),
            dns_names: aliases.iter().map(|a| (*a).to_owned()).collect(),
        };
        View {
            id: ID.into(),
            name: "api-o1".into(),
            created: Time(1_795_255_440 * SECOND + 154_884_404),
            spec: Arc::new(spec()),
            image: format!("sha256:{}", "1a".repeat(32)).parse().unwrap(),
            path: "sleep".into(),
            args: vec!["600".into()],
            status: Status::Running,
            pid: 21802,
            exit_code: 0,
            error: String::new(),
            oom_killed: false,
            started: Time(1_795_255_440 * SECOND + 368_099_532),
            finished: Time(0),
            health: Some(Health {
                status: "healthy".into(),
                failing_streak: 0,
                log: vec![Probe {
                    start: Time(1_795_255_441 * SECOND),
                    end: Time(1_795_255_442 * SECOND),
                    exit_code: 0,
                    output: String::new(),
                }],
            }),
            restart_count: 0,
            mounts: vec![
                mount(MountKind::Volume, "/v/apivol/_data", "/data"),
                mount(MountKind::Bind, "/tmp", "/bb"),
            ],
            networks: BTreeMap::from([
                ("bridge".into(), network(end([172, 17, 0, 2], [172, 17, 0, 1]), &[])),
                ("api-net".into(), network(end([172, 18, 0, 2], [172, 18, 0, 1]), &["foo"])),
            ]),
            ports: vec![published("0.0.0.0"), published("::")],
            sandbox_key: "/proc/21802/ns/net".into(),
            dir: "/d".into(),
            log_path: "/d/json.log".into(),
            exec_ids: Vec::new(),
            platform: dhow_engine::oci::Platform::host(),
        }
    }

    /// The golden texts were compared path by path with what dockerd 20.10 answers for the same container. Differences: LowerDir and
    /// MergedDir (no such mount on the host), KernelMemory (removed in 1.42), NetworkSettings in the order of docker 28.
    #[test]
    fn inspect_has_dockers_fields() {
        let text = inspect(&view(), Some((0, 1_984_382)), ApiVersion::new(41));
        assert_eq!(text.get(), include_str!("../golden/inspect-1.41.json").trim_end());
    }

    #[test]
    fn a_line_of_ps_has_dockers_fields() {
        let now = 1_795_255_442 * SECOND + 400_000_000;
        let text = listed(&view(), "busybox", Some((0, 1_984_382)), ApiVersion::new(41), now);
        assert_eq!(text.get(), include_str!("../golden/list-1.41.json").trim_end());
    }

    #[test]
    fn newer_versions_move_and_add_fields() {
        let value: serde_json::Value =
            serde_json::from_str(inspect(&view(), None, ApiVersion::MAX).get()).unwrap();
        let endpoint = &value["NetworkSettings"]["Networks"]["api-net"];
        assert_eq!(endpoint["DNSNames"], json!(["foo"]));
        assert_eq!(endpoint["Aliases"], json!(["foo"]));
        assert_eq!(endpoint["GwPriority"], 0);
        assert_eq!(value.get("SizeRw"), None);
        let settings: Vec<&String> = value["NetworkSettings"].as_object().unwrap().keys().collect();
        assert_eq!(settings, ["Networks", "Ports", "SandboxID", "SandboxKey"]);
        assert_eq!(value["HostConfig"].get("KernelMemory"), None);
    }

    #[test]
    fn one_that_was_never_started_has_no_files_and_links_are_shown_as_docker_keeps_them() {
        let mut view = view();
        view.started = dhow_engine::events::Time::default();
        Arc::make_mut(&mut view.spec).host.links = vec!["db:alias".into()];
        let value: serde_json::Value =
            serde_json::from_str(inspect(&view, None, ApiVersion::MAX).get()).unwrap();
        for path in ["ResolvConfPath", "HostnamePath", "HostsPath", "LogPath"] {
            assert_eq!(value[path], "", "{path}");
        }
        assert_eq!(value["HostConfig"]["Links"], json!([format!("/db:/{}/alias", view.name)]));
    }

    #[test]
    fn a_container_that_does_not_run_has_no_ports() {
        let stopped =
            View { sandbox_key: String::new(), ports: Vec::new(), status: Status::Exited, ..view() };
        let value: serde_json::Value =
            serde_json::from_str(inspect(&stopped, None, ApiVersion::MAX).get()).unwrap();
        assert_eq!(value["NetworkSettings"]["Ports"], json!({}));
        assert_eq!(value["NetworkSettings"]["SandboxID"], "");
        assert_eq!(value["State"]["Running"], false);
    }
}
