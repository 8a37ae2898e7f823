//! A bundle with busybox, a root of its own, and a look at what is left.

use dhow_testkit::{Leftovers, busybox_tar, is_root};
use serde_json::{Value, json};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_dhow-runtime");

/// What a command said.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Ran {
    /// Its output, which must come with exit code 0.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.out
    }

    /// It must have failed with `code` and have said `words`.
    #[track_caller]
    pub(crate) fn fails(self, code: i32, words: &str) {
        // As text, the log quotes.
        let said = self.err.replace("\\\"", "\"");
        assert!(self.code == code && said.contains(words), "not {code} {words:?}: {self:?}");
    }
}

/// A folder with a bundle, and the containers made from it.
pub(crate) struct Bench {
    pub(crate) dir: PathBuf,
    /// In the names of everything that is made.
    pub(crate) mark: String,
    pub(crate) program: PathBuf,
}

/// None, with a message, where root is needed and missing.
pub(crate) fn bench(args: &[&str]) -> Option<Bench> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    if !is_root() {
        println!("skipped: needs root");
        return None;
    }
    let mark = format!("dhow-rt-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let dir = std::env::temp_dir().join(&mark);
    std::fs::create_dir_all(dir.join("bundle/rootfs")).unwrap();
    tar::Archive::new(busybox_tar().as_slice()).unpack(dir.join("bundle/rootfs")).unwrap();
    let bench = Bench { dir, mark, program: PROGRAM.into() };
    bench.run(&["spec", "--bundle", bench.bundle().to_str().unwrap()]).ok();
    bench.configure(|config| {
        config["process"]["terminal"] = json!(false);
        config["process"]["args"] = json!(args);
        config["root"]["readonly"] = json!(false);
    });
    Some(bench)
}

impl Bench {
    pub(crate) fn bundle(&self) -> PathBuf {
        self.dir.join("bundle")
    }

    /// A container's name that nobody else uses.
    pub(crate) fn id(&self, name: &str) -> String {
        format!("{}-{name}", self.mark)
    }

    /// Where its state is.
    pub(crate) fn state_dir(&self, name: &str) -> PathBuf {
        self.dir.join("state").join(self.id(name))
    }

    /// Changes `config.json`.
    pub(crate) fn configure(&self, change: impl FnOnce(&mut Value)) {
        let path = self.bundle().join("config.json");
        let mut config = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        change(&mut config);
        std::fs::write(&path, config.to_string()).unwrap();
    }

    /// The command, with this root and bundle; `@x` in a word is the container `x`'s name.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--root").arg(self.dir.join("state")).current_dir(self.bundle());
        let word = |word: &&str| word.strip_prefix('@').map_or((*word).to_owned(), |name| self.id(name));
        command.args(words.iter().map(word)).stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, words: &[&str]) -> Ran {
        self.command(words).output().unwrap().into()
    }

    /// `create`, whose streams a container keeps: none of ours, or reading them would wait for its end.
    pub(crate) fn quietly(&self, words: &[&str]) -> i32 {
        let mut command = self.command(words);
        command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().code().unwrap()
    }

    /// What `state` says, as JSON.
    pub(crate) fn state(&self, id: &str) -> Value {
        serde_json::from_str(&self.run(&["state", id]).ok()).unwrap()
    }

    #[track_caller]
    pub(crate) fn status_is(&self, id: &str, status: &str) {
        eventually(|| self.state(id)["status"] == status, || self.state(id).to_string());
    }
}

/// Waits for what happens in another process.
#[track_caller]
pub(crate) fn eventually(is: impl Fn() -> bool, tell: impl Fn() -> String) {
    let end = Instant::now() + Duration::from_secs(20);
    while !is() {
        assert!(Instant::now() < end, "it never came to be: {}", tell());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// As a user's shell passes descriptors on: `file` becomes descriptor 3.
pub(crate) fn with_descriptor_3(bench: &Bench, file: &Path, words: &[&str], prelude: &str) -> Ran {
    let command = bench.command(words);
    let mut line = Command::new("/bin/sh");
    let script = format!("{prelude} exec \"$0\" \"$@\" 3<{}", file.display());
    line.arg("-c").arg(script).arg(command.get_program()).args(command.get_args());
    line.current_dir(bench.bundle()).arg0("sh").output().unwrap().into()
}

/// The cgroups of that name right below the root, or below the root of each hierarchy of v1.
pub(crate) fn cgroups(name: &str) -> Vec<PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    let hierarchies = std::fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
    let named = std::iter::once(root.to_owned()).chain(hierarchies).map(|hierarchy| hierarchy.join(name));
    named.filter(|folder| folder.exists()).collect()
}

impl Drop for Bench {
    fn drop(&mut self) {
        // Not one that a test may have lost to an attacker.
        self.program = PROGRAM.into();
        for name in std::fs::read_dir(self.dir.join("state")).into_iter().flatten().flatten() {
            let name = name.file_name().to_string_lossy().into_owned();
            self.run(&["delete", "--force", &name]);
        }
        let removed = std::fs::remove_dir_all(&self.dir);
        if !std::thread::panicking() {
            removed.unwrap();
            eventually(
                || Leftovers::of(&[&self.mark]).is_empty(),
                || format!("{:?}", Leftovers::of(&[&self.mark])),
            );
        }
    }
}
