//! The flags of `create` and `run`: what was typed, and the request body it becomes.

use crate::values;
use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

// Flags that `create` and `run` share.
#[derive(Debug, Clone, Args)]
#[allow(clippy::struct_excessive_bools, reason = "docker's flags are bools")]
pub(crate) struct ContainerFlags {
    /// Print usage
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// Add a custom host-to-IP mapping (host:ip)
    #[arg(long)]
    add_host: Vec<String>,
    /// Add an annotation to the container (passed through to the OCI runtime)
    #[arg(long)]
    annotation: Vec<String>,
    /// Attach to STDIN, STDOUT or STDERR
    #[arg(short, long)]
    pub(crate) attach: Vec<String>,
    /// Block IO (relative weight), between 10 and 1000, or 0 to disable
    #[arg(long, default_value_t = 0)]
    blkio_weight: u16,
    /// Add Linux capabilities
    #[arg(long)]
    cap_add: Vec<String>,
    /// Drop Linux capabilities
    #[arg(long)]
    cap_drop: Vec<String>,
    /// Optional parent cgroup for the container
    #[arg(long)]
    cgroup_parent: Option<String>,
    /// Cgroup namespace to use (host|private)
    #[arg(long)]
    cgroupns: Option<String>,
    /// Write the container ID to the file
    #[arg(long)]
    pub(crate) cidfile: Option<std::path::PathBuf>,
    /// Limit CPU CFS (Completely Fair Scheduler) period
    #[arg(long)]
    cpu_period: Option<i64>,
    /// Limit CPU CFS (Completely Fair Scheduler) quota
    #[arg(long)]
    cpu_quota: Option<i64>,
    /// CPU shares (relative weight)
    #[arg(short, long)]
    cpu_shares: Option<i64>,
    /// Number of CPUs
    #[arg(long)]
    cpus: Option<String>,
    /// CPUs in which to allow execution (0-3, 0,1)
    #[arg(long)]
    cpuset_cpus: Option<String>,
    /// MEMs in which to allow execution (0-3, 0,1)
    #[arg(long)]
    cpuset_mems: Option<String>,
    /// Add a host device to the container
    #[arg(long)]
    device: Vec<String>,
    /// Add a rule to the cgroup allowed devices list
    #[arg(long)]
    device_cgroup_rule: Vec<String>,
    /// Set custom DNS servers
    #[arg(long)]
    dns: Vec<String>,
    /// Set DNS options
    #[arg(long, alias = "dns-opt")]
    dns_option: Vec<String>,
    /// Set custom DNS search domains
    #[arg(long)]
    dns_search: Vec<String>,
    /// Container NIS domain name
    #[arg(long)]
    domainname: Option<String>,
    /// Overwrite the default ENTRYPOINT of the image
    #[arg(long)]
    entrypoint: Option<String>,
    /// Set environment variables
    #[arg(short, long)]
    env: Vec<String>,
    /// Read in a file of environment variables
    #[arg(long)]
    env_file: Vec<std::path::PathBuf>,
    /// Expose a port or a range of ports
    #[arg(long)]
    expose: Vec<String>,
    /// Add additional groups to join
    #[arg(long)]
    group_add: Vec<String>,
    /// Command to run to check health
    #[arg(long)]
    health_cmd: Option<String>,
    /// Time between running the check (ms|s|m|h)
    #[arg(long)]
    health_interval: Option<String>,
    /// Consecutive failures needed to report unhealthy
    #[arg(long)]
    health_retries: Option<i64>,
    /// Time between running the check during the start period (ms|s|m|h)
    #[arg(long)]
    health_start_interval: Option<String>,
    /// Start period for the container to initialize before starting health-retries countdown (ms|s|m|h)
    #[arg(long)]
    health_start_period: Option<String>,
    /// Maximum time to allow one check to run (ms|s|m|h)
    #[arg(long)]
    health_timeout: Option<String>,
    /// Container host name
    #[arg(short = 'h', long)]
    hostname: Option<String>,
    /// Run an init inside the container that forwards signals and reaps processes
    #[arg(long)]
    init: bool,
    /// Keep STDIN open even if not attached
    #[arg(short, long)]
    pub(crate) interactive: bool,
    /// IPv4 address (e.g., 172.30.100.104)
    #[arg(long)]
    ip: Option<String>,
    /// IPv6 address (e.g., 2001:db8::33)
    #[arg(long)]
    ip6: Option<String>,
    /// IPC mode to use
    #[arg(long)]
    ipc: Option<String>,
    /// Set meta data on a container
    #[arg(short, long)]
    label: Vec<String>,
    /// Read in a line delimited file of labels
    #[arg(long)]
    label_file: Vec<std::path::PathBuf>,
    /// Add link to another container
    #[arg(long)]
    link: Vec<String>,
    /// Logging driver for the container
    #[arg(long)]
    log_driver: Option<String>,
    /// Log driver options
    #[arg(long)]
    log_opt: Vec<String>,
    /// Container MAC address (e.g., 92:d0:c6:0a:29:33)
    #[arg(long)]
    mac_address: Option<String>,
    /// Memory limit
    #[arg(short, long)]
    memory: Option<String>,
    /// Memory soft limit
    #[arg(long)]
    memory_reservation: Option<String>,
    /// Swap limit equal to memory plus swap: '-1' to enable unlimited swap
    #[arg(long)]
    memory_swap: Option<String>,
    /// Tune container memory swappiness (0 to 100)
    #[arg(long)]
    memory_swappiness: Option<i64>,
    /// Attach a filesystem mount to the container
    #[arg(long)]
    mount: Vec<String>,
    /// Assign a name to the container
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Connect a container to a network
    #[arg(long, alias = "net")]
    network: Vec<String>,
    /// Add network-scoped alias for the container
    #[arg(long, alias = "net-alias")]
    network_alias: Vec<String>,
    /// Disable any container-specified HEALTHCHECK
    #[arg(long)]
    no_healthcheck: bool,
    /// Disable OOM Killer
    #[arg(long)]
    oom_kill_disable: bool,
    /// Tune host's OOM preferences (-1000 to 1000)
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    oom_score_adj: i32,
    /// PID namespace to use
    #[arg(long)]
    pid: Option<String>,
    /// Tune container pids limit (set -1 for unlimited)
    #[arg(long, allow_negative_numbers = true)]
    pids_limit: Option<i64>,
    /// Set platform if server is multi-platform capable
    #[arg(long)]
    pub(crate) platform: Option<String>,
    /// Give extended privileges to this container
    #[arg(long)]
    privileged: bool,
    /// Publish a container's port(s) to the host
    #[arg(short, long)]
    publish: Vec<String>,
    /// Publish all exposed ports to random ports
    #[arg(short = 'P', long)]
    publish_all: bool,
    /// Pull image before creating ("always", "missing", "never")
    #[arg(long, default_value = "missing", value_parser = ["always", "missing", "never"])]
    pub(crate) pull: String,
    /// Suppress the pull output
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Mount the container's root filesystem as read only
    #[arg(long)]
    read_only: bool,
    /// Restart policy to apply when a container exits
    #[arg(long)]
    restart: Option<String>,
    /// Automatically remove the container and its associated anonymous volumes when it exits
    #[arg(long)]
    pub(crate) rm: bool,
    /// Runtime to use for this container
    #[arg(long)]
    runtime: Option<String>,
    /// Security Options
    #[arg(long)]
    security_opt: Vec<String>,
    /// Size of /dev/shm
    #[arg(long)]
    shm_size: Option<String>,
    /// Signal to stop the container
    #[arg(long)]
    stop_signal: Option<String>,
    /// Timeout (in seconds) to stop a container
    #[arg(long, allow_negative_numbers = true)]
    stop_timeout: Option<i64>,
    /// Storage driver options for the container
    #[arg(long)]
    storage_opt: Vec<String>,
    /// Sysctl options
    #[arg(long)]
    sysctl: Vec<String>,
    /// Mount a tmpfs directory
    #[arg(long)]
    tmpfs: Vec<String>,
    /// Allocate a pseudo-TTY
    #[arg(short, long)]
    pub(crate) tty: bool,
    /// Ulimit options
    #[arg(long)]
    ulimit: Vec<String>,
    /// Username or UID (format: <name|uid>[:<group|gid>])
    #[arg(short, long)]
    user: Option<String>,
    /// User namespace to use
    #[arg(long)]
    userns: Option<String>,
    /// UTS namespace to use
    #[arg(long)]
    uts: Option<String>,
    /// Bind mount a volume
    #[arg(short, long)]
    volume: Vec<String>,
    /// Mount volumes from the specified container(s)
    #[arg(long)]
    volumes_from: Vec<String>,
    /// Working directory inside the container
    #[arg(short, long)]
    workdir: Option<String>,
    /// Image, then the command and its arguments
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "IMAGE [COMMAND] [ARG...]"
    )]
    pub(crate) image_and_command: Vec<String>,
}

