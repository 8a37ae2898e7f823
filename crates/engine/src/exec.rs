//! Additional processes in running containers.

use crate::{
    Error, Kind, Result, blocking,
    containers::{self, Duplex, Handle, Live, Status, inside, not_running, spec, task, user},
    error::io,
    link::Streams,
    names,
    shared::Shared,
};
use dhow_oci::runtime as oci;
use dhow_shim::{Request, StdioConfig, Target};
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{io::AsyncReadExt, sync::Notify};

/// `POST /containers/x/exec`.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs, reason = "docker's words")]
pub struct Create {
    pub attach: (bool, bool, bool),
    pub tty: bool,
    pub env: Vec<String>,
    pub cmd: Vec<String>,
    pub user: String,
    pub working_dir: String,
    pub privileged: bool,
    pub detach_keys: String,
    pub console_size: (u16, u16),
}

/// How an exec stands.
#[derive(Debug, Clone)]
pub struct View {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Its container.
    pub container: String,
    /// As wanted.
    pub create: Create,
    /// Whether it runs.
    pub running: bool,
    /// Once it has ended.
    pub exit_code: Option<i32>,
    /// Whether its program could not be executed.
    pub failed: bool,
    /// Host pid; 0 before the start.
    pub pid: i32,
}

/// Finished execs that can still be inspected.
const KEPT: usize = 1024;

/// All execs, by id.
#[derive(Debug, Default)]
pub(crate) struct Book {
    inner: Mutex<Inner>,
    /// Rung whenever one has ended or is forgotten.
    ended: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    all: HashMap<String, View>,
    finished: VecDeque<String>,
}

impl Book {
    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn find(&self, id: &str) -> Result<View> {
        let missing = || Error::new(Kind::NotFound, format!("No such exec instance: {id}"));
        self.lock().all.get(id).cloned().ok_or_else(missing)
    }

    /// Execs of a container that can be inspected.
    pub(crate) fn of(&self, container: &str) -> Vec<String> {
        let inner = self.lock();
        let mut ids: Vec<String> = inner
            .all
            .values()
            .filter(|v| v.container == container && v.exit_code.is_none())
            .map(|v| v.id.clone())
            .collect();
        ids.sort();
        ids
    }

    fn change(&self, id: &str, change: impl FnOnce(&mut View)) {
        if let Some(view) = self.lock().all.get_mut(id) {
            change(view);
        }
    }

    /// An exec has ended.
    pub(crate) fn exited(&self, id: &str, code: i32) {
        let mut inner = self.lock();
        let Some(view) = inner.all.get_mut(id) else { return };
        view.running = false;
        view.exit_code = Some(code);
        self.ended.notify_waiters();
        inner.finished.push_back(id.to_owned());
        if inner.finished.len() > KEPT
            && let Some(oldest) = inner.finished.pop_front()
        {
            inner.all.remove(&oldest);
        }
    }

    /// Its container has ended, and every process in it.
    pub(crate) fn ended(&self, container: &str) {
        let running: Vec<String> = {
            let inner = self.lock();
            inner
                .all
                .values()
                .filter(|v| v.container == container && v.running)
                .map(|v| v.id.clone())
                .collect()
        };
        for id in running {
            self.exited(&id, 137);
        }
    }

    /// Its container is gone.
    pub(crate) fn drop_of(&self, container: &str) {
        let mut inner = self.lock();
        inner.all.retain(|_, view| view.container != container);
        let Inner { all, finished } = &mut *inner;
        finished.retain(|id| all.contains_key(id));
        self.ended.notify_waiters();
    }

    /// One that an earlier daemon started and that still runs.
    pub(crate) fn adopt(&self, id: &str, container: &str, pid: i32) {
        let view = View {
            id: id.to_owned(),
            container: container.to_owned(),
            create: Create::default(),
            running: true,
            exit_code: None,
            failed: false,
            pid,
        };
        self.lock().all.insert(id.to_owned(), view);
    }
}

/// The service.
#[derive(Debug)]
pub struct Execs {
    shared: Arc<Shared>,
}

