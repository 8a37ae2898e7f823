//! `dhow compose`: a project from up to down, what a second `up` does, and in which order it ends.

use super::lifecycle::eventually;
use dhow_testkit::{Daemon, Ran, is_root};
use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::Stdio,
};

/// A folder with a compose file.
struct Project<'a> {
    daemon: &'a Daemon,
    folder: PathBuf,
}

impl<'a> Project<'a> {
    fn new(daemon: &'a Daemon, name: &str, yaml: &str) -> Self {
        let folder = daemon.folder().join(name);
        fs::create_dir_all(&folder).unwrap();
        let project = Self { daemon, folder };
        project.write("compose.yaml", yaml);
        project
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.join(name), text).unwrap();
    }

    fn command(&self, args: &[&str]) -> std::process::Command {
        let file = self.folder.join("compose.yaml");
        self.daemon.dhow_command(&[&["compose", "-f", file.to_str().unwrap()], args].concat())
    }

    fn run(&self, args: &[&str]) -> Ran {
        let file = self.folder.join("compose.yaml");
        self.daemon.dhow(&[&["compose", "-f", file.to_str().unwrap()], args].concat())
    }

    /// Ids and start times of the project's containers: the same before and after when nothing happened.
    fn containers(&self) -> String {
        let ids = self.daemon.dhow(&["ps", "-aq", "--no-trunc"]);
        let ids: Vec<&str> = ids.ok().lines().collect();
        let mut lines: Vec<String> = self
            .daemon
            .dhow(&[&["inspect", "-f", "{{.Name}} {{.Id}} {{.State.StartedAt}}"], ids.as_slice()].concat())
            .ok()
            .lines()
            .map(str::to_owned)
            .collect();
        lines.sort();
        lines.join("\n")
    }
}

const STACK: &str = r#"name: stack
services:
  db:
    image: busybox
    command: sh -c 'sleep 0.3; touch /tmp/ready; echo db is up; trap "echo db ends; exit 0" TERM; while true; do sleep 0.1; done'
    healthcheck: {test: test -e /tmp/ready, interval: 100ms, retries: 50}
    volumes: ["data:/data"]
  web:
    build:
      context: .
      args: {WORD: "${WORD:-fallback}"}
    depends_on: {db: {condition: service_healthy}}
    environment: [MODE=test]
    ports: ["80"]
    networks: {default: {aliases: [front]}}
    command: sh -c 'echo web says $$MODE; trap "echo web ends; exit 0" TERM; while true; do sleep 0.1; done'
  extra:
    image: busybox
    profiles: [debug]
    command: sleep 1000
volumes: {data: {}}
"#;