/// Which of our streams are attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Streams {
    pub(crate) stdin: bool,
    pub(crate) stdout: bool,
    pub(crate) stderr: bool,
}

impl ContainerFlags {
    pub(crate) fn image(&self) -> &str {
        self.image_and_command.first().map_or("", String::as_str)
    }

    /// Without `-a`: stdin if interactive, and both outputs; with `-d`: none.
    pub(crate) fn streams(&self, detach: bool) -> anyhow::Result<Streams> {
        if self.attach.is_empty() {
            return Ok(Streams { stdin: self.interactive && !detach, stdout: !detach, stderr: !detach });
        }
        if detach {
            bail!("conflicting options: cannot specify both --attach and --detach");
        }
        let mut streams = Streams::default();
        for name in &self.attach {
            match name.to_lowercase().as_str() {
                "stdin" => streams.stdin = true,
                "stdout" => streams.stdout = true,
                "stderr" => streams.stderr = true,
                _ => bail!(
                    "invalid argument {name:?} for \"-a, --attach\": valid streams are STDIN, STDOUT and STDERR"
                ),
            }
        }
        Ok(streams)
    }

    /// The body of `POST /containers/create`.
    pub(crate) fn body(&self, detach: bool) -> anyhow::Result<Value> {
        let streams = self.streams(detach)?;
        let mut body = Map::new();
        let mut set = |key: &str, value: Value| body.insert(key.to_owned(), value);
        set("Image", json!(self.image()));
        set(
            "Cmd",
            match self.image_and_command.get(1..) {
                Some(command) if !command.is_empty() => json!(command),
                _ => Value::Null,
            },
        );
        set(
            "Entrypoint",
            match self.entrypoint.as_deref() {
                None => Value::Null,
                Some("") => json!([""]),
                Some(program) => json!([program]),
            },
        );
        set("Hostname", json!(self.hostname.clone().unwrap_or_default()));
        set("Domainname", json!(self.domainname.clone().unwrap_or_default()));
        set("User", json!(self.user.clone().unwrap_or_default()));
        set("AttachStdin", json!(streams.stdin));
        set("AttachStdout", json!(streams.stdout));
        set("AttachStderr", json!(streams.stderr));
        set("Tty", json!(self.tty));
        set("OpenStdin", json!(self.interactive));
        set("StdinOnce", json!(self.interactive && !detach));
        set("Env", json!(values::environment(&self.env_file, &self.env)?));
        set("Labels", json!(values::labels(&self.label_file, &self.label)?));
        set("WorkingDir", json!(self.workdir.clone().unwrap_or_default()));
        let (exposed, bindings) = values::ports(&self.publish, &self.expose)?;
        set("ExposedPorts", exposed);
        set(
            "Volumes",
            json!(
                values::anonymous_volumes(&self.volume).map(|path| (path, json!({}))).collect::<Map<_, _>>()
            ),
        );
        if let Some(signal) = &self.stop_signal {
            set("StopSignal", json!(signal));
        }
        if let Some(seconds) = self.stop_timeout {
            set("StopTimeout", json!(seconds));
        }
        if let Some(health) = self.health()? {
            set("Healthcheck", health);
        }
        set("HostConfig", self.host(bindings)?);
        set("NetworkingConfig", json!({ "EndpointsConfig": self.endpoints()? }));
        Ok(Value::Object(body))
    }

