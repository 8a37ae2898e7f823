//! Clients of other makers: each script is what its users write, and ends with an error where the broker is wrong.

use crate::{served::Served, support::Folder, tools::skipped};
use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

const PACKAGES: [&str; 7] = [
    "kafka-python==3.0.12",
    "aiokafka==0.14.0",
    "confluent-kafka==2.16.1",
    "lz4",
    "zstandard",
    "python-snappy",
    "setuptools",
];

fn quiet(command: &mut Command) -> bool {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// What is in the folder of the scripts.
fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/main/clients").join(name)
}

/// A Python that has the clients, made once; `None` where there is no Python or no registry.
fn python() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kafka-clients");
    let python = folder.join("bin/python");
    let complete = folder.join("complete");
    // two tests at once would make it twice
    static ONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if !complete.exists() {
        let made = quiet(Command::new("python3").args(["-m", "venv"]).arg(&folder))
            && quiet(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(PACKAGES));
        if !made {
            return None;
        }
        std::fs::write(complete, PACKAGES.join("\n")).unwrap();
    }
    Some(python)
}

/// Runs a script against a broker of its own.
fn run(name: &str) {
    let Some(python) = python() else {
        return skipped("the Python clients need python3 with venv, and its package registry");
    };
    check(Command::new("timeout").arg("120").arg(python).arg(script(name)));
}

/// Runs a command with the address of a broker of its own.
fn check(command: &mut Command) {
    let folder = Folder::new();
    let broker = Served::start(folder.path(), &[]);
    let output = command.arg(&broker.address).output().unwrap();
    let said =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success(), "{command:?}: {said}\n{}", broker.log());
    broker.stop();
}

#[test]
fn confluent_kafka_administers() {
    run("admin.py");
}

#[test]
fn kafka_python_writes_and_reads() {
    run("kafka_python.py");
}

#[test]
fn aiokafka_writes_and_reads() {
    run("aiokafka_client.py");
}

#[test]
fn confluent_kafka_writes_and_reads() {
    run("confluent.py");
}

#[test]
fn groups_of_three_clients_share_and_commit() {
    run("groups.py");
}

#[test]
fn transactions_of_three_clients_are_seen_whole() {
    run("transactions.py");
}

/// The broker comes back on the same port, as its supervisor would bring it back.
#[test]
fn what_an_idempotent_producer_sends_survives_kills() {
    const KILLS: usize = 6;
    let Some(python) = python() else {
        return skipped("the Python clients need python3 with venv, and its package registry");
    };
    let folder = Folder::new();
    let mut broker = Served::start(folder.path(), &[]);
    let address = broker.address.clone();
    let mut producer = Command::new("timeout");
    producer.arg("120").arg(python).arg(script("killed.py")).arg(&address);
    let producer = producer.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    for _ in 0..KILLS {
        // anywhere in what it does: there is nothing to wait for
        std::thread::sleep(std::time::Duration::from_millis(250));
        broker.kill();
        let program = Command::new(env!("CARGO_BIN_EXE_dhow-broker"));
        broker = Served::command(program, folder.path(), &address, &[]);
    }
    let output = producer.wait_with_output().unwrap();
    let said =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success() && said.contains("whole"), "{said}\n{}", broker.log());
    broker.stop();
}

#[test]
fn kafkajs_writes_reads_and_commits() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kafkajs");
    std::fs::create_dir_all(&folder).unwrap();
    let mut install = Command::new("npm");
    install.args(["install", "--silent", "--no-fund", "--no-audit", "kafkajs@2.2.4"]).current_dir(&folder);
    if !folder.join("node_modules/kafkajs").exists() && !quiet(&mut install) {
        return skipped("kafkajs needs npm and its registry");
    }
    let modules = folder.join("node_modules");
    check(Command::new("timeout").args(["120", "node"]).arg(script("kafkajs.js")).env("NODE_PATH", modules));
}

#[test]
fn sarama_writes_reads_and_commits() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sarama");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::copy(script("sarama.go"), folder.join("main.go")).unwrap();
    std::fs::write(folder.join("go.mod"), "module sarama\n\ngo 1.24\n").unwrap();
    let go = |args: &[&str]| quiet(Command::new("go").args(args).current_dir(&folder));
    if !go(&["get", "github.com/IBM/sarama@v1.46.3"]) {
        return skipped("sarama needs go and its module proxy");
    }
    assert!(go(&["build", "-o", "sarama", "."]), "the program does not build");
    check(Command::new("timeout").arg("120").arg(folder.join("sarama")));
}
