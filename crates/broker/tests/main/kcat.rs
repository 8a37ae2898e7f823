//! kcat (librdkafka): every codec, idempotence, times, offsets.

use crate::{served::Served, support::Folder, tools::skipped};
use std::{
    io::Write as _,
    process::{Command, Stdio},
};

/// Runs kcat with `input`; what it printed, or `None` where it is not installed.
pub(crate) fn kcat(broker: &Served, args: &[&str], input: &str) -> Option<String> {
    let mut command = Command::new("kcat");
    command.args(["-b", &broker.address]).args(args);
    run(command, input)
}

/// What kcat is told about the cluster at `address`, in JSON.
pub(crate) fn metadata(mut kcat: Command, address: &str) -> Option<String> {
    kcat.args(["-L", "-J", "-b", address]);
    run(kcat, "")
}

fn run(mut command: Command, input: &str) -> Option<String> {
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = match child {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            skipped("there is no kcat");
            return None;
        }
        child => child.unwrap(),
    };
    let mut to = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || to.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {said}");
    Some(String::from_utf8(output.stdout).unwrap())
}

fn lines(count: usize) -> String {
    (0..count).map(|number| format!("line {number} of many that are much alike\n")).collect()
}

#[test]
fn kcat_writes_and_reads_with_every_codec() {
    let folder = Folder::new();
    let broker = Served::start(folder.path(), &["--partitions", "3"]);
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let text = lines(5_000);
        let topic = format!("with-{codec}");
        let produce = ["-P", "-t", &topic, "-z", codec, "-X", "acks=all"];
        let Some(_) = kcat(&broker, &produce, &text) else { return };
        let got = kcat(&broker, &["-C", "-t", &topic, "-e", "-q"], "").unwrap();
        let (mut got, mut want): (Vec<&str>, Vec<&str>) = (got.lines().collect(), text.lines().collect());
        got.sort_unstable();
        want.sort_unstable();
        assert!(got == want, "{codec}: {} of {} lines", got.len(), want.len());
        // passed through as it came: what is similar takes less room on disk, unless it was not compressed at all
        let size: u64 = (0..3)
            .map(|number| folder.path().join(format!("logs/{topic}-{number}/00000000000000000000.log")))
            .filter_map(|path| std::fs::read(path).ok())
            .map(|bytes| bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0) as u64)
            .sum();
        assert_eq!(size > text.len() as u64, codec == "none", "{codec}: {size} bytes");
    }
    broker.stop();
}

#[test]
fn what_kcat_was_told_is_there_after_a_kill() {
    let folder = Folder::new();
    let broker = Served::start(folder.path(), &[]);
    let idempotent = ["-P", "-t", "orders", "-K:", "-X", "enable.idempotence=true"];
    let Some(_) = kcat(&broker, &idempotent, "a:1\nb:2\na:3\n") else { return };
    broker.kill();
    let broker = Served::start(folder.path(), &[]);
    let got = kcat(&broker, &["-C", "-t", "orders", "-e", "-q", "-f", "%o %k %s\\n"], "").unwrap();
    assert_eq!(got, "0 a 1\n1 b 2\n2 a 3\n");
    assert_eq!(kcat(&broker, &["-Q", "-t", "orders:0:-1"], "").unwrap().trim(), "orders [0] offset 3");
    let listed = kcat(&broker, &["-L", "-J"], "").unwrap();
    assert!(listed.contains(&format!("\"name\":\"{}\"", broker.address)), "{listed}");
    assert!(listed.contains("\"topic\":\"orders\""), "{listed}");
    broker.stop();
}