    fn health(&self) -> anyhow::Result<Option<Value>> {
        let timing = [
            &self.health_interval,
            &self.health_timeout,
            &self.health_start_period,
            &self.health_start_interval,
        ];
        let any = self.health_cmd.is_some()
            || self.health_retries.is_some()
            || timing.iter().any(|flag| flag.is_some());
        if self.no_healthcheck {
            if any {
                bail!("--no-healthcheck conflicts with --health-* options");
            }
            return Ok(Some(json!({ "Test": ["NONE"] })));
        }
        if !any {
            return Ok(None);
        }
        let [interval, timeout, period, start] =
            timing.map(|flag| flag.as_deref().map_or(Ok(0), dhow_wire::duration::parse));
        let test = self.health_cmd.as_ref().map(|command| json!(["CMD-SHELL", command]));
        Ok(Some(json!({
            "Test": test,
            "Interval": interval.context("--health-interval")?,
            "Timeout": timeout.context("--health-timeout")?,
            "StartPeriod": period.context("--health-start-period")?,
            "StartInterval": start.context("--health-start-interval")?,
            "Retries": self.health_retries.unwrap_or(0),
        })))
    }

    fn mode_network(&self) -> anyhow::Result<&str> {
        let first = self.network.first().map_or("default", String::as_str);
        Ok(match first.split_once('=') {
            Some(_) => values::csv(first)
                .iter()
                .find(|(key, _)| *key == "name")
                .map(|(_, name)| *name)
                .context("--network: the name is missing")?,
            None => first,
        })
    }

