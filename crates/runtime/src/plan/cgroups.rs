//! Compiling the cgroups of a container: where, and what is written.

use super::mounts::Options;
use super::text;
use crate::cgroup::devices::List;
use crate::cgroup::{lack, program, update, v2};
use crate::step::{CgroupDir, Cgroups, Step, Unit};
use crate::{Error, Host, systemd};
use dhow_oci::runtime as spec;
use dhow_sys::mount::attr;
use std::ffi::CString;
use std::path::{Component, Path, PathBuf};

/// The path below every hierarchy's root, and the folders it leads to.
pub(super) struct Place {
    pub(super) cgroups: Cgroups,
    private: bool,
}

/// A checked `linux.cgroupsPath` without its leading slash; with the systemd driver a unit.
fn below(path: Option<&str>, host: &Host) -> Result<(PathBuf, Option<Unit>), Error> {
    let invalid = |detail: &str| Error::invalid("linux.cgroupsPath", detail);
    let path = path.filter(|p| !p.is_empty()).ok_or_else(|| invalid("is required"))?;
    if host.systemd {
        return systemd::compile(path).map(|(unit, folder)| (folder, Some(unit)));
    }
    if path.contains(':') && !path.starts_with('/') {
        return Err(invalid("slice:prefix:name is for the systemd cgroup driver"));
    }
    let path = Path::new(path.trim_start_matches('/'));
    if path.as_os_str().is_empty() || !path.components().all(|c| matches!(c, Component::Normal(_))) {
        return Err(invalid("must name a folder below the root, without . and .."));
    }
    Ok((path.to_owned(), None))
}

/// What everybody's processor, memory, disks and tasks are counted by; the other controllers cost, and are switched on for who is limited by them.
const COUNTED: [&str; 4] = ["cpu", "io", "memory", "pids"];

/// The folders of a container with its limits and device rules. What this machine lacks is left out, and said in `warnings`.
pub(super) fn compile(
    linux: &spec::Linux,
    private: bool,
    host: &Host,
    warnings: &mut Vec<String>,
) -> Result<Place, Error> {
    let (path, unit) = below(linux.cgroups_path.as_deref(), host)?;
    let mut resources = linux.resources.clone().unwrap_or_default();
    warnings.extend(lack::trim(&mut resources, host));
    let devices = List::new(&resources.devices)?;
    let (mut old, new) = update::split(&resources, host)?;
    let mut cgroups = Cgroups { unit, ..Cgroups::default() };
    if let Some(unit) = &mut cgroups.unit {
        unit.properties.extend(systemd::properties(&resources, devices.as_ref(), host)?);
    }
    let v1_devices = host.hierarchies.iter().any(|h| h.controllers.iter().any(|c| c == "devices"));
    if let Some(list) = devices.as_ref().filter(|_| v1_devices) {
        old.extend(list.writes(true).into_iter().map(|write| ("devices", write)));
    }
    let program = devices.filter(|_| !v1_devices && host.unified.is_some());
    for hierarchy in &host.hierarchies {
        let has = |name: &str| hierarchy.controllers.iter().any(|c| c == name);
        let ours = old.iter().filter(|(controller, _)| has(controller));
        cgroups.dirs.push(CgroupDir {
            path: hierarchy.mount.join(&path),
            mount: hierarchy.mount.clone(),
            v2: false,
            cpuset: has("cpuset"),
            controllers: hierarchy.controllers.clone(),
            writes: ours.map(|(_, write)| write.clone()).collect(),
        });
    }
    // Beside v1 the unified hierarchy is joined for what only it has, and for systemd, which knows by it what is in a scope.
    let wanted = host.hierarchies.is_empty() || host.systemd || !new.is_empty() || program.is_some();
    if let Some(mount) = host.unified.as_ref().filter(|_| wanted) {
        let counted = if host.hierarchies.is_empty() { COUNTED.as_slice() } else { &[] };
        let mut controllers: Vec<String> = counted.iter().map(|&name| name.to_owned()).collect();
        for file in new.iter().flat_map(|write| &write.files) {
            let name = v2::controller(file);
            if !controllers.iter().any(|c| c == name) {
                controllers.push(name.to_owned());
            }
        }
        let (path, mount) = (mount.join(&path), mount.clone());
        cgroups.dirs.push(CgroupDir { path, mount, v2: true, cpuset: false, controllers, writes: new });
        cgroups.devices = program.map(|list| program::compile(&list)).unwrap_or_default();
    }
    Ok(Place { cgroups, private })
}

/// The same folders for an additional process, which only enters them.
pub(super) fn enter(linux: &spec::Linux, host: &Host) -> Result<Cgroups, Error> {
    let mut cgroups = compile(linux, false, host, &mut Vec::new())?.cgroups;
    cgroups.dirs.iter_mut().for_each(|dir| dir.writes.clear());
    Ok(Cgroups { dirs: cgroups.dirs, ..Cgroups::default() })
}

impl Place {
    /// The mount of type `cgroup`.
    pub(super) fn mount(&self, target: CString, options: &Options, host: &Host) -> Result<Step, Error> {
        let path = |p: &Path| text("cgroup", p.to_string_lossy());
        if let Some(unified) = host.unified.as_ref().filter(|_| host.cgroup_v2()) {
            let own = self.cgroups.dirs.first().map(|dir| dir.path.clone());
            let source: PathBuf = if self.private { own } else { None }.unwrap_or_else(|| unified.clone());
            return Ok(Step::Bind {
                source: path(&source)?,
                target,
                recursive: false,
                attributes: options.attributes.clone(),
            });
        }
        let (mut folders, mut names, mut aliases) = (Vec::new(), Vec::new(), Vec::new());
        for dir in self.cgroups.dirs.iter().filter(|dir| !dir.v2) {
            let name = dir.mount.file_name().map(|n| n.to_string_lossy()).unwrap_or_default();
            folders.push(path(&dir.path)?);
            names.push(text("cgroup", &*name)?);
            for controller in dir.controllers.iter().filter(|c| !c.starts_with("name=") && **c != *name) {
                aliases.push(text("cgroup", controller)?);
                aliases.push(text("cgroup", &*name)?);
            }
        }
        let attributes = options.bits() | attr::NOSUID | attr::NODEV | attr::NOEXEC;
        Ok(Step::CgroupTree { target, folders, names, aliases, attributes })
    }
}
