//! Compiling the process: who it is, what it may, what it runs.

use super::{scheduling, text};
use crate::host::RESOURCES;
use crate::step::{Limit, Listener, Program};
use crate::{Error, Host, caps, seccomp};
use dhow_oci::runtime as spec;
use std::ffi::CString;

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Where a process comes to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// In a container that runs.
    pub(super) exec: bool,
    /// In a user namespace, where root begins with every capability there is, whatever the caller has.
    pub(super) in_userns: bool,
}

pub(super) fn compile(
    process: &spec::Process,
    linux: &spec::Linux,
    place: Place,
    host: &Host,
    warnings: &mut Vec<String>,
) -> Result<Program, Error> {
    let first = process.args.first().ok_or_else(|| Error::invalid("process.args", "is empty"))?;
    if !process.cwd.starts_with('/') {
        return Err(Error::invalid("process.cwd", "must be absolute"));
    }
    let strings =
        |field: &str, list: &[String]| list.iter().map(|word| text(field, word)).collect::<Result<_, _>>();
    // An empty HOME is none, as in docker's runtime.
    let env: Vec<String> = process.env.iter().filter(|entry| *entry != "HOME=").cloned().collect();
    let (searched, candidates) = candidates(first, &process.env)?;
    let mut program = Program {
        candidates,
        searched,
        args: strings("process.args", &process.args)?,
        env: strings("process.env", &env)?,
        home: !env.iter().any(|entry| entry.starts_with("HOME=")),
        cwd: text("process.cwd", &process.cwd)?,
        uid: process.user.uid,
        gid: process.user.gid,
        groups: process.user.additional_gids.clone(),
        umask: process.user.umask.unwrap_or(0o022),
        no_new_privileges: process.no_new_privileges,
        limits: limits(process, host, warnings)?,
        terminal: process.terminal,
        ..Program::default()
    };
    if let Some(size) = &process.console_size {
        (program.rows, program.columns) = (size.height, size.width);
    }
    let available = if place.in_userns { caps::ALL } else { host.bounding };
    capabilities(process.capabilities.as_ref(), available, &mut program, warnings);
    scheduling::of_process(process, place.exec, &mut program)?;
    scheduling::of_container(linux, &mut program)?;
    program.selinux = selinux(process, host)?;
    if let Some(value) = process.oom_score_adj {
        if !(-1000..=1000).contains(&value) {
            return Err(Error::invalid("process.oomScoreAdj", "must be between -1000 and 1000"));
        }
        if value < 0 && !host.may_raise_limits() {
            warnings.push(format!("oom_score_adj {value} needs CAP_SYS_RESOURCE, which this host does not give; it stays as it is"));
        } else {
            program.oom_score_adj = Some(text("process.oomScoreAdj", value.to_string())?);
        }
    }
    match process.apparmor_profile.as_deref() {
        None | Some("") => {}
        Some(profile) if host.apparmor => {
            program.apparmor = Some(text("process.apparmorProfile", format!("exec {profile}"))?);
        }
        Some("unconfined") => {}
        Some(profile) => {
            let detail = format!("{profile:?}: this host has no AppArmor");
            return Err(Error::invalid("process.apparmorProfile", detail));
        }
    }
    if let Some(filter) = linux.seccomp.as_ref() {
        program.seccomp = seccomp::compile(filter)?.to_vec();
        program.seccomp_flags = seccomp::flags(filter)?;
        program.listener = seccomp::listener(filter)?.map(|path| Listener {
            path: path.into(),
            metadata: filter.listener_metadata.clone(),
            ..Listener::default()
        });
    }
    Ok(program)
}

/// Where the program may be: itself if it has a slash, else below every folder of PATH.
fn candidates(name: &str, env: &[String]) -> Result<(bool, Vec<CString>), Error> {
    let field = "process.args";
    if name.contains('/') {
        return Ok((false, vec![text(field, name)?]));
    }
    if name.is_empty() {
        return Ok((true, Vec::new()));
    }
    let path = env.iter().rev().find_map(|entry| entry.strip_prefix("PATH=")).unwrap_or(DEFAULT_PATH);
    // Go's LookPath: an empty entry is the working directory, and a hit there is refused unless written `./name`.
    let folders = path.split(':').filter(|folder| folder.starts_with('/'));
    let paths = folders.map(|folder| text(field, format!("{}/{name}", folder.trim_end_matches('/'))));
    Ok((true, paths.collect::<Result<_, _>>()?))
}

fn selinux(process: &spec::Process, host: &Host) -> Result<Option<CString>, Error> {
    const FIELD: &str = "process.selinuxLabel";
    match process.selinux_label.as_deref() {
        None | Some("") => Ok(None),
        Some(label) if host.selinux => Ok(Some(text(FIELD, label)?)),
        Some(label) => {
            let detail = format!("{label:?}: this host has no SELinux, or it is off");
            Err(Error::invalid(FIELD, detail))
        }
    }
}

/// Names that this kernel does not know are left out with a warning, as runc does.
fn capabilities(
    wanted: Option<&spec::Capabilities>,
    available: u64,
    program: &mut Program,
    warnings: &mut Vec<String>,
) {
    let Some(wanted) = wanted else {
        // No object: the specification leaves the caller's sets as they are.
        (program.bounding, program.permitted, program.effective) = (available, available, available);
        return;
    };
    let mut unknown = std::collections::BTreeSet::new();
    let mut set = |names: &[String], most: u64| caps::set(names, most, &mut unknown);
    program.bounding = set(&wanted.bounding, available);
    program.permitted = set(&wanted.permitted, available);
    program.effective = set(&wanted.effective, program.permitted);
    program.inheritable = set(&wanted.inheritable, available);
    program.ambient = set(&wanted.ambient, program.permitted & program.inheritable);
    if !unknown.is_empty() {
        let names = unknown.into_iter().collect::<Vec<_>>().join(", ");
        warnings.push(format!("process.capabilities: unknown, and left out: {names}"));
    }
}

fn limits(process: &spec::Process, host: &Host, warnings: &mut Vec<String>) -> Result<Vec<Limit>, Error> {
    let mut limits = Vec::new();
    for limit in &process.rlimits {
        let field = format!("process.rlimits {}", limit.kind);
        let Some((resource, name, _)) = RESOURCES.iter().find(|(_, name, _)| *name == limit.kind) else {
            return Err(Error::invalid(field, "unknown limit"));
        };
        if limits.iter().any(|known: &Limit| known.resource == *resource) {
            return Err(Error::invalid(field, "is listed twice"));
        }
        if limit.soft > limit.hard {
            return Err(Error::invalid(field, "the soft limit is above the hard one"));
        }
        let ceiling = host
            .hard_limits
            .iter()
            .find(|(number, _)| number == resource)
            .map_or(u64::MAX, |(_, hard)| *hard);
        let (mut soft, mut hard) = (limit.soft, limit.hard);
        if hard > ceiling && !host.may_raise_limits() {
            warnings.push(format!(
                "{name} {hard} needs CAP_SYS_RESOURCE, which this host does not give; {ceiling} is used"
            ));
            hard = ceiling;
            soft = soft.min(ceiling);
        }
        limits.push(Limit { resource: *resource, soft, hard, name: text(&field, name)? });
    }
    Ok(limits)
}
