//! The same commands of docker's own command line against us and against a real dockerd, where one is installed: the same exit
//! codes and the same words. What differs on purpose stands in `docs/api.md` and is not asked here.

use dhow_testkit::{Daemon, Ran, busybox_tar, is_root};
use std::{
    fs,
    os::unix::{net::UnixStream, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// A dockerd of this test's own, in a network namespace that it takes along.
struct Dockerd {
    folder: PathBuf,
    child: Child,
}

impl Dockerd {
    fn start() -> Option<Self> {
        let installed = std::env::var_os("PATH")
            .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join("dockerd").is_file()));
        if !installed {
            return None;
        }
        let folder = std::env::temp_dir().join(format!("dhow-dockerd-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = |name: &str| folder.join(name).display().to_string();
        let log = fs::File::create(folder.join("log")).unwrap();
        let child = Command::new("unshare")
            .args([
                "--net",
                "dockerd",
                "--host",
                &format!("unix://{}", path("sock")),
                "--data-root",
                &path("data"),
            ])
            .args(["--exec-root", &path("run"), "--pidfile", &path("pid")])
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut dockerd = Self { folder, child };
        let began = Instant::now();
        while UnixStream::connect(dockerd.folder.join("sock")).is_err() {
            // a machine that has the program but cannot run it (no iptables, no cgroups) has no dockerd to compare with
            if dockerd.child.try_wait().unwrap().is_some() || began.elapsed() > Duration::from_secs(60) {
                return None;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(dockerd)
    }

    fn docker(&self, args: &[&str]) -> Ran {
        let mut command = Command::new("docker");
        command
            .env("DOCKER_HOST", format!("unix://{}", self.folder.join("sock").display()))
            .env("DOCKER_CONFIG", self.folder.join("config"))
            .env_remove("DOCKER_CONTEXT")
            .args(args);
        Daemon::ran(&mut command)
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        // it may have ended by itself: then there is nothing to end
        drop(Command::new("kill").arg(self.child.id().to_string()).stderr(Stdio::null()).status());
        drop(self.child.wait());
        let mark = self.folder.display().to_string();
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        for mount in
            mounts.lines().filter_map(|line| line.split(' ').nth(1)).filter(|path| path.starts_with(&mark))
        {
            drop(Command::new("umount").args(["-l", mount]).status());
        }
        drop(fs::remove_dir_all(&self.folder));
    }
}

/// Ids, addresses, times and ports differ from run to run.
fn normal(text: &str) -> String {
    let word = |word: &str| {
        let bare = word.trim_start_matches("sha256:");
        let hexadecimal = bare.len() >= 12 && bare.bytes().all(|b| b.is_ascii_hexdigit());
        if hexadecimal { "ID".to_owned() } else { word.to_owned() }
    };
    text.lines().map(|line| line.split_whitespace().map(word).collect::<Vec<_>>().join(" ") + "\n").collect()
}

/// In order: some stand on what an earlier one made.
const SCENARIO: &[&[&str]] = &[
    &["run", "--rm", "bb", "echo", "hello"],
    &["run", "--rm", "bb", "sh", "-c", "echo out; echo err >&2; exit 7"],
    &["run", "--rm", "-e", "A=1", "-w", "/tmp", "-u", "app", "bb", "sh", "-c", "echo $A $HOME; pwd; id"],
    &["run", "--rm", "--hostname", "box", "bb", "cat", "/etc/hostname"],
    &["run", "--rm", "--read-only", "bb", "touch", "/x"],
    &["run", "--rm", "--cap-drop", "ALL", "bb", "grep", "Cap", "/proc/self/status"],
    &["run", "--rm", "--ulimit", "nofile=100:200", "bb", "sh", "-c", "ulimit -n; ulimit -Hn"],
    &["run", "--rm", "--network", "none", "bb", "ls", "/sys/class/net"],
    &["run", "--rm", "bb", "sh", "-c", "ls -l /dev | awk '{print $1, $NF}'"],
    &["run", "--rm", "bb", "sh", "-c", "cut -d' ' -f2 /proc/mounts | grep -v -e cgroup -e interrupts | sort"],
    &["create", "--name", "one", "--label", "a=b", "-p", "8080:80", "bb", "sleep", "1000"],
    &["create", "--name", "one", "bb"],
    &["create", "--name", "-bad-", "bb"],
    &["create", "--memory", "1m", "bb"],
    &["start", "one"],
    &[
        "inspect",
        "-f",
        "{{.State.Status}} {{.Path}} {{json .Args}} {{json .HostConfig.PortBindings}} {{json .Config.Labels}}",
        "one",
    ],
    &["ps", "--format", "{{.Names}} {{.Image}} {{.Command}} {{.State}}"],
    &["exec", "one", "sh", "-c", "echo in; exit 3"],
    &["exec", "-w", "/tmp", "-e", "B=2", "one", "sh", "-c", "pwd; echo $B"],
    &["pause", "one"],
    &["exec", "one", "true"],
    &["unpause", "one"],
    &["rename", "one", "two"],
    &["rm", "two"],
    &["kill", "two"],
    &["wait", "two"],
    &["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "two"],
    &["kill", "two"],
    &["logs", "two"],
    &["start", "nobody"],
    &["stop", "nobody"],
    &["rm", "two"],
    &["network", "create", "--subnet", "10.99.0.0/24", "--gateway", "10.99.0.1", "net"],
    &["network", "inspect", "-f", "{{.Driver}} {{json .IPAM.Config}} {{.Internal}}", "net"],
    &[
        "run",
        "--rm",
        "--network",
        "net",
        "--ip",
        "10.99.0.9",
        "bb",
        "sh",
        "-c",
        "ip -4 addr show eth0 | grep -o 'inet [0-9./]*'",
    ],
    &["network", "rm", "net"],
    &["network", "rm", "bridge"],
    &["volume", "create", "data"],
    &["run", "--rm", "-v", "data:/etc", "bb", "cat", "/etc/group"],
    &["volume", "ls", "-q"],
    &["volume", "rm", "data"],
    &["volume", "rm", "data"],
    &["tag", "bb", "other:1"],
    &["image", "inspect", "-f", "{{json .RepoTags}}", "bb"],
    &["rmi", "other:1"],
    &["rmi", "missing"],
    &["history", "--format", "{{.Comment}}", "bb"],
];

#[test]
fn root_docker_says_the_same_to_us_and_to_dockerd() {
    if !is_root() {
        return;
    }
    let Some(dockerd) = Dockerd::start() else { return };
    let daemon = Daemon::start();
    let tar = daemon.folder().join("bb.tar");
    fs::write(&tar, busybox_tar()).unwrap();
    daemon.dhow(&["rmi", "busybox"]).ok();
    import(&tar, &|args| daemon.docker(args));
    import(&tar, &|args| dockerd.docker(args));
    let mut differences = Vec::new();
    for command in SCENARIO {
        let (ours, theirs) = (daemon.docker(command), dockerd.docker(command));
        let both =
            [(ours.code.to_string(), theirs.code.to_string()), (normal(&ours.out), normal(&theirs.out))];
        for (ours, theirs) in both.iter().filter(|(ours, theirs)| ours != theirs) {
            differences
                .push(format!("docker {}\n  ours:   {ours:?}\n  theirs: {theirs:?}", command.join(" ")));
        }
    }
    daemon.finish();
    drop(dockerd);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

fn import(tar: &Path, docker: &dyn Fn(&[&str]) -> Ran) {
    docker(&["import", "-c", "CMD [\"sh\"]", "-m", "made for a test", tar.to_str().unwrap(), "bb"]).ok();
}