impl Execs {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// `Conflict` when the container does not run or is paused.
    pub async fn create(&self, container: &str, create: Create) -> Result<String> {
        self.shared.admit()?;
        let handle = self.shared.containers.find(container)?;
        if create.cmd.is_empty() || create.cmd[0].is_empty() {
            return Err(Error::new(Kind::Invalid, "No exec command specified"));
        }
        ready(&handle)?;
        let id = names::id()?;
        let view = View {
            id: id.clone(),
            container: handle.id.clone(),
            create,
            running: false,
            exit_code: None,
            failed: false,
            pid: 0,
        };
        emit(&self.shared, &handle, &action("exec_create", &view.create.cmd), &[("execID", &id)]);
        self.shared.execs.lock().all.insert(id.clone(), view);
        Ok(id)
    }

    /// Starts it; with streams unless detached. A program that cannot be executed: exit code 126/127 is kept, the error says docker's
    /// `OCI runtime exec failed: exec failed: …: executable file not found in $PATH: unknown`.
    pub async fn start(&self, id: &str, detach: bool, console_size: (u16, u16)) -> Result<Option<Duplex>> {
        self.shared.admit()?;
        let mut view = self.shared.execs.find(id)?;
        let handle = self.shared.containers.find(&view.container)?;
        if view.running || view.exit_code.is_some() {
            let state = if view.running { "is already running" } else { "has already run" };
            return Err(Error::new(Kind::Conflict, format!("Error: Exec command {id} {state}")));
        }
        let live = ready(&handle)?;
        if console_size.0 > 0 {
            view.create.console_size = console_size;
        }
        let create = view.create.clone();
        self.shared.execs.change(id, |v| {
            v.running = true;
            v.create = create.clone();
        });
        let started = launch(&self.shared, &handle, &live, id, &create, detach).await;
        let (pid, duplex) = match started {
            Ok(started) => started,
            Err((error, code)) => {
                self.shared.execs.change(id, |v| v.failed = true);
                self.shared.execs.exited(id, code);
                return Err(error);
            }
        };
        self.shared.execs.change(id, |v| v.pid = pid);
        Ok(duplex)
    }

    /// Ready when the exec does not run any more. Its streams may end first, by a moment or by much: who reports their end must wait
    /// for this, or the caller asks for an exit code that nobody has yet.
    pub fn ended(&self, id: &str) -> impl Future<Output = ()> + Send + 'static + use<> {
        let (shared, id) = (self.shared.clone(), id.to_owned());
        async move {
            loop {
                let rung = shared.execs.ended.notified();
                tokio::pin!(rung);
                rung.as_mut().enable();
                if !shared.execs.find(&id).is_ok_and(|view| view.running) {
                    return;
                }
                rung.await;
            }
        }
    }

    /// One exec.
    pub fn view(&self, id: &str) -> Result<View> {
        self.shared.execs.find(id)
    }

    /// Terminal size.
    pub async fn resize(&self, id: &str, rows: u16, cols: u16) -> Result<()> {
        let view = self.shared.execs.find(id)?;
        let live = self.shared.containers.find(&view.container)?.running()?;
        if !view.running {
            return Err(Error::new(Kind::Conflict, format!("exec {id} is not running")));
        }
        if view.create.tty {
            let target = Target::Exec(id.to_owned());
            live.link.call(&Request::Resize { target, rows, cols }, &[]).await?;
        }
        Ok(())
    }
}

/// docker's `exec_create: sh -c …`: program, a space, its arguments.
fn action(what: &str, command: &[String]) -> String {
    let (program, args) = command.split_first().map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
    format!("{what}: {program} {}", args.join(" "))
}

fn ready(handle: &Handle) -> Result<Arc<Live>> {
    let view = handle.view();
    match view.status {
        Status::Paused => Err(Error::new(
            Kind::Conflict,
            format!("Container {} is paused, unpause the container before exec", view.name),
        )),
        Status::Restarting => Err(Error::new(
            Kind::Conflict,
            format!("Container {} is restarting, wait until the container is running", view.id),
        )),
        _ => handle.live().ok_or_else(|| not_running(&handle.id)),
    }
}

