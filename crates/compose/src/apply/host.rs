//! A service → `HostConfig`.

use std::collections::{BTreeMap, HashMap};

use bollard::models::{
    DeviceMapping, HostConfig, HostConfigCgroupnsModeEnum, HostConfigLogConfig, Mount, MountBindOptions,
    MountBindOptionsPropagationEnum, MountImageOptions, MountTmpfsOptions, MountType, MountVolumeOptions,
    PortBinding, ResourcesBlkioWeightDevice, ResourcesUlimits, RestartPolicy, RestartPolicyNameEnum,
    ThrottleDevice,
};

use super::body::Extras;
use crate::{
    error::Error,
    model::{self, BlkioRate, MountKind, Project, Service},
};

pub(super) fn config(project: &Project, service: &Service, extras: &Extras) -> Result<HostConfig, Error> {
    let (binds, mounts) = mounts(project, service, extras)?;
    let mut config = HostConfig {
        binds: (!binds.is_empty()).then_some(binds),
        mounts: (!mounts.is_empty()).then_some(mounts),
        tmpfs: map(service.tmpfs.iter().map(|text| match text.split_once(':') {
            Some((path, options)) => (path.to_owned(), options.to_owned()),
            None => (text.clone(), String::new()),
        })),
        volumes_from: volumes_from(service, extras)?,
        network_mode: Some(network_mode(project, service, extras)?),
        port_bindings: ports(service),
        auto_remove: Some(extras.auto_remove),
        annotations: map(service.annotations.clone()),
        cap_add: list(&service.cap_add),
        cap_drop: list(&service.cap_drop),
        cgroupns_mode: match service.cgroup.as_deref() {
            Some("host") => Some(HostConfigCgroupnsModeEnum::HOST),
            Some(_) => Some(HostConfigCgroupnsModeEnum::PRIVATE),
            None => None,
        },
        dns: list(&service.dns),
        dns_options: list(&service.dns_opt),
        dns_search: list(&service.dns_search),
        extra_hosts: list(
            &service
                .extra_hosts
                .iter()
                .flat_map(|(name, ips)| ips.iter().map(move |ip| format!("{name}:{ip}")))
                .collect::<Vec<_>>(),
        ),
        group_add: list(&service.group_add),
        init: service.init,
        ipc_mode: shared(service.ipc.as_ref(), extras)?,
        pid_mode: shared(service.pid.as_ref(), extras)?,
        uts_mode: service.uts.clone(),
        userns_mode: service.userns_mode.clone(),
        log_config: service.logging.as_ref().map(|logging| HostConfigLogConfig {
            typ: logging.driver.clone(),
            config: map(logging.options.clone()),
        }),
        privileged: service.privileged,
        readonly_rootfs: service.read_only,
        restart_policy: restart_policy(service),
        runtime: service.runtime.clone(),
        shm_size: service.shm_size,
        storage_opt: map(service.storage_opt.clone()),
        sysctls: map(service.sysctls.clone()),
        ..HostConfig::default()
    };
    security(service, &mut config);
    limits(service, &mut config);
    block_io(service, &mut config);
    Ok(config)
}

fn list(values: &[String]) -> Option<Vec<String>> {
    (!values.is_empty()).then(|| values.to_vec())
}

fn map(values: impl IntoIterator<Item = (String, String)>) -> Option<HashMap<String, String>> {
    let map: HashMap<String, String> = values.into_iter().collect();
    (!map.is_empty()).then_some(map)
}

/// `service:x` → `container:id`; all else as it is.
fn shared(mode: Option<&String>, extras: &Extras) -> Result<Option<String>, Error> {
    match Service::shared(mode) {
        None => Ok(mode.cloned()),
        Some(parent) => match extras.parents.get(parent) {
            Some(id) => Ok(Some(format!("container:{id}"))),
            None => {
                Err(Error::invalid(format!("no container of service {parent} to share a namespace with")))
            }
        },
    }
}

fn network_mode(project: &Project, service: &Service, extras: &Extras) -> Result<String, Error> {
    if let Some(mode) = shared(service.network_mode.as_ref(), extras)? {
        return Ok(mode);
    }
    let first = service.networks_by_priority().into_iter().find_map(|(key, _)| project.networks.get(key));
    Ok(first.map_or_else(|| "none".to_owned(), |network| network.name.clone()))
}