#[test]
fn root_a_project_lives_from_up_to_down() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let project = Project::new(&daemon, "stack", STACK);
    project.write("Dockerfile", "FROM busybox\nARG WORD\nRUN echo $WORD > /word\n");
    project.write(".env", "WORD=from-env-file\n");
    assert!(project.run(&["config"]).ok().contains("WORD: from-env-file"));
    assert_eq!(project.run(&["config", "--services"]).ok().lines().count(), 2);
    project.run(&["up", "-d", "--wait"]).ok();
    let names = daemon.dhow(&["ps", "--format", "{{.Names}}"]);
    assert_eq!(
        names.ok().lines().collect::<std::collections::BTreeSet<_>>(),
        ["stack-db-1", "stack-web-1"].into()
    );
    let started = |name: &str| daemon.dhow(&["inspect", "-f", "{{.State.StartedAt}}", name]).ok().to_owned();
    assert!(started("stack-db-1") < started("stack-web-1"), "web waits for db");
    assert_eq!(
        daemon
            .dhow(&[
                "inspect",
                "-f",
                "{{index .Config.Labels \"com.docker.compose.project\"}} {{index .Config.Labels \"com.docker.compose.service\"}}",
                "stack-web-1"
            ])
            .ok(),
        "stack web"
    );

    let before = project.containers();
    project.run(&["up", "-d", "--wait"]).ok();
    assert_eq!(project.containers(), before, "a second up changes nothing");
    project.run(&["up", "-d", "--build", "--wait"]).ok();
    assert_eq!(project.containers(), before, "nor does a build from the cache");

    assert!(project.run(&["ps"]).ok().contains("stack-web-1"));
    assert!(project.run(&["logs", "web"]).ok().contains("web says test"));
    assert_eq!(project.run(&["exec", "-T", "web", "cat", "/word"]).ok(), "from-env-file");
    project.run(&["exec", "-T", "web", "sh", "-c", "exit 6"]).fails(6, "");
    assert_eq!(
        project.run(&["exec", "-T", "db", "sh", "-c", "nslookup front | grep -c 'Name:.*front'"]).ok(),
        "1"
    );
    assert_eq!(
        project.run(&["run", "--rm", "--no-deps", "-T", "web", "sh", "-c", "echo $MODE; exit 0"]).ok(),
        "test"
    );
    project.run(&["run", "--rm", "--no-deps", "-T", "web", "sh", "-c", "exit 4"]).fails(4, "");
    project.run(&["exec", "-T", "db", "sh", "-c", "echo kept > /data/file"]).ok();

    project.run(&["stop", "-t", "5", "web"]).ok();
    let state = |name: &str| daemon.dhow(&["inspect", "-f", "{{.State.Status}}", name]).ok().to_owned();
    assert_eq!((state("stack-web-1"), state("stack-db-1")), ("exited".into(), "running".into()));
    project.run(&["start", "web"]).ok();
    assert_eq!(state("stack-web-1"), "running");
    let first = started("stack-web-1");
    project.run(&["restart", "-t", "5", "web"]).ok();
    assert!(started("stack-web-1") > first);

    project.run(&["--profile", "debug", "up", "-d", "-t", "5"]).ok();
    assert_eq!(state("stack-extra-1"), "running");

    project.write("compose.yaml", &STACK.replace("MODE=test", "MODE=other"));
    let database = started("stack-db-1");
    project.run(&["up", "-d", "-t", "5", "--wait"]).ok();
    assert!(project.run(&["logs", "web"]).ok().contains("web says other"), "a changed service is made anew");
    assert_eq!(started("stack-db-1"), database, "the others stay");

    project.run(&["--profile", "debug", "down", "-t", "1"]).ok();
    assert_eq!(daemon.dhow(&["ps", "-aq"]).ok(), "");
    assert_eq!(daemon.dhow(&["network", "ls", "-q", "--filter", "type=custom"]).ok(), "");
    assert_eq!(daemon.dhow(&["volume", "ls", "-q"]).ok(), "stack_data");
    project.run(&["up", "-d", "--wait"]).ok();
    assert_eq!(project.run(&["exec", "-T", "db", "cat", "/data/file"]).ok(), "kept");
    project.run(&["down", "-v", "-t", "1"]).ok();
    assert_eq!(daemon.dhow(&["volume", "ls", "-q"]).ok(), "");
    daemon.finish();
}

#[test]
fn root_an_interrupt_stops_in_dependency_order() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let project = Project::new(
        &daemon,
        "order",
        &STACK.replace("name: stack", "name: order").replace(
            "    build:\n      context: .\n      args: {WORD: \"${WORD:-fallback}\"}\n",
            "    image: busybox\n",
        ),
    );
    let mut child = project
        .command(&["up"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut seen = String::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        seen.push_str(&line);
        seen.push('\n');
        if line.contains("web says test") {
            let interrupted =
                std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
            assert!(interrupted.success());
        }
    }
    let code = child.wait().unwrap().code();
    assert!(code.is_some_and(|code| code == 0 || code == 130), "{code:?}\n{seen}");
    let position = |text: &str| seen.find(text).unwrap_or_else(|| panic!("{text} is not in\n{seen}"));
    assert!(position("web ends") < position("db ends"), "{seen}");
    let finished =
        |name: &str| daemon.dhow(&["inspect", "-f", "{{.State.FinishedAt}}", name]).ok().to_owned();
    assert!(finished("order-web-1") < finished("order-db-1"), "web needs db, so db ends last");
    assert_eq!(daemon.dhow(&["ps", "-q"]).ok(), "", "all are stopped");
    project.run(&["down", "-v"]).ok();
    daemon.finish();
}