fn emit(shared: &Shared, handle: &Handle, action: &str, extra: &[(&str, &str)]) {
    let view = handle.view();
    let mut attributes = view.spec.labels.clone();
    attributes.insert("image".to_owned(), view.spec.image.clone());
    attributes.insert("name".to_owned(), view.name.clone());
    for (key, value) in extra {
        attributes.insert((*key).to_owned(), (*value).to_owned());
    }
    shared.events.emit(crate::events::Event {
        kind: "container",
        action: action.to_owned(),
        id: handle.id.clone(),
        attributes,
        time: crate::events::Time::now(),
    });
}

/// Streams, then the process; its end is noted whoever watches.
async fn launch(
    shared: &Arc<Shared>,
    handle: &Arc<Handle>,
    live: &Arc<Live>,
    id: &str,
    create: &Create,
    detach: bool,
) -> std::result::Result<(i32, Option<Duplex>), (Error, i32)> {
    let plain = |error: Error| (error, 126);
    let plan = plan(shared, handle, live, create).await.map_err(plain)?;
    let (stdin, stdout, stderr) = if detach { (false, false, false) } else { create.attach };
    let mut duplex = None;
    if !detach {
        let (near, far) = dhow_shim::attach_pair().map_err(|e| plain(io("connect", "an exec", e)))?;
        let streams = Streams { stdin, stdout, stderr };
        let target = Target::Exec(id.to_owned());
        live.link.attach(target, far, streams).await.map_err(|e| plain(e.into()))?;
        duplex = Some(containers::duplex(near).map_err(plain)?);
    }
    let exit = live.link.exit_of(id);
    let stdio = StdioConfig { tty: create.tty, stdin, stdin_once: true, size: create.console_size };
    let request = Request::Exec { id: id.to_owned(), plan, stdio };
    let pid = match live.link.call(&request, &[]).await {
        Ok(pid) => pid,
        Err(refusal) => {
            live.link.forget(id);
            let sentence = task::refusal_sentence(&refusal);
            let ours = if live.outside { "" } else { "exec failed: unable to start container process: " };
            let message = format!("OCI runtime exec failed: {ours}{sentence}: unknown");
            let code = task::refusal_code(&refusal);
            let (kind, code) = if code == 128 { (Kind::Internal, 126) } else { (Kind::Invalid, code) };
            return Err((Error::new(kind, message), code));
        }
    };
    emit(shared, handle, &action("exec_start", &create.cmd), &[("execID", id)]);
    let (shared, handle, id) = (shared.clone(), handle.clone(), id.to_owned());
    tokio::spawn(async move {
        let code = exit.await.map_or(137, |exit| exit.code);
        shared.execs.exited(&id, code);
        emit(&shared, &handle, "exec_die", &[("execID", &id), ("exitCode", &code.to_string())]);
    });
    Ok((pid, duplex))
}

/// Compiles an exec against the container as it runs: its own `/etc/passwd`, its capabilities, its environment.
async fn plan(
    shared: &Arc<Shared>,
    handle: &Arc<Handle>,
    live: &Arc<Live>,
    create: &Create,
) -> Result<Vec<u8>> {
    let (shared, view, live, create) = (shared.clone(), handle.view(), live.clone(), create.clone());
    blocking::run(move || {
        let process = process(&view.spec, &live, &create)?;
        if live.outside {
            return crate::runtimes::json(&process);
        }
        let plan = dhow_runtime::plan_exec(&live.oci, &process, &shared.host)?;
        Ok(plan.in_keyring(&view.id)?.encode())
    })
    .await
}

fn process(container: &containers::Spec, live: &Live, create: &Create) -> Result<oci::Process> {
    let init = live.oci.process.clone().unwrap_or_default();
    let wanted = if create.user.is_empty() { &container.user } else { &create.user };
    let root = inside::root_of(live.pid)?;
    let (passwd, group) = (
        inside::read_text(&root, "/etc/passwd", user::MAX_FILE)?,
        inside::read_text(&root, "/etc/group", user::MAX_FILE)?,
    );
    let identity = user::resolve(wanted, &container.host.group_add, &passwd, &group)?;
    let caps = if create.privileged {
        let host = containers::Host { privileged: true, ..containers::Host::default() };
        spec::capabilities(&host, &[])?
    } else {
        init.capabilities.as_ref().map(|c| c.bounding.clone()).unwrap_or_default()
    };
    let mut env = container.env.clone();
    env.extend(create.env.iter().cloned());
    let hostname = init.env.iter().find_map(|e| e.strip_prefix("HOSTNAME=")).unwrap_or_default().to_owned();
    let (height, width) = create.console_size;
    Ok(oci::Process {
        terminal: create.tty,
        console_size: (create.tty && height > 0).then_some(oci::ConsoleSize { height, width }),
        user: oci::User { uid: identity.uid, gid: identity.gid, umask: None, additional_gids: identity.more },
        args: create.cmd.clone(),
        env: spec::environment(&env, &hostname, create.tty, &identity.home),
        cwd: if create.working_dir.is_empty() { init.cwd.clone() } else { create.working_dir.clone() },
        capabilities: Some(spec::capability_sets(&caps, identity.uid)),
        ..init
    })
}

