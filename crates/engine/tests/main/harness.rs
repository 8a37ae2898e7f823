//! A fresh engine with one image: a root file system of the crate's `box` example.

use dhow_engine::{Config, Engine, containers, images};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Once,
};

/// An engine of a test's own.
pub(crate) struct Bench {
    pub(crate) engine: Engine,
    pub(crate) root: PathBuf,
    pub(crate) config: Config,
}

/// Whether this test can run here; says so if not.
pub(crate) fn able() -> bool {
    let root = rustix::process::geteuid().is_root();
    assert!(root || std::env::var_os("REQUIRE_ROOT").is_none(), "REQUIRE_ROOT is set, but this is not root");
    if !root {
        eprintln!("skipped: needs root");
    }
    root
}

/// The folder that cargo puts programs in.
fn built() -> PathBuf {
    let exe = std::env::current_exe().unwrap();
    exe.parent().unwrap().parent().unwrap().to_owned()
}

/// The shim, built once.
fn shim() -> PathBuf {
    static BUILD: Once = Once::new();
    BUILD.call_once(|| {
        // in a machine that was given the tests and what they need, there is no cargo
        if !Path::new(env!("CARGO")).exists() {
            return;
        }
        let mut command = std::process::Command::new(env!("CARGO"));
        command.args(["build", "-q", "-p", "dhow-shim", "--target", "x86_64-unknown-linux-musl"]);
        assert!(command.status().unwrap().success(), "the shim does not build");
        let mut command = std::process::Command::new(env!("CARGO"));
        command.args([
            "build",
            "-q",
            "-p",
            "dhow-engine",
            "--example",
            "box",
            "--target",
            "x86_64-unknown-linux-musl",
        ]);
        assert!(command.status().unwrap().success(), "the box does not build");
    });
    built().join("dhow-shim")
}

impl Bench {
    pub(crate) async fn new(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("eng-{name}-{}", std::process::id()));
        let config = Config {
            data_root: root.join("data"),
            exec_root: root.join("exec"),
            shim: shim(),
            init: None,
            instance: format!("{name}{}", std::process::id() % 1000),
            pools: Vec::new(),
            bip: None,
            log: containers::LogSpec::default(),
            labels: BTreeMap::new(),
            registry: dhow_registry::Config::default(),
            host_ca: true,
            runtimes: dhow_engine::Runtimes::default(),
            dns: Vec::new(),
            debug: true,
        };
        let engine = Engine::open(config.clone()).await.unwrap();
        let bench = Self { engine, root, config };
        bench.import().await;
        bench
    }

    async fn import(&self) {
        let mut tar = tar::Builder::new(Vec::new());
        let mut folder = |path: &str| {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::Directory);
            header.set_mode(0o755);
            header.set_size(0);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(1);
            tar.append_data(&mut header, path, std::io::empty()).unwrap();
        };
        for path in ["bin/", "etc/", "tmp/", "data/"] {
            folder(path);
        }
        let mut file = |path: &str, mode: u32, bytes: &[u8]| {
            let mut header = tar::Header::new_gnu();
            header.set_mode(mode);
            header.set_size(bytes.len() as u64);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(1);
            tar.append_data(&mut header, path, bytes).unwrap();
        };
        file("bin/box", 0o755, &std::fs::read(built().join("examples/box")).unwrap());
        file("etc/passwd", 0o644, b"root:x:0:0:root:/root:/bin/box\nwww:x:33:33::/var/www:/bin/box\n");
        file("data/seed", 0o644, b"from the image");
        file("plain", 0o644, b"no program");
        let bytes = tar.into_inner().unwrap();
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        sender.send(Ok(bytes.into())).await.unwrap();
        drop(sender);
        let name = "box:latest".parse().unwrap();
        self.images().import(receiver, Some(name), String::new(), Vec::new(), None).await.unwrap();
    }

    pub(crate) fn images(&self) -> &images::Images {
        self.engine.images()
    }

    pub(crate) fn containers(&self) -> &containers::Containers {
        self.engine.containers()
    }

    /// A container of the box, on no network unless changed.
    pub(crate) async fn create(
        &self,
        words: &[&str],
        change: impl FnOnce(&mut containers::Create),
    ) -> String {
        let mut create = containers::Create::default();
        create.spec.image = "box".to_owned();
        create.spec.cmd =
            Some(std::iter::once("/bin/box").chain(words.iter().copied()).map(str::to_owned).collect());
        create.spec.host.network_mode = "none".to_owned();
        change(&mut create);
        self.containers().create(create).await.unwrap().0
    }

    pub(crate) async fn logs(&self, id: &str) -> String {
        let query = containers::LogQuery { stdout: true, stderr: true, ..Default::default() };
        let mut lines = self.containers().logs(id, query).await.unwrap();
        let mut text = String::new();
        while let Some(line) = lines.recv().await {
            text.push_str(&String::from_utf8_lossy(&line.unwrap().data));
        }
        text
    }

    pub(crate) async fn wait(&self, id: &str) -> i32 {
        let waiting = self.containers().wait(id, containers::WaitCondition::NotRunning).await.unwrap();
        tokio::time::timeout(std::time::Duration::from_secs(20), waiting)
            .await
            .expect("no end in 20 s")
            .unwrap()
            .0
    }

    /// Removes everything and looks whether anything is left.
    pub(crate) async fn close(self) {
        for view in self.containers().list(&containers::List { all: true, ..Default::default() }).unwrap() {
            let remove = containers::Remove { force: true, volumes: true };
            self.containers().remove(&view.id, remove).await.unwrap();
        }
        self.engine.drain().await;
        self.engine.destroy_network().await.unwrap();
        let left = entries(&self.config.exec_root.join("shims"));
        assert!(left.is_empty(), "shims left: {left:?}");
        let left = entries(&self.config.data_root.join("containers"));
        assert!(left.is_empty(), "writable layers left: {left:?}");
        drop(self.engine);
        std::fs::remove_dir_all(&self.root).unwrap();
    }
}

fn entries(dir: &Path) -> Vec<String> {
    std::fs::read_dir(dir)
        .map(|e| e.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect())
        .unwrap_or_default()
}
