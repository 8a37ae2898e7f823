//! A service.

use std::{collections::BTreeMap, path::Path};

use super::{Context, build, deploy, mounts};
use crate::{
    error::Error,
    load::dotenv,
    model::{Logging, PullPolicy, Service},
    yaml::{Cursor, Fields},
};

const KNOWN: &[&str] = &[
    "annotations",
    "attach",
    "blkio_config",
    "build",
    "cap_add",
    "cap_drop",
    "cgroup",
    "cgroup_parent",
    "command",
    "configs",
    "container_name",
    "cpu_count",
    "cpu_percent",
    "cpu_period",
    "cpu_quota",
    "cpu_rt_period",
    "cpu_rt_runtime",
    "cpu_shares",
    "cpus",
    "cpuset",
    "credential_spec",
    "depends_on",
    "deploy",
    "develop",
    "device_cgroup_rules",
    "devices",
    "dns",
    "dns_opt",
    "dns_search",
    "domainname",
    "entrypoint",
    "env_file",
    "environment",
    "expose",
    "extends",
    "external_links",
    "extra_hosts",
    "gpus",
    "group_add",
    "healthcheck",
    "hostname",
    "image",
    "init",
    "ipc",
    "isolation",
    "label_file",
    "labels",
    "links",
    "logging",
    "mac_address",
    "mem_limit",
    "mem_reservation",
    "mem_swappiness",
    "memswap_limit",
    "models",
    "network_mode",
    "networks",
    "oom_kill_disable",
    "oom_score_adj",
    "pid",
    "pids_limit",
    "platform",
    "ports",
    "post_start",
    "pre_stop",
    "privileged",
    "profiles",
    "provider",
    "pull_policy",
    "pull_refresh_after",
    "read_only",
    "restart",
    "runtime",
    "scale",
    "secrets",
    "security_opt",
    "shm_size",
    "stdin_open",
    "stop_grace_period",
    "stop_signal",
    "storage_opt",
    "sysctls",
    "tmpfs",
    "tty",
    "ulimits",
    "use_api_socket",
    "user",
    "userns_mode",
    "uts",
    "volumes",
    "volumes_from",
    "working_dir",
];

/// Known to the schema, but nothing this program does.
const UNSUPPORTED: &[(&str, &str)] = &[
    ("cpu_count", "exists on Windows only"),
    ("cpu_percent", "exists on Windows only"),
    ("credential_spec", "exists on Windows only"),
    ("isolation", "exists on Windows only"),
    ("models", "is not supported"),
    ("post_start", "is not supported"),
    ("pre_stop", "is not supported"),
    ("provider", "is not supported"),
    ("pull_refresh_after", "is not supported"),
    ("use_api_socket", "is not supported"),
];

