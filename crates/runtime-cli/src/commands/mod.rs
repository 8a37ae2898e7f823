//! The commands, and the flags that stand before them.

mod create;
mod delete;
mod events;
mod exec;
mod features;
mod kill;
mod list;
mod pause;
mod ps;
mod run;
mod spec;
mod start;
mod state;
mod update;

use crate::arguments::{Arguments, Flag, switch, value};
use crate::failure::Failure;
use crate::log::Log;
use crate::protect;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// One command.
struct Command {
    name: &'static str,
    /// Words after the flags, at least and at most.
    words: (usize, usize),
    usage: &'static str,
    help: &'static str,
    flags: &'static [Flag],
    /// Whether it gets near a container: then the program must be protected from it.
    near: bool,
    run: fn(&Context, &Arguments) -> Result<u8, Failure>,
}

/// What every command may need to know.
#[derive(Debug)]
pub(crate) struct Context {
    /// Where containers are kept.
    pub(crate) root: PathBuf,
    pub(crate) log: Log,
    /// Control groups are systemd's.
    pub(crate) systemd: bool,
}

const COMMANDS: &[Command] = &[
    create::COMMAND,
    delete::COMMAND,
    events::COMMAND,
    exec::COMMAND,
    features::COMMAND,
    kill::COMMAND,
    list::COMMAND,
    pause::PAUSE,
    ps::COMMAND,
    pause::RESUME,
    run::COMMAND,
    spec::COMMAND,
    start::COMMAND,
    state::COMMAND,
    update::COMMAND,
];

const GLOBAL: &[Flag] = &[
    switch("debug", "", "log more"),
    value("log", "", "file to append the log to (stderr if absent)"),
    value("log-format", "", "text or json (default: text)"),
    value("root", "", "folder for the state of containers (default: /run/dhow-runtime)"),
    switch("systemd-cgroup", "", "cgroups are made by systemd; cgroupsPath is slice:prefix:name"),
    value("cgroup-manager", "", "cgroupfs or systemd: another way to say --systemd-cgroup"),
    value("criu", "", "accepted, without effect: there is no checkpoint"),
    value("rootless", "", "true, false or auto: accepted, without effect"),
    switch("help", "h", "show this"),
    switch("version", "v", "print the version"),
];

const NAME: &str = "dhow-runtime";

/// Prints to stdout; a reader that has gone is no failure.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::new(format!("write to stdout: {e}")))
        }
        _ => Ok(()),
    }
}

/// Does what the command line says.
pub(crate) fn run(words: &[String]) -> ExitCode {
    let mut log = Log::default();
    match go(words, &mut log) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            log.failed(&failure);
            ExitCode::from(failure.code)
        }
    }
}

fn go(words: &[String], log: &mut Log) -> Result<u8, Failure> {
    let global = Arguments::parse(words, GLOBAL)?;
    let place = global.text("log").filter(|path| !path.is_empty() && *path != "/dev/stderr");
    let json = match global.text("log-format") {
        None | Some("text" | "") => false,
        Some("json") => true,
        Some(other) => return Err(Failure::new(format!("invalid log-format: {other}"))),
    };
    *log = Log { file: place.map(PathBuf::from), json };
    if global.is("version") {
        print(&version())?;
        return Ok(0);
    }
    let name = global.first();
    if global.is("help") || matches!(name, "" | "help" | "h") {
        print(&help())?;
        return Ok(0);
    }
    let Some(command) = COMMANDS.iter().find(|command| command.name == name) else {
        return Err(Failure::new(format!("No help topic for '{name}'")).code(3));
    };
    if command.near {
        protect::ensure()?;
    }
    let rest = global.rest.get(1..).unwrap_or_default();
    let arguments = Arguments::parse(rest, command.flags)?;
    let (least, most) = command.words;
    if !(least..=most).contains(&arguments.rest.len()) {
        let count = match (least, most) {
            _ if least == most => format!("exactly {least}"),
            _ if arguments.rest.len() < least => format!("a minimum of {least}"),
            _ => format!("a maximum of {most}"),
        };
        print(&usage(command))?;
        return Err(Failure::new(format!("{NAME}: {name:?} requires {count} argument(s)")));
    }
    let context = context(&global, log)?;
    (command.run)(&context, &arguments)
}

fn context(global: &Arguments, log: &Log) -> Result<Context, Failure> {
    let systemd = match global.text("cgroup-manager") {
        None => global.is("systemd-cgroup"),
        Some("systemd") => true,
        Some("cgroupfs") => false,
        Some(other) => return Err(Failure::new(format!("invalid cgroup-manager: {other}"))),
    };
    let root =
        PathBuf::from(global.text("root").filter(|root| !root.is_empty()).unwrap_or("/run/dhow-runtime"));
    Ok(Context { root, log: log.clone(), systemd })
}

/// The same lines as runc prints, which engines parse.
fn version() -> String {
    let own = env!("CARGO_PKG_VERSION");
    format!("{NAME} version {own}\nspec: {}\n", crate::container::OCI_VERSION)
}

fn flags(known: &[Flag]) -> String {
    let line = |flag: &Flag| {
        let short = if flag.short.is_empty() { String::new() } else { format!(", -{}", flag.short) };
        let value = if flag.value { " value" } else { "" };
        format!("   {:<28} {}\n", format!("--{}{short}{value}", flag.name), flag.help)
    };
    known.iter().map(line).collect()
}

fn usage(command: &Command) -> String {
    let options = if command.flags.is_empty() {
        String::new()
    } else {
        format!("\nOPTIONS:\n{}", flags(command.flags))
    };
    format!(
        "NAME:\n   {NAME} {} - {}\n\nUSAGE:\n   {NAME} {} {}\n{options}",
        command.name, command.help, command.name, command.usage
    )
}

fn help() -> String {
    let commands: String = COMMANDS.iter().map(|c| format!("   {:<10} {}\n", c.name, c.help)).collect();
    format!(
        "NAME:\n   {NAME} - runs containers of the Open Container Initiative's form, with runc's command line\n\n\
         USAGE:\n   {NAME} [global options] command [options] [words]\n\nCOMMANDS:\n{commands}\nGLOBAL OPTIONS:\n{}",
        flags(GLOBAL)
    )
}
