//! docker's HostConfig → the engine's; and the parts of it that `update` takes.

use crate::{create::address, failure::Failure};
use dhow_engine::containers::{
    DeviceSpec, Host, LogSpec, MountKind, MountSpec, PortBinding, Resources, Restart, Ulimit,
};
use dhow_wire::{Malformed, mounts, object::Object, ports};
use serde_json::Value;
use std::{collections::BTreeMap, net::IpAddr};

pub(crate) fn read(body: &Object<'_>) -> Result<Host, Failure> {
    refuse(body)?;
    let binds = body.texts("Binds")?;
    let mut mounts: Vec<MountSpec> =
        binds.iter().map(|bind| Ok(from_bind(bind)?)).collect::<Result<_, Failure>>()?;
    for mount in body.objects("Mounts")? {
        mounts.push(from_mount(&mount)?);
    }
    let console: Vec<u16> = body
        .value("ConsoleSize")
        .and_then(|size| {
            Some(size.as_array()?.iter().filter_map(|n| u16::try_from(n.as_u64()?).ok()).collect())
        })
        .unwrap_or_default();
    let log = body.object("LogConfig")?;
    let host = Host {
        binds,
        mounts,
        tmpfs: body.text_map("Tmpfs")?,
        volumes_from: body.texts("VolumesFrom")?,
        network_mode: body.text("NetworkMode")?,
        port_bindings: port_bindings(&body.object("PortBindings")?)?,
        publish_all: body.flag("PublishAllPorts")?,
        restart: restart(&body.object("RestartPolicy")?)?.unwrap_or_default(),
        auto_remove: body.flag("AutoRemove")?,
        privileged: body.flag("Privileged")?,
        readonly_rootfs: body.flag("ReadonlyRootfs")?,
        init: body.opt_flag("Init")?,
        cap_add: body.texts("CapAdd")?,
        cap_drop: body.texts("CapDrop")?,
        security_opt: body.texts("SecurityOpt")?,
        dns: body
            .texts("Dns")?
            .iter()
            .filter_map(|ip| address(ip).transpose())
            .collect::<Result<Vec<IpAddr>, _>>()?,
        dns_search: body.texts("DnsSearch")?,
        dns_options: body.texts("DnsOptions")?,
        extra_hosts: body.texts("ExtraHosts")?,
        links: body.texts("Links")?,
        group_add: body.texts("GroupAdd")?,
        sysctls: body.text_map("Sysctls")?,
        ulimits: ulimits(body)?,
        ipc_mode: body.text("IpcMode")?,
        pid_mode: body.text("PidMode")?,
        uts_mode: body.text("UTSMode")?,
        userns_mode: body.text("UsernsMode")?,
        cgroupns_mode: body.text("CgroupnsMode")?,
        shm_size: body.int("ShmSize")?,
        devices: devices(body)?,
        device_cgroup_rules: body.texts("DeviceCgroupRules")?,
        resources: resources(body)?,
        log: LogSpec { driver: log.text("Type")?, options: log.text_map("Config")? },
        cgroup_parent: body.text("CgroupParent")?,
        oom_score_adj: body.small("OomScoreAdj")?,
        masked_paths: body.opt_texts("MaskedPaths")?,
        readonly_paths: body.opt_texts("ReadonlyPaths")?,
        annotations: body.text_map("Annotations")?,
        runtime: body.text("Runtime")?,
        console_size: (console.first().copied().unwrap_or(0), console.get(1).copied().unwrap_or(0)),
        container_id_file: body.text("ContainerIDFile")?,
        volume_driver: body.text("VolumeDriver")?,
        isolation: body.text("Isolation")?.to_ascii_lowercase(),
        storage_opt: body.text_map("StorageOpt")?,
    };
    Ok(host)
}

/// What cannot be given is refused by name rather than forgotten.
fn refuse(body: &Object<'_>) -> Result<(), Failure> {
    if !body.objects("DeviceRequests")?.is_empty() {
        return Err(Failure::bad(
            "could not select device driver: device requests (--gpus) are not supported",
        ));
    }
    let isolation = body.text("Isolation")?.to_ascii_lowercase();
    if !matches!(isolation.as_str(), "" | "default") {
        return Err(Failure::bad(format!("invalid isolation {isolation:?}: only default on linux")));
    }
    for windows in ["CpuCount", "CpuPercent", "IOMaximumIOps", "IOMaximumBandwidth"] {
        if body.int(windows)? != 0 {
            return Err(Failure::bad(format!("{windows} is not supported on linux")));
        }
    }
    Ok(())
}

