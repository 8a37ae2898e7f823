//! One command on a snapshot, for the builder: a container without a record.

mod ca;
mod layers;
mod stubs;

use crate::{
    Error, Kind, Result, blocking,
    containers::{self, Host, Output, Spec, limits, mounts, spec, task, user},
    error::io,
    link::{Link, Notice, Notices, Streams},
    names, networks,
    shared::Shared,
};
use bytes::Bytes;
use dhow_oci::runtime as oci;
use dhow_runtime::{Options, RootFs};
use dhow_shim::{LogConfig, Request, StdioConfig, Target};
use dhow_store::Snapshot;
use rustix::fd::{AsFd, OwnedFd};
use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::{
    io::AsyncReadExt,
    sync::{mpsc, oneshot},
};

/// A mount for one step.
#[derive(Debug, Clone)]
pub struct StepMount {
    /// Host path; `None` for tmpfs.
    pub source: Option<PathBuf>,
    /// Absolute inside; made if absent (and removed again if it stays empty).
    pub target: String,
    /// Read-only.
    pub readonly: bool,
    /// tmpfs bytes.
    pub size: Option<u64>,
}

/// The network of a step.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "docker's words")]
pub enum StepNetwork {
    #[default]
    Default,
    None,
    Host,
    /// By name or id.
    Named(String),
}

/// What to run.
#[derive(Debug, Clone)]
pub struct Step {
    /// Root file system; its upper gets the changes.
    pub snapshot: Snapshot,
    /// Command line.
    pub args: Vec<String>,
    /// `NAME=value`.
    pub env: Vec<String>,
    /// Absolute.
    pub cwd: String,
    /// `user[:group]`.
    pub user: String,
    /// Mounts.
    pub mounts: Vec<StepMount>,
    /// Network.
    pub network: StepNetwork,
    /// `name:ip`.
    pub extra_hosts: Vec<String>,
    /// Host name; empty: `buildkitsandbox`.
    pub hostname: String,
    /// Bytes; 0: 64 MiB.
    pub shm_size: i64,
    /// Limits.
    pub resources: crate::containers::Resources,
    /// `RUN --security=insecure`.
    pub privileged: bool,
}

/// The service.
#[derive(Debug)]
pub struct Steps {
    shared: Arc<Shared>,
}

impl Steps {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Runs it and returns its exit code once all output was delivered. DNS, hosts, the host's CA bundle (if the daemon has `--host-ca`) are mounted in
    /// and leave no trace in the snapshot. Dropping the future kills it and cleans up.
    pub async fn run(&self, step: Step, output: mpsc::Sender<Output>) -> Result<i32> {
        self.shared.admit()?;
        let (_alive, dropped) = oneshot::channel::<()>();
        // A task of its own: it cleans up although nobody waits any more.
        match tokio::spawn(run(self.shared.clone(), step, output, dropped)).await {
            Ok(result) => result,
            Err(failure) => Err(Error::new(Kind::Internal, format!("internal failure: {failure}"))),
        }
    }
}

/// What was made for a step, to be taken away after it.
struct Made {
    id: String,
    sandbox: Option<OwnedFd>,
    endpoints: Vec<dhow_net::Endpoint>,
    plan: Vec<u8>,
    cgroups: Vec<PathBuf>,
    stubs: stubs::Stubs,
    ca: Option<ca::Planted>,
}

async fn run(
    shared: Arc<Shared>,
    step: Step,
    output: mpsc::Sender<Output>,
    dropped: oneshot::Receiver<()>,
) -> Result<i32> {
    let snapshot = step.snapshot.clone();
    let made = {
        let shared = shared.clone();
        blocking::run(move || prepare(&shared, &step)).await?
    };
    let ended = execute(&shared, &made, output, dropped).await;
    let cleaned = blocking::run(move || clean(&shared, &snapshot, made)).await;
    let code = ended?;
    cleaned?;
    Ok(code)
}