#[test]
fn root_bad_projects_are_named_and_leave_nothing() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let fails = |yaml: &str, wanted: &[&str]| {
        let project = Project::new(&daemon, "bad", yaml);
        let ran = project.run(&["up", "-d"]);
        assert_ne!(ran.code, 0, "{yaml}\n{}{}", ran.out, ran.err);
        for text in wanted {
            assert!(ran.err.contains(text), "{yaml}\nsaid {}\nnot  {text}", ran.err);
        }
        assert_eq!(daemon.dhow(&["ps", "-aq"]).ok(), "", "{yaml}");
        assert_eq!(daemon.dhow(&["network", "ls", "-q", "--filter", "type=custom"]).ok(), "", "{yaml}");
        assert_eq!(daemon.dhow(&["volume", "ls", "-q"]).ok(), "", "{yaml}");
    };
    fails("services:\n  a:\n    image: busybox\n   b: x\n", &["compose.yaml:4"]);
    fails("services:\n  a:\n    image: busybox\n    no_such_key: 1\n", &["compose.yaml:4", "no_such_key"]);
    fails("services:\n  a:\n    image: busybox\n    ports: [\"80:http\"]\n", &["compose.yaml:4", "http"]);
    fails("services:\n  a:\n    image: busybox\n    depends_on: [nobody]\n", &["nobody"]);
    fails(
        "services:\n  a:\n    image: busybox\n    depends_on: [b]\n  b:\n    image: busybox\n    depends_on: [a]\n",
        &["in a circle: a -> b -> a"],
    );
    fails("services:\n  a:\n    image: busybox\n    networks: [nowhere]\n", &["nowhere"]);
    fails("services:\n  a:\n    image: busybox\n    volumes: [\"nothing:/x\"]\n", &["nothing"]);
    fails("services:\n  a:\n    image: \"${MUST_BE_SET:?tell me}\"\n", &["MUST_BE_SET", "tell me"]);
    fails("services:\n  a: {}\n", &["image", "build"]);
    daemon.dhow(&["compose", "-f", "/no/such/compose.yaml", "up"]).fails(1, "/no/such/compose.yaml");
    daemon.finish();
}

#[test]
fn root_compose_scales_and_restarts() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let project = Project::new(
        &daemon,
        "many",
        "name: many\nservices:\n  worker:\n    image: busybox\n    init: true\n    command: sleep 1000\n    restart: on-failure\n    logging: {driver: json-file, options: {max-size: 10k, max-file: '2'}}\n",
    );
    project.run(&["up", "-d", "--scale", "worker=3"]).ok();
    assert_eq!(daemon.dhow(&["ps", "-q"]).ok().lines().count(), 3);
    project.run(&["up", "-d", "--scale", "worker=1"]).ok();
    eventually(&daemon, &["ps", "--format", "{{.Names}}"], |out| out == "many-worker-1");
    assert_eq!(
        daemon.dhow(&["inspect", "-f", "{{json .HostConfig.LogConfig.Config}}", "many-worker-1"]).ok(),
        r#"{"max-file":"2","max-size":"10k"}"#
    );
    let before = project.containers();
    project.run(&["up", "-d", "--force-recreate"]).ok();
    assert_ne!(project.containers(), before);
    project.run(&["kill"]).ok();
    project.run(&["rm", "-f"]).ok();
    assert_eq!(daemon.dhow(&["ps", "-aq"]).ok(), "");
    project.run(&["down"]).ok();
    daemon.finish();
}