fn volumes_from(service: &Service, extras: &Extras) -> Result<Option<Vec<String>>, Error> {
    let one = |text: &String| -> Result<String, Error> {
        if let Some(container) = text.strip_prefix("container:") {
            return Ok(container.to_owned());
        }
        let (parent, mode) = text.split_once(':').unwrap_or((text, ""));
        let id = extras.parents.get(parent).ok_or_else(|| {
            Error::invalid(format!("no container of service {parent} to take volumes from"))
        })?;
        Ok(if mode.is_empty() { id.clone() } else { format!("{id}:{mode}") })
    };
    let all: Vec<String> = service.volumes_from.iter().map(one).collect::<Result<_, _>>()?;
    Ok((!all.is_empty()).then_some(all))
}

fn ports(service: &Service) -> Option<HashMap<String, Option<Vec<PortBinding>>>> {
    let mut bindings: HashMap<String, Option<Vec<PortBinding>>> = HashMap::new();
    for port in &service.ports {
        let binding = PortBinding {
            host_ip: Some(port.host_ip.clone().unwrap_or_default()),
            host_port: Some(port.published.clone().unwrap_or_default()),
        };
        bindings
            .entry(format!("{}/{}", port.target, port.protocol))
            .or_default()
            .get_or_insert_default()
            .push(binding);
    }
    (!bindings.is_empty()).then_some(bindings)
}

fn restart_policy(service: &Service) -> Option<RestartPolicy> {
    if let Some(text) = &service.restart {
        let (name, count) = text.split_once(':').unwrap_or((text, "0"));
        let name = match name {
            "always" => RestartPolicyNameEnum::ALWAYS,
            "unless-stopped" => RestartPolicyNameEnum::UNLESS_STOPPED,
            "on-failure" => RestartPolicyNameEnum::ON_FAILURE,
            _ => RestartPolicyNameEnum::NO,
        };
        return Some(RestartPolicy { name: Some(name), maximum_retry_count: count.parse().ok() });
    }
    let rule = service.deploy.as_ref()?.restart_policy.as_ref()?;
    let name = match rule.condition.as_str() {
        "none" => RestartPolicyNameEnum::NO,
        "on-failure" => RestartPolicyNameEnum::ON_FAILURE,
        _ => RestartPolicyNameEnum::ALWAYS,
    };
    let count = if name == RestartPolicyNameEnum::ON_FAILURE { rule.max_attempts } else { None };
    Some(RestartPolicy { name: Some(name), maximum_retry_count: count })
}

fn security(service: &Service, config: &mut HostConfig) {
    let mut options = service.security_opt.clone();
    // As `docker run` does: this one is not an option of the engine.
    if options.iter().any(|option| option == "systempaths=unconfined") {
        options.retain(|option| option != "systempaths=unconfined");
        config.masked_paths = Some(Vec::new());
        config.readonly_paths = Some(Vec::new());
    }
    config.security_opt = list(&options);
}

