//! The broker beside the engine: it runs while it is wanted, wherever the networks are, and loses nothing that it acknowledged.

use dhow_testkit::{Daemon, Ran, is_root, program};
use std::{
    io::Write as _,
    net::TcpListener,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// A port of this test's own: the kernel has just said that nobody uses it.
fn free_port() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string()
}

/// Sends lines as records.
fn produce(command: &mut Command, lines: &str) -> Ran {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    Ran {
        command: format!("{command:?}"),
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// `dhow kafka …` in a new container on a network.
fn inside(daemon: &Daemon, network: &str, args: &[&str]) -> Command {
    let client = format!("{}:/dhow:ro", program("dhow").display());
    let run = ["run", "--rm", "-i", "--network", network, "-v", &client, "busybox", "/dhow", "kafka"];
    daemon.dhow_command(&[&run, args].concat())
}

fn broker_of(daemon: &Daemon) -> u32 {
    let status = daemon.dhow(&["kafka", "status", "--format", "json"]);
    let (_, rest) = status.ok().split_once("\"Pid\":").unwrap();
    rest.split(',').next().unwrap().parse().unwrap()
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

/// A record from everywhere, and everything read everywhere: the same broker by different addresses.
#[test]
fn root_kafka_serves_the_host_and_every_network() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let port = free_port();
    daemon.dhow(&["network", "create", "before"]).ok();
    assert_eq!(daemon.dhow(&["kafka", "up", "--port", &port]).ok(), format!("127.0.0.1:{port}"));
    daemon.dhow(&["network", "create", "after"]).ok();
    daemon.dhow(&["network", "create", "--internal", "inner"]).ok();
    daemon.dhow(&["kafka", "topics", "--create", "--topic", "events", "--partitions", "3"]).ok();
    let server = format!("kafka:{port}");
    let send = ["produce", "--bootstrap-server", &server, "--topic", "events"];
    let networks = ["before", "after", "inner", "bridge"];
    for network in networks {
        produce(&mut inside(&daemon, network, &send), &format!("from {network}\n")).ok();
    }
    produce(&mut daemon.dhow_command(&["kafka", "produce", "--topic", "events"]), "from host\n").ok();
    let wanted = ["from after", "from before", "from bridge", "from host", "from inner"];
    let read = ["consume", "--topic", "events", "--from-beginning", "--max-messages", "5"];
    for network in networks {
        let mut command = inside(&daemon, network, &[&read[..], &["--bootstrap-server", &server]].concat());
        assert_eq!(sorted(Daemon::ran(&mut command).ok()), wanted, "{network}");
    }
    assert_eq!(sorted(daemon.dhow(&[&["kafka"], &read[..]].concat()).ok()), wanted);
    // A network that goes takes its address along.
    daemon.dhow(&["network", "rm", "inner"]).ok();
    let listening = || daemon.dhow(&["kafka", "status"]).ok().matches(&format!(":{port} (from ")).count();
    wait_for("the address of the network that is gone", || listening() == 3);
    // A container of that name is meant before the broker is.
    daemon.dhow(&["run", "-d", "--name", "kafka", "--network", "after", "busybox", "sleep", "1000"]).ok();
    let mut command = inside(&daemon, "after", &["topics", "--list", "--bootstrap-server", &server]);
    Daemon::ran(&mut command).fails(1, "cannot reach the Kafka broker kafka:");
    daemon.dhow(&["kafka", "down"]).ok();
    assert_eq!(daemon.dhow(&["kafka", "status"]).ok().lines().next(), Some("State:     stopped"));
    daemon.dhow(&["kafka", "topics", "--list"]).fails(1, "start it with `dhow kafka up`");
    daemon.finish();
}

/// However broker and engine end: what was acknowledged is there, and the broker comes back while it is wanted.
#[test]
fn root_kafka_comes_back_with_everything_acknowledged() {
    if !is_root() {
        return;
    }
    let mut daemon = Daemon::start();
    let port = free_port();
    daemon.dhow(&["kafka", "up", "--port", &port]).ok();
    let send = |daemon: &Daemon, lines: &str| {
        produce(&mut daemon.dhow_command(&["kafka", "produce", "--topic", "log"]), lines).ok();
    };
    let all = |daemon: &Daemon, count: usize| {
        let most = count.to_string();
        let read = ["kafka", "consume", "--topic", "log", "--from-beginning", "--max-messages", &most];
        daemon.dhow(&[&read[..], &["--timeout-ms", "20000"]].concat()).ok().to_owned()
    };
    send(&daemon, "1\n2\n3\n");
    let first = broker_of(&daemon);
    assert!(Command::new("kill").args(["-9", &first.to_string()]).status().unwrap().success());
    wait_for("the broker after kill -9", || {
        let pid = broker_of(&daemon);
        pid != 0 && pid != first
    });
    assert_eq!(all(&daemon, 3), "1\n2\n3");
    send(&daemon, "4\n");
    // The engine dies: the broker closes its data and goes; the next engine starts it.
    daemon.kill();
    daemon.restart();
    wait_for("the broker after the engine's kill -9", || broker_of(&daemon) != 0);
    assert_eq!(all(&daemon, 4), "1\n2\n3\n4");
    daemon.terminate();
    daemon.restart();
    wait_for("the broker after the engine's end", || broker_of(&daemon) != 0);
    assert_eq!(all(&daemon, 4), "1\n2\n3\n4");
    // Not wanted: not started, and the data waits.
    daemon.dhow(&["kafka", "down"]).ok();
    daemon.terminate();
    daemon.restart();
    assert_eq!(broker_of(&daemon), 0);
    daemon.dhow(&["kafka", "up", "--port", &port]).ok();
    assert_eq!(all(&daemon, 4), "1\n2\n3\n4");
    daemon.finish();
}

#[test]
fn root_kafka_says_that_its_port_is_taken_and_stays_down() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let sentence = format!("cannot start the Kafka broker on port {port}: Address in use");
    daemon.dhow(&["kafka", "up", "--port", &port]).fails(1, &sentence);
    wait_for("the end of what could not start", || {
        daemon.dhow(&["kafka", "status"]).ok().starts_with("State:     stopped")
    });
    daemon.finish();
}

/// Two members of a group share the partitions; the second one's coming and going loses and doubles nothing.
#[test]
fn root_kafka_consumers_of_a_group_share_a_topic() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    daemon.dhow(&["kafka", "up", "--port", &free_port()]).ok();
    daemon.dhow(&["kafka", "topics", "--create", "--topic", "work", "--partitions", "4"]).ok();
    let send = |numbers: std::ops::Range<u32>| {
        let lines: String = numbers.map(|number| format!("key-{number}:{number}\n")).collect();
        let keyed = ["--property", "parse.key=true", "--property", "key.separator=:"];
        let args = [&["kafka", "produce", "--topic", "work"], &keyed[..]].concat();
        produce(&mut daemon.dhow_command(&args), &lines).ok();
    };
    let member = |most: &str| {
        let args =
            ["kafka", "consume", "--topic", "work", "--group", "crew", "--from-beginning", "--max-messages"];
        let mut command = daemon.dhow_command(&[&args[..], &[most, "--timeout-ms", "30000"]].concat());
        command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
    };
    let members = || daemon.dhow(&["kafka", "groups", "--describe", "--group", "crew", "--members"]).out;
    let shares = |each: &str, count: usize| {
        members().lines().filter(|line| line.starts_with("crew") && line.ends_with(each)).count() == count
    };
    send(0..100);
    let first = member("1000");
    wait_for("the first member's four partitions", || shares(" 4", 1));
    let second = member("10");
    wait_for("two partitions each", || shares(" 2", 2));
    send(100..200);
    let second = second.wait_with_output().unwrap().stdout;
    wait_for("all partitions of the first again", || shares(" 4", 1));
    send(200..300);
    let lag = || {
        let text = daemon.dhow(&["kafka", "groups", "--describe", "--group", "crew"]).out;
        let lag = |line: &str| line.split_whitespace().nth(5).and_then(|word| word.parse::<u64>().ok());
        text.lines().filter_map(lag).sum::<u64>()
    };
    wait_for("the end of the topic", || lag() == 0);
    // As Ctrl-C: it commits and leaves.
    assert!(Command::new("kill").args(["-INT", &first.id().to_string()]).status().unwrap().success());
    let first = first.wait_with_output().unwrap().stdout;
    let both = [first, second.clone()].concat();
    let mut numbers: Vec<u32> =
        String::from_utf8(both).unwrap().lines().map(|line| line.parse().unwrap()).collect();
    numbers.sort_unstable();
    assert!(numbers.iter().copied().eq(0..300), "{numbers:?}");
    assert_eq!(String::from_utf8(second).unwrap().lines().count(), 10);
    daemon.finish();
}

