//! New limits for a running container.

use super::devices::List;
use super::{apply, control, program, usage, v1, v2};
use crate::step::CgroupDir;
use crate::{Error, Host, systemd};
use dhow_oci::runtime as spec;
use std::fs;
use std::path::{Path, PathBuf};

/// Writes new limits into a running container's cgroups; what `resources` does not say stays. A container that is systemd's unit is told to
/// systemd as well. What this machine lacks is in [`Host::lacks`], not in the way here.
///
/// # Errors
/// The file that refused, or the field that this host has nothing for.
pub fn update(dirs: &[PathBuf], resources: &spec::Resources, host: &Host) -> Result<(), Error> {
    let mut wanted = resources.clone();
    let unified = control::with(dirs, "cgroup.subtree_control");
    if let Some(dir) = unified {
        complete(dir, &mut wanted)?;
    }
    if wanted.memory.as_ref().is_some_and(|memory| memory.check_before_update) {
        check(dirs, &wanted)?;
    }
    let devices = List::new(&wanted.devices)?;
    let (old, new) = split(&wanted, host)?;
    if let Some(unit) = systemd::unit_of(dirs) {
        systemd::set_properties(&unit, &systemd::properties(&wanted, devices.as_ref(), host)?)?;
    }
    for dir in dirs {
        let ours = old.iter().filter(|(controller, _)| folder(dirs, host, controller) == Some(dir));
        apply::write_all(dir, &ours.map(|(_, item)| item.clone()).collect::<Vec<_>>())?;
    }
    if let Some(list) = &devices
        && let Some(dir) = folder(dirs, host, "devices")
    {
        return apply::write_all(dir, &list.writes(false));
    }
    let Some(dir) = unified else { return Ok(()) };
    let mut controllers: Vec<String> =
        new.iter().flat_map(|item| &item.files).map(|file| v2::controller(file).to_owned()).collect();
    controllers.dedup();
    let mount = host.unified.clone().unwrap_or_default();
    let place =
        CgroupDir { path: dir.to_owned(), mount, v2: true, controllers, writes: new, ..CgroupDir::default() };
    if let Some(above) = dir.parent().filter(|_| !place.controllers.is_empty()) {
        apply::pass_on(&place, above)?;
    }
    apply::write_all(dir, &place.writes)?;
    devices.map_or(Ok(()), |list| program::attach(dir, &program::compile(&list), false))
}

/// v1: the container's folder of a controller.
fn folder<'a>(dirs: &'a [PathBuf], host: &Host, controller: &str) -> Option<&'a PathBuf> {
    let hierarchy = host.hierarchies.iter().find(|h| h.controllers.iter().any(|c| c == controller))?;
    dirs.iter().find(|dir| dir.starts_with(&hierarchy.mount))
}

/// What v2 sets in one line but the specification in two fields: the field that is not given is as it is.
fn complete(dir: &Path, wanted: &mut spec::Resources) -> Result<(), Error> {
    let now = |file: &str| {
        let path = dir.join(file);
        fs::read_to_string(&path).map_err(|e| Error::io("read cgroup", path.display(), &e))
    };
    if let Some(cpu) = &mut wanted.cpu
        && cpu.period.is_some()
        && cpu.quota.is_none()
    {
        let quota = now("cpu.max")?.split(' ').next().and_then(|n| n.parse().ok());
        cpu.quota = Some(quota.unwrap_or(-1));
    }
    if let Some(memory) = &mut wanted.memory
        && memory.swap.is_some_and(|n| n > 0)
        && memory.limit.is_none_or(|n| n == 0)
    {
        memory.limit = now("memory.max")?.trim().parse().ok();
    }
    Ok(())
}

/// `checkBeforeUpdate`: a limit below what is in use would kill.
fn check(dirs: &[PathBuf], wanted: &spec::Resources) -> Result<(), Error> {
    let Some(limit) = wanted.memory.as_ref().and_then(|m| m.limit).and_then(|n| u64::try_from(n).ok()) else {
        return Ok(());
    };
    let used = usage::memory_now(dirs)?;
    if limit > 0 && limit < used {
        let detail = format!("unable to set memory limit to {limit} (current usage: {used})");
        return Err(Error::invalid("linux.resources.memory", detail));
    }
    Ok(())
}

/// What goes to v1's hierarchies and what to the unified one, by who has the controller.
pub(crate) fn split(
    wanted: &spec::Resources,
    host: &Host,
) -> Result<(v1::Writes, Vec<crate::step::CgroupWrite>), Error> {
    if host.hierarchies.is_empty() {
        return Ok((Vec::new(), v2::limits(wanted)?));
    }
    let mounted = |name: &str| host.hierarchies.iter().any(|h| h.controllers.iter().any(|c| c == name));
    let (old, rest): (Vec<_>, Vec<_>) =
        v1::limits(wanted)?.into_iter().partition(|(controller, _)| mounted(controller));
    let unified = |name: &str| host.unified_controllers.iter().any(|c| c == name);
    let absent = rest
        .iter()
        .find(|(name, item)| !item.optional && !unified(if *name == "blkio" { "io" } else { name }));
    if let Some((name, item)) = absent {
        let file = item.files.first().map_or("", String::as_str);
        let detail = format!("{file} needs the cgroup controller {name}, which is not mounted");
        return Err(Error::invalid("linux.resources", detail));
    }
    if let Some(file) = wanted.unified.keys().find(|file| !unified(v2::controller(file))) {
        let detail = format!("{file}: cannot use unified on cgroup v1");
        return Err(Error::invalid("linux.resources.unified", detail));
    }
    if rest.is_empty() && wanted.unified.is_empty() {
        return Ok((old, Vec::new()));
    }
    let new = v2::limits(wanted)?;
    let ours = new.into_iter().filter(|item| item.files.iter().any(|file| unified(v2::controller(file))));
    Ok((old, ours.collect()))
}
