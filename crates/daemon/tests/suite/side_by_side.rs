//! The same commands of docker's own command line against us and against a real dockerd, where one is installed: the same exit
//! codes and the same words. With every docker that is there: what a distribution installs, and what stands before it in the path.
//! What differs on purpose stands in `docs/compat.md` and in `DEFENDED`.

use super::dockerd::Dockerd;
use dhow_testkit::{Daemon, Ran, busybox_tar, is_root};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// One engine, and where the files of its commands are.
struct Side {
    socket: PathBuf,
    folder: PathBuf,
}

impl Side {
    fn new(socket: PathBuf, folder: PathBuf) -> Self {
        fs::create_dir_all(&folder).unwrap();
        Self { socket, folder }
    }

    fn docker(&self, program: &Path, args: &[String]) -> Ran {
        let mut command = Command::new(program);
        command
            .env("DOCKER_HOST", format!("unix://{}", self.socket.display()))
            .env("DOCKER_CONFIG", self.folder.join("config"))
            // What the older of the two speaks: fields of later versions are not what is compared here.
            .env("DOCKER_API_VERSION", "1.41")
            .env_remove("DOCKER_CONTEXT")
            .current_dir(&self.folder)
            .args(args);
        Daemon::ran(&mut command)
    }

    fn run(&self, program: &Path, line: &str) -> Ran {
        let line = line.replace("{dir}", &self.folder.display().to_string());
        let ran = match line.strip_prefix("$ ") {
            Some(shell) => Daemon::ran(Command::new("sh").args(["-c", shell])),
            None => self.docker(program, &shlex::split(&line).unwrap()),
        };
        let level = |text: &str| normal(&text.replace(&self.folder.display().to_string(), "{dir}"));
        let mut out = level(&ran.out);
        if line.starts_with("diff ") {
            // dockerd tells changes in an order that changes
            let mut lines: Vec<&str> = out.lines().collect();
            lines.sort_unstable();
            out = lines.join("\n");
        }
        Ran { out, err: level(&ran.err).to_lowercase(), ..ran }
    }
}

/// Ids, addresses, times and ports differ from run to run; docker says today what it said otherwise in 2020.
fn normal(text: &str) -> String {
    // the client's own log: how far it had come when it was refused
    let lines = text.lines().filter(|line| !line.starts_with("time="));
    let lines = lines.map(|line| line.split_whitespace().map(ids).collect::<Vec<_>>().join(" ") + "\n");
    let mut text: String = lines.collect();
    for (earlier, later) in [
        ("runc create failed: ", ""),
        ("failed to create task for container: ", ""),
        ("to the network", "to network"),
    ] {
        text = text.replace(earlier, later);
    }
    text
}

/// A word whose hexadecimal numbers of an id's length are `ID`.
fn ids(word: &str) -> String {
    let mut out = String::new();
    for piece in word.split_inclusive(|c: char| !c.is_ascii_alphanumeric()) {
        let bare = piece.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        let id = bare.len() >= 12 && bare.bytes().all(|b| b.is_ascii_hexdigit());
        out.push_str(&if id { piece.replace(bare, "ID") } else { piece.to_owned() });
    }
    out
}

/// Commands whose difference is meant, and why.
const DEFENDED: &[(&str, &str)] = &[
    ("rm two", "newer docker's words"),
    ("update --restart sometimes f3", "newer docker's words"),
    ("run --rm --runtime nonsense bb true", "newer docker's words"),
    ("run --rm --log-driver nonsense bb true", "the older docker looks for a plugin"),
    (
        "run --rm --dns 1.2.3.4 --dns-search s --dns-option ndots:3 bb cat /etc/resolv.conf",
        "newer docker's order",
    ),
    ("network create --subnet nonsense n2", "newer docker's words"),
    ("network rm n3", "newer docker tells whose they are, too"),
    ("save -o {dir}/many.tar bb other:9", "ours tells which one"),
    ("load -i {dir}/src/one", "dockerd's is of a program of its own that unpacks"),
    ("push 127.0.0.1:1/nobody", "newer docker's words"),
    ("push bb-nobody", "newer docker's words"),
    ("pull 127.0.0.1:1/nobody", "dockerd asks for /v2/ first"),
    (
        "run -d --name m1 --network n3 --network-alias al --ip 1.2.3.4 bb sleep 1000",
        "refused at create, not at start",
    ),
    ("rm m1", "so it is not there"),
    ("run --rm --network nobody bb true", "refused at create, not at start: the CLI's hint is another"),
];

/// In order: some stand on what an earlier one made.
const SCENARIO: &str = include_str!("side_by_side/scenario.txt");

/// docker's programs: in the path's order, each version once.
fn programs() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found: Vec<(String, PathBuf)> = Vec::new();
    for program in
        std::env::split_paths(&path).map(|folder| folder.join("docker")).filter(|file| file.is_file())
    {
        let version = Daemon::ran(Command::new(&program).arg("--version")).out;
        if !found.iter().any(|(known, _)| *known == version) {
            found.push((version, program));
        }
    }
    found.into_iter().map(|(_, program)| program).collect()
}

#[test]
fn root_docker_says_the_same_to_us_and_to_dockerd() {
    if !is_root() {
        return;
    }
    let mut differences = Vec::new();
    for program in programs() {
        let Some(dockerd) = Dockerd::start() else { return };
        let daemon = Daemon::start();
        let tar = daemon.folder().join("bb.tar");
        fs::write(&tar, busybox_tar()).unwrap();
        daemon.dhow(&["rmi", "busybox"]).ok();
        let ours = Side::new(daemon.socket(), daemon.folder().join("side"));
        let theirs = Side::new(dockerd.socket(), dockerd.folder().join("side"));
        for side in [&ours, &theirs] {
            let import =
                ["import", "-c", "CMD [\"sh\"]", "-m", "made for a test", tar.to_str().unwrap(), "bb"];
            side.docker(&program, &import.map(str::to_owned)).ok();
        }
        let commands = SCENARIO.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        for command in commands {
            let (mine, other) = (ours.run(&program, command), theirs.run(&program, command));
            let same = mine.code == other.code && mine.out == other.out && mine.err == other.err;
            if !same && !DEFENDED.iter().any(|(defended, _)| *defended == command) {
                let show = |ran: &Ran| format!("{} {:?} {:?}", ran.code, ran.out, ran.err);
                let text = format!(
                    "{} {command}\n  ours:   {}\n  theirs: {}",
                    program.display(),
                    show(&mine),
                    show(&other)
                );
                differences.push(text);
            }
        }
        daemon.finish();
    }
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}