    fn endpoints(&self) -> anyhow::Result<Value> {
        let mut endpoints = Map::new();
        for (number, network) in self.network.iter().enumerate() {
            let mut endpoint = Map::new();
            let (mut aliases, mut ipam) = (Vec::new(), Map::new());
            let mut name = network.as_str();
            if network.contains('=') {
                for (key, value) in values::csv(network) {
                    match key {
                        "name" => name = value,
                        "alias" => aliases.push(value.to_owned()),
                        "ip" => drop(ipam.insert("IPv4Address".into(), json!(value))),
                        "ip6" => drop(ipam.insert("IPv6Address".into(), json!(value))),
                        "mac-address" => drop(endpoint.insert("MacAddress".into(), json!(value))),
                        "gw-priority" => drop(endpoint.insert(
                            "GwPriority".into(),
                            json!(value.parse::<i64>().context("gw-priority")?),
                        )),
                        other => bail!("invalid field value for --network: {other:?}"),
                    }
                }
            }
            if number == 0 {
                aliases.extend(self.network_alias.iter().cloned());
                if let Some(address) = &self.ip {
                    ipam.insert("IPv4Address".into(), json!(address));
                }
                if let Some(address) = &self.ip6 {
                    ipam.insert("IPv6Address".into(), json!(address));
                }
                if let Some(mac) = &self.mac_address {
                    endpoint.insert("MacAddress".into(), json!(mac));
                }
                if name.starts_with("container:")
                    || (aliases.is_empty()
                        && ipam.is_empty()
                        && endpoint.is_empty()
                        && matches!(name, "default" | "bridge" | "host" | "none"))
                {
                    continue;
                }
            }
            if !aliases.is_empty() {
                endpoint.insert("Aliases".into(), json!(aliases));
            }
            if !ipam.is_empty() {
                endpoint.insert("IPAMConfig".into(), Value::Object(ipam));
            }
            endpoints.insert(name.to_owned(), Value::Object(endpoint));
        }
        Ok(Value::Object(endpoints))
    }

