//! What the chores need from the machine: the musl target, and Debian packages. Nothing is installed twice.

use crate::shell::{self, has, output, run, say, step, triple};
use anyhow::bail;
use std::process::Command;

/// A program, and the Debian package that has it.
pub(crate) type Need = (&'static str, &'static str);

/// To build.
pub(crate) const BUILD: &[Need] = &[("musl-gcc", "musl-tools")];
/// To make base images without a registry.
pub(crate) const IMAGES: &[Need] = &[("mmdebstrap", "mmdebstrap")];
/// To test: a static shell for images, a real registry, the engines that run on our runtime, and what looks at the machine.
pub(crate) const TEST: &[Need] = &[
    ("busybox", "busybox-static"),
    ("docker-registry", "docker-registry"),
    ("skopeo", "skopeo"),
    ("nft", "nftables"),
    ("ip", "iproute2"),
    ("curl", "curl"),
    ("runc", "runc"),
    ("crun", "crun"),
    ("ps", "procps"),
    ("podman", "podman"),
    ("containerd", "containerd"),
    ("strace", "strace"),
    ("unzip", "unzip"),
    ("kcat", "kcat"),
    // log sinks, and certificates
    ("rsyslogd", "rsyslog"),
    ("journalctl", "systemd"),
    ("/usr/lib/python3/dist-packages/msgpack/__init__.py", "python3-msgpack"),
    ("openssl", "openssl"),
    // docker's client in Python, and what it attaches over
    ("/usr/lib/python3/dist-packages/docker/__init__.py", "python3-docker"),
    ("/usr/lib/python3/dist-packages/websocket/__init__.py", "python3-websocket"),
    ("systemd-socket-activate", "systemd"),
];
/// To count system calls.
pub(crate) const TRACE: &[Need] = &[("strace", "strace")];
/// Other runtimes, for the benchmarks.
pub(crate) const RUNTIMES: &[Need] = &[("crun", "crun"), ("runc", "runc")];
/// The peer of the benchmarks.
pub(crate) const PEER: &[Need] = &[("dockerd", "docker.io"), ("iptables", "iptables")];

/// Installs what is missing.
pub(crate) fn ensure(needs: &[Need]) -> anyhow::Result<()> {
    target()?;
    let missing: Vec<&str> =
        needs.iter().filter(|(program, _)| !has(program)).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !shell::is_root() {
        bail!("these packages are missing and only root can install them: {}", missing.join(" "));
    }
    if !has("apt-get") {
        bail!(
            "these programs are missing and this machine has no apt-get to install them: {}",
            missing.join(" ")
        );
    }
    step(&format!("installing {}", missing.join(" ")), || {
        let apt = || {
            let mut apt = Command::new("apt-get");
            apt.env("DEBIAN_FRONTEND", "noninteractive").arg("-qq");
            apt
        };
        run(apt().arg("update"))?;
        // a package's service must not start: the tests run their own
        let policy = std::path::Path::new("/usr/sbin/policy-rc.d");
        let ours = !policy.exists();
        if ours {
            std::fs::write(policy, "#!/bin/sh\nexit 101\n")?;
            std::fs::set_permissions(policy, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        }
        let installed = output(apt().args(["install", "-y", "--no-install-recommends"]).args(&missing));
        if ours {
            std::fs::remove_file(policy)?;
        }
        installed.map(drop)
    })
}

/// The jar of Kafka's Java clients, which has the descriptors of its messages; `None` where Maven or its registry is not there.
#[cfg_attr(not(test), expect(dead_code, reason = "only a test looks into it"))]
pub(crate) fn kafka_clients() -> anyhow::Result<Option<std::path::PathBuf>> {
    const VERSION: &str = "4.3.1";
    let folder = shell::root().join("target/kafka");
    let jar = folder.join(format!("kafka-clients-{VERSION}.jar"));
    if !jar.exists() && has("mvn") {
        let mut maven = Command::new("mvn");
        maven.args(["--quiet", "--batch-mode", "dependency:copy"]);
        maven.arg(format!("-Dartifact=org.apache.kafka:kafka-clients:{VERSION}"));
        maven.arg(format!("-DoutputDirectory={}", folder.display()));
        if let Err(error) = output(maven.current_dir("/")) {
            say(&format!("no kafka-clients {VERSION}: {error:#}"));
        }
    }
    Ok(jar.exists().then_some(jar))
}

/// The musl target of the toolchain.
fn target() -> anyhow::Result<()> {
    if !has("rustup") {
        return Ok(());
    }
    let triple = triple();
    let have = output(shell::command("rustup").args(["target", "list", "--installed"]))?;
    if have.lines().any(|line| line == triple) {
        return Ok(());
    }
    say(&format!("== adding the target {triple}"));
    run(shell::command("rustup").args(["target", "add", &triple]))
}
