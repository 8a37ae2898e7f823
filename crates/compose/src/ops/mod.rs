//! What the subcommands do. Arguments come as plain structs; output goes to the given writers.

mod attach;
mod config;
mod exec;
mod lifecycle;
mod listing;
mod logs;
mod table;
mod terminal;
mod up;

use std::sync::Arc;

use bollard::Docker;
use tokio::sync::watch;

pub use config::{ConfigRequest, config};
pub use exec::{ExecRequest, RunRequest, exec, run};
pub use lifecycle::{Change, change, down, remove};
pub use listing::{PsRequest, events, images, list, port, ps, top};
pub(crate) use logs::last_line;
pub use logs::{LogsRequest, logs};
pub use up::{PullRequest, UpRequest, build, pull, up};

use crate::{
    apply::Session,
    build::BuildOptions,
    error::Error,
    model::Project,
    observe::{self, Container},
    plan::Plan,
    report::{LogPrinter, LogStyle, Output, Plain, Quiet, Reporter, Terminal},
};

/// Where text goes and what the terminal can do.
#[derive(Clone)]
pub struct Io {
    /// Standard output.
    pub out: Output,
    /// Standard error.
    pub err: Output,
    /// Is standard input a terminal?
    pub in_is_terminal: bool,
    /// Is standard output a terminal?
    pub out_is_terminal: bool,
    /// Is standard error a terminal?
    pub err_is_terminal: bool,
    /// Colour where there is a terminal.
    pub color: bool,
    /// Columns and rows.
    pub size: (usize, usize),
}

impl std::fmt::Debug for Io {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Io").field("out_is_terminal", &self.out_is_terminal).finish_non_exhaustive()
    }
}

impl Io {
    /// This process's own streams.
    #[must_use]
    pub fn of_process() -> Self {
        use std::io::IsTerminal;
        Self {
            out: crate::report::output(std::io::stdout()),
            err: crate::report::output(std::io::stderr()),
            in_is_terminal: std::io::stdin().is_terminal(),
            out_is_terminal: std::io::stdout().is_terminal(),
            err_is_terminal: std::io::stderr().is_terminal(),
            color: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
            size: terminal::size().unwrap_or((80, 24)),
        }
    }

    /// Prints to standard output.
    ///
    /// # Errors
    /// It is gone.
    pub fn print(&self, text: &str) -> Result<(), Error> {
        let mut out = self.out.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        out.write_all(text.as_bytes())?;
        out.flush()?;
        Ok(())
    }
}

/// What every operation works with.
#[derive(Debug)]
pub struct Room {
    /// The engine.
    pub docker: Docker,
    /// Its Kafka broker.
    pub topics: Box<dyn crate::kafka::Topics>,
    /// The project's name.
    pub name: String,
    /// The project, if a compose file was found; some operations need none.
    pub project: Option<Project>,
    /// Streams.
    pub io: Io,
    /// Turns true at Ctrl-C.
    pub stop: watch::Receiver<bool>,
    /// Only say what would be done.
    pub dry_run: bool,
    /// `--progress quiet`.
    pub quiet: bool,
    /// `--progress plain`.
    pub plain: bool,
}

impl Room {
    fn project(&self) -> Result<&Project, Error> {
        self.project.as_ref().ok_or_else(|| Error::invalid("no configuration file provided: not found"))
    }

    fn reporter(&self, title: &'static str) -> Arc<dyn Reporter> {
        let err = Arc::clone(&self.io.err);
        if self.dry_run {
            return Arc::new(Plain::dry_run(err));
        }
        if self.quiet {
            return Arc::new(Quiet(Plain::new(err)));
        }
        match self.io.err_is_terminal && !self.plain {
            true => Arc::new(Terminal::new(err, title, self.io.color, self.io.size)),
            false => Arc::new(Plain::new(err)),
        }
    }

    fn session<'a>(
        &'a self,
        reporter: &'a dyn Reporter,
        images: &'a std::collections::BTreeMap<String, String>,
    ) -> Session<'a> {
        Session {
            docker: &self.docker,
            name: &self.name,
            project: self.project.as_ref(),
            images,
            reporter,
            stop: self.stop.clone(),
            started: None,
            build: BuildOptions::default(),
        }
    }

    /// Runs a plan that needs no images, or says what it would do.
    async fn apply(&self, plan: &Plan, title: &'static str) -> Result<(), Error> {
        let reporter = self.reporter(title);
        if self.dry_run {
            crate::apply::rehearse(plan, &*reporter);
            return Ok(());
        }
        crate::apply::run(&self.session(&*reporter, &std::collections::BTreeMap::new()), plan).await
    }

    /// Containers of the named services, or of all; those of `run` only on demand.
    async fn containers(&self, services: &[String], oneoff: bool) -> Result<Vec<Container>, Error> {
        if let Some(project) = &self.project {
            for name in services {
                project.service(name)?;
            }
        }
        let all = observe::containers(&self.docker, &self.name).await?;
        let wanted = |container: &Container| {
            (oneoff || !container.oneoff) && (services.is_empty() || services.contains(&container.service))
        };
        Ok(all.into_iter().filter(wanted).collect())
    }

    /// One container of a service, by number.
    async fn container(&self, service: &str, index: u32) -> Result<Container, Error> {
        let all = self.containers(std::slice::from_ref(&service.to_owned()), false).await?;
        let found = all.into_iter().find(|container| index == 0 || container.number == index);
        let found = found.filter(|container| container.state.is_up());
        found.ok_or_else(|| Error::invalid(format!("service \"{service}\" is not running")))
    }

    fn printer(&self, color: bool, prefix: bool) -> LogPrinter {
        let style = LogStyle { color: color && self.io.color && self.io.out_is_terminal, prefix };
        LogPrinter::new(Arc::clone(&self.io.out), style)
    }
}

/// The name in front of log lines: without the project, unless it is fixed in the file.
fn short_name(project: &str, container: &str) -> String {
    container.strip_prefix(project).and_then(|rest| rest.strip_prefix('-')).unwrap_or(container).to_owned()
}
