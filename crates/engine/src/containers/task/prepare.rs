//! From a container's record and this machine's facts to a plan that a shim executes. Blocking; called on a thread of its own.

use super::network::{Mode, mode, write_files};
use crate::{
    Error, Kind, Result,
    containers::{
        DeviceSpec, MountKind, MountPoint, Resources, limits, logging, mounts, record::Record, seccomp, spec,
        user,
    },
    error::io,
    shared::Shared,
};
use dhow_oci::runtime as oci;
use dhow_runtime::{Options, RootFs};
use dhow_shim::{LogConfig, Outside};
use dhow_store::Snapshot;
use std::{
    collections::BTreeMap,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
};

/// A container, ready to be created.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) oci: oci::Spec,
    pub(super) plan: Vec<u8>,
    pub(super) cgroups: Vec<PathBuf>,
    pub(super) log: LogConfig,
    pub(super) hostname: String,
    /// Who makes it, if not our own runtime.
    pub(super) outside: Option<Outside>,
}

/// Everything that can be done before the network is there.
pub(super) fn prepare(shared: &Shared, record: &Record) -> Result<Prepared> {
    let snapshot = shared.store.snapshot(&record.id, &record.diff_ids)?;
    let oci = specification(shared, record, &snapshot)?;
    let hostname = hostname(shared, record);
    write_files_of(shared, record, &snapshot.dir, &hostname)?;
    let init = record.spec.host.init.unwrap_or(false);
    if init && shared.config.init.is_none() {
        return Err(Error::new(Kind::Unsupported, "--init: this engine has no init program"));
    }
    let options = options(shared, record, &snapshot);
    let plan = dhow_runtime::plan(&oci, &options, &shared.host)?;
    Ok(Prepared {
        outside: outside(shared, record, &oci)?,
        plan: plan.encode(),
        cgroups: plan.cgroup_dirs().to_vec(),
        log: logging::config(record, record.log_path(&snapshot.dir))?,
        oci,
        hostname,
    })
}

/// The same for another runtime, in its terms: where its shim will have the root and the network, and docker's init as dockerd gives it.
fn outside(shared: &Shared, record: &Record, ours: &oci::Spec) -> Result<Option<Outside>> {
    let Some(program) = shared.config.runtimes.find(&record.spec.host.runtime)? else { return Ok(None) };
    let mut oci = ours.clone();
    // Older programs refuse newer numbers, and nothing here is newer.
    oci.oci_version = "1.0.2".to_owned();
    let bundle = shared.shim_dir(&record.id).join("bundle");
    let readonly = oci.root.as_ref().is_some_and(|root| root.readonly);
    oci.root = Some(oci::Root { path: "rootfs".to_owned(), readonly });
    for namespace in oci.linux.iter_mut().flat_map(|linux| &mut linux.namespaces) {
        if namespace.kind == "network" {
            namespace.path = Some(bundle.join("netns").to_string_lossy().into_owned());
        }
    }
    let init = shared.config.init.as_ref().filter(|_| record.spec.host.init.unwrap_or(false));
    if let (Some(init), Some(process)) = (init, &mut oci.process) {
        process.args.splice(0..0, ["/sbin/docker-init".to_owned(), "--".to_owned()]);
        oci.mounts.push(oci::Mount {
            destination: "/sbin/docker-init".to_owned(),
            kind: Some("bind".to_owned()),
            source: Some(init.to_string_lossy().into_owned()),
            options: vec!["bind".to_owned(), "ro".to_owned()],
            ..oci::Mount::default()
        });
    }
    program.outside(&record.id, &oci).map(Some)
}

fn options(shared: &Shared, record: &Record, snapshot: &Snapshot) -> Options {
    let init = record.spec.host.init.unwrap_or(false);
    Options {
        rootfs: RootFs::Overlay {
            lowers: snapshot.lowers.clone(),
            upper: snapshot.upper.clone(),
            work: snapshot.work.clone(),
            volatile: record.spec.host.auto_remove,
        },
        netns_passed: mode(&record.spec.host.network_mode) != Mode::Host,
        make_cwd: true,
        init: shared.config.init.clone().filter(|_| init),
        id: record.id.clone(),
        keyring: true,
        ..Options::default()
    }
}

/// The cgroups of a container that an earlier daemon started: as recorded, else as the plan would make them.
pub(crate) fn cgroups(
    shared: &Shared,
    record: &Record,
    oci: &oci::Spec,
    recorded: &[PathBuf],
) -> Result<Vec<PathBuf>> {
    if !recorded.is_empty() {
        return Ok(recorded.to_vec());
    }
    let snapshot = shared.store.snapshot(&record.id, &record.diff_ids)?;
    let plan = dhow_runtime::plan(oci, &options(shared, record, &snapshot), &shared.host)?;
    Ok(plan.cgroup_dirs().to_vec())
}

