//! `docker create`: validate, merge the image's defaults in, make the writable layer and the volumes, record. A create that fails leaves nothing.

use super::{
    Create, Handle, Host, MountKind, MountPoint, MountSpec, Spec, mounts,
    ports::canonical,
    record::{Record, Standing, Wanted},
    task::{self, Keeper, Mode, State},
};
use crate::{
    Error, Kind, Result, blocking,
    events::Time,
    names,
    networks::{self, EndpointConfig},
    shared::Shared,
    volumes,
};
use dhow_oci::{Platform, image::ContainerConfig};
use dhow_store::Image;
use std::{collections::BTreeMap, path::PathBuf, sync::Arc};
use tokio::sync::mpsc;

fn invalid(message: impl Into<String>) -> Error {
    Error::new(Kind::Invalid, message)
}

/// Makes a container; its id and warnings.
pub(super) async fn create(shared: &Arc<Shared>, mut wanted: Create) -> Result<(String, Vec<String>)> {
    shared.admit()?;
    if let Some(name) = &mut wanted.name {
        let bare = name.strip_prefix('/').unwrap_or(name).to_owned();
        check_name(&bare)?;
        *name = bare;
    }
    let image = image(shared, &wanted)?;
    let mut warnings = Vec::new();
    merge(&mut wanted.spec, &image.config.config);
    super::validate::validate(shared, &mut wanted.spec, &mut warnings)?;
    // Only a missing image is 404: clients pull one then, whatever it was that is missing.
    let networks = wanted_networks(shared, &mut wanted).map_err(Error::of_input)?;
    let id = names::id()?;
    let name = claim(shared, wanted.name.as_deref(), &id)?;
    let (shared_below, id_below, name_below) = (shared.clone(), id.clone(), name.clone());
    let made = blocking::run(move || make(&shared_below, &image, wanted, networks, &id_below, &name_below));
    match made.await {
        Ok(record) => {
            admit(shared, record)?;
            Ok((id, warnings))
        }
        Err(failure) => {
            shared.containers.unclaim(&name, &id);
            Err(failure)
        }
    }
}

fn image(shared: &Shared, wanted: &Create) -> Result<Arc<Image>> {
    let name = &wanted.spec.image;
    if name.is_empty() {
        return Err(invalid("config cannot be empty in order to create a container"));
    }
    let image = crate::images::find(shared, name)?;
    if let Some(platform) = &wanted.platform {
        let has = Platform {
            architecture: image.config.architecture.clone(),
            os: image.config.os.clone(),
            os_version: None,
            variant: image.config.variant.clone(),
        };
        if !has.serves(platform) {
            return Err(Error::new(
                Kind::NotFound,
                format!(
                    "image with reference {name} was found but does not provide the specified platform ({platform})"
                ),
            ));
        }
    }
    Ok(image)
}

/// docker's rule for names.
pub(super) fn check_name(name: &str) -> Result<()> {
    let word = |b: u8| b.is_ascii_alphanumeric();
    let bytes = name.as_bytes();
    let good = bytes.len() >= 2
        && word(bytes[0])
        && bytes.iter().all(|&b| word(b) || matches!(b, b'_' | b'.' | b'-'));
    if good {
        return Ok(());
    }
    Err(invalid(format!("Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")))
}

fn claim(shared: &Shared, wanted: Option<&str>, id: &str) -> Result<String> {
    if let Some(name) = wanted {
        shared.containers.claim(name, id)?;
        return Ok(name.to_owned());
    }
    for attempt in 0..10 {
        let name = names::made_up(attempt);
        if shared.containers.claim(&name, id).is_ok() {
            return Ok(name);
        }
    }
    let short = id.get(..12).unwrap_or(id).to_owned();
    shared.containers.claim(&short, id)?;
    Ok(short)
}

