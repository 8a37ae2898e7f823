//! Running programs, and saying what is being done.

use anyhow::{Context as _, bail};
use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Instant,
};

/// A line for the user.
#[allow(clippy::print_stderr, reason = "the one place where xtask talks")]
pub(crate) fn say(text: &str) {
    eprintln!("{text}");
}

/// The root of the checkout that this run is for. Cargo says it at run time: what was compiled in may be another
/// checkout's, because cargo takes a program that another checkout built in the same target folder for its own.
pub(crate) fn root() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    package.ancestors().nth(2).map(Path::to_owned).unwrap_or_default()
}

/// Where cargo builds: `CARGO_TARGET_DIR`, or `target/`.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The triple that is built and tested.
pub(crate) fn triple() -> String {
    format!("{}-unknown-linux-musl", std::env::consts::ARCH)
}

/// A program in the checkout's root.
pub(crate) fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root());
    command
}

/// Cargo, as this process was started with.
pub(crate) fn cargo() -> Command {
    command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Runs to the end; an exit code other than 0 is an error.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let shown = show(command);
    let status = command.status().with_context(|| format!("starting {shown}"))?;
    if !status.success() {
        bail!("{shown}: {status}");
    }
    Ok(())
}

/// Runs to the end and returns stdout; an exit code other than 0 is an error with what was said.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<String> {
    let shown = show(command);
    let Output { status, stdout, stderr } = command.output().with_context(|| format!("starting {shown}"))?;
    if !status.success() {
        bail!("{shown}: {status}\n{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    }
    Ok(String::from_utf8_lossy(&stdout).into_owned())
}

fn show(command: &Command) -> String {
    let words: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect();
    words.join(" ")
}

/// Does a step, saying its name before and how long it took.
pub(crate) fn step<T>(name: &str, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    say(&format!("== {name}"));
    let began = Instant::now();
    let outcome = work().with_context(|| name.to_owned())?;
    say(&format!("   {:.1} s", began.elapsed().as_secs_f64()));
    Ok(outcome)
}

/// Whether a program is in `PATH`.
pub(crate) fn has(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

/// Whether we are root.
pub(crate) fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|info| info.uid() == 0)
}
