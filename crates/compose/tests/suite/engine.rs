//! Against the engine behind `DOCKER_HOST`, which must have busybox; skipped with a message when it is not set.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use bollard::{Docker, query_parameters::InspectContainerOptions};
use clap::Parser;
use dhow_compose::{
    command::{ComposeArgs, run},
    observe,
    ops::Io,
};

use crate::folder::Folder;

#[derive(Parser)]
struct Program {
    #[command(flatten)]
    compose: ComposeArgs,
}

struct Engine {
    docker: Docker,
    folder: Folder,
    name: String,
    compose: String,
}

struct Said {
    code: u8,
    out: String,
    err: String,
}

impl Engine {
    async fn new(name: &str, compose: &str) -> Option<Self> {
        let Ok(host) = std::env::var("DOCKER_HOST") else {
            let message = format!("skipped {name}: DOCKER_HOST is not set");
            assert!(std::env::var("REQUIRE_ENGINE").is_err(), "{message}");
            std::io::Write::write_all(&mut std::io::stderr(), format!("{message}\n").as_bytes()).unwrap();
            return None;
        };
        let docker = Docker::connect_with_host(&host).unwrap().negotiate_version().await.unwrap();
        let name = format!("cmp-{name}-{}", std::process::id());
        Some(Self {
            docker,
            folder: Folder::new(&[("compose.yaml", compose)]),
            name,
            compose: compose.to_owned(),
        })
    }

    /// Runs a command line; an error is code 255 with its text in `err`.
    async fn run(&self, line: &str) -> Said {
        let (out, err) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
        let io = Io {
            out: out.clone(),
            err: err.clone(),
            in_is_terminal: false,
            out_is_terminal: false,
            err_is_terminal: false,
            color: false,
            size: (80, 24),
        };
        let file = self.folder.path.join("compose.yaml");
        let words = ["compose", "-f", file.to_str().unwrap(), "-p", &self.name]
            .map(str::to_owned)
            .into_iter()
            .chain(shlex::split(line).unwrap());
        let program = Program::try_parse_from(words).unwrap();
        let result =
            run(program.compose, self.docker.clone(), Box::new(dhow_compose::kafka::Without), io).await;
        let text = |sink: &Mutex<Vec<u8>>| String::from_utf8_lossy(&sink.lock().unwrap()).into_owned();
        match result {
            Ok(code) => Said { code, out: text(&out), err: text(&err) },
            Err(error) => Said { code: 255, out: text(&out), err: format!("{}{error}", text(&err)) },
        }
    }

    async fn good(&self, line: &str) -> Said {
        let said = self.run(line).await;
        assert_eq!(said.code, 0, "{line}: {}", said.err);
        said
    }

    async fn ids(&self) -> BTreeMap<String, String> {
        observe::containers(&self.docker, &self.name)
            .await
            .unwrap()
            .into_iter()
            .map(|c| (c.name, c.id))
            .collect()
    }

    async fn down(self) {
        self.good("down -v -t 0 --remove-orphans --rmi local").await;
        assert!(self.ids().await.is_empty());
    }
}

impl Drop for Engine {
    /// A test that fails leaves nothing behind either.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let engine = &*self;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                // The connection pool belongs to the runtime that failed.
                let docker = Docker::connect_with_host(&std::env::var("DOCKER_HOST").unwrap()).unwrap();
                let again = Engine {
                    docker,
                    folder: Folder::new(&[("compose.yaml", &engine.compose)]),
                    name: engine.name.clone(),
                    compose: engine.compose.clone(),
                };
                runtime.block_on(again.down());
            });
        });
    }
}

#[tokio::test]
async fn up_twice_changes_nothing_and_a_change_keeps_anonymous_volumes() {
    let compose = "services:\n  web: {image: busybox, command: sleep 100, init: true, volumes: [/anon], depends_on: {db: {condition: service_healthy}}}\n  db: {image: busybox, command: sleep 100, init: true, healthcheck: {test: 'true', interval: 1s}}\n";
    let Some(engine) = Engine::new("twice", compose).await else { return };
    engine.good("up -d").await;
    let before = engine.ids().await;
    assert_eq!(before.len(), 2);
    let again = engine.good("up -d").await;
    assert_eq!(engine.ids().await, before);
    assert!(!again.err.contains("Started") && again.err.contains("Running"), "{}", again.err);
    let volume = async |name: &str| {
        let seen = engine.docker.inspect_container(name, None::<InspectContainerOptions>).await.unwrap();
        seen.mounts.unwrap().into_iter().find_map(|mount| mount.name).unwrap()
    };
    let web = format!("{}-web-1", engine.name);
    let kept = volume(&web).await;
    engine
        .folder
        .write("compose.yaml", &compose.replace("volumes: [/anon]", "volumes: [/anon], environment: [A=1]"));
    engine.good("up -d").await;
    let after = engine.ids().await;
    assert_ne!(after[&web], before[&web]);
    assert_eq!(after[&format!("{}-db-1", engine.name)], before[&format!("{}-db-1", engine.name)]);
    assert_eq!(volume(&web).await, kept);
    engine.down().await;
}