/// The image's defaults below the user's wishes.
pub(crate) fn merge(spec: &mut Spec, image: &ContainerConfig) {
    let key = |entry: &str| entry.split_once('=').map_or(entry.to_owned(), |(key, _)| key.to_owned());
    let own: Vec<String> = spec.env.iter().map(|e| key(e)).collect();
    let inherited = image.env.iter().flatten().filter(|e| !own.contains(&key(e))).cloned();
    let mut env: Vec<String> = inherited.collect();
    env.append(&mut spec.env);
    // a bare NAME keeps the image's out, and at the start docker's own
    spec.env = env;
    let emptied = |e: &Option<Vec<String>>| e.as_ref().is_some_and(|e| e.is_empty() || e.as_slice() == [""]);
    if spec.entrypoint.is_none() {
        if spec.cmd.as_ref().is_none_or(Vec::is_empty) {
            spec.cmd.clone_from(&image.cmd);
        }
        spec.entrypoint.clone_from(&image.entrypoint);
    } else if emptied(&spec.entrypoint) {
        spec.entrypoint = None;
    }
    for (mine, theirs) in [
        (&mut spec.user, &image.user),
        (&mut spec.working_dir, &image.working_dir),
        (&mut spec.stop_signal, image.stop_signal.as_ref().unwrap_or(&String::new())),
    ] {
        if mine.is_empty() {
            mine.clone_from(theirs);
        }
    }
    spec.stop_timeout = spec.stop_timeout.or(image.stop_timeout);
    for (label, value) in image.labels.iter().flatten() {
        spec.labels.entry(label.clone()).or_insert_with(|| value.clone());
    }
    for port in image.exposed_ports.iter().flat_map(|p| p.keys()) {
        if !spec.exposed_ports.iter().any(|mine| canonical(mine) == canonical(port)) {
            spec.exposed_ports.push(port.clone());
        }
    }
    for volume in image.volumes.iter().flat_map(|v| v.keys()) {
        if !spec.volumes.contains(volume) {
            spec.volumes.push(volume.clone());
        }
    }
    match (&mut spec.healthcheck, &image.healthcheck) {
        (None, theirs) => spec.healthcheck.clone_from(theirs),
        (Some(mine), Some(theirs)) => {
            if mine.test.as_ref().is_none_or(Vec::is_empty) {
                mine.test.clone_from(&theirs.test);
            }
            for (mine, theirs) in [
                (&mut mine.interval, theirs.interval),
                (&mut mine.timeout, theirs.timeout),
                (&mut mine.start_period, theirs.start_period),
                (&mut mine.start_interval, theirs.start_interval),
                (&mut mine.retries, theirs.retries),
            ] {
                if *mine == 0 {
                    *mine = theirs;
                }
            }
        }
        (Some(_), None) => {}
    }
}

/// The networks it will be on, by name.
fn wanted_networks(shared: &Shared, create: &mut Create) -> Result<BTreeMap<String, Wanted>> {
    let mut all = BTreeMap::new();
    let host = &mut create.spec.host;
    match task::mode(&host.network_mode) {
        Mode::Container(other) => {
            let id = shared.containers.find(other)?.id.clone();
            host.network_mode = format!("container:{id}");
            return Ok(all);
        }
        Mode::Host | Mode::None => {
            let network = shared.networks.find(&host.network_mode)?;
            let config = create.networks.remove(&network.name).unwrap_or_default();
            all.insert(network.name.clone(), Wanted { network_id: network.id.clone(), config });
            return Ok(all);
        }
        Mode::Bridges => {}
    }
    let first = shared.networks.find(&networks::canonical(&host.network_mode))?;
    let mut asked = std::mem::take(&mut create.networks);
    for alias in ["default", "bridge"] {
        if first.name == networks::BRIDGE
            && let Some(config) = asked.remove(alias)
        {
            asked.insert(first.name.clone(), config);
        }
    }
    let mut add = |network: &networks::View, config: EndpointConfig| -> Result<()> {
        check_endpoint(network, &config)?;
        all.insert(network.name.clone(), Wanted { network_id: network.id.clone(), config });
        Ok(())
    };
    let own = asked.remove(&first.name).or_else(|| asked.remove(&first.id)).unwrap_or_default();
    add(&first, own)?;
    for (name, config) in asked {
        let network = shared.networks.find(&name)?;
        if network.network.is_none() {
            return Err(invalid(format!(
                "container cannot be connected to network {name} and others at once"
            )));
        }
        add(&network, config)?;
    }
    Ok(all)
}

/// A fixed address needs a network whose subnet a user chose.
pub(crate) fn check_endpoint(network: &networks::View, config: &EndpointConfig) -> Result<()> {
    task::mac(&config.mac)?;
    if config.ipv4.is_none() && config.ipv6.is_none() {
        return Ok(());
    }
    if networks::is_predefined(&network.name) {
        return Err(invalid("user specified IP address is supported on user defined networks only"));
    }
    if network.pools.is_empty() {
        return Err(invalid(
            "user specified IP address is supported only when connecting to networks with user configured subnets",
        ));
    }
    Ok(())
}