    fn host(&self, bindings: Value) -> anyhow::Result<Value> {
        let pairs = |items: &[String], flag: &str| -> anyhow::Result<BTreeMap<String, String>> {
            items
                .iter()
                .map(|item| {
                    item.split_once('=')
                        .map(|(k, v)| (k.to_owned(), v.to_owned()))
                        .with_context(|| format!("{flag}: {item:?} is not key=value"))
                })
                .collect()
        };
        let mut host = json!({
            "Binds": self.volume.iter().filter(|spec| spec.contains(':')).map(|spec| values::bind(spec)).collect::<anyhow::Result<Vec<_>>>()?,
            "Mounts": self.mount.iter().map(|spec| values::mount(spec)).collect::<anyhow::Result<Vec<_>>>()?,
            "Tmpfs": self.tmpfs.iter().map(|spec| { let (path, options) = spec.split_once(':').unwrap_or((spec, "")); (path.to_owned(), json!(options)) }).collect::<Map<_, _>>(),
            "VolumesFrom": self.volumes_from,
            "ContainerIDFile": self.cidfile.as_ref().map(|path| path.display().to_string()).unwrap_or_default(),
            "NetworkMode": self.mode_network()?,
            "PortBindings": bindings,
            "PublishAllPorts": self.publish_all,
            "RestartPolicy": values::restart(self.restart.as_deref().unwrap_or("no"))?,
            "AutoRemove": self.rm,
            "Privileged": self.privileged,
            "ReadonlyRootfs": self.read_only,
            "CapAdd": self.cap_add, "CapDrop": self.cap_drop,
            "SecurityOpt": self.security_opt.iter().map(|option| values::security_option(option)).collect::<anyhow::Result<Vec<_>>>()?,
            "Dns": self.dns, "DnsOptions": self.dns_option, "DnsSearch": self.dns_search,
            "ExtraHosts": self.add_host.iter().map(|entry| values::extra_host(entry)).collect::<anyhow::Result<Vec<_>>>()?,
            "Links": self.link, "GroupAdd": self.group_add,
            "Sysctls": pairs(&self.sysctl, "--sysctl")?,
            "StorageOpt": pairs(&self.storage_opt, "--storage-opt")?,
            "Annotations": pairs(&self.annotation, "--annotation")?,
            "Ulimits": self.ulimit.iter().map(|spec| values::ulimit(spec)).collect::<anyhow::Result<Vec<_>>>()?,
            "IpcMode": self.ipc.clone().unwrap_or_default(), "PidMode": self.pid.clone().unwrap_or_default(),
            "UTSMode": self.uts.clone().unwrap_or_default(), "UsernsMode": self.userns.clone().unwrap_or_default(),
            "CgroupnsMode": self.cgroupns.clone().unwrap_or_default(), "CgroupParent": self.cgroup_parent.clone().unwrap_or_default(),
            "ShmSize": bytes(&self.shm_size, "--shm-size")?,
            "Devices": self.device.iter().map(|spec| values::device(spec)).collect::<anyhow::Result<Vec<_>>>()?,
            "DeviceCgroupRules": self.device_cgroup_rule,
            "LogConfig": { "Type": self.log_driver.clone().unwrap_or_default(), "Config": pairs(&self.log_opt, "--log-opt")? },
            "OomScoreAdj": self.oom_score_adj,
            "BlkioWeight": self.blkio_weight,
            "Runtime": self.runtime.clone().unwrap_or_default(),
        });
        if let (Value::Object(map), Value::Object(limits)) = (&mut host, self.limits()?) {
            map.extend(limits);
            if self.init {
                map.insert("Init".into(), json!(true));
            }
            if self.oom_kill_disable {
                map.insert("OomKillDisable".into(), json!(true));
            }
            if let Some(swappiness) = self.memory_swappiness {
                map.insert("MemorySwappiness".into(), json!(swappiness));
            }
            if let (true, Some((rows, cols))) = (self.tty, crate::terminal::size()) {
                map.insert("ConsoleSize".into(), json!([rows, cols]));
            }
        }
        Ok(host)
    }

