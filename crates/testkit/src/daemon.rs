//! A private `dhowd` with its own folder, socket and instance, and both command lines to ask it with.

use crate::{Leftovers, busybox_tar};
use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::{net::UnixStream, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

/// A running engine of this test's own.
#[derive(Debug)]
pub struct Daemon {
    folder: PathBuf,
    instance: String,
    flags: Vec<String>,
    child: Child,
    /// Whether its data root is a file system of its own.
    mounted: bool,
}

/// What a command said and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// Its command line, for messages.
    pub command: String,
    /// Exit code; -1 for a signal.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Ran {
    /// Its standard output without the last newline; fails the test unless it exited with 0.
    #[track_caller]
    #[allow(clippy::must_use_candidate, reason = "often asked only for its assertion")]
    pub fn ok(&self) -> &str {
        assert_eq!(self.code, 0, "{}\n{}{}", self.command, self.out, self.err);
        self.out.trim_end()
    }

    /// Fails the test unless it exited with `code` and said `text` on standard error.
    #[track_caller]
    pub fn fails(&self, code: i32, text: &str) {
        assert_eq!(self.code, code, "{}\n{}{}", self.command, self.out, self.err);
        assert!(self.err.contains(text), "{}\nsaid {:?}\nnot  {text:?}", self.command, self.err);
    }
}

/// Where cargo put the programs: beside this test's own folder.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let built = test.ancestors().nth(2).unwrap().join(name);
    assert!(
        built.exists(),
        "{} is not built: run `cargo build --workspace` for the same target first",
        built.display()
    );
    built
}

impl Daemon {
    /// Starts one and loads the image `busybox`.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same, with more flags.
    #[must_use]
    pub fn start_with(flags: &[&str]) -> Self {
        Self::start_on(flags, None)
    }

    /// The same, with a data root of only that size (`12m`).
    #[must_use]
    pub fn start_on_small_disk(size: &str) -> Self {
        Self::start_on(&[], Some(size))
    }