/// Options of a mount that would be forgotten.
fn refuse_options(bind: &Object<'_>, tmpfs: &Object<'_>) -> Result<(), Failure> {
    for option in ["NonRecursive", "ReadOnlyNonRecursive", "ReadOnlyForceRecursive"] {
        if bind.flag(option)? {
            return Err(Failure::bad(format!("invalid mount config: BindOptions.{option} is not supported")));
        }
    }
    let list = tmpfs.value("Options").and_then(Value::as_array);
    if list.is_some_and(|list| !list.is_empty()) {
        return Err(Failure::bad("invalid mount config: TmpfsOptions.Options is not supported"));
    }
    Ok(())
}

fn from_bind(text: &str) -> Result<MountSpec, Malformed> {
    let bind = mounts::parse(text)?;
    Ok(MountSpec {
        kind: if bind.is_path() { MountKind::Bind } else { MountKind::Volume },
        create_source: bind.is_path(),
        source: bind.source,
        target: bind.target,
        readonly: bind.readonly,
        propagation: bind.propagation,
        no_copy: bind.no_copy,
        subpath: String::new(),
        labels: BTreeMap::new(),
        driver_options: BTreeMap::new(),
        tmpfs_size: None,
        tmpfs_mode: None,
        from_mount: false,
        mode: bind.mode,
    })
}

fn from_mount(body: &Object<'_>) -> Result<MountSpec, Failure> {
    let kind = match body.text("Type")?.as_str() {
        "bind" => MountKind::Bind,
        "volume" | "" => MountKind::Volume,
        "tmpfs" => MountKind::Tmpfs,
        "image" => MountKind::Image,
        other => {
            return Err(Failure::bad(format!("invalid mount config for type {other:?}: mount type unknown")));
        }
    };
    let (bind, volume, tmpfs) =
        (body.object("BindOptions")?, body.object("VolumeOptions")?, body.object("TmpfsOptions")?);
    refuse_options(&bind, &tmpfs)?;
    let target = body.text("Target")?;
    if target.is_empty() {
        return Err(Failure::bad("invalid mount config: field Target must not be empty"));
    }
    if !target.starts_with('/') {
        let text =
            format!("invalid mount config: invalid mount path: '{target}' mount path must be absolute");
        return Err(Failure::bad(text));
    }
    let source = body.text("Source")?;
    if source.is_empty() && matches!(kind, MountKind::Bind | MountKind::Image) {
        return Err(Failure::bad("invalid mount config: field Source must not be empty"));
    }
    let driver = volume.object("DriverConfig")?;
    let driver_name = driver.text("Name")?;
    if !matches!(driver_name.as_str(), "" | "local") {
        return Err(Failure::bad(format!("volume driver {driver_name:?} is not supported: only local")));
    }
    let subpath = if kind == MountKind::Image {
        body.object("ImageOptions")?.text("Subpath")?
    } else {
        volume.text("Subpath")?
    };
    Ok(MountSpec {
        kind,
        source,
        target: mounts::clean(&target),
        readonly: body.flag("ReadOnly")? || kind == MountKind::Image,
        create_source: bind.flag("CreateMountpoint")?,
        propagation: bind.text("Propagation")?,
        no_copy: volume.flag("NoCopy")?,
        subpath,
        labels: volume.text_map("Labels")?,
        driver_options: driver.text_map("Options")?,
        tmpfs_size: tmpfs.opt_int("SizeBytes")?.filter(|size| *size != 0),
        tmpfs_mode: tmpfs
            .opt_int("Mode")?
            .and_then(|mode| u32::try_from(mode).ok())
            .filter(|mode| *mode != 0),
        from_mount: true,
        mode: String::new(),
    })
}

