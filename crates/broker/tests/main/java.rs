//! Kafka's own clients and tools, in Java.

use crate::{
    served::Served,
    support::Folder,
    tools::{jars, skipped},
};
use std::{path::Path, process::Command};

/// Runs a program of Kafka's distribution; what it printed.
fn java(libs: &Path, class: &str, args: &[&str]) -> String {
    let output = Command::new("timeout")
        .args(["120", "java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"])
        .arg(format!("{}/*", libs.display()))
        .arg(class)
        .args(args)
        .output()
        .unwrap();
    let said =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success(), "{class} {args:?}: {said}");
    said
}

#[test]
fn kafkas_own_tools_work() {
    let Some(libs) = jars() else {
        return skipped("Kafka's tools need java, mvn and a Maven registry");
    };
    let folder = Folder::new();
    let broker = Served::start(folder.path(), &[]);
    let to = ["--bootstrap-server", &broker.address];
    let tool = |class: &str, args: &[&str]| {
        java(&libs, &format!("org.apache.kafka.tools.{class}"), &[&to, args].concat())
    };
    let create = ["--create", "--topic", "orders", "--partitions", "3", "--replication-factor", "3"];
    tool("TopicCommand", &create);
    let described = tool("TopicCommand", &["--describe", "--topic", "orders"]);
    assert!(
        described.contains("PartitionCount: 3") && described.contains("ReplicationFactor: 1"),
        "{described}"
    );
    let versions = tool("BrokerApiVersionsCommand", &[]);
    assert!(versions.contains("Produce(0): 0 to 13"), "{versions}");
    let performance = |more: &[&str]| {
        let properties = format!("bootstrap.servers={}", broker.address);
        let fixed =
            ["--topic", "orders", "--num-records", "5000", "--record-size", "100", "--throughput", "-1"];
        let fixed = [&fixed[..], &["--command-property", &properties, "acks=all"]].concat();
        java(&libs, "org.apache.kafka.tools.ProducerPerformance", &[&fixed, more].concat())
    };
    assert!(performance(&[]).contains("5000 records sent"));
    assert!(performance(&["--transactional-id", "perf"]).contains("5000 records sent"));
    let consumed = java(
        &libs,
        "org.apache.kafka.tools.consumer.ConsoleConsumer",
        &[
            &to[..],
            &["--topic", "orders", "--group", "readers", "--from-beginning", "--max-messages", "10000"],
            &["--timeout-ms", "60000", "--isolation-level", "read_committed"],
        ]
        .concat(),
    );
    assert!(consumed.contains("Processed a total of 10000 messages"), "{}", consumed.len());
    let group = tool("consumer.group.ConsumerGroupCommand", &["--describe", "--group", "readers"]);
    assert!(group.contains("orders"), "{group}");
    let transactions = tool("TransactionsCommand", &["list"]);
    assert!(transactions.contains("perf") && transactions.contains("CompleteCommit"), "{transactions}");
    broker.stop();
}
