//! Runs a plan: as many steps at once as its order allows. Decides nothing.

mod body;
mod files;
mod host;
mod images;
mod steps;
mod wait;

use std::collections::BTreeMap;

use bollard::Docker;
use futures_util::{
    FutureExt, StreamExt,
    future::{BoxFuture, LocalBoxFuture},
    stream::FuturesUnordered,
};
use tokio::sync::{mpsc, watch};

pub use body::{Extras, body};
pub use images::pull;
pub(crate) use steps::container;
pub use wait::logs_of_failed;

use crate::{
    error::Error,
    model::Project,
    plan::{Action, Plan},
    report::{Event, Phase, Reporter},
};

/// Where a plan is run.
#[derive(Debug)]
pub struct Session<'a> {
    /// The engine.
    pub docker: &'a Docker,
    /// The project's name.
    pub name: &'a str,
    /// The project, where steps make containers.
    pub project: Option<&'a Project>,
    /// Image name → id.
    pub images: &'a BTreeMap<String, String>,
    /// Who is told.
    pub reporter: &'a dyn Reporter,
    /// Turns true when the user has had enough.
    pub stop: watch::Receiver<bool>,
    /// Told of each container that has been started.
    pub started: Option<mpsc::UnboundedSender<Started>>,
    /// For builds that steps ask for.
    pub build: crate::build::BuildOptions,
}

/// A container has been started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// Its service.
    pub service: String,
    /// Its name.
    pub name: String,
    /// When it had written its last line before this start.
    pub last: Option<jiff::Timestamp>,
}

/// Runs all steps. On a failure no new step begins, those under way are finished, and the first error is returned; the
/// others are reported.
///
/// # Errors
/// The first step's that failed, or [`Error::Interrupted`].
pub async fn run(session: &Session<'_>, plan: &Plan) -> Result<(), Error> {
    for warning in &plan.warnings {
        session.reporter.warn(warning);
    }
    for (name, up) in &plan.unchanged {
        if *up {
            session.reporter.event(event(format!("Container {name}"), "Running", Phase::Done));
        }
    }
    let result = Runner::new(session, plan).run().await;
    session.reporter.finish();
    result
}

struct Runner<'a> {
    session: &'a Session<'a>,
    plan: &'a Plan,
    open: Vec<usize>,
    failure: Option<Error>,
}

type Running<'a> = FuturesUnordered<LocalBoxFuture<'a, (usize, Result<(), Error>)>>;

impl<'a> Runner<'a> {
    fn new(session: &'a Session<'a>, plan: &'a Plan) -> Self {
        let open = plan.steps.iter().map(|step| step.after.len()).collect();
        Self { session, plan, open, failure: None }
    }

    async fn run(mut self) -> Result<(), Error> {
        let mut actions: Running<'a> = FuturesUnordered::new();
        // Waits only look: they are dropped when something fails, actions are not.
        let mut waits: Running<'a> = FuturesUnordered::new();
        for i in 0..self.plan.steps.len() {
            self.launch(i, &mut actions, &mut waits);
        }
        let mut stop = self.session.stop.clone();
        let mut ticks = tokio::time::interval(crate::report::FRAME);
        loop {
            if self.failure.is_some() {
                waits.clear();
            }
            if actions.is_empty() && waits.is_empty() {
                return self.failure.map_or(Ok(()), Err);
            }
            tokio::select! {
                Some((i, result)) = actions.next() => self.finished(i, result, &mut actions, &mut waits),
                Some((i, result)) = waits.next() => self.finished(i, result, &mut actions, &mut waits),
                _ = ticks.tick(), if self.session.reporter.wants_ticks() => self.session.reporter.tick(),
                () = stopped(&mut stop), if self.failure.is_none() => self.failure = Some(Error::Interrupted),
            }
        }
    }

    fn launch(&self, i: usize, actions: &mut Running<'a>, waits: &mut Running<'a>) {
        if self.open[i] > 0 || self.failure.is_some() {
            return;
        }
        let (session, action) = (self.session, &self.plan.steps[i].action);
        let future = async move { (i, steps::step(session, action).await) }.boxed_local();
        match action {
            Action::Wait { .. } | Action::WaitReady { .. } => waits.push(future),
            _ => actions.push(future),
        }
    }

    fn finished(
        &mut self,
        i: usize,
        result: Result<(), Error>,
        actions: &mut Running<'a>,
        waits: &mut Running<'a>,
    ) {
        if let Err(error) = result {
            match &self.failure {
                None => self.failure = Some(error),
                Some(_) => self.session.reporter.warn(&error.to_string()),
            }
            return;
        }
        for (next, step) in self.plan.steps.iter().enumerate() {
            if step.after.contains(&i) {
                self.open[next] -= 1;
                self.launch(next, actions, waits);
            }
        }
    }
}

/// Returns when the user wants to stop; never, when nobody can say so any more.
pub(crate) fn stopped(stop: &mut watch::Receiver<bool>) -> BoxFuture<'_, ()> {
    async move {
        if stop.wait_for(|stop| *stop).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
    .boxed()
}

pub(crate) fn event(resource: String, status: &str, phase: Phase) -> Event {
    Event { resource, status: status.to_owned(), phase, detail: String::new() }
}

/// Tells a plan as if it were run.
pub fn rehearse(plan: &Plan, reporter: &dyn Reporter) {
    for warning in &plan.warnings {
        reporter.warn(warning);
    }
    for step in &plan.steps {
        if let Some((resource, begin, end)) = steps::words(&step.action) {
            reporter.event(event(resource.clone(), begin, Phase::Working));
            reporter.event(event(resource, end, Phase::Done));
        }
    }
    reporter.finish();
}