/// Network, files, plan. Blocking; nothing is left if it fails.
fn prepare(shared: &Shared, step: &Step) -> Result<Made> {
    let id = names::id()?;
    let hostname = if step.hostname.is_empty() { "buildkitsandbox" } else { &step.hostname };
    let mut made = Made {
        id: id.clone(),
        sandbox: None,
        endpoints: Vec::new(),
        plan: Vec::new(),
        cgroups: Vec::new(),
        stubs: stubs::Stubs::default(),
        ca: None,
    };
    let result = (|| {
        network(shared, step, &mut made)?;
        let spec = wanted(step);
        let mut all = step_mounts(step);
        all.extend(files(shared, step, hostname, &made)?);
        let mut env = step.env.clone();
        if shared.config.host_ca
            && let Some(bundle) = ca::host_bundle()
        {
            made.ca = ca::plant(&step.snapshot, bundle)?;
            all.push(ca::mount(bundle));
            ca::hint(&mut env);
        }
        mounts::order(&mut all);
        let oci = specification(step, spec, env, all, hostname, &id, shared)?;
        made.stubs = stubs::before(&step.snapshot, &oci);
        let options = Options {
            rootfs: RootFs::Overlay {
                lowers: step.snapshot.lowers.clone(),
                upper: step.snapshot.upper.clone(),
                work: step.snapshot.work.clone(),
                volatile: true,
            },
            netns_passed: step.network != StepNetwork::Host,
            make_cwd: true,
            id: id.clone(),
            keyring: true,
            ..Options::default()
        };
        let plan = dhow_runtime::plan(&oci, &options, &shared.host)?;
        made.plan = plan.encode();
        made.cgroups = plan.cgroup_dirs().to_vec();
        Ok(())
    })();
    match result {
        Ok(()) => Ok(made),
        Err(failure) => {
            if let Err(more) = clean(shared, &step.snapshot, made) {
                tracing::warn!(%more, "a step that failed left something");
            }
            Err(failure)
        }
    }
}

fn network(shared: &Shared, step: &Step, made: &mut Made) -> Result<()> {
    if step.network == StepNetwork::Host {
        return Ok(());
    }
    let sandbox = shared.net.sandbox(&spec::sysctls(&Spec::default(), true).0)?;
    let name = match &step.network {
        StepNetwork::Default => Some(networks::BRIDGE),
        StepNetwork::Named(name) => Some(name.as_str()),
        StepNetwork::None | StepNetwork::Host => None,
    };
    if let Some(name) = name {
        let network = shared.networks.find(name)?;
        let attach = dhow_net::Attach {
            network: network.id.clone(),
            container: made.id.clone(),
            default_route: true,
            ..dhow_net::Attach::default()
        };
        made.endpoints.push(shared.net.attach(sandbox.as_fd(), &attach)?);
    }
    made.sandbox = Some(sandbox);
    Ok(())
}

/// The step as a container's spec, for the defaults that both share.
fn wanted(step: &Step) -> Spec {
    Spec {
        user: step.user.clone(),
        working_dir: step.cwd.clone(),
        host: Host {
            privileged: step.privileged,
            shm_size: step.shm_size,
            resources: step.resources.clone(),
            ..Host::default()
        },
        ..Spec::default()
    }
}

fn step_mounts(step: &Step) -> Vec<oci::Mount> {
    let one = |mount: &StepMount| {
        let access = if mount.readonly { "ro" } else { "rw" };
        match &mount.source {
            Some(source) => bind(source, &mounts::clean(&mount.target), access),
            None => {
                let size = mount.size.map(|n| format!(",size={n}")).unwrap_or_default();
                mounts::tmpfs(&mount.target, &format!("exec,{access}{size}"))
            }
        }
    };
    step.mounts.iter().map(one).collect()
}

