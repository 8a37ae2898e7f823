//! Compiling the cgroups of a container: where, and what is written.

use super::mounts::Options;
use super::text;
use crate::cgroup::{devices, v1, v2};
use crate::step::{CgroupDir, Cgroups, Step};
use crate::{Error, Host};
use dhow_oci::runtime as spec;
use dhow_sys::mount::attr;
use std::ffi::CString;
use std::path::{Component, Path, PathBuf};

/// The path below every hierarchy's root, and the folders it leads to.
pub(super) struct Place {
    pub(super) cgroups: Cgroups,
    private: bool,
}

/// A checked `linux.cgroupsPath` without its leading slash.
fn below(path: Option<&str>) -> Result<&Path, Error> {
    let invalid = |detail: &str| Error::invalid("linux.cgroupsPath", detail);
    let path = path.filter(|p| !p.is_empty()).ok_or_else(|| invalid("is required"))?;
    if path.contains(':') && !path.starts_with('/') {
        return Err(invalid("slice:prefix:name is for a systemd cgroup driver, which is not supported yet"));
    }
    let path = Path::new(path.trim_start_matches('/'));
    if path.as_os_str().is_empty() || !path.components().all(|c| matches!(c, Component::Normal(_))) {
        return Err(invalid("must name a folder below the root, without . and .."));
    }
    Ok(path)
}

/// The folders of a container; limits and device rules are written only if `resources` are given.
pub(super) fn compile(
    linux: &spec::Linux,
    resources: Option<&spec::Resources>,
    private: bool,
    host: &Host,
) -> Result<Place, Error> {
    let path = below(linux.cgroups_path.as_deref())?;
    let mut cgroups = Cgroups { v2: host.cgroup_v2(), ..Cgroups::default() };
    if let Some(mount) = &host.unified {
        let mut dir = CgroupDir { path: mount.join(path), mount: mount.clone(), ..CgroupDir::default() };
        dir.controllers = ["cpu", "cpuset", "io", "memory", "pids"].map(str::to_owned).to_vec();
        if let Some(resources) = resources {
            dir.writes = v2::limits(resources)?;
            cgroups.devices = devices::program(&devices::rules(resources)?);
        }
        cgroups.dirs.push(dir);
    } else {
        let mut limits = resources.map(v1::limits).transpose()?.unwrap_or_default();
        for hierarchy in &host.hierarchies {
            let (ours, rest) = limits
                .into_iter()
                .partition(|(controller, _)| hierarchy.controllers.iter().any(|c| c == controller));
            limits = rest;
            cgroups.dirs.push(CgroupDir {
                path: hierarchy.mount.join(path),
                mount: hierarchy.mount.clone(),
                cpuset: hierarchy.controllers.iter().any(|c| c == "cpuset"),
                controllers: hierarchy.controllers.clone(),
                writes: ours.into_iter().map(|(_, write): (_, _)| write).collect(),
            });
        }
        if let Some((controller, write)) = limits.into_iter().find(|(_, write)| !write.optional) {
            let file = write.files.first().cloned().unwrap_or_default();
            return Err(Error::invalid(
                "linux.resources",
                format_args!("{file} needs the cgroup controller {controller}, which is not mounted"),
            ));
        }
    }
    Ok(Place { cgroups, private })
}

impl Place {
    /// The mount of type `cgroup`.
    pub(super) fn mount(&self, target: CString, options: &Options, host: &Host) -> Result<Step, Error> {
        let path = |p: &Path| text("cgroup", p.to_string_lossy());
        if let Some(unified) = &host.unified {
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
        for dir in &self.cgroups.dirs {
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