    fn limits(&self) -> anyhow::Result<Value> {
        Ok(json!({
            "Memory": bytes(&self.memory, "--memory")?,
            "MemoryReservation": bytes(&self.memory_reservation, "--memory-reservation")?,
            "MemorySwap": match self.memory_swap.as_deref() { Some("-1") => -1, _ => bytes(&self.memory_swap, "--memory-swap")? },
            "NanoCpus": self.cpus.as_deref().map_or(Ok(0), values::nano_cpus)?,
            "CpuShares": self.cpu_shares.unwrap_or(0), "CpuPeriod": self.cpu_period.unwrap_or(0), "CpuQuota": self.cpu_quota.unwrap_or(0),
            "CpusetCpus": self.cpuset_cpus.clone().unwrap_or_default(), "CpusetMems": self.cpuset_mems.clone().unwrap_or_default(),
            "PidsLimit": self.pids_limit.unwrap_or(0),
        }))
    }
}

/// A size flag; 0 where it is not given.
fn bytes(flag: &Option<String>, name: &str) -> anyhow::Result<i64> {
    flag.as_deref().map_or(Ok(0), |text| {
        dhow_wire::size::ram(text).with_context(|| format!("invalid argument {text:?} for {name}"))
    })
}

// Limits of a build's steps.
#[derive(Debug, Clone, Args)]
pub(crate) struct ContainerLimits {
    /// Memory limit
    #[arg(short, long)]
    memory: Option<String>,
    /// Swap limit equal to memory plus swap: -1 to enable unlimited swap
    #[arg(long)]
    memory_swap: Option<String>,
    /// CPU shares (relative weight)
    #[arg(short, long)]
    cpu_shares: Option<i64>,
    /// Limit the CPU CFS (Completely Fair Scheduler) period
    #[arg(long)]
    cpu_period: Option<i64>,
    /// Limit the CPU CFS (Completely Fair Scheduler) quota
    #[arg(long)]
    cpu_quota: Option<i64>,
    /// CPUs in which to allow execution (0-3, 0,1)
    #[arg(long)]
    cpuset_cpus: Option<String>,
    /// MEMs in which to allow execution (0-3, 0,1)
    #[arg(long)]
    cpuset_mems: Option<String>,
}

impl ContainerLimits {
    /// As parameters of `POST /build`.
    pub(crate) fn parameters(&self) -> anyhow::Result<Vec<(&'static str, String)>> {
        let mut pairs = vec![
            ("memory", bytes(&self.memory, "--memory")?.to_string()),
            (
                "memswap",
                if self.memory_swap.as_deref() == Some("-1") {
                    "-1".to_owned()
                } else {
                    bytes(&self.memory_swap, "--memory-swap")?.to_string()
                },
            ),
        ];
        for (key, flag) in
            [("cpushares", self.cpu_shares), ("cpuperiod", self.cpu_period), ("cpuquota", self.cpu_quota)]
        {
            pairs.extend(flag.map(|value| (key, value.to_string())));
        }
        for (key, flag) in [("cpusetcpus", &self.cpuset_cpus), ("cpusetmems", &self.cpuset_mems)] {
            pairs.extend(flag.clone().map(|value| (key, value)));
        }
        Ok(pairs)
    }
}