fn bind(source: &Path, target: &str, access: &str) -> oci::Mount {
    oci::Mount {
        destination: target.to_owned(),
        kind: Some("bind".to_owned()),
        source: Some(source.to_string_lossy().into_owned()),
        options: ["rbind", "rprivate", access].map(str::to_owned).to_vec(),
        ..oci::Mount::default()
    }
}

/// `/etc/hosts`, `/etc/hostname`, `/etc/resolv.conf`, beside the writable layer.
fn files(shared: &Shared, step: &Step, hostname: &str, made: &Made) -> Result<Vec<oci::Mount>> {
    let mut entries = Vec::new();
    for extra in &step.extra_hosts {
        entries.push(task::extra_host(shared, extra)?);
    }
    for endpoint in &made.endpoints {
        entries.extend(endpoint.ipv4.map(|(address, _)| (address.to_string(), hostname.to_owned())));
    }
    let resolvers = shared.net.resolvers();
    let servers = if shared.config.dns.is_empty() { resolvers.servers } else { shared.config.dns.clone() };
    let resolv = match step.network {
        StepNetwork::Host => std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default(),
        StepNetwork::Named(_) => {
            let options = ["ndots:0".to_owned()];
            containers::files::resolv(&[IpAddr::from([127, 0, 0, 11])], &resolvers.search, &options)
        }
        StepNetwork::Default | StepNetwork::None => {
            containers::files::resolv(&servers, &resolvers.search, &resolvers.options)
        }
    };
    let texts = [
        ("hosts", containers::files::hosts(&entries, true)),
        ("hostname", format!("{hostname}\n")),
        ("resolv.conf", resolv),
    ];
    let mut all = Vec::new();
    for (name, text) in texts {
        let target = format!("/etc/{name}");
        if step.mounts.iter().any(|m| mounts::clean(&m.target) == target) {
            continue;
        }
        let path = step.snapshot.dir.join(name);
        containers::files::write(&path, &text)?;
        all.push(bind(&path, &target, "rw"));
    }
    Ok(all)
}

fn specification(
    step: &Step,
    mut spec: Spec,
    env: Vec<String>,
    mounts: Vec<oci::Mount>,
    hostname: &str,
    id: &str,
    shared: &Shared,
) -> Result<oci::Spec> {
    limits::check_here(&mut spec.host.resources, &shared.host)?;
    spec.env = env;
    let text = |path: &str| -> Result<String> {
        let bytes = step.snapshot.read_file(path, user::MAX_FILE)?;
        Ok(bytes.map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default())
    };
    let identity = user::resolve(&spec.user, &[], &text("/etc/passwd")?, &text("/etc/group")?)?;
    let mut join = std::collections::BTreeMap::new();
    if step.network == StepNetwork::Host {
        join.insert("network".to_owned(), String::new());
    }
    let facts = spec::Facts {
        id: id.to_owned(),
        cgroup_parent: shared.config.cgroup_parent(),
        hostname: hostname.to_owned(),
        args: step.args.clone(),
        link_env: Vec::new(),
        identity,
        mounts,
        join,
        cgroup2: shared.cgroup2,
        bounding: Vec::new(),
        kernel: containers::kernel_version(&rustix::system::uname().release().to_string_lossy()),
        devices: if step.privileged { task::host_devices() } else { Vec::new() },
        resources: task::resources(&spec.host.resources)?,
    };
    spec::build(&spec, &facts)
}

/// Runs the process and delivers its output. Kills it when nobody waits any more.
async fn execute(
    shared: &Arc<Shared>,
    made: &Made,
    output: mpsc::Sender<Output>,
    mut dropped: oneshot::Receiver<()>,
) -> Result<i32> {
    let dir = shared.shim_dir(&made.id);
    let (client, child) = {
        let (shared, dir) = (shared.clone(), dir.clone());
        let spawn = move || shared.launcher.spawn(&dir).map_err(|e| io("start a shim in", dir.display(), e));
        blocking::run(spawn).await?
    };
    let (link, mut notices) =
        Link::new(client, dir.clone(), Some(child)).map_err(|e| io("talk to", "a shim", e))?;
    let ran = tokio::select! {
        biased;
        ran = conduct(&link, &mut notices, made, output) => ran,
        _ = &mut dropped => Err(Error::new(Kind::Internal, "the build was cancelled")),
    };
    task::dismiss(&link, &mut notices, dir).await;
    ran
}