fn write_files_of(shared: &Shared, record: &Record, dir: &Path, hostname: &str) -> Result<()> {
    if let Mode::Container(_) = mode(&record.spec.host.network_mode) {
        return Ok(());
    }
    write_files(shared, record, dir, hostname, &BTreeMap::new())
}

/// The host name inside: the user's, the host's with its network or UTS namespace, or the short id.
pub(crate) fn hostname(shared: &Shared, record: &Record) -> String {
    let spec = &record.spec;
    if !spec.hostname.is_empty() {
        return spec.hostname.clone();
    }
    if mode(&spec.host.network_mode) == Mode::Host || spec.host.uts_mode == "host" {
        return rustix::system::uname().nodename().to_string_lossy().into_owned();
    }
    if let Mode::Container(other) = mode(&spec.host.network_mode)
        && let Ok(handle) = shared.containers.find(other)
    {
        let view = handle.view();
        return if view.spec.hostname.is_empty() {
            view.id.get(..12).unwrap_or_default().to_owned()
        } else {
            view.spec.hostname.clone()
        };
    }
    record.short().to_owned()
}

/// The runtime specification of a container as it would start now.
pub(crate) fn specification(shared: &Shared, record: &Record, snapshot: &Snapshot) -> Result<oci::Spec> {
    let spec = &record.spec;
    let file = |path: &str| -> Result<String> {
        let bytes = shared.store.read_file(snapshot, path, user::MAX_FILE)?;
        Ok(bytes.map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default())
    };
    let identity =
        user::resolve(&spec.user, &spec.host.group_add, &file("/etc/passwd")?, &file("/etc/group")?)?;
    let mut args = vec![record.path.clone()];
    args.extend(record.args.iter().cloned());
    let mut resources = resources(&spec.host.resources)?;
    for rule in &spec.host.device_cgroup_rules {
        resources.devices.push(spec::device_rule(rule)?);
    }
    let devices = if spec.host.privileged { host_devices() } else { devices(&spec.host.devices)? };
    let facts = spec::Facts {
        id: record.id.clone(),
        cgroup_parent: shared.config.cgroup_parent(),
        hostname: hostname(shared, record),
        args,
        link_env: super::network::link_env(shared, record)?,
        identity,
        mounts: mounts_of(shared, record, &snapshot.dir)?,
        join: joins(shared, record)?,
        cgroup2: shared.cgroup2,
        bounding: Vec::new(),
        kernel: seccomp::kernel_version(&rustix::system::uname().release().to_string_lossy()),
        devices,
        resources,
    };
    spec::build(spec, &facts)
}

/// Limits, with the numbers of the devices they name.
pub(crate) fn resources(wanted: &Resources) -> Result<oci::Resources> {
    limits::resources(wanted, &|path| {
        let meta = std::fs::metadata(path).map_err(|e| io("look up device", path, e))?;
        Ok((i64::from(rustix::fs::major(meta.rdev())), i64::from(rustix::fs::minor(meta.rdev()))))
    })
}

/// The user's mounts and the engine's three files, parents first.
fn mounts_of(shared: &Shared, record: &Record, dir: &Path) -> Result<Vec<oci::Mount>> {
    let spec = &record.spec;
    let mut all = Vec::new();
    for point in &record.mounts {
        all.push(match point.kind {
            MountKind::Volume => {
                let volume = shared.store.volume(&point.name)?;
                mounts::bind(point, &volume.options)
            }
            MountKind::Bind => {
                bind_source(record, point)?;
                mounts::bind(point, &BTreeMap::new())
            }
            MountKind::Tmpfs => {
                let wanted = spec.host.mounts.iter().find(|m| mounts::clean(&m.target) == point.target);
                mounts::tmpfs(&point.target, &wanted.map(mounts::tmpfs_options).unwrap_or_default())
            }
            MountKind::Image => {
                return Err(Error::new(
                    Kind::Unsupported,
                    "mounts of type \"image\" are not supported by this engine",
                ));
            }
        });
    }
    all.extend(spec.host.tmpfs.iter().map(|(target, options)| mounts::tmpfs(target, options)));
    let files_dir = match mode(&spec.host.network_mode) {
        Mode::Container(other) => shared.containers.find(other)?.view().dir.clone(),
        _ => dir.to_owned(),
    };
    for name in ["resolv.conf", "hostname", "hosts"] {
        let target = format!("/etc/{name}");
        if all.iter().any(|m| m.destination == target) {
            continue;
        }
        let point = MountPoint {
            kind: MountKind::Bind,
            name: String::new(),
            source: files_dir.join(name),
            target,
            driver: String::new(),
            mode: String::new(),
            rw: !spec.host.readonly_rootfs,
            propagation: String::new(),
        };
        all.push(mounts::bind(&point, &BTreeMap::new()));
    }
    mounts::order(&mut all);
    Ok(all)
}

