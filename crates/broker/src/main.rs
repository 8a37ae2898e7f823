//! `dhow-broker`: flags → data → listeners → signal → close. Nothing else is decided here.
#![forbid(unsafe_code)]

mod control;

use anyhow::{Context as _, Result};
use clap::Parser;
use dhow_broker::{Broker, Endpoint, Settings, accept};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::{path::PathBuf, process::ExitCode, sync::Arc};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// An embedded Kafka broker
#[derive(Debug, Parser)]
#[command(name = "dhow-broker", version)]
struct Flags {
    /// Folder of all data
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Address to listen on; may be given more than once
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9092")]
    listen: Vec<String>,
    /// Listen on what lines on stdin say instead, and end when stdin ends: for `dhowd`, which starts it so
    #[arg(long, conflicts_with = "listen")]
    control: bool,
    /// What clients are told to use, instead of the address they came to
    #[arg(long, value_name = "HOST:PORT")]
    advertised: Option<Endpoint>,
    /// Partitions of a topic whose maker does not say how many
    #[arg(long, value_name = "N", default_value_t = 1)]
    partitions: u32,
    /// Make no topic because a client asks for it
    #[arg(long)]
    no_auto_create: bool,
    /// Refuse a replication factor above 1, as Kafka does
    #[arg(long)]
    strict_replication: bool,
    /// Configuration of topics that do not say otherwise; may be given more than once
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    config: Vec<(String, String)>,
    /// Number of the node
    #[arg(long, value_name = "N", default_value_t = 1)]
    node: i32,
    /// Log more
    #[arg(long)]
    debug: bool,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("{text:?} is not NAME=VALUE"))?;
    Ok((name.to_owned(), value.to_owned()))
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    let level = if flags.debug {
        tracing_subscriber::filter::LevelFilter::DEBUG
    } else {
        tracing_subscriber::filter::LevelFilter::INFO
    };
    tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).with_target(false).init();
    match start(flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Partitions and connections have a file each: as many as this process may have at all.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::warn!("cannot raise the limit of open files: {error}");
    }
}

fn start(flags: Flags) -> Result<()> {
    raise_file_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(4)
        .enable_all()
        .thread_name("broker")
        .build()
        .context("cannot start the asynchronous runtime")?;
    runtime.block_on(run(flags))
}

async fn run(flags: Flags) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    let settings = Settings {
        data: flags.data,
        node: flags.node,
        advertised: flags.advertised,
        partitions: flags.partitions.max(1),
        auto_create: !flags.no_auto_create,
        strict_replication: flags.strict_replication,
        defaults: flags.config.into_iter().collect(),
    };
    let broker = Arc::new(Broker::open(settings).context("cannot open the data")?);
    let mut tasks = Vec::new();
    let listen = if flags.control { Vec::new() } else { flags.listen };
    for address in &listen {
        let listener =
            TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
        let bound = listener.local_addr().with_context(|| format!("cannot listen on {address}"))?;
        tracing::info!(address = %bound, "listening");
        tasks.push(tokio::spawn(accept(Arc::clone(&broker), listener)));
    }
    tasks.push(tokio::spawn(Arc::clone(&broker).tidy()));
    tasks.push(tokio::spawn(Arc::clone(&broker).watch_groups()));
    tasks.push(tokio::spawn(Arc::clone(&broker).watch_transactions()));
    let ended = tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
        ended = control::follow(&broker), if flags.control => ended,
    };
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
    broker.close().context("cannot close the data")?;
    tracing::info!("closed");
    ended
}
