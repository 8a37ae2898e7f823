//! The engine as a whole: ping, version, info, events, disk usage, credentials.

use crate::{
    body::Body,
    call::Call,
    image_show,
    reply::{Reply, json, stream},
    show::{self, Json},
    transfer, volumes,
};
use bytes::Bytes;
use dhow_engine::{
    containers::{Status, View},
    events::{Event, Time},
    system::DiskUsage,
};
use dhow_wire::{record::Record, time, version::ApiVersion};
use futures_util::StreamExt;
use http::{HeaderName, HeaderValue, Response, header};
use serde_json::json as value;
use std::collections::BTreeMap;

/// What clients learn before anything else. `Builder-Version: 1`: images are built with `POST /build`.
pub(crate) async fn ping(call: Call) -> Reply {
    let head = call.request.method() == http::Method::HEAD;
    let mut answer = Response::new(if head { Body::empty() } else { Body::full("OK") });
    let headers = answer.headers_mut();
    if head {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    for (name, text) in [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache, no-store, must-revalidate"),
        (header::PRAGMA, "no-cache"),
        (HeaderName::from_static("builder-version"), "1"),
        (HeaderName::from_static("swarm"), "inactive"),
    ] {
        headers.insert(name, HeaderValue::from_static(text));
    }
    Ok(answer)
}

/// Go's name of the processor.
fn arch() -> String {
    dhow_engine::oci::Platform::host().architecture
}

pub(crate) async fn version(call: Call) -> Reply {
    let kernel = call.app.engine.system().info().await?.kernel_version;
    let (api, min, version) = (ApiVersion::MAX.to_string(), ApiVersion::MIN.to_string(), call.app.version);
    let details = value!({
        "ApiVersion": api,
        "Arch": arch(),
        "BuildTime": "",
        "Experimental": "false",
        "GitCommit": "",
        "GoVersion": "",
        "KernelVersion": kernel,
        "MinAPIVersion": min,
        "Os": "linux",
    });
    let component = Record::new().put("Name", "Engine").put("Version", version).put("Details", details);
    json(
        Record::new()
            .put("Platform", value!({ "Name": "Dhow" }))
            .put("Components", [component.end()])
            .put("Version", version)
            .put("ApiVersion", api)
            .put("MinAPIVersion", min)
            .put("GitCommit", "")
            .put("GoVersion", "")
            .put("Os", "linux")
            .put("Arch", arch())
            .put("KernelVersion", kernel)
            .put("BuildTime", "")
            .end(),
    )
}

pub(crate) async fn info(call: Call) -> Reply {
    let engine = &call.app.engine;
    let info = engine.system().info().await?;
    let config = engine.config();
    let (all, running, paused, stopped) = info.containers;
    let plugins = Record::new()
        .put("Volume", ["local"])
        .put("Network", ["bridge", "host", "null"])
        .put("Authorization", None::<()>)
        .put("Log", dhow_engine::containers::LOG_DRIVERS);
    let labels: Vec<String> = config.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let driver = if config.log.driver.is_empty() { "json-file" } else { &config.log.driver };
    let legacy = !call.version.since(52);
    let commit = || Record::new().put("ID", "").when(legacy, "Expected", "").end();
    let record = Record::new()
        .put("ID", &info.id)
        .put("Containers", all)
        .put("ContainersRunning", running)
        .put("ContainersPaused", paused)
        .put("ContainersStopped", stopped)
        .put("Images", info.images)
        .put("Driver", "overlay2")
        .put("DriverStatus", [["Backing Filesystem", info.backing_fs.as_str()], ["Supports d_type", "true"]])
        .put("Plugins", plugins.end())
        .put("MemoryLimit", info.memory_limit)
        .put("SwapLimit", info.swap_limit)
        .when(!call.version.since(42), "KernelMemory", false)
        .put("CpuCfsPeriod", info.cpu_cfs)
        .put("CpuCfsQuota", info.cpu_cfs)
        .put("CPUShares", info.cpu_shares)
        .put("CPUSet", info.cpuset)
        .put("PidsLimit", info.pids_limit)
        .put("IPv4Forwarding", info.ipv4_forwarding)
        // Dhow's rules do not need bridge-nf; old clients warn when these are false.
        .when(!call.version.since(50), "BridgeNfIptables", true)
        .when(!call.version.since(50), "BridgeNfIp6tables", true)
        .put("Debug", config.debug)
        .put("NFd", info.fds)
        .put("OomKillDisable", info.oom_kill_disable)
        .put("NGoroutines", info.goroutines)
        .put("SystemTime", time::format(show::now()))
        .put("LoggingDriver", driver)
        .put("CgroupDriver", "cgroupfs")
        .put("CgroupVersion", info.cgroup_version.to_string())
        .put("NEventsListener", info.event_listeners)
        .put("KernelVersion", &info.kernel_version)
        .put("OperatingSystem", &info.operating_system)
        .put("OSVersion", &info.os_version)
        .put("OSType", "linux")
        .put("Architecture", &info.architecture)
        .put("IndexServerAddress", "https://index.docker.io/v1/")
        .put("RegistryConfig", registries(&config.registry.insecure, &config.registry.mirrors, legacy))
        .put("NCPU", info.ncpu)
        .put("MemTotal", info.mem_total)
        .put("GenericResources", None::<()>);
    json(
        record
            .put("DockerRootDir", &config.data_root)
            .put("HttpProxy", "")
            .put("HttpsProxy", "")
            .put("NoProxy", "")
            .put("Name", &info.name)
            .put("Labels", labels)
            .put("ExperimentalBuild", false)
            .put("ServerVersion", call.app.version)
            .put("Runtimes", runtimes(&config.runtimes))
            .put("DefaultRuntime", config.runtimes.default_name())
            .put("Swarm", swarm())
            // Containers always outlive the daemon.
            .put("LiveRestoreEnabled", true)
            .put("Isolation", "")
            .put("InitBinary", "docker-init")
            .put("ContainerdCommit", commit())
            .put("RuncCommit", commit())
            .put("InitCommit", commit())
            .put("SecurityOptions", &info.security_options)
            .some("DefaultAddressPools", pools(&config.pools))
            .when(call.version.since(44), "CDISpecDirs", [(); 0])
            .put("Warnings", dhow_wire::record::filled(&info.warnings))
            .end(),
    )
}

/// By name; our own is the shim.
fn runtimes(all: &dhow_engine::Runtimes) -> BTreeMap<String, Json> {
    let own = (all.own().to_owned(), Record::new().put("path", "dhow-shim").end());
    let others = all.programs.iter().map(|(name, program)| {
        let json = Record::new()
            .put("path", &program.path)
            .some("runtimeArgs", dhow_wire::record::filled(&program.args))
            .end();
        (name.clone(), json)
    });
    others.chain([own]).collect()
}

/// Of a node that is in none.
fn swarm() -> Json {
    Record::new()
        .put("NodeID", "")
        .put("NodeAddr", "")
        .put("LocalNodeState", "inactive")
        .put("ControlAvailable", false)
        .put("Error", "")
        .put("RemoteManagers", None::<()>)
        .end()
}

fn pools(pools: &[(dhow_engine::Subnet, u8)]) -> Option<Vec<Json>> {
    let one = |(base, size): &(dhow_engine::Subnet, u8)| {
        let base = format!("{}/{}", base.address, base.prefix);
        Record::new().put("Base", base).put("Size", size).end()
    };
    (!pools.is_empty()).then(|| pools.iter().map(one).collect())
}

fn registries(insecure: &[String], mirrors: &[String], legacy: bool) -> Json {
    let (cidrs, hosts): (Vec<&String>, Vec<&String>) = insecure.iter().partition(|entry| entry.contains('/'));
    let index = |name: &str, mirrors: &[String], secure: bool, official: bool| {
        Record::new()
            .put("Name", name)
            .put("Mirrors", mirrors)
            .put("Secure", secure)
            .put("Official", official)
            .end()
    };
    let mut indexes: BTreeMap<&str, Json> =
        hosts.iter().map(|host| (host.as_str(), index(host, &[], false, false))).collect();
    indexes.insert("docker.io", index("docker.io", mirrors, true, true));
    let cidrs: Vec<&str> = cidrs.iter().map(|cidr| cidr.as_str()).chain(["127.0.0.0/8"]).collect();
    let nothing: [(); 0] = [];
    Record::new()
        .when(legacy, "AllowNondistributableArtifactsCIDRs", nothing)
        .when(legacy, "AllowNondistributableArtifactsHostnames", nothing)
        .put("InsecureRegistryCIDRs", cidrs)
        .put("IndexConfigs", indexes)
        .put("Mirrors", mirrors)
        .end()
}

pub(crate) async fn events(call: Call) -> Reply {
    let now = show::now();
    let since = time::query(call.query.text("since"), now)?.map(Time);
    let until = time::query(call.query.text("until"), now)?.map(Time);
    let mut events = call.app.engine.events().subscribe(since, until, &call.filters()?)?;
    let version = call.version;
    let lines = futures_util::stream::poll_fn(move |context| events.poll_recv(context))
        .map(move |event| Ok(Bytes::from(format!("{}\n", encode(&event, version).get()))));
    stream("application/json", Body::stream(lines))
}

fn encode(event: &Event, version: ApiVersion) -> Json {
    let actor = Record::new().put("ID", &event.id).put("Attributes", &event.attributes).end();
    // The short form from before 1.22, gone with 1.52: clients still read `status`, `id` and `from` of containers and images.
    let legacy = !version.since(52) && matches!(event.kind, "container" | "image");
    let from = event.attributes.get("image").filter(|_| legacy && event.kind == "container");
    Record::new()
        .when(legacy, "status", &event.action)
        .when(legacy, "id", &event.id)
        .some("from", from)
        .put("Type", event.kind)
        .put("Action", &event.action)
        .put("Actor", actor)
        .put("scope", "local")
        .put("time", show::seconds(event.time.0))
        .put("timeNano", event.time.0)
        .end()
}

pub(crate) async fn disk_usage(call: Call) -> Reply {
    let usage = call.app.engine.system().disk_usage().await?;
    let now = show::now();
    let wanted: Vec<&str> = call.query.all("type").collect();
    let want = |kind: &str| wanted.is_empty() || wanted.contains(&kind);
    let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let images: Vec<Json> = usage
        .images
        .iter()
        .map(|(image, shared, containers)| {
            image_show::listed(image, *containers, signed(*shared), call.version)
        })
        .collect();
    let containers: Vec<Json> = usage
        .containers
        .iter()
        .map(|(view, rw, all)| show::listed(view, &view.spec.image, Some((*rw, *all)), call.version, now))
        .collect();
    let volumes: Vec<Json> = usage
        .volumes
        .iter()
        .map(|(volume, count, size)| volumes::view(volume, Some((*count, *size))))
        .collect();
    let (cache, legacy) = (build_cache(usage.build_cache), !call.version.since(53));
    let mut record = Record::new();
    if call.version.since(52) {
        let verbose = call.query.flag("verbose");
        let show = |sums: Sums, items: &[Json]| sums.show(verbose.then_some(items));
        record = record
            .some("ImageUsage", want("image").then(|| show(Sums::images(&usage), &images)))
            .some("ContainerUsage", want("container").then(|| show(Sums::containers(&usage), &containers)))
            .some("VolumeUsage", want("volume").then(|| show(Sums::volumes(&usage), &volumes)))
            .some("BuildCacheUsage", want("build-cache").then(|| show(Sums::build_cache(&usage), &cache)));
    }
    json(
        record
            .when(legacy && want("image"), "LayersSize", usage.layers_size)
            .when(legacy && want("image"), "Images", images)
            .when(legacy && want("container"), "Containers", containers)
            .when(legacy && want("volume"), "Volumes", volumes)
            .when(legacy && want("build-cache"), "BuildCache", cache)
            .when(!call.version.since(42), "BuilderSize", usage.build_cache)
            .end(),
    )
}

/// One kind of thing on disk: since API 1.52 the engine adds up, before that clients did, with these rules.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sums {
    active: usize,
    total: usize,
    reclaimable: u64,
    size: u64,
}