async fn conduct(
    link: &Link,
    notices: &mut Notices,
    made: &Made,
    output: mpsc::Sender<Output>,
) -> Result<i32> {
    let (near, far) = dhow_shim::attach_pair().map_err(|e| io("connect", "a build step", e))?;
    link.attach(Target::Init, far, Streams { stdin: false, stdout: true, stderr: true }).await?;
    let request = Request::Create {
        plan: made.plan.clone(),
        netns: made.sandbox.is_some(),
        stdio: StdioConfig::default(),
        log: LogConfig::None,
        outside: None,
    };
    let fds: Vec<_> = made.sandbox.iter().map(AsFd::as_fd).collect();
    let refused = |refusal: dhow_runtime::Error| {
        let message = format!("failed to run the step: {}", task::refusal_sentence(&refusal));
        let kind = if task::refusal_code(&refusal) == 128 { Kind::Internal } else { Kind::Invalid };
        Error::new(kind, message)
    };
    link.call(&request, &fds).await.map_err(refused)?;
    link.call(&Request::Go, &[]).await.map_err(refused)?;
    let delivered = deliver(containers::duplex(near)?, output);
    let ended = async {
        loop {
            match notices.next().await {
                Notice::Exited(exit) => return Ok(exit.code),
                Notice::Hello { .. } | Notice::ExecExited(..) => {}
                Notice::Gone => {
                    return Err(Error::new(Kind::Internal, "the shim of a build step was killed"));
                }
            }
        }
    };
    let (code, ()) = tokio::join!(ended, delivered);
    code
}

/// docker's frames, as they come, until the process and its output have ended.
async fn deliver(mut stream: containers::Duplex, output: mpsc::Sender<Output>) {
    let mut header = [0u8; 8];
    let mut open = true;
    while stream.read_exact(&mut header).await.is_ok() {
        let size = u32::from_be_bytes([header[4], header[5], header[6], header[7]]) as usize;
        let mut data = vec![0; size];
        if stream.read_exact(&mut data).await.is_err() {
            return;
        }
        // read on when nobody listens: the process must not stand still
        open = open && output.send(Output { stream: header[0], data: Bytes::from(data) }).await.is_ok();
    }
}

/// Takes everything away, also from the snapshot. Blocking; gathers failures.
fn clean(shared: &Shared, snapshot: &Snapshot, made: Made) -> Result<()> {
    let mut failures: Vec<String> = Vec::new();
    if !made.endpoints.is_empty()
        && let Err(errors) = shared.net.release(&made.id, &made.endpoints, &[])
    {
        failures.push(crate::error::net_errors(errors).message);
    }
    if let Err(errors) = dhow_runtime::remove_cgroups(&made.cgroups) {
        failures.extend(errors.iter().map(crate::error::runtime_sentence));
    }
    if let Some(planted) = made.ca
        && let Err(failure) = planted.remove(snapshot)
    {
        failures.push(failure.message);
    }
    if let Err(failure) = made.stubs.remove(snapshot) {
        failures.push(failure.message);
    }
    for name in ["hosts", "hostname", "resolv.conf"] {
        match std::fs::remove_file(snapshot.dir.join(name)) {
            Err(failure) if failure.kind() != std::io::ErrorKind::NotFound => {
                failures.push(failure.to_string())
            }
            _ => {}
        }
    }
    if failures.is_empty() {
        return Ok(());
    }
    Err(Error::new(Kind::Internal, format!("clean up after a build step: {}", failures.join("; "))))
}