/// Topics that a label wants are there when the service starts; what is there already stays as it is.
#[test]
fn root_kafka_topics_of_a_compose_file_come_before_their_service() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let port = free_port();
    daemon.dhow(&["kafka", "up", "--port", &port]).ok();
    // The port is remembered; `up` of the project starts the broker.
    daemon.dhow(&["kafka", "down"]).ok();
    let folder = daemon.folder().join("stream");
    std::fs::create_dir(&folder).unwrap();
    let file = folder.join("compose.yaml");
    let write = |topics: &str| {
        let client = program("dhow");
        let text = format!(
            "name: stream\nservices:\n  web:\n    image: busybox\n    stop_grace_period: 0s\n    volumes: [\"{}:/dhow:ro\"]\n    labels:\n      \
             dhow.kafka.topics: \"{topics}\"\n    command: sh -c '/dhow kafka topics --describe --topic orders,audit \
             --bootstrap-server kafka:{port} && sleep 1000'\n",
            client.display()
        );
        std::fs::write(&file, text).unwrap();
    };
    let compose = |args: &[&str]| daemon.dhow(&[&["compose", "-f", file.to_str().unwrap()], args].concat());
    write("orders:3, audit:1:compcat");
    compose(&["up", "-d"])
        .fails(1, "service web: label dhow.kafka.topics: topic \"audit\": unknown word \"compcat\"");
    write("orders:3, audit:1:compact");
    let first = compose(&["up", "-d"]);
    first.ok();
    assert!(first.err.contains("Topic orders") && first.err.contains("Topic audit"), "{}", first.err);
    wait_for("what the service saw", || {
        let seen = compose(&["logs", "--no-log-prefix", "web"]).out;
        seen.contains("Topic: orders\t")
            && seen.contains("PartitionCount: 3")
            && seen.contains("cleanup.policy=compact")
    });
    let second = compose(&["up", "-d"]);
    second.ok();
    assert!(!second.err.contains("Topic") && !second.err.contains("Started"), "{}", second.err);
    write("orders:5, audit:1:compact:delete");
    let drifted = compose(&["up", "-d"]);
    drifted.ok();
    assert!(
        drifted.err.contains("topic orders has 3 partitions and not 5: it stays as it is"),
        "{}",
        drifted.err
    );
    assert!(
        drifted.err.contains("topic audit has cleanup.policy=compact and not compact,delete"),
        "{}",
        drifted.err
    );
    compose(&["down", "-t", "0"]).ok();
    assert_eq!(daemon.dhow(&["kafka", "topics", "--list", "--exclude-internal"]).ok(), "audit\norders");
    daemon.finish();
}

#[track_caller]
fn wait_for(what: &str, done: impl Fn() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < Duration::from_secs(30), "{what} does not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}
