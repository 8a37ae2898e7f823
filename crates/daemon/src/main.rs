//! `dhowd`: flags → configuration → engine → sockets → signal → drain. Nothing else is decided here.
#![forbid(unsafe_code)]

mod activation;
mod config;
mod file;
mod notify;
mod sockets;

use anyhow::{Context, Result, bail};
use clap::Parser;
use config::Flags;
use dhow_api::Server;
use dhow_build::Builder;
use dhow_engine::Engine;
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::filter::LevelFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn main() -> ExitCode {
    let flags = Flags::parse();
    match start(flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(flags: Flags) -> Result<()> {
    let flags = match file::merge(flags) {
        Ok(flags) => flags,
        Err(error) => {
            log_to_stderr(false);
            return Err(error);
        }
    };
    log_to_stderr(flags.debug);
    if !rustix::process::geteuid().is_root() {
        bail!("dhowd must run as root: it makes namespaces, mounts, networks and cgroups");
    }
    // As dockerd: what is made with a mode gets it.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("dhowd")
        // Walks of folders are as deep as a path can be; of this only what is touched is memory.
        .thread_stack_size(16 << 20)
        .build()
        .context("cannot start the asynchronous runtime")?;
    runtime.block_on(run(flags))
}

fn log_to_stderr(debug: bool) {
    let level = if debug { LevelFilter::DEBUG } else { LevelFilter::INFO };
    tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).with_target(debug).init();
}

async fn run(flags: Flags) -> Result<()> {
    // Before anything is opened: a signal in between must still drain.
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    let _pidfile = flags.pidfile.as_deref().map(PidFile::write).transpose()?;
    let (hosts, security) = (flags.hosts(), flags.security()?);
    // Before anything else is opened: the numbers of the descriptors are all that names them.
    let inherited = dhow_sys::inherited::take().context("cannot take the sockets that systemd passed")?;
    let cleanup = flags.cleanup;
    let config = flags.engine(shim()?)?;
    tracing::info!(version = VERSION, data_root = %config.data_root.display(), "opening the engine");
    let engine = Engine::open(config).await.context("cannot open the engine")?;
    let builder = Builder::new(engine.clone()).context("cannot open the builder")?;
    let server = Server::new(engine.clone(), builder, VERSION);
    let sockets = match sockets::bind(&hosts, inherited, &security).await {
        Ok(sockets) => sockets,
        Err(error) => {
            engine.drain().await;
            if cleanup {
                clean_up(&engine).await?;
            }
            return Err(error);
        }
    };
    for (name, listener) in sockets.listeners {
        tracing::info!(socket = name, "API listens");
        let server = server.clone();
        tokio::spawn(async move { server.serve(listener).await });
    }
    notify::say("READY=1");
    let name = tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    };
    tracing::info!(signal = name, "draining; containers keep running");
    notify::say("STOPPING=1");
    tokio::select! {
        () = server.drain() => {}
        _ = terminate.recv() => tracing::warn!("second signal: not waiting for running requests"),
        _ = interrupt.recv() => tracing::warn!("second signal: not waiting for running requests"),
    }
    engine.drain().await;
    sockets::remove(&sockets.paths);
    if cleanup { clean_up(&engine).await } else { Ok(()) }
}

/// `--cleanup`: takes the network away, unless somebody needs it.
async fn clean_up(engine: &Engine) -> Result<()> {
    let (_, running, paused, _) = engine.system().info().await?.containers;
    if running + paused > 0 {
        tracing::warn!(containers = running + paused, "containers run: their network stays");
        return Ok(());
    }
    engine.destroy_network().await.context("cannot take the network of this instance away")
}

/// `dhow-shim` lies beside `dhowd`.
fn shim() -> Result<PathBuf> {
    let own = std::env::current_exe().context("cannot tell where dhowd lies")?;
    let shim = own.with_file_name("dhow-shim");
    if !shim.is_file() {
        bail!("{} is missing: dhow-shim must lie beside dhowd", shim.display());
    }
    Ok(shim)
}

/// The file with our process id, gone when we go.
struct PidFile(PathBuf);

impl PidFile {
    fn write(path: &Path) -> Result<Self> {
        if let Ok(text) = std::fs::read_to_string(path)
            && let Ok(pid) = text.trim().parse::<u32>()
            && pid != std::process::id()
            && std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "dhowd")
        {
            bail!("{} says that dhowd runs already, as process {pid}", path.display());
        }
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        std::fs::write(path, format!("{}\n", std::process::id()))
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::warn!(%error, path = %self.0.display(), "cannot remove the pid file");
        }
    }
}
