//! Kafka's own tool reads what we write.

use crate::support::Folder;
use dhow_broker::{Durability, Storage, topics::config::Values};
use dhow_kafka::batch::{Builder, Compression, Marker};
use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

const POM: &str = r#"<project xmlns="http://maven.apache.org/POM/4.0.0">
<modelVersion>4.0.0</modelVersion><groupId>dhow</groupId><artifactId>kafka</artifactId><version>1</version>
<dependencies>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>4.3.1</version></dependency>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>4.3.1</version></dependency>
</dependencies></project>"#;

/// Kafka's jars, fetched once into the folder for what tests fetch; `None` if there is no Java or no registry.
pub(crate) fn jars() -> Option<PathBuf> {
    let quiet = |command: &mut Command| {
        let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    if !quiet(Command::new("java").arg("-version")) {
        return None;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kafka-4.3.1");
    let libs = folder.join("libs");
    if !libs.exists() {
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("pom.xml"), POM).unwrap();
        let copy =
            ["-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory=half"];
        if !quiet(Command::new("mvn").args(copy).current_dir(&folder)) {
            return None;
        }
        std::fs::rename(folder.join("half"), &libs).unwrap();
    }
    Some(libs)
}

#[test]
fn kafkas_dump_log_segments_reads_our_segments() {
    let Some(libs) = jars() else {
        return skipped("Kafka's DumpLogSegments needs java, mvn and a Maven registry");
    };
    let folder = Folder::new();
    let storage = Storage::open(folder.path(), Values::new()).unwrap();
    let partition = &storage.topics.create("t", 1, 1, Values::new()).unwrap().partitions[0];
    for (number, compression) in (0..).zip(Compression::ALL) {
        let mut builder = Builder::new().producer(7, 1, number * 3).compression(compression).transactional();
        for record in 0..3 {
            let value = format!("{compression} {record}");
            builder.push(
                dhow_broker::now(),
                Some(b"key"),
                Some(value.as_bytes()),
                &[("header", Some(b"value"))],
            );
        }
        partition.append(&mut builder.build().unwrap(), Durability::Synced).unwrap().ticket.forget();
    }
    partition.end_transaction(Marker::Commit, (7, 1), 3).unwrap().ticket.wait().unwrap();
    let dump = || {
        let output = Command::new("java")
            .args(["-cp", &format!("{}/*", libs.display()), "org.apache.kafka.tools.DumpLogSegments"])
            .args(["--deep-iteration", "--print-data-log", "--files"])
            .arg(folder.path().join("logs/t-0/00000000000000000000.log"))
            .output()
            .unwrap();
        let text =
            [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        assert!(text.contains("Log starting offset: 0"), "{text}");
        text
    };
    let open = dump();
    storage.close().unwrap();
    let closed = dump();
    // Behind the last batch of an open segment the tool sees the zeros of the preallocated tail, as with Kafka's `preallocate`.
    assert!(!closed.contains("Exception") && !closed.contains("invalid bytes"), "{closed}");
    for text in [open, closed] {
        let batches = text.lines().filter(|line| line.starts_with("baseOffset:")).collect::<Vec<_>>();
        assert_eq!(batches.len(), 6, "{text}");
        assert!(
            batches.iter().all(|line| line.contains("isvalid: true") && line.contains("producerId: 7")),
            "{text}"
        );
        for compression in Compression::ALL {
            assert!(text.contains(&format!("payload: {compression} 2")), "{compression}: {text}");
        }
        assert!(text.contains("endTxnMarker: COMMIT coordinatorEpoch: 3"), "{text}");
    }
}

pub(crate) fn skipped(why: &str) {
    eprintln!("skipped: {why}");
}