    fn start_on(flags: &[&str], size: Option<&str>) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let instance =
            format!("t{:x}x{:x}", std::process::id() & 0xffff, NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(format!("dhow-test-{instance}"));
        fs::create_dir_all(&folder).unwrap();
        if let Some(size) = size {
            let data = folder.join("data");
            fs::create_dir(&data).unwrap();
            let options = format!("size={size},mode=755");
            let mounted =
                Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&data).status();
            assert!(mounted.unwrap().success(), "mount tmpfs at {}", data.display());
        }
        let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let child = spawn(&folder, &instance, &flags);
        let mut daemon = Self { folder, instance, flags, child, mounted: size.is_some() };
        daemon.wait_ready();
        let tar = daemon.folder.join("busybox.tar");
        fs::write(&tar, busybox_tar()).unwrap();
        let imported = daemon.dhow(&["import", "-c", "CMD [\"sh\"]", tar.to_str().unwrap(), "busybox"]);
        assert!(imported.ok().starts_with("sha256:"), "{}", imported.out);
        daemon
    }

    fn wait_ready(&mut self) {
        let began = Instant::now();
        while !self.answers() {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("dhowd ended ({status}):\n{}", self.log());
            }
            assert!(began.elapsed() < Duration::from_secs(60), "dhowd does not answer:\n{}", self.log());
            // no event tells that a socket appeared
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Whether it answers. A connection alone says nothing: a process that a killed daemon was just starting may hold its old socket.
    fn answers(&self) -> bool {
        let ask = || {
            let mut stream = UnixStream::connect(self.socket())?;
            stream.set_read_timeout(Some(Duration::from_secs(20)))?;
            stream.write_all(b"GET /_ping HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).map(|_| answer)
        };
        ask().is_ok_and(|answer: String| answer.starts_with("HTTP/1.1 200"))
    }

    /// Its folder: `data`, `run`, `docker.sock`, `dhowd.log`.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder.join("docker.sock")
    }

    /// What it has said.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("dhowd.log")).unwrap_or_default()
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `dhow …`, not yet started.
    #[must_use]
    pub fn dhow_command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(program("dhow"));
        command
            .env("DHOW_HOST", format!("unix://{}", self.socket().display()))
            .env_remove("DOCKER_HOST")
            .args(args);
        command
    }

    /// docker's own command line, not yet started.
    #[must_use]
    pub fn docker_command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command
            .env("DOCKER_HOST", format!("unix://{}", self.socket().display()))
            .env("DOCKER_CONFIG", self.folder.join("docker-config"))
            .env_remove("DOCKER_CONTEXT")
            .args(args);
        command
    }

    /// Runs `dhow …`.
    #[must_use]
    pub fn dhow(&self, args: &[&str]) -> Ran {
        ran(&mut self.dhow_command(args))
    }

    /// Runs `docker …`.
    #[must_use]
    pub fn docker(&self, args: &[&str]) -> Ran {
        ran(&mut self.docker_command(args))
    }

    /// Runs a command of [`Daemon::dhow_command`] or [`Daemon::docker_command`].
    #[must_use]
    pub fn ran(command: &mut Command) -> Ran {
        ran(command)
    }

    /// One raw request over the socket; the whole answer, headers included.
    #[must_use]
    pub fn raw(&self, request: &str) -> String {
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// `kill -9` of the daemon; its containers run on.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks the daemon to end, as a service manager does; its containers run on.
    pub fn terminate(&mut self) {
        let asked = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(asked.success(), "dhowd has gone by itself:\n{}", self.log());
        self.child.wait().unwrap();
    }

    /// Starts it again on the same folder.
    pub fn restart(&mut self) {
        self.child = spawn(&self.folder, &self.instance, &self.flags);
        self.wait_ready();
    }

    /// Removes every container, volume and network of it, ends it, and fails the test if anything is left on the machine.
    pub fn finish(mut self) {
        self.clear();
        self.end();
        let marks = [self.folder.to_string_lossy().into_owned(), self.instance.clone()];
        fs::remove_dir_all(&self.folder).unwrap();
        // the kernel takes namespaces away in the background: their links go with them
        let began = Instant::now();
        loop {
            let left = Leftovers::of(&[&marks[0], &marks[1]]);
            if left.is_empty() || began.elapsed() > Duration::from_secs(5) {
                return left.assert_none();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn clear(&self) {
        let all = self.dhow(&["ps", "-aq"]).out;
        let ids: Vec<&str> = all.lines().collect();
        if !ids.is_empty() {
            drop(self.dhow(&[&["rm", "-fv"], ids.as_slice()].concat()));
        }
        drop(self.dhow(&["network", "prune", "-f"]));
    }

    fn end(&mut self) {
        self.terminate();
        if std::mem::take(&mut self.mounted) {
            let unmounted = Command::new("umount").arg(self.folder.join("data")).status().unwrap();
            assert!(unmounted.success(), "the data root is still in use");
        }
    }
}

impl Drop for Daemon {
    /// After a failure: containers and daemon must not stay.
    fn drop(&mut self) {
        if self.folder.exists() {
            if std::thread::panicking() {
                self.clear();
            }
            // it may be dead already
            drop(Command::new("kill").arg(self.child.id().to_string()).stderr(Stdio::null()).status());
            drop(self.child.wait());
            if self.mounted {
                drop(Command::new("umount").arg("-l").arg(self.folder.join("data")).status());
            }
            if std::thread::panicking() {
                let text = self.log();
                let lines: Vec<&str> = text.lines().collect();
                #[allow(clippy::print_stderr, reason = "a failed test shows the daemon's last words")]
                for line in &lines[lines.len().saturating_sub(15)..] {
                    eprintln!("dhowd: {line}");
                }
            }
            // of a daemon that was killed: their containers die with them
            let shims = format!("{}/run/shims/", self.folder.display());
            for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
                let command = fs::read(process.path().join("cmdline")).unwrap_or_default();
                if String::from_utf8_lossy(&command).contains(&shims) {
                    drop(Command::new("kill").arg("-9").arg(process.file_name()).status());
                }
            }
            drop(fs::remove_dir_all(&self.folder));
        }
    }
}

fn spawn(folder: &Path, instance: &str, flags: &[String]) -> Child {
    let log = fs::OpenOptions::new().create(true).append(true).open(folder.join("dhowd.log")).unwrap();
    Command::new(program("dhowd"))
        .arg("--data-root")
        .arg(folder.join("data"))
        .arg("--exec-root")
        .arg(folder.join("run"))
        .arg("--pidfile")
        .arg(folder.join("dhowd.pid"))
        .args([
            "--instance",
            instance,
            "--cleanup",
            "--host",
            &format!("unix://{}", folder.join("docker.sock").display()),
        ])
        .args(flags)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

fn ran(command: &mut Command) -> Ran {
    let shown: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let output = command.stdin(Stdio::null()).output().unwrap();
    Ran {
        command: shown.join(" "),
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
