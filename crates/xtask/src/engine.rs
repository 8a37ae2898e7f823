//! A private engine: its own data root and socket in a temporary folder, and nothing left when it is dropped.

use crate::shell::{output, say};
use anyhow::{Context as _, bail};
use std::{
    os::unix::{net::UnixStream, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// A running `dhowd` of our own.
pub(crate) struct Engine {
    programs: PathBuf,
    folder: PathBuf,
    run: PathBuf,
    child: Child,
}

/// A folder for what is in `/run` on a user's machine, in memory as that is, also where this machine has `/run` on its disk.
pub(crate) fn run_folder(name: &str) -> anyhow::Result<PathBuf> {
    let memory = Path::new("/dev/shm");
    let base = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let folder = base.join(format!("{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    Ok(folder)
}

impl Engine {
    /// Starts one; returns when its socket answers.
    pub(crate) fn start(programs: &Path, flags: &[&str]) -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("dhow-{}", std::process::id()));
        std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        let log = std::fs::File::create(folder.join("dhowd.log"))?;
        let socket = format!("unix://{}", folder.join("docker.sock").display());
        let run = run_folder("dhow-run")?;
        let child = Command::new(programs.join("dhowd"))
            .arg("--data-root")
            .arg(folder.join("data"))
            .arg("--exec-root")
            .arg(&run)
            .arg("--pidfile")
            .arg(folder.join("dhowd.pid"))
            .args(["--host", &socket, "--cleanup"])
            .args(flags)
            // Ctrl-C is for us: we take the containers down first
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("starting dhowd")?;
        let mut engine = Self { programs: programs.to_owned(), folder, run, child };
        engine.wait_ready()?;
        Ok(engine)
    }

    fn wait_ready(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        while UnixStream::connect(self.socket()).is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("dhowd ended ({status}):\n{}", self.log());
            }
            if began.elapsed() > Duration::from_secs(30) {
                bail!("dhowd does not answer after 30 s:\n{}", self.log());
            }
            // no event tells that a socket appeared in a folder that may not exist yet
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.join("docker.sock")
    }

    /// Where everything of it lies.
    pub(crate) fn folder(&self) -> &std::path::Path {
        &self.folder
    }

    /// Where it has what is in `/run` else.
    pub(crate) fn run(&self) -> &std::path::Path {
        &self.run
    }

    /// Where its programs lie.
    pub(crate) fn programs(&self) -> &std::path::Path {
        &self.programs
    }

    /// Process id of the daemon.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The last of what the daemon said.
    pub(crate) fn log(&self) -> String {
        let text = std::fs::read_to_string(self.folder.join("dhowd.log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n")
    }

    /// `dhow …` against it.
    pub(crate) fn dhow(&self, args: &[&str]) -> Command {
        let mut command = Command::new(self.programs.join("dhow"));
        command
            .env_remove("DOCKER_HOST")
            .env("DHOW_HOST", format!("unix://{}", self.socket().display()))
            .args(args);
        command
    }

    /// Runs `dhow …`; its output.
    pub(crate) fn ask(&self, args: &[&str]) -> anyhow::Result<String> {
        output(&mut self.dhow(args))
    }

    fn stop(&mut self) -> anyhow::Result<()> {
        let all = self.ask(&["ps", "-aq"])?;
        let ids: Vec<&str> = all.lines().collect();
        if !ids.is_empty() {
            self.ask(&[&["rm", "-f", "-v"], ids.as_slice()].concat())?;
        }
        output(Command::new("kill").arg(self.child.id().to_string()))?;
        self.child.wait()?;
        for folder in [&self.run, &self.folder] {
            std::fs::remove_dir_all(folder).with_context(|| format!("removing {}", folder.display()))?;
        }
        Ok(())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            say(&format!("xtask: taking the private engine down: {error:#}\n{}", self.log()));
        }
    }
}