fn limits(service: &Service, config: &mut HostConfig) {
    let deploy = service.deploy.as_ref().map(|deploy| &deploy.resources);
    let limits = deploy.map(|resources| &resources.limits);
    let reservations = deploy.map(|resources| &resources.reservations);
    let nano = |cpus: f64| (cpus * 1e9).round() as i64;
    config.nano_cpus = service.cpus.or_else(|| limits.and_then(|limits| limits.cpus)).map(nano);
    config.memory = service.mem_limit.or_else(|| limits.and_then(|limits| limits.memory));
    config.pids_limit = service.pids_limit.or_else(|| limits.and_then(|limits| limits.pids));
    config.memory_reservation = service.mem_reservation.or_else(|| reservations.and_then(|r| r.memory));
    config.memory_swap = service.memswap_limit;
    config.memory_swappiness = service.mem_swappiness;
    config.cgroup_parent.clone_from(&service.cgroup_parent);
    config.cpu_period = service.cpu_period;
    config.cpu_quota = service.cpu_quota;
    config.cpu_realtime_period = service.cpu_rt_period;
    config.cpu_realtime_runtime = service.cpu_rt_runtime;
    config.cpu_shares = service.cpu_shares;
    config.cpuset_cpus.clone_from(&service.cpuset);
    config.oom_kill_disable = service.oom_kill_disable;
    config.oom_score_adj = service.oom_score_adj;
    config.device_cgroup_rules = list(&service.device_cgroup_rules);
    let device = |device: &model::Device| DeviceMapping {
        path_on_host: Some(device.source.clone()),
        path_in_container: Some(device.target.clone()),
        cgroup_permissions: Some(device.permissions.clone()),
    };
    config.devices = (!service.devices.is_empty()).then(|| service.devices.iter().map(device).collect());
    let request = |request: &model::DeviceRequest| bollard::models::DeviceRequest {
        driver: request.driver.clone(),
        count: request.count,
        device_ids: list(&request.device_ids),
        capabilities: Some(vec![request.capabilities.clone()]),
        options: map(request.options.clone()),
    };
    let requests: Vec<_> =
        service.gpus.iter().chain(reservations.iter().flat_map(|r| &r.devices)).map(request).collect();
    config.device_requests = (!requests.is_empty()).then_some(requests);
    let ulimit = |(name, limit): (&String, &model::Ulimit)| ResourcesUlimits {
        name: Some(name.clone()),
        soft: Some(limit.soft),
        hard: Some(limit.hard),
    };
    config.ulimits = (!service.ulimits.is_empty()).then(|| service.ulimits.iter().map(ulimit).collect());
}

fn block_io(service: &Service, config: &mut HostConfig) {
    let Some(blkio) = &service.blkio_config else { return };
    let rates = |rates: &[BlkioRate]| {
        let rate = |rate: &BlkioRate| ThrottleDevice { path: Some(rate.path.clone()), rate: Some(rate.rate) };
        (!rates.is_empty()).then(|| rates.iter().map(rate).collect::<Vec<_>>())
    };
    config.blkio_weight = blkio.weight;
    let weight = |device: &model::BlkioWeight| ResourcesBlkioWeightDevice {
        path: Some(device.path.clone()),
        weight: Some(usize::from(device.weight)),
    };
    config.blkio_weight_device =
        (!blkio.weight_device.is_empty()).then(|| blkio.weight_device.iter().map(weight).collect());
    config.blkio_device_read_bps = rates(&blkio.device_read_bps);
    config.blkio_device_write_bps = rates(&blkio.device_write_bps);
    config.blkio_device_read_iops = rates(&blkio.device_read_iops);
    config.blkio_device_write_iops = rates(&blkio.device_write_iops);
}

/// Binds that may make their host path go the old way, which is the only one that can; the rest are mounts.
fn mounts(project: &Project, service: &Service, extras: &Extras) -> Result<(Vec<String>, Vec<Mount>), Error> {
    let (mut binds, mut mounts): (Vec<String>, BTreeMap<String, Mount>) = (Vec::new(), BTreeMap::new());
    for wanted in &service.volumes {
        match bind(wanted) {
            Some(text) => binds.push(text),
            None => {
                mounts.insert(wanted.target.clone(), mount(project, wanted)?);
            }
        }
    }
    let secrets = service.secrets.iter().map(|mount| (mount, &project.secrets));
    let configs = service.configs.iter().map(|mount| (mount, &project.configs));
    for (wanted, objects) in secrets.chain(configs) {
        if let Some(file) = objects.get(&wanted.source).and_then(|object| object.file.as_ref()) {
            let mount = Mount {
                target: Some(wanted.target.clone()),
                source: Some(file.clone()),
                typ: Some(MountType::BIND),
                read_only: Some(true),
                ..Mount::default()
            };
            mounts.insert(wanted.target.clone(), mount);
        }
    }
    // What the old container kept in volumes without a name of the compose file: the new one goes on with it.
    let taken: Vec<&str> = service
        .volumes
        .iter()
        .filter(|mount| mount.source.is_some() || mount.kind != MountKind::Volume)
        .map(|mount| mount.target.as_str())
        .collect();
    for old in extras.inherit.iter().filter(|old| old.typ.as_deref() == Some("volume")) {
        let (Some(target), Some(name)) = (&old.destination, &old.name) else { continue };
        let named = project.volumes.values().any(|volume| &volume.name == name);
        let tmpfs = service.tmpfs.iter().any(|text| text.split(':').next() == Some(target));
        if named || tmpfs || taken.contains(&target.as_str()) {
            continue;
        }
        let read_only = mounts.get(target).and_then(|mount| mount.read_only).or(old.rw.map(|rw| !rw));
        mounts.insert(
            target.clone(),
            Mount {
                target: Some(target.clone()),
                source: Some(name.clone()),
                typ: Some(MountType::VOLUME),
                read_only,
                ..Mount::default()
            },
        );
    }
    Ok((binds, mounts.into_values().collect()))
}