/// How a health probe ended; no code when its time was over.
#[derive(Debug)]
pub(crate) struct Probed {
    pub(crate) code: Option<i32>,
    pub(crate) output: String,
}

/// Runs a command without an exec object, keeps at most `max` bytes of its output, kills it when its time is over.
pub(crate) async fn probe(
    shared: &Arc<Shared>,
    container: &str,
    live: &Arc<Live>,
    args: &[String],
    timeout: Duration,
    max: usize,
) -> Result<Probed> {
    let handle = shared.containers.find(container)?;
    let create = Create { cmd: args.to_vec(), attach: (false, true, true), ..Create::default() };
    let plan = plan(shared, &handle, live, &create).await?;
    let id = names::id()?;
    emit(shared, &handle, &action("exec_create", args), &[("execID", &id)]);
    let (near, far) = dhow_shim::attach_pair().map_err(|e| io("connect", "a health probe", e))?;
    let target = Target::Exec(id.clone());
    live.link.attach(target.clone(), far, Streams { stdin: false, stdout: true, stderr: true }).await?;
    let mut exit = live.link.exit_of(&id);
    let request = Request::Exec { id: id.clone(), plan, stdio: StdioConfig::default() };
    if let Err(refusal) = live.link.call(&request, &[]).await {
        live.link.forget(&id);
        let message = format!(
            "OCI runtime exec failed: exec failed: unable to start container process: {}: unknown",
            task::refusal_sentence(&refusal)
        );
        return Err(Error::new(Kind::Invalid, message));
    }
    emit(shared, &handle, &action("exec_start", args), &[("execID", &id)]);
    let died = |code: i32| {
        emit(shared, &handle, "exec_die", &[("execID", &id), ("exitCode", &code.to_string())]);
    };
    let output = tokio::spawn(collect(containers::duplex(near)?, max));
    let code = match tokio::time::timeout(timeout, &mut exit).await {
        Ok(Ok(exit)) => {
            died(exit.code);
            Some(exit.code)
        }
        Ok(Err(_gone)) => return Err(not_running(container)),
        Err(_elapsed) => {
            if let Err(refusal) = live.link.signal(target, 9).await {
                tracing::debug!(container, ?refusal, "a health probe ended by itself at the last moment");
            }
            if let Ok(exit) = exit.await {
                died(exit.code);
            }
            None
        }
    };
    let output = if code.is_none() {
        // A child that holds the pipe open must not hold the answer.
        output.abort();
        String::new()
    } else {
        let grace = tokio::time::timeout(Duration::from_millis(500), output).await;
        grace.ok().and_then(std::result::Result::ok).unwrap_or_default()
    };
    Ok(Probed { code, output })
}

/// Reads docker's frames and keeps their payload, up to `max` bytes; what comes after is read and dropped.
async fn collect(mut stream: Duplex, max: usize) -> String {
    let (mut kept, mut buffer) = (Vec::new(), vec![0u8; 8192]);
    let mut header = [0u8; 8];
    while stream.read_exact(&mut header).await.is_ok() {
        let mut left = u32::from_be_bytes([header[4], header[5], header[6], header[7]]) as usize;
        while left > 0 {
            let step = left.min(buffer.len());
            let Ok(n @ 1..) = stream.read(&mut buffer[..step]).await else { break };
            kept.extend_from_slice(&buffer[..n.min(max.saturating_sub(kept.len()))]);
            left -= n;
        }
    }
    String::from_utf8_lossy(&kept).into_owned()
}