fn port_bindings(body: &Object<'_>) -> Result<BTreeMap<String, Vec<PortBinding>>, Failure> {
    let mut map: BTreeMap<String, Vec<PortBinding>> = BTreeMap::new();
    for (key, value) in body.entries() {
        let mut bindings = Vec::new();
        if !value.is_null() {
            for binding in body.objects(key)? {
                let ip = binding.text("HostIp")?;
                address::<IpAddr>(&ip)?;
                bindings.push(PortBinding { host_ip: ip, host_port: binding.loose_text("HostPort")? });
            }
        }
        let wrong = |error: Malformed| {
            let number = key.split('/').next().unwrap_or(key);
            let port = error.0.starts_with("invalid containerPort");
            if port { Failure::bad(format!("invalid port specification: {number:?}")) } else { error.into() }
        };
        for (port, protocol) in ports::exposed(key).map_err(wrong)? {
            map.entry(format!("{port}/{protocol}")).or_default().extend(bindings.iter().cloned());
        }
    }
    Ok(map)
}

/// `None` when no policy is given: `update` leaves the old one then.
pub(crate) fn restart(body: &Object<'_>) -> Result<Option<Restart>, Failure> {
    let (name, max) = (body.text("Name")?, body.int("MaximumRetryCount")?);
    if max != 0 && name != "on-failure" && !name.is_empty() {
        let text = "invalid restart policy: maximum retry count can only be used with 'on-failure'";
        return Err(Failure::bad(text));
    }
    if max < 0 {
        return Err(Failure::bad("invalid restart policy: maximum retry count cannot be negative"));
    }
    Ok(match name.as_str() {
        "" => None,
        "no" => Some(Restart::No),
        "always" => Some(Restart::Always),
        "unless-stopped" => Some(Restart::UnlessStopped),
        "on-failure" => Some(Restart::OnFailure { max }),
        other => {
            return Err(Failure::bad(format!(
                "invalid restart policy: unknown policy '{other}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
            )));
        }
    })
}

fn ulimits(body: &Object<'_>) -> Result<Vec<Ulimit>, Malformed> {
    let read = |limit: &Object<'_>| {
        Ok(Ulimit { name: limit.text("Name")?, soft: limit.int("Soft")?, hard: limit.int("Hard")? })
    };
    body.objects("Ulimits")?.iter().map(read).collect()
}

fn devices(body: &Object<'_>) -> Result<Vec<DeviceSpec>, Malformed> {
    let read = |device: &Object<'_>| {
        let (host, container) = (device.text("PathOnHost")?, device.text("PathInContainer")?);
        let permissions = device.text("CgroupPermissions")?;
        Ok(DeviceSpec {
            container: if container.is_empty() { host.clone() } else { container },
            host,
            permissions: if permissions.is_empty() { "rwm".to_owned() } else { permissions },
        })
    };
    body.objects("Devices")?.iter().map(read).collect()
}