fn bind(mount: &model::Mount) -> Option<String> {
    let plain = mount.kind == MountKind::Bind
        && mount.create_host_path
        && mount.recursive.is_none()
        && mount.consistency.is_none();
    let source = mount.source.as_ref().filter(|_| plain)?;
    let mode = if mount.read_only { "ro" } else { "rw" };
    let options = [Some(mode.to_owned()), mount.selinux.clone(), mount.propagation.clone()];
    Some(format!("{source}:{}:{}", mount.target, options.into_iter().flatten().collect::<Vec<_>>().join(",")))
}

fn mount(project: &Project, wanted: &model::Mount) -> Result<Mount, Error> {
    let (typ, source) = match wanted.kind {
        MountKind::Bind => (MountType::BIND, wanted.source.clone()),
        MountKind::Tmpfs => (MountType::TMPFS, None),
        MountKind::Image => (MountType::IMAGE, wanted.source.clone()),
        MountKind::Volume => {
            let key = wanted.source.as_ref();
            (
                MountType::VOLUME,
                key.map(|key| {
                    project.volumes.get(key).map_or_else(|| key.clone(), |volume| volume.name.clone())
                }),
            )
        }
    };
    let bind_options = || -> Result<MountBindOptions, Error> {
        let propagation = match wanted.propagation.as_deref() {
            None => None,
            Some("private") => Some(MountBindOptionsPropagationEnum::PRIVATE),
            Some("rprivate") => Some(MountBindOptionsPropagationEnum::RPRIVATE),
            Some("shared") => Some(MountBindOptionsPropagationEnum::SHARED),
            Some("rshared") => Some(MountBindOptionsPropagationEnum::RSHARED),
            Some("slave") => Some(MountBindOptionsPropagationEnum::SLAVE),
            Some("rslave") => Some(MountBindOptionsPropagationEnum::RSLAVE),
            Some(other) => {
                return Err(Error::invalid(format!(
                    "mount {}: unknown propagation \"{other}\"",
                    wanted.target
                )));
            }
        };
        Ok(MountBindOptions {
            propagation,
            non_recursive: (wanted.recursive.as_deref() == Some("disabled")).then_some(true),
            read_only_non_recursive: (wanted.recursive.as_deref() == Some("writable")).then_some(true),
            read_only_force_recursive: (wanted.recursive.as_deref() == Some("readonly")).then_some(true),
            create_mountpoint: wanted.create_host_path.then_some(true),
        })
    };
    Ok(Mount {
        target: Some(wanted.target.clone()),
        source,
        typ: Some(typ),
        read_only: wanted.read_only.then_some(true),
        consistency: wanted.consistency.clone(),
        bind_options: if wanted.kind == MountKind::Bind { Some(bind_options()?) } else { None },
        volume_options: (wanted.kind == MountKind::Volume).then(|| MountVolumeOptions {
            no_copy: wanted.nocopy.then_some(true),
            labels: map(wanted.labels.clone()),
            subpath: wanted.subpath.clone(),
            ..MountVolumeOptions::default()
        }),
        tmpfs_options: (wanted.kind == MountKind::Tmpfs).then(|| MountTmpfsOptions {
            size_bytes: wanted.size,
            mode: wanted.mode.map(i64::from),
            options: None,
        }),
        image_options: (wanted.kind == MountKind::Image)
            .then(|| MountImageOptions { subpath: wanted.subpath.clone() }),
    })
}
