//! Compiling the process: who it is, what it may, what it runs.

use super::text;
use crate::host::RESOURCES;
use crate::step::{Limit, Listener, Program};
use crate::{Error, Host, caps, seccomp};
use dhow_oci::runtime as spec;
use std::ffi::CString;

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

pub(super) fn compile(
    process: &spec::Process,
    filter: Option<&spec::Seccomp>,
    host: &Host,
    warnings: &mut Vec<String>,
) -> Result<Program, Error> {
    let first = process.args.first().ok_or_else(|| Error::invalid("process.args", "is empty"))?;
    if !process.cwd.starts_with('/') {
        return Err(Error::invalid("process.cwd", "must be absolute"));
    }
    if process.selinux_label.as_ref().is_some_and(|label| !label.is_empty()) {
        return Err(Error::invalid("process.selinuxLabel", "SELinux labels are not supported yet"));
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
    capabilities(process.capabilities.as_ref(), host, &mut program)?;
    if let Some(value) = process.oom_score_adj.filter(|&v| v != 0) {
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
    if let Some(filter) = filter {
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

fn capabilities(
    wanted: Option<&spec::Capabilities>,
    host: &Host,
    program: &mut Program,
) -> Result<(), Error> {
    let Some(wanted) = wanted else {
        // No object: the specification leaves the caller's sets as they are.
        program.bounding = host.bounding;
        program.permitted = host.bounding;
        program.effective = host.bounding;
        return Ok(());
    };
    program.bounding = caps::set("bounding", &wanted.bounding, host.bounding)?;
    program.permitted = caps::set("permitted", &wanted.permitted, host.bounding)?;
    program.effective = caps::set("effective", &wanted.effective, program.permitted)?;
    program.inheritable = caps::set("inheritable", &wanted.inheritable, host.bounding)?;
    program.ambient = caps::set("ambient", &wanted.ambient, program.permitted & program.inheritable)?;
    Ok(())
}

fn limits(process: &spec::Process, host: &Host, warnings: &mut Vec<String>) -> Result<Vec<Limit>, Error> {
    let mut limits = Vec::new();
    for limit in &process.rlimits {
        let field = format!("process.rlimits {}", limit.kind);
        let Some((resource, name, _)) = RESOURCES.iter().find(|(_, name, _)| *name == limit.kind) else {
            return Err(Error::invalid(field, "unknown limit"));
        };
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
