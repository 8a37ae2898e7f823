//! Clients of other makers, in Python: each script is what its users write, and ends with an error where the broker is wrong.

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

/// A Python that has the clients, made once; `None` where there is no Python or no registry.
fn python() -> Option<PathBuf> {
    let quiet = |command: &mut Command| {
        let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
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

/// Runs a script of this folder against a broker of its own.
fn run(script: &str) {
    let Some(python) = python() else {
        return skipped("the Python clients need python3 with venv, and its package registry");
    };
    let folder = Folder::new();
    let broker = Served::start(folder.path(), &[]);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/main/clients").join(script);
    let output =
        Command::new("timeout").arg("120").arg(python).arg(path).arg(&broker.address).output().unwrap();
    let said =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success(), "{script}: {said}\n{}", broker.log());
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
