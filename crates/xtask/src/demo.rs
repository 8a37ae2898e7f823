//! `cargo xtask demo`: the example application on an engine of its own.

use crate::{
    dist,
    engine::Engine,
    http, install,
    shell::{self, root, say, step},
};
use anyhow::{Context as _, bail, ensure};
use serde_json::Value;
use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

const BASE: &str = "debian:bookworm-slim";

/// Runs it; with `check` drives the page, checks the figures, and takes everything down.
pub(crate) fn run(check: bool) -> anyhow::Result<()> {
    if !shell::is_root() {
        bail!("the demo runs containers, so it needs root: sudo cargo xtask demo");
    }
    install::ensure(&[install::BUILD, install::IMAGES].concat())?;
    let programs = dist::run_quietly()?;
    let mut interrupt = Interrupt::catch()?;
    // where the host has a CA of its own, build steps need it too
    let engine = step("starting a private engine", || Engine::start(&programs, &["--host-ca"]))?;
    step("getting the base image", || base_image(&engine))?;
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port().to_string();
    let file = root().join("examples/realtime-pipeline/compose.yaml");
    let file = file.to_string_lossy();
    let compose = |args: &[&str]| {
        let mut command = engine.dhow(&["compose", "-f", &file]);
        command.env("WEB_PORT", &port).args(args);
        command
    };
    step("building the images", || shell::run(&mut compose(&["build"])))?;
    step("starting the application, until all is healthy", || {
        shell::run(&mut compose(&["up", "-d", "--wait"]))
    })?;
    let address = format!("127.0.0.1:{port}");
    let outcome = if check {
        step("driving the page", || check_page(&address))
    } else {
        show(&address, &mut interrupt)
    };
    step("taking everything down", || shell::run(&mut compose(&["down", "-v"])))?;
    outcome
}

/// Prints the URL and five lines of real output, and waits for Ctrl-C.
fn show(address: &str, interrupt: &mut Interrupt) -> anyhow::Result<()> {
    say(&format!("\nThe live page: http://{address}/\n"));
    for event in http::events(address, "/events", 5)? {
        say(&event);
    }
    say("\nCtrl-C takes everything down.");
    interrupt.wait();
    Ok(())
}

/// Pulls the base image, or makes it from the distribution's packages where no registry is reachable; says which.
fn base_image(engine: &Engine) -> anyhow::Result<()> {
    match engine.ask(&["pull", "-q", BASE]) {
        Ok(_) => say(&format!("   {BASE} was pulled from its registry")),
        Err(refused) => {
            let why = refused.to_string();
            let why = why.lines().find(|line| line.contains("dhow:")).unwrap_or("no registry is reachable");
            say(&format!("   no registry ({why}): making {BASE} from the distribution's signed packages"));
            shell::run(&mut engine.dhow(&["image", "bootstrap", BASE]))?;
        }
    }
    Ok(())
}

/// The page loads, its stream moves, and its figures agree with each other.
fn check_page(address: &str) -> anyhow::Result<()> {
    let page = http::get(address, "/")?;
    ensure!(page.contains("<canvas") && page.contains("EventSource"), "the page has no live chart:\n{page}");
    let events = http::events(address, "/events", 10)?;
    let mut last = 0;
    for event in &events {
        let event: Value =
            serde_json::from_str(event).with_context(|| format!("an event that is not JSON: {event}"))?;
        let number =
            |key: &str| event[key].as_f64().with_context(|| format!("an event without {key}: {event}"));
        let (low, mean, high) = (number("min")?, number("mean")?, number("max")?);
        ensure!(low <= mean && mean <= high, "a window whose mean is outside its range: {event}");
        let count = event["processed"].as_u64().context("an event without a count")?;
        ensure!(count > last, "the count does not grow: {count} after {last}");
        last = count;
    }
    let began = Instant::now();
    let summary = loop {
        let summary: Value = serde_json::from_str(&http::get(address, "/api/summary")?)?;
        if summary["alerts"].as_array().is_some_and(|alerts| !alerts.is_empty()) {
            break summary;
        }
        ensure!(began.elapsed() < Duration::from_secs(30), "no alert within 30 s: {summary}");
        http::events(address, "/events", 1)?;
    };
    let sensors = summary["sensors"].as_object().context("a summary without sensors")?;
    let sum: u64 = sensors.values().filter_map(|sensor| sensor["count"].as_u64()).sum();
    let processed = summary["processed"].as_u64().unwrap_or(0);
    ensure!(
        sensors.len() == 3 && sum == processed,
        "three sensors' counts should add up to {processed}: {summary}"
    );
    say(&format!(
        "   {} windows, {processed} readings of {} sensors, {} alerts",
        events.len(),
        sensors.len(),
        summary["alerts"].as_array().map_or(0, Vec::len)
    ));
    Ok(())
}

/// Catches Ctrl-C and SIGTERM from now on, so that whatever happens is taken down again: the programs that run in the
/// foreground end by the signal, their step fails, and the engine is dropped.
struct Interrupt {
    runtime: tokio::runtime::Runtime,
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Interrupt {
    fn catch() -> anyhow::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (interrupt, terminate) = {
            let _entered = runtime.enter();
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
        };
        Ok(Self { runtime, interrupt, terminate })
    }

    fn wait(&mut self) {
        let (interrupt, terminate) = (&mut self.interrupt, &mut self.terminate);
        self.runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
    }
}