/// The writable layer, the volumes and the record. Blocking.
fn make(
    shared: &Arc<Shared>,
    image: &Image,
    wanted: Create,
    networks: BTreeMap<String, Wanted>,
    id: &str,
    name: &str,
) -> Result<Record> {
    let mut spec = wanted.spec;
    name_host(&mut spec, id);
    let from = volumes_from(shared, &spec.host)?;
    let gathered = mounts::gather(&spec.host, &spec.volumes)?;
    let diff_ids = image.config.rootfs.diff_ids.clone();
    let snapshot = shared.store.create_snapshot(id, &diff_ids)?;
    let mut created = Vec::new();
    let points = (|| -> Result<Vec<MountPoint>> {
        let mut points = Vec::new();
        for mount in &gathered {
            let anonymous = mount.kind == MountKind::Volume && mount.source.is_empty() && !mount.from_mount;
            if anonymous && from.iter().any(|p| p.target == mount.target) {
                continue;
            }
            if mount.kind == MountKind::Volume {
                drivable(&spec.host.volume_driver)?;
            }
            points.push(point(shared, mount, &snapshot, &mut created)?);
        }
        for inherited in &from {
            if !points.iter().any(|p| p.target == inherited.target) {
                points.push(inherited.clone());
            }
        }
        Ok(points)
    })();
    let mut command = spec.entrypoint.iter().flatten().chain(spec.cmd.iter().flatten()).cloned();
    let path = command.next().unwrap_or_default();
    let args = command.collect();
    let finish = points.and_then(|mounts| {
        let record = Record {
            id: id.to_owned(),
            name: name.to_owned(),
            created: Time::now(),
            spec: Arc::new(spec),
            image: image.id.clone(),
            diff_ids,
            path,
            args,
            mounts,
            networks,
            platform: Platform {
                architecture: image.config.architecture.clone(),
                os: image.config.os.clone(),
                os_version: None,
                variant: image.config.variant.clone(),
            },
        };
        for point in record.mounts.iter().filter(|p| p.kind == MountKind::Bind) {
            let strict = record
                .spec
                .host
                .mounts
                .iter()
                .any(|m| mounts::clean(&m.target) == point.target && !m.create_source);
            if strict {
                task::bind_source(&record, point)?;
            }
        }
        shared.journal(&format!("container/{id}"), &record)?.forget();
        Ok(record)
    });
    finish.inspect_err(|_| {
        for volume in created {
            if let Err(failure) = shared.store.remove_volume(&volume) {
                tracing::warn!(volume, ?failure, "a volume of a create that failed is still there");
            }
        }
        if let Err(failure) = shared.store.remove_snapshot(id) {
            tracing::warn!(id, ?failure, "the files of a create that failed are still there");
        }
    })
}

/// The name inside, where it is this container's own.
fn name_host(spec: &mut Spec, id: &str) {
    let own =
        !matches!(task::mode(&spec.host.network_mode), Mode::Container(_)) && spec.host.uts_mode != "host";
    if !spec.hostname.is_empty() || !own {
        return;
    }
    spec.hostname = if task::mode(&spec.host.network_mode) == Mode::Host {
        rustix::system::uname().nodename().to_string_lossy().into_owned()
    } else {
        id.get(..12).unwrap_or(id).to_owned()
    };
}

/// Only `local` is here to make volumes.
fn drivable(driver: &str) -> Result<()> {
    if matches!(driver, "" | "local") {
        return Ok(());
    }
    let text = format!("error looking up volume plugin {driver}: plugin \"{driver}\" not found");
    Err(Error::new(Kind::NotFound, text))
}

/// `--volumes-from`.
fn volumes_from(shared: &Shared, host: &Host) -> Result<Vec<MountPoint>> {
    let mut all: Vec<MountPoint> = Vec::new();
    for from in &host.volumes_from {
        let (name, mode) = from.split_once(':').unwrap_or((from, ""));
        if !matches!(mode, "" | "ro" | "rw" | "z" | "Z") {
            return Err(invalid(format!("invalid mode: {mode}")));
        }
        let found = shared.containers.find(name).map_err(Error::of_input)?;
        for point in &found.view().mounts {
            if point.kind != MountKind::Tmpfs && !all.iter().any(|p| p.target == point.target) {
                let mut point = point.clone();
                point.rw &= mode != "ro";
                all.push(point);
            }
        }
    }
    Ok(all)
}

