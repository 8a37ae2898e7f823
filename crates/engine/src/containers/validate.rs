//! What docker refuses at create, in its words; and what it fills in.

use super::{
    Host, Restart, Spec, limits, logging, mounts, spec,
    task::{self, Mode},
};
use crate::{Error, Kind, Result, shared::Shared};

fn invalid(message: impl Into<String>) -> Error {
    Error::new(Kind::Invalid, message)
}

/// Refuses what docker refuses, in its words.
pub(super) fn validate(shared: &Shared, wanted: &mut Spec, warnings: &mut Vec<String>) -> Result<()> {
    let command = wanted.entrypoint.iter().flatten().chain(wanted.cmd.iter().flatten()).next();
    if command.is_none_or(String::is_empty) {
        return Err(invalid("no command specified"));
    }
    if !wanted.working_dir.is_empty() && !wanted.working_dir.starts_with('/') {
        return Err(invalid(format!(
            "the working directory '{}' is invalid, it needs to be an absolute path",
            wanted.working_dir
        )));
    }
    if !wanted.working_dir.is_empty() {
        wanted.working_dir = mounts::clean(&wanted.working_dir);
    }
    if !wanted.stop_signal.is_empty() {
        super::signals::parse(&wanted.stop_signal)?;
    }
    for entry in &wanted.env {
        if entry.is_empty() || entry.starts_with('=') {
            return Err(invalid(format!("invalid environment variable: {entry}")));
        }
    }
    check_health(wanted)?;
    let host = &mut wanted.host;
    warnings.extend(limits::check_here(&mut host.resources, &shared.host)?);
    super::cpuset::verify(&host.resources)?;
    limits::rlimits(&host.ulimits)?;
    spec::security(&host.security_opt)?;
    spec::capabilities(host, &[])?;
    for rule in &host.device_cgroup_rules {
        spec::device_rule(rule)?;
    }
    warnings.extend(logging::settle(&mut host.log, &shared.config.log)?);
    check_host(host)?;
    if matches!(task::mode(&host.network_mode), Mode::Container(_)) && !wanted.hostname.is_empty() {
        return Err(invalid("conflicting options: hostname and the network mode"));
    }
    check_links(shared, host)?;
    fill_modes(host, shared.cgroup2);
    shared.config.runtimes.find(&host.runtime)?;
    if host.runtime.is_empty() {
        // What it is made for stays its own, whatever the next daemon's default is.
        host.runtime.clone_from(&shared.config.runtimes.default);
    }
    for extra in &host.extra_hosts {
        task::extra_host(shared, extra)?;
    }
    super::ports::publishes(wanted)?;
    Ok(())
}

fn check_health(wanted: &Spec) -> Result<()> {
    let Some(check) = &wanted.healthcheck else { return Ok(()) };
    let word = check.test.as_ref().and_then(|t| t.first()).map(String::as_str);
    if !matches!(word, None | Some("NONE" | "CMD" | "CMD-SHELL")) {
        return Err(invalid(format!("Unknown type {} in healthcheck", word.unwrap_or_default())));
    }
    for (what, nanos) in [
        ("Interval", check.interval),
        ("Timeout", check.timeout),
        ("StartPeriod", check.start_period),
        ("StartInterval", check.start_interval),
    ] {
        if nanos != 0 && nanos < 1_000_000 {
            return Err(invalid(format!("{what} in Healthcheck cannot be less than 1ms")));
        }
    }
    if check.retries < 0 {
        return Err(invalid("Retries in Healthcheck cannot be negative"));
    }
    Ok(())
}