pub(in crate::load) fn service(
    cursor: &Cursor<'_>,
    name: &str,
    context: &Context<'_>,
) -> Result<Service, Error> {
    let fields = cursor.fields(KNOWN)?;
    for (key, why) in UNSUPPORTED {
        if let Some(cursor) = fields.get(key) {
            return Err(cursor.fail(*why));
        }
    }
    let mut service = Service { name: name.to_owned(), ..Service::default() };
    process(&mut service, &fields)?;
    environment(&mut service, &fields, context)?;
    limits(&mut service, &fields)?;
    files(&mut service, &fields, context)?;
    net(&mut service, &fields)?;
    security(&mut service, &fields)?;
    service.build = fields.read("build", |c| build::build(c, context))?;
    service.deploy = fields.read("deploy", |c| deploy::deploy(c, context))?;
    service.healthcheck = fields.read("healthcheck", deploy::healthcheck)?;
    service.scale = fields.read("scale", Cursor::integer)?;
    service.profiles = fields.or_default("profiles", Cursor::strings)?;
    service.image = fields.read("image", Cursor::string)?;
    service.pull_policy = fields.read("pull_policy", pull_policy)?;
    service.platform = fields.read("platform", Cursor::string)?;
    service.container_name = fields.read("container_name", Cursor::string)?;
    service.attach = fields.read("attach", Cursor::boolean)?;
    let dependency = |(key, cursor): (&str, Cursor<'_>)| Ok((key.to_owned(), mounts::dependency(&cursor)?));
    service.depends_on =
        fields.or_default("depends_on", |c| c.entries()?.into_iter().map(dependency).collect())?;
    if service.image.is_none() && service.build.is_none() {
        return Err(cursor.fail("has neither an image nor a build context"));
    }
    if let (Some(container_name), true) = (fields.get("container_name"), service.replicas() > 1) {
        return Err(container_name
            .fail(format!("a fixed name allows one container, but {} are wanted", service.replicas())));
    }
    Ok(service)
}

fn pull_policy(cursor: &Cursor<'_>) -> Result<PullPolicy, Error> {
    match cursor.text()? {
        "always" => Ok(PullPolicy::Always),
        "never" => Ok(PullPolicy::Never),
        "missing" | "if_not_present" => Ok(PullPolicy::Missing),
        "build" => Ok(PullPolicy::Build),
        text @ ("refresh" | "daily" | "weekly") => {
            Err(cursor.fail(format!("pull policy \"{text}\" is not supported")))
        }
        text if text.starts_with("every_") => {
            Err(cursor.fail(format!("pull policy \"{text}\" is not supported")))
        }
        text => Err(cursor.fail(format!("unknown pull policy \"{text}\": always, never, missing or build"))),
    }
}

fn process(service: &mut Service, fields: &Fields<'_>) -> Result<(), Error> {
    service.command = fields.read("command", Cursor::command)?.flatten();
    service.entrypoint = fields.read("entrypoint", Cursor::command)?.flatten();
    service.working_dir = fields.read("working_dir", Cursor::string)?;
    service.user = fields.read("user", Cursor::string)?;
    service.group_add = fields.or_default("group_add", Cursor::strings)?;
    service.init = fields.read("init", Cursor::boolean)?;
    service.tty = fields.read("tty", Cursor::boolean)?;
    service.stdin_open = fields.read("stdin_open", Cursor::boolean)?;
    service.stop_signal = fields.read("stop_signal", Cursor::string)?;
    service.stop_grace_period = fields.read("stop_grace_period", Cursor::duration)?;
    service.restart = fields.read("restart", restart)?;
    service.runtime = fields.read("runtime", Cursor::string)?;
    Ok(())
}

fn restart(cursor: &Cursor<'_>) -> Result<String, Error> {
    let text = cursor.text()?;
    let good = matches!(text, "no" | "always" | "unless-stopped" | "on-failure" | "false")
        || text.strip_prefix("on-failure:").is_some_and(|count| count.parse::<u32>().is_ok());
    match good {
        true if text == "false" => Ok("no".into()),
        true => Ok(text.to_owned()),
        false => {
            Err(cursor
                .fail(format!("\"{text}\" is not no, always, unless-stopped, on-failure or on-failure:N")))
        }
    }
}

fn environment(service: &mut Service, fields: &Fields<'_>, context: &Context<'_>) -> Result<(), Error> {
    if let Some(files) = fields.get("env_file") {
        for cursor in files.list()? {
            let file = mounts::env_file(&cursor, context)?;
            match std::fs::read_to_string(&file.path) {
                Ok(text) if file.raw => {
                    service.environment.extend(dotenv::parse_raw(&text).into_iter().map(some))
                }
                Ok(text) => {
                    let env = dotenv::parse(&text, context.env)
                        .map_err(|message| cursor.fail(format!("{}: {message}", file.path)))?;
                    service.environment.extend(env.into_iter().map(some));
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound && !file.required => {}
                Err(error) => return Err(cursor.fail(format!("env file {}: {error}", file.path))),
            }
            service.env_file.push(file);
        }
    }
    for (key, value) in fields.or_default("environment", Cursor::pairs)? {
        let (key, value) = build::resolve(key, value, context);
        service.environment.insert(key, value);
    }
    if let Some(files) = fields.get("label_file") {
        for cursor in files.list()? {
            let path = context.absolute(cursor.text()?);
            let text = std::fs::read_to_string(&path)
                .map_err(|error| cursor.fail(format!("label file {path}: {error}")))?;
            let labels = dotenv::parse(&text, &BTreeMap::new())
                .map_err(|message| cursor.fail(format!("{path}: {message}")))?;
            service.labels.extend(labels);
        }
    }
    service.labels.extend(fields.or_default("labels", Cursor::labels)?);
    service.annotations = fields.or_default("annotations", Cursor::labels)?;
    Ok(())
}

fn some((key, value): (String, String)) -> (String, Option<String>) {
    (key, Some(value))
}

fn limits(service: &mut Service, fields: &Fields<'_>) -> Result<(), Error> {
    service.blkio_config = fields.read("blkio_config", deploy::blkio)?;
    for (key, target) in [
        ("cpu_period", &mut service.cpu_period),
        ("cpu_quota", &mut service.cpu_quota),
        ("cpu_rt_period", &mut service.cpu_rt_period),
        ("cpu_rt_runtime", &mut service.cpu_rt_runtime),
    ] {
        *target = fields.read(key, |c| {
            if c.text()?.parse::<i64>().is_ok() { c.integer() } else { c.duration().map(|d| d.0 / 1000) }
        })?;
    }
    for (key, target) in [
        ("mem_limit", &mut service.mem_limit),
        ("mem_reservation", &mut service.mem_reservation),
        ("memswap_limit", &mut service.memswap_limit),
        ("shm_size", &mut service.shm_size),
    ] {
        *target = fields.read(key, Cursor::bytes)?;
    }
    service.cpu_shares = fields.read("cpu_shares", Cursor::integer)?;
    service.cpus = fields.read("cpus", Cursor::number)?;
    service.cpuset = fields.read("cpuset", Cursor::string)?;
    service.mem_swappiness = fields.read("mem_swappiness", Cursor::integer)?;
    service.oom_kill_disable = fields.read("oom_kill_disable", Cursor::boolean)?;
    service.oom_score_adj = fields.read("oom_score_adj", Cursor::integer)?;
    service.pids_limit = fields.read("pids_limit", Cursor::integer)?;
    service.ulimits = fields.or_default("ulimits", deploy::ulimits)?;
    service.sysctls = fields.or_default("sysctls", Cursor::labels)?;
    service.cgroup = fields.read("cgroup", |c| c.word(&["host", "private"]))?;
    service.cgroup_parent = fields.read("cgroup_parent", Cursor::string)?;
    service.gpus = fields.or_default("gpus", deploy::device_requests)?;
    for gpu in service.gpus.iter_mut().filter(|gpu| !gpu.capabilities.iter().any(|c| c == "gpu")) {
        gpu.capabilities.push("gpu".into());
    }
    Ok(())
}

fn files(service: &mut Service, fields: &Fields<'_>, context: &Context<'_>) -> Result<(), Error> {
    service.volumes =
        fields.or_default("volumes", |c| c.list()?.iter().map(|c| mounts::mount(c, context)).collect())?;
    service.volumes_from = fields.or_default("volumes_from", Cursor::strings)?;
    service.tmpfs = fields.or_default("tmpfs", Cursor::strings)?;
    service.secrets = fields.or_default("secrets", |c| {
        c.list()?.iter().map(|c| mounts::file_mount(c, "/run/secrets/")).collect()
    })?;
    service.configs =
        fields.or_default("configs", |c| c.list()?.iter().map(|c| mounts::file_mount(c, "/")).collect())?;
    service.devices = fields.or_default("devices", |c| c.list()?.iter().map(deploy::device).collect())?;
    service.device_cgroup_rules = fields.or_default("device_cgroup_rules", Cursor::strings)?;
    service.read_only = fields.read("read_only", Cursor::boolean)?;
    service.storage_opt = fields.or_default("storage_opt", Cursor::labels)?;
    Ok(())
}

fn net(service: &mut Service, fields: &Fields<'_>) -> Result<(), Error> {
    service.ports = fields.or_default("ports", |c| c.list()?.iter().map(mounts::port).collect())?;
    service.expose = fields.or_default("expose", |c| c.list()?.iter().map(expose).collect())?;
    service.network_mode = fields.read("network_mode", Cursor::string)?;
    let attachment = |(key, cursor): (&str, Cursor<'_>)| Ok((key.to_owned(), mounts::attachment(&cursor)?));
    service.networks =
        fields.or_default("networks", |c| c.entries()?.into_iter().map(attachment).collect())?;
    if let (Some(mode), Some(_)) = (fields.get("network_mode"), fields.get("networks")) {
        return Err(mode.fail("\"network_mode\" and \"networks\" exclude each other"));
    }
    service.links = fields.or_default("links", Cursor::strings)?;
    service.external_links = fields.or_default("external_links", Cursor::strings)?;
    service.extra_hosts = fields.or_default("extra_hosts", build::hosts)?;
    service.dns = fields.or_default("dns", Cursor::strings)?;
    service.dns_opt = fields.or_default("dns_opt", Cursor::strings)?;
    service.dns_search = fields.or_default("dns_search", Cursor::strings)?;
    service.hostname = fields.read("hostname", Cursor::string)?;
    service.domainname = fields.read("domainname", Cursor::string)?;
    service.mac_address = fields.read("mac_address", Cursor::string)?;
    let logging = |cursor: &Cursor<'_>| -> Result<Logging, Error> {
        let fields = cursor.fields(&["driver", "options"])?;
        Ok(Logging {
            driver: fields.read("driver", Cursor::string)?,
            options: fields.or_default("options", Cursor::labels)?,
        })
    };
    service.logging = fields.read("logging", logging)?;
    Ok(())
}

fn expose(cursor: &Cursor<'_>) -> Result<String, Error> {
    let text = cursor.text()?;
    let (port, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let good =
        port.split('-').all(|part| part.parse::<u16>().is_ok()) && matches!(protocol, "tcp" | "udp" | "sctp");
    if !good {
        return Err(cursor.fail(format!("\"{text}\" is not a port")));
    }
    Ok(text.to_owned())
}

fn security(service: &mut Service, fields: &Fields<'_>) -> Result<(), Error> {
    service.cap_add = fields.or_default("cap_add", Cursor::strings)?;
    service.cap_drop = fields.or_default("cap_drop", Cursor::strings)?;
    service.privileged = fields.read("privileged", Cursor::boolean)?;
    service.security_opt =
        fields.or_default("security_opt", |c| c.list()?.iter().map(security_opt).collect())?;
    service.ipc = fields.read("ipc", Cursor::string)?;
    service.pid = fields.read("pid", Cursor::string)?;
    service.uts = fields.read("uts", Cursor::string)?;
    service.userns_mode = fields.read("userns_mode", Cursor::string)?;
    Ok(())
}

/// `seccomp:file.json` is read here: the engine wants the profile itself.
fn security_opt(cursor: &Cursor<'_>) -> Result<String, Error> {
    let text = cursor.text()?;
    let Some((key, value)) = text.split_once(['=', ':']) else { return Ok(text.to_owned()) };
    if key != "seccomp" || matches!(value, "unconfined" | "builtin") || value.starts_with('{') {
        return Ok(format!("{key}={value}"));
    }
    let base = cursor.node.at.file.as_ref();
    let path = Path::new(base).parent().unwrap_or(Path::new("")).join(value);
    let profile = std::fs::read_to_string(&path)
        .map_err(|error| cursor.fail(format!("seccomp profile {}: {error}", path.display())))?;
    Ok(format!("seccomp={profile}"))
}