/// One mount as it stands; makes its volume and fills it from the image.
fn point(
    shared: &Shared,
    mount: &MountSpec,
    snapshot: &dhow_store::Snapshot,
    created: &mut Vec<String>,
) -> Result<MountPoint> {
    let mut point = MountPoint {
        kind: mount.kind,
        name: String::new(),
        source: PathBuf::from(&mount.source),
        target: mount.target.clone(),
        driver: String::new(),
        mode: mount.mode.clone(),
        rw: !mount.readonly,
        propagation: mount.propagation.clone(),
    };
    match mount.kind {
        MountKind::Volume => {
            let name = Some(mount.source.as_str()).filter(|n| !n.is_empty());
            let made = volumes::ensure(shared, name, mount.labels.clone(), mount.driver_options.clone())?;
            if made.new {
                created.push(made.volume.name.clone());
            }
            if !mount.no_copy && made.volume.options.is_empty() {
                shared.store.copy_up(&made.volume, snapshot, &mount.target)?;
            }
            point.name.clone_from(&made.volume.name);
            point.source.clone_from(&made.volume.mountpoint);
            made.volume.driver.clone_into(&mut point.driver);
            if point.mode.is_empty() && name.is_some() {
                "z".clone_into(&mut point.mode);
            }
        }
        MountKind::Bind if point.propagation.is_empty() => "rprivate".clone_into(&mut point.propagation),
        MountKind::Bind | MountKind::Tmpfs | MountKind::Image => {}
    }
    if mount.kind == MountKind::Tmpfs {
        point.source = PathBuf::new();
    }
    Ok(point)
}

/// The container exists: its task lives, readers see it.
fn admit(shared: &Arc<Shared>, record: Record) -> Result<()> {
    let dir = shared.store.root().join("containers").join(&record.id);
    let standing = Standing::default();
    let (sender, mailbox) = mpsc::channel(64);
    let handle = Arc::new(Handle::new(record.view(&standing, None, &dir), record.diff_ids.clone(), sender));
    let record = Arc::new(record);
    let keeper = Keeper {
        shared: shared.clone(),
        handle: handle.clone(),
        record: record.clone(),
        standing,
        health: None,
        queue: Vec::new(),
        dir,
        ahead: task::Ahead::begin(shared, &record),
        cleanup: None,
        runs: 0,
        forwarder: None,
    };
    keeper.save_state();
    shared.volumes.note(&record);
    shared.containers.insert(handle);
    keeper.event("create", []);
    tokio::spawn(task::run(keeper, State::Idle(task::Idle), mailbox));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["ab", "A.b-c_1"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "a", "-ab", "a/b", "ü1", "a b"] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn image_defaults_lose_to_the_users() {
        let strings = |l: &[&str]| l.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        let image = ContainerConfig {
            env: Some(strings(&["PATH=/bin", "A=1", "B=2"])),
            cmd: Some(strings(&["sh"])),
            entrypoint: Some(strings(&["/entry"])),
            user: "www".into(),
            ..ContainerConfig::default()
        };
        let mut spec = Spec { env: strings(&["A=9", "B"]), ..Spec::default() };
        merge(&mut spec, &image);
        assert_eq!(spec.env, ["PATH=/bin", "A=9", "B"]);
        assert_eq!(
            (spec.entrypoint.unwrap(), spec.cmd.unwrap(), spec.user.as_str()),
            (strings(&["/entry"]), strings(&["sh"]), "www")
        );
        // an entrypoint of one's own drops the image's command
        let mut own = Spec { entrypoint: Some(strings(&["/mine"])), ..Spec::default() };
        merge(&mut own, &image);
        assert_eq!((own.entrypoint.unwrap(), own.cmd), (strings(&["/mine"]), None));
        let mut cleared =
            Spec { entrypoint: Some(strings(&[""])), cmd: Some(strings(&["ls"])), ..Spec::default() };
        merge(&mut cleared, &image);
        assert_eq!((cleared.entrypoint, cleared.cmd.unwrap()), (None, strings(&["ls"])));
    }
}