/// `-v` makes a missing host folder, `--mount` refuses.
pub(crate) fn bind_source(record: &Record, point: &MountPoint) -> Result<()> {
    if point.source.exists() {
        return Ok(());
    }
    let strict =
        record.spec.host.mounts.iter().any(|m| mounts::clean(&m.target) == point.target && !m.create_source);
    if strict {
        return Err(Error::new(
            Kind::Invalid,
            format!(
                "invalid mount config for type \"bind\": bind source path does not exist: {}",
                point.source.display()
            ),
        ));
    }
    std::fs::create_dir_all(&point.source)
        .map_err(|e| io("error while creating mount source path", point.source.display(), e))
}

/// Namespaces of others: kind → path; an empty path is the host's.
fn joins(shared: &Shared, record: &Record) -> Result<BTreeMap<String, String>> {
    let host = &record.spec.host;
    let mut joins = BTreeMap::new();
    if mode(&host.network_mode) == Mode::Host {
        joins.insert("network".to_owned(), String::new());
    }
    for (kind, wanted) in [("ipc", &host.ipc_mode), ("pid", &host.pid_mode), ("uts", &host.uts_mode)] {
        if wanted == "host" {
            joins.insert(kind.to_owned(), String::new());
        } else if let Some(other) = wanted.strip_prefix("container:") {
            let handle = shared.containers.find(other)?;
            let live = handle.live().ok_or_else(|| {
                let id = &handle.id;
                Error::new(
                    Kind::Conflict,
                    format!("cannot join {} of a non running container: {id}", kind.to_uppercase()),
                )
            })?;
            joins.insert(kind.to_owned(), format!("/proc/{}/ns/{kind}", live.pid));
        }
    }
    Ok(joins)
}

fn devices(wanted: &[DeviceSpec]) -> Result<Vec<(oci::Device, String)>> {
    let mut all = Vec::new();
    for device in wanted {
        let access = if device.permissions.is_empty() { "rwm" } else { &device.permissions };
        if !access.bytes().all(|b| b"rwm".contains(&b)) {
            return Err(Error::new(Kind::Invalid, format!("invalid device mode: {access}")));
        }
        let inside = if device.container.is_empty() { &device.host } else { &device.container };
        let path = Path::new(&device.host);
        if path.is_dir() {
            let mut found = Vec::new();
            walk(path, &mut found);
            for one in found {
                let below = one.strip_prefix(path).unwrap_or(&one);
                if let Some(node) = lookup_device(&one, &Path::new(inside).join(below)) {
                    all.push((node, access.to_owned()));
                }
            }
            continue;
        }
        let node = lookup_device(path, Path::new(inside)).ok_or_else(|| {
            Error::new(
                Kind::Invalid,
                format!(
                    "error gathering device information while adding custom device \"{}\": {}",
                    device.host,
                    if Path::new(path).exists() { "not a device node" } else { "no such file or directory" }
                ),
            )
        })?;
        all.push((node, access.to_owned()));
    }
    Ok(all)
}

/// A device node of the host as one of the container.
pub(crate) fn lookup_device(host: &Path, inside: &Path) -> Option<oci::Device> {
    let meta = std::fs::metadata(host).ok()?;
    let kind = match meta.file_type() {
        t if t.is_char_device() => "c",
        t if t.is_block_device() => "b",
        _ => return None,
    };
    Some(oci::Device {
        kind: kind.to_owned(),
        path: inside.to_string_lossy().into_owned(),
        major: i64::from(rustix::fs::major(meta.rdev())),
        minor: i64::from(rustix::fs::minor(meta.rdev())),
        file_mode: Some(meta.mode() & 0o7777),
        uid: Some(meta.uid()),
        gid: Some(meta.gid()),
    })
}

/// Every device of the host, for `--privileged`.
pub(crate) fn host_devices() -> Vec<(oci::Device, String)> {
    let mut found = Vec::new();
    walk(Path::new("/dev"), &mut found);
    found.iter().filter_map(|path| lookup_device(path, path)).map(|node| (node, "rwm".to_owned())).collect()
}

fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
    const SKIP: [&str; 8] = ["pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev", "console"];
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if dir == Path::new("/dev") && SKIP.iter().any(|skip| name == *skip) {
            continue;
        }
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => walk(&entry.path(), found),
            Ok(kind) if kind.is_char_device() || kind.is_block_device() => found.push(entry.path()),
            _ => {}
        }
    }
}