impl Sums {
    /// What images in use do not have to themselves counts as in use too.
    fn images(usage: &DiskUsage) -> Self {
        let active = usage.images.iter().filter(|(_, _, containers)| *containers > 0);
        let own: u64 = active.clone().map(|(image, shared, _)| image.size.saturating_sub(*shared)).sum();
        Self {
            active: active.count(),
            total: usage.images.len(),
            reclaimable: usage.layers_size.saturating_sub(own),
            size: usage.layers_size,
        }
    }

    fn containers(usage: &DiskUsage) -> Self {
        let up = |view: &View| matches!(view.status, Status::Running | Status::Paused | Status::Restarting);
        Self::of(usage.containers.iter().map(|(view, rw, _)| (up(view), *rw)))
    }

    fn volumes(usage: &DiskUsage) -> Self {
        Self::of(usage.volumes.iter().map(|(_, users, size)| (*users > 0, *size)))
    }

    fn build_cache(usage: &DiskUsage) -> Self {
        Self::of((usage.build_cache > 0).then_some((false, usage.build_cache)).into_iter())
    }

    fn of(things: impl Iterator<Item = (bool, u64)>) -> Self {
        things.fold(Self::default(), |sums, (active, size)| Self {
            active: sums.active + usize::from(active),
            total: sums.total + 1,
            reclaimable: sums.reclaimable + if active { 0 } else { size },
            size: sums.size + size,
        })
    }

