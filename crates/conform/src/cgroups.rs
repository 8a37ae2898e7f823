//! A container's cgroups, seen from the host: v1, hybrid or v2.

use crate::{
    mounts,
    verdict::{Verdict, failed, same, skip},
};
use rustix::process::Pid;
use std::{fs, path::PathBuf};

/// Where a process is in each hierarchy.
#[derive(Debug)]
pub(crate) struct Cgroups {
    /// Controllers of the hierarchy (v2: empty), folder on the host.
    folders: Vec<(Vec<String>, PathBuf)>,
}

/// Whether the machine has its controllers in the unified hierarchy.
pub(crate) fn is_v2() -> bool {
    fs::metadata("/sys/fs/cgroup/cgroup.controllers").is_ok()
}

impl Cgroups {
    /// Of a running process.
    pub(crate) fn of(pid: Pid) -> Verdict<Self> {
        let table = fs::read_to_string(format!("/proc/{}/cgroup", pid.as_raw_nonzero()))?;
        let mounts = mounts::parse(&fs::read_to_string("/proc/self/mountinfo")?);
        let folders = table.lines().filter_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let (controllers, path) = (parts.next()?, parts.next()?);
            let mount = mounts.iter().find(|mount| match controllers {
                "" => mount.kind == "cgroup2",
                _ => mount.kind == "cgroup" && controllers.split(',').all(|one| mount.has(one)),
            })?;
            let inside = path.strip_prefix(mount.root.trim_end_matches('/')).unwrap_or(path);
            let folder = PathBuf::from(format!("{}{inside}", mount.point));
            Some((controllers.split(',').filter(|one| !one.is_empty()).map(str::to_owned).collect(), folder))
        });
        Ok(Self { folders: folders.collect() })
    }

    /// The folder of a controller; no such controller here: skipped.
    pub(crate) fn folder(&self, controller: &str) -> Verdict<&PathBuf> {
        let v1 = self.folders.iter().find(|(controllers, _)| controllers.iter().any(|one| one == controller));
        let v2 = self.folders.iter().find(|(controllers, folder)| {
            let enabled = fs::read_to_string(folder.join("cgroup.controllers")).unwrap_or_default();
            controllers.is_empty()
                && (is_v2() || controller.is_empty())
                && (enabled.split_whitespace().any(|one| one == controller) || controller.is_empty())
        });
        match v1.or(v2) {
            Some((_, folder)) => Ok(folder),
            None => skip(format!("no {controller} cgroup on this machine")),
        }
    }

    /// All folders that are not a hierarchy's root.
    pub(crate) fn folders(&self) -> impl Iterator<Item = &PathBuf> {
        self.folders.iter().map(|(_, folder)| folder)
    }

    /// A value, under its v1 or its v2 name.
    pub(crate) fn value(&self, controller: &str, v1: &str, v2: &str) -> Verdict<String> {
        let file = self.folder(controller)?.join(if is_v2() { v2 } else { v1 });
        match fs::read_to_string(&file) {
            Ok(text) => Ok(text.trim().to_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                skip(format!("this kernel has no {}", file.display()))
            }
            Err(error) => failed(format!("{}: {error}", file.display())),
        }
    }

    /// A value must be the first (v1) or the second (v2) of `wanted`. A name or value for a version that is empty: skipped there.
    pub(crate) fn expect(&self, controller: &str, names: [&str; 2], wanted: [&str; 2]) -> Verdict {
        let version = usize::from(is_v2());
        if names[version].is_empty() {
            return skip(format!("cgroup v{} has no such value", version + 1));
        }
        same(names[version], self.value(controller, names[0], names[1])?.as_str(), wanted[version])
    }
}