#[tokio::test]
async fn a_failed_dependency_is_told_with_its_last_words() {
    let compose = "services:\n  web: {image: busybox, command: sleep 100, depends_on: {init: {condition: service_completed_successfully}}}\n  init: {image: busybox, command: \"sh -c 'echo oops; exit 3'\"}\n";
    let Some(engine) = Engine::new("dep", compose).await else { return };
    let said = engine.run("up -d").await;
    let want = format!("dependency failed to start: container {}-init-1 exited (3)", engine.name);
    assert!(
        said.code == 255 && said.err.ends_with(&want) && said.err.contains("init-1  | oops"),
        "{}",
        said.err
    );
    engine.folder.write("compose.yaml", &compose.replace("exit 3", "exit 0"));
    // A job that ends well does not make --wait fail.
    engine.good("up --wait").await;
    engine.down().await;
}

#[tokio::test]
async fn the_foreground_shows_all_lines_and_gives_the_exit_code() {
    let compose = "services:\n  job: {image: busybox, command: \"sh -c 'echo one; echo two >&2; exit 4'\"}\n  side: {image: busybox, command: sleep 100, init: true, stop_grace_period: 1s}\n";
    let Some(engine) = Engine::new("fore", compose).await else { return };
    for _ in 0..3 {
        let said = engine.run("up --exit-code-from job").await;
        assert_eq!(said.code, 4, "{}", said.err);
        for line in ["job-1   | one\n", "job-1   | two\n", "job-1 exited with code 4\n"] {
            assert_eq!(said.out.matches(line).count(), 1, "{line:?} in {}", said.out);
        }
    }
    let ps = engine.good("ps -a --format '{{.Service}} {{.State}}'").await;
    assert_eq!(ps.out, "job exited\nside exited\n");
    engine.down().await;
}

#[tokio::test]
async fn build_run_exec_scale_and_logs() {
    let compose = "services:\n  app:\n    build: {context: ., dockerfile_inline: \"FROM busybox\\nARG V=none\\nRUN echo built-$$V > /v\\n\", args: {V: '5'}}\n    command: sh -c 'cat /v /cfg; exec sleep 100'\n    init: true\n    configs: [{source: c, target: /cfg}]\nconfigs: {c: {content: \"from-config\\n\"}}\n";
    let Some(engine) = Engine::new("build", compose).await else { return };
    engine.good("up -d --scale app=2").await;
    assert_eq!(engine.good("ps -q").await.out.lines().count(), 2);
    let exec = engine.run("exec -T --index 2 app sh -c 'cat /v; exit 3'").await;
    assert_eq!((exec.code, exec.out.as_str()), (3, "built-5\n"));
    let run = engine.run("run --rm -T --interactive=false app sh -c 'echo $0; exit 7' hello").await;
    assert_eq!((run.code, run.out.as_str()), (7, "hello\n"), "{}", run.err);
    let logs = engine.good("logs --no-color").await.out;
    for number in [1, 2] {
        let own: Vec<&str> = logs.lines().filter(|line| line.starts_with(&format!("app-{number}"))).collect();
        assert_eq!(
            own,
            [format!("app-{number}  | built-5"), format!("app-{number}  | from-config")],
            "{logs}"
        );
    }
    engine.good("up -d --scale app=1").await;
    assert_eq!(engine.good("ps -q").await.out.lines().count(), 1);
    engine.good("stop -t 0").await;
    assert_eq!(engine.good("ps -q").await.out, "");
    engine.good("start").await;
    engine.good("restart -t 0").await;
    engine.good("pause").await;
    assert_eq!(engine.good("ps --status paused --services").await.out, "app\n");
    engine.good("unpause").await;
    engine.good("kill").await;
    engine.good("rm -f").await;
    assert!(engine.ids().await.is_empty());
    engine.down().await;
}