    fn show(&self, items: Option<&[Json]>) -> Json {
        Record::new()
            .put("ActiveCount", self.active)
            .put("TotalCount", self.total)
            .put("Reclaimable", self.reclaimable)
            .put("TotalSize", self.size)
            .some("Items", items)
            .end()
    }
}

/// The cache is one sum here, not a list of records.
fn build_cache(bytes: u64) -> Vec<Json> {
    let record = Record::new()
        .put("ID", "build")
        .put("Type", "regular")
        .put("Description", "everything in the build cache")
        .put("InUse", false)
        .put("Shared", false)
        .put("Size", bytes)
        .put("CreatedAt", time::ZERO)
        .put("LastUsedAt", None::<()>)
        .put("UsageCount", 0);
    if bytes == 0 { Vec::new() } else { vec![record.end()] }
}

pub(crate) async fn auth(mut call: Call) -> Reply {
    let body = call.json().await?;
    let account = transfer::account(&body)?.unwrap_or_default();
    let server = dhow_wire::object::Object::new(&body)?.text("serveraddress")?;
    call.app.engine.images().login(&server, &account).await?;
    json(Record::new().put("Status", "Login Succeeded").put("IdentityToken", "").end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_dockers_line_for_line() {
        let event = Event {
            kind: "container",
            action: "start".into(),
            id: "24e7".into(),
            attributes: BTreeMap::from([
                ("name".into(), "api-o1".into()),
                ("image".into(), "busybox".into()),
            ]),
            time: Time(1_795_255_440_369_184_373),
        };
        assert_eq!(
            encode(&event, ApiVersion::new(51)).get(),
            r#"{"status":"start","id":"24e7","from":"busybox","Type":"container","Action":"start","Actor":{"ID":"24e7","Attributes":{"image":"busybox","name":"api-o1"}},"scope":"local","time":1795255440,"timeNano":1795255440369184373}"#
        );
        let volume =
            Event { kind: "volume", action: "create".into(), attributes: BTreeMap::new(), ..event.clone() };
        assert!(
            encode(&volume, ApiVersion::new(51)).get().starts_with(r#"{"Type":"volume","Action":"create","#)
        );
        assert!(
            encode(&event, ApiVersion::new(52)).get().starts_with(r#"{"Type":"container","Action":"start","#)
        );
    }

    #[test]
    fn what_is_not_active_can_be_reclaimed() {
        let sums = Sums::of([(true, 5), (false, 7), (false, 1)].into_iter());
        assert_eq!(sums, Sums { active: 1, total: 3, reclaimable: 8, size: 13 });
        assert_eq!(
            sums.show(None).get(),
            r#"{"ActiveCount":1,"TotalCount":3,"Reclaimable":8,"TotalSize":13}"#
        );
    }

    #[test]
    fn registries_are_sorted_into_ranges_and_names() {
        let text = registries(&["10.0.0.0/8".into(), "reg.local:5000".into()], &["https://m".into()], false);
        let value: serde_json::Value = serde_json::from_str(text.get()).unwrap();
        assert_eq!(value["InsecureRegistryCIDRs"], value!(["10.0.0.0/8", "127.0.0.0/8"]));
        assert_eq!(value["IndexConfigs"]["reg.local:5000"]["Secure"], false);
        assert_eq!(value["IndexConfigs"]["docker.io"]["Mirrors"], value!(["https://m"]));
    }
}