fn check_host(host: &Host) -> Result<()> {
    if host.auto_remove && host.restart != Restart::No {
        return Err(invalid("can't create 'AutoRemove' container with restart policy"));
    }
    if let Restart::OnFailure { max } = host.restart
        && max < 0
    {
        return Err(invalid("invalid restart policy: maximum retry count cannot be negative"));
    }
    if !(-1000..=1000).contains(&host.oom_score_adj) {
        return Err(invalid(format!(
            "Invalid value {}, range for oom score adj is [-1000, 1000]",
            host.oom_score_adj
        )));
    }
    if host.shm_size < 0 {
        return Err(invalid("SHM size can not be less than 0"));
    }
    match task::mode(&host.network_mode) {
        Mode::Host if host.sysctls.keys().any(|k| k.starts_with("net.")) => {
            let key = host.sysctls.keys().find(|k| k.starts_with("net.")).cloned().unwrap_or_default();
            return Err(invalid(format!("sysctl '{key}' not allowed in host network namespace")));
        }
        Mode::Container(_) if !host.port_bindings.is_empty() || host.publish_all => {
            return Err(invalid("conflicting options: port publishing and the container type network mode"));
        }
        Mode::Container(_) if !host.links.is_empty() => {
            return Err(invalid(
                "conflicting options: container type network can't be used with links. This would result in undefined \
                 behavior",
            ));
        }
        Mode::Container("") => {
            return Err(invalid("invalid container format container:<name|id>"));
        }
        Mode::Host if !host.links.is_empty() => {
            return Err(invalid(
                "conflicting options: host type networking can't be used with links. This would result in undefined \
                 behavior",
            ));
        }
        _ => {}
    }
    check_modes(host)
}

/// What is meant by nothing, written down: `inspect` shows it, and a later engine means the same.
fn fill_modes(host: &mut Host, cgroup2: bool) {
    if host.cgroupns_mode.is_empty() {
        // docker: private on the unified hierarchy, the host's on version 1
        let private = cgroup2 && !host.privileged;
        host.cgroupns_mode = if private { "private" } else { "host" }.to_owned();
    }
    let outside = host.privileged || host.ipc_mode == "host" || host.pid_mode == "host";
    if host.security_opt.is_empty() && outside {
        host.security_opt.push("label=disable".to_owned());
    }
    if host.network_mode.is_empty() {
        host.network_mode = "default".to_owned();
    }
    if host.ipc_mode.is_empty() {
        host.ipc_mode = "private".to_owned();
    }
}

/// Links of the default bridge are to containers that are there.
fn check_links(shared: &Shared, host: &Host) -> Result<()> {
    if !matches!(host.network_mode.as_str(), "" | "default" | "bridge" | "none") {
        return Ok(());
    }
    for link in &host.links {
        let other = link.split(':').next().unwrap_or(link).trim_start_matches('/');
        let missing = |error: Error| error.of_input().within("could not get container for", other);
        shared.containers.find(other).map_err(missing)?;
    }
    Ok(())
}

/// Namespaces and sysctls.
fn check_modes(host: &Host) -> Result<()> {
    if !matches!(host.userns_mode.as_str(), "" | "host") {
        return Err(invalid(format!("invalid user namespace mode: {}", host.userns_mode)));
    }
    if !matches!(host.uts_mode.as_str(), "" | "host") {
        return Err(invalid(format!("invalid UTS mode: {}", host.uts_mode)));
    }
    if !matches!(host.cgroupns_mode.as_str(), "" | "host" | "private") {
        return Err(invalid(format!("invalid cgroup namespace mode: {}", host.cgroupns_mode)));
    }
    let ipc = host.ipc_mode.as_str();
    if !matches!(ipc, "" | "private" | "shareable" | "host" | "none") && !ipc.starts_with("container:") {
        return Err(invalid(format!("IPC: invalid IPC mode: {ipc}")));
    }
    let pid = host.pid_mode.as_str();
    if !matches!(pid, "" | "host") && !pid.starts_with("container:") {
        return Err(invalid(format!("invalid PID mode: {pid}")));
    }
    for key in host.sysctls.keys() {
        let allowed = key.starts_with("net.")
            || key.starts_with("fs.mqueue.")
            || matches!(
                key.as_str(),
                "kernel.msgmax"
                    | "kernel.msgmnb"
                    | "kernel.msgmni"
                    | "kernel.sem"
                    | "kernel.shmall"
                    | "kernel.shmmax"
                    | "kernel.shmmni"
                    | "kernel.shm_rmid_forced"
                    | "kernel.domainname"
            );
        if !allowed {
            return Err(invalid(format!("sysctl '{key}' is not whitelisted")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conflicting_options() {
        let host = Host { auto_remove: true, restart: Restart::Always, ..Host::default() };
        assert_eq!(
            check_host(&host).unwrap_err().message,
            "can't create 'AutoRemove' container with restart policy"
        );
        let host = Host { userns_mode: "mine".into(), ..Host::default() };
        assert!(check_host(&host).is_err());
    }
}
