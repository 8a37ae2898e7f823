//! The examples, as their READMEs say: with `dhow compose`, and with docker's own command line on the same engine. Needs a
//! registry or the distribution's packages.

use dhow_testkit::{Daemon, Ran, is_root};
use serde_json::Value;
use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    time::{Duration, Instant},
};

const BASE: &str = "debian:bookworm-slim";

fn example(name: &str) -> PathBuf {
    // Of the checkout that is tested; another checkout may have compiled this test.
    let package = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    PathBuf::from(package).join("../../examples").join(name)
}

/// A port that nothing listens on now.
pub(super) fn free_port() -> String {
    TcpListener::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port().to_string()
}

fn http(port: &str, request: &str) -> Option<(String, String)> {
    let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    Some((head.lines().next()?.to_owned(), body.to_owned()))
}

fn get(port: &str, path: &str) -> Option<Value> {
    let (status, body) = http(port, &format!("GET {path} HTTP/1.0\r\nHost: x\r\n\r\n"))?;
    if status.contains(" 200 ") { serde_json::from_str(&body).ok() } else { None }
}

/// Asks until the answer is as wanted.
#[track_caller]
fn until(port: &str, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    let mut last = None;
    while began.elapsed() < Duration::from_secs(90) {
        if let Some(answer) = get(port, path) {
            if wanted(&answer) {
                return answer;
            }
            last = Some(answer);
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    panic!("http://127.0.0.1:{port}{path} stays {last:?}");
}

fn base_image(daemon: &Daemon) {
    if daemon.dhow(&["pull", "-q", BASE]).code != 0 {
        daemon.dhow(&["image", "bootstrap", BASE]).ok();
    }
}

fn compose(daemon: &Daemon, name: &str, env: &[(&str, &str)], args: &[&str]) -> Ran {
    let file = example(name).join("compose.yaml");
    let mut command = daemon.dhow_command(&[&["compose", "-f", file.to_str().unwrap()], args].concat());
    command.envs(env.iter().copied());
    Daemon::ran(&mut command)
}

fn microservices(daemon: &Daemon) {
    let (user, database) = (free_port(), free_port());
    let env = [("USER_PORT", user.as_str()), ("DATABASE_PORT", database.as_str())];
    compose(daemon, "microservices", &env, &["up", "-d", "--build", "--wait"]).ok();
    check_people(&user, &database);
    let again = compose(daemon, "microservices", &env, &["up", "-d", "--build"]);
    assert!(
        !again.err.contains("Recreate") && !again.err.contains("Creating"),
        "a second up changes something:\n{}",
        again.err
    );
    // docker's command line sees and manages what compose started
    assert_eq!(
        daemon
            .docker(&["ps", "-q", "--filter", "label=com.docker.compose.project=microservices"])
            .ok()
            .lines()
            .count(),
        2
    );
    compose(daemon, "microservices", &env, &["down", "-v"]).ok();
    let folder = example("microservices");
    let build = |image: &str, folder: PathBuf| {
        daemon.docker(&["build", "-q", "-t", image, folder.to_str().unwrap()]).ok().to_owned()
    };
    build("microservices/database", folder.join("database_service"));
    build("microservices/user", folder.join("user_service"));
    daemon.docker(&["network", "create", "people"]).ok();
    daemon.docker(&["volume", "create", "people"]).ok();
    let (publish_database, publish_user) = (format!("{database}:5002"), format!("{user}:5001"));
    let common = ["run", "-d", "--network", "people"];
    daemon
        .docker(
            &[
                &common[..],
                &[
                    "--name",
                    "database_service",
                    "-v",
                    "people:/data",
                    "-p",
                    &publish_database,
                    "microservices/database",
                ],
            ]
            .concat(),
        )
        .ok();
    daemon
        .docker(
            &[
                &common[..],
                &[
                    "--name",
                    "user_service",
                    "-e",
                    "DATABASE=http://database_service:5002",
                    "-p",
                    &publish_user,
                    "microservices/user",
                ],
            ]
            .concat(),
        )
        .ok();
    check_people(&user, &database);
    daemon.docker(&["rm", "-f", "database_service", "user_service"]).ok();
    daemon.docker(&["network", "rm", "people"]).ok();
    daemon.docker(&["volume", "rm", "people"]).ok();
}

fn check_people(user: &str, database: &str) {
    until(user, "/health", |_| true);
    until(database, "/health", |_| true);
    let body = "{\"name\": \"Ada\"}";
    let post = format!("POST /users HTTP/1.0\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let (status, _) = http(user, &post).unwrap();
    assert!(status.contains(" 201 "), "{status}");
    assert_eq!(get(user, "/users").unwrap()[0]["greeting"], "Hello, Ada!");
    assert_eq!(get(database, "/people").unwrap()[0]["name"], "Ada");
}

fn pipeline(daemon: &Daemon) {
    let port = free_port();
    let env = [("WEB_PORT", port.as_str())];
    compose(daemon, "realtime-pipeline", &env, &["up", "-d", "--build", "--wait"]).ok();
    check_pipeline(&port);
    let user = compose(daemon, "realtime-pipeline", &env, &["exec", "-T", "web", "id", "-un"]);
    assert_eq!(user.ok(), "nobody");
    let before = get(&port, "/api/summary").unwrap()["processed"].as_u64().unwrap();
    // the store's data outlives its container
    compose(daemon, "realtime-pipeline", &env, &["down"]).ok();
    compose(daemon, "realtime-pipeline", &env, &["up", "-d", "--wait"]).ok();
    until(&port, "/api/summary", |summary| summary["processed"].as_u64().unwrap_or(0) >= before);
    compose(daemon, "realtime-pipeline", &env, &["down", "-v"]).ok();
    by_docker(daemon, &port);
}

fn check_pipeline(port: &str) {
    let summary = until(port, "/api/summary", |summary| summary["processed"].as_u64().unwrap_or(0) > 100);
    let sensors = summary["sensors"].as_object().unwrap();
    assert_eq!(sensors.len(), 3, "{summary}");
    assert_eq!(
        sensors.values().filter_map(|sensor| sensor["count"].as_u64()).sum::<u64>(),
        summary["processed"].as_u64().unwrap()
    );
}

/// The same application, command by command.
fn by_docker(daemon: &Daemon, port: &str) {
    let folder = example("realtime-pipeline");
    for service in ["store", "sensors", "processor", "web"] {
        let image = format!("by-docker/{service}");
        daemon.docker(&["build", "-q", "-t", &image, folder.join(service).to_str().unwrap()]).ok();
    }
    daemon.docker(&["network", "create", "line"]).ok();
    let publish = format!("{port}:8000");
    let store = ["-e", "STORE=redis://store:6379/0"];
    let run = |flags: &[&str], name: &str| {
        daemon
            .docker(
                &[
                    &["run", "-d", "--network", "line", "--name", name],
                    flags,
                    &[&format!("by-docker/{name}")],
                ]
                .concat(),
            )
            .ok()
            .to_owned()
    };
    run(&["-v", "line-data:/data"], "store");
    run(&[&store[..], &["-e", "SENSORS=a,b,c", "-e", "PER_SECOND=60"]].concat(), "sensors");
    run(&[&store[..], &["-e", "WINDOW_SECONDS=5"]].concat(), "processor");
    run(&[&store[..], &["-p", &publish]].concat(), "web");
    check_pipeline(port);
    assert!(daemon.docker(&["logs", "web"]).err.contains("Listening at"), "gunicorn says where it listens");
    daemon.docker(&["rm", "-f", "store", "sensors", "processor", "web"]).ok();
    daemon.docker(&["network", "rm", "line"]).ok();
    daemon.docker(&["volume", "rm", "line-data"]).ok();
}

#[test]
fn root_the_examples_run_with_both_command_lines() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start_with(&["--host-ca"]);
    base_image(&daemon);
    microservices(&daemon);
    pipeline(&daemon);
    daemon.finish();
}