/// Limits: of HostConfig, and the body of `update`.
pub(crate) fn resources(body: &Object<'_>) -> Result<Resources, Malformed> {
    let throttle = |key| -> Result<Vec<(String, u64)>, Malformed> {
        body.objects(key)?.iter().map(|device| Ok((device.text("Path")?, device.small("Rate")?))).collect()
    };
    Ok(Resources {
        memory: body.int("Memory")?,
        memory_swap: body.int("MemorySwap")?,
        memory_reservation: body.int("MemoryReservation")?,
        memory_swappiness: body.opt_int("MemorySwappiness")?.filter(|swappiness| *swappiness != -1),
        oom_kill_disable: body.opt_flag("OomKillDisable")?,
        nano_cpus: body.int("NanoCpus")?,
        cpu_shares: body.int("CpuShares")?,
        cpu_period: body.int("CpuPeriod")?,
        cpu_quota: body.int("CpuQuota")?,
        cpu_realtime_period: body.int("CpuRealtimePeriod")?,
        cpu_realtime_runtime: body.int("CpuRealtimeRuntime")?,
        cpuset_cpus: body.text("CpusetCpus")?,
        cpuset_mems: body.text("CpusetMems")?,
        pids_limit: body.opt_int("PidsLimit")?,
        blkio_weight: body.small("BlkioWeight")?,
        blkio_throttle: [
            throttle("BlkioDeviceReadBps")?,
            throttle("BlkioDeviceWriteBps")?,
            throttle("BlkioDeviceReadIOps")?,
            throttle("BlkioDeviceWriteIOps")?,
        ],
        blkio_weight_device: body
            .objects("BlkioWeightDevice")?
            .iter()
            .map(|device| Ok((device.text("Path")?, device.small("Weight")?)))
            .collect::<Result<_, Malformed>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn host(body: serde_json::Value) -> Result<Host, String> {
        read(&Object::new(&body).unwrap()).map_err(|failure| failure.message)
    }

    #[test]
    fn the_clis_own_body_is_read() {
        let host = host(json!({
            "Binds": ["apivol:/data", "/tmp:/bb:ro"], "ContainerIDFile": "", "LogConfig": {"Type": "", "Config": {}},
            "NetworkMode": "default", "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8081"}], "90": null},
            "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3}, "ConsoleSize": [24, 80], "Isolation": "Default",
            "CapAdd": null, "Dns": ["1.1.1.1", ""], "Mounts": [{"Type": "tmpfs", "Target": "/t/", "TmpfsOptions": {"SizeBytes": 5}}],
            "Memory": 1_048_576, "OomScoreAdj": -5, "Devices": [{"PathOnHost": "/dev/null"}], "Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": -1}],
            "BlkioDeviceReadBps": [{"Path": "/dev/vda", "Rate": 10}],
        }))
        .unwrap();
        assert_eq!(
            host.mounts.iter().map(|mount| mount.kind).collect::<Vec<_>>(),
            [MountKind::Volume, MountKind::Bind, MountKind::Tmpfs]
        );
        assert!(host.mounts[1].readonly && host.mounts[1].create_source && host.mounts[1].mode == "ro");
        assert!(
            host.mounts[2].from_mount
                && host.mounts[2].target == "/t"
                && host.mounts[2].tmpfs_size == Some(5)
        );
        assert_eq!(host.port_bindings["80/tcp"][0].host_port, "8081");
        assert!(host.port_bindings["90/tcp"].is_empty());
        assert_eq!(host.restart, Restart::OnFailure { max: 3 });
        assert_eq!(host.console_size, (24, 80));
        assert_eq!(host.dns, ["1.1.1.1".parse::<IpAddr>().unwrap()]);
        assert_eq!(host.devices[0].container, "/dev/null");
        assert_eq!((host.oom_score_adj, host.resources.memory), (-5, 1_048_576));
        assert_eq!(host.resources.blkio_throttle[0], [("/dev/vda".to_owned(), 10)]);
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        for (body, words) in [
            (json!({"Binds": ["a"]}), "must be absolute"),
            (json!({"Mounts": [{"Type": "nfs", "Target": "/a"}]}), "for type \"nfs\": mount type unknown"),
            (json!({"Mounts": [{"Type": "bind", "Target": "/a"}]}), "Source must not be empty"),
            (json!({"Mounts": [{"Type": "volume"}]}), "Target must not be empty"),
            (json!({"RestartPolicy": {"Name": "sometimes"}}), "unknown policy 'sometimes'"),
            (
                json!({"RestartPolicy": {"Name": "always", "MaximumRetryCount": 2}}),
                "only be used with 'on-failure'",
            ),
            (json!({"DeviceRequests": [{"Driver": "nvidia"}]}), "not supported"),
            (json!({"PortBindings": {"80/icmp": []}}), "invalid proto"),
            (json!({"PortBindings": {"80/tcp": [{"HostIp": "x"}]}}), "invalid IP address"),
            (json!({"Dns": ["nope"]}), "invalid IP address: nope"),
            (json!({"CpuPercent": 5}), "CpuPercent is not supported"),
            (
                json!({"Mounts": [{"Type": "bind", "Source": "/a", "Target": "/b", "BindOptions": {"NonRecursive": true}}]}),
                "BindOptions.NonRecursive is not supported",
            ),
            (
                json!({"Mounts": [{"Type": "tmpfs", "Target": "/b", "TmpfsOptions": {"Options": [["exec"]]}}]}),
                "TmpfsOptions.Options is not supported",
            ),
        ] {
            assert!(host(body.clone()).is_err_and(|message| message.contains(words)), "{body}");
        }
    }
}
