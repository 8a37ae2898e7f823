//! Running the machine: its console is printed as it comes, and its last line tells how the tests ended.

use super::{Wanted, disk::Disk};
use crate::shell::{say, step};
use anyhow::{Context as _, bail};
use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    time::{Duration, Instant},
};

/// For everything.
const LIMIT: Duration = Duration::from_secs(40 * 60);
/// A machine that runs says something within that time; an emulated one on a loaded host takes its time.
const FIRST_WORD: Duration = Duration::from_secs(20);
const FIRST_WORD_EMULATED: Duration = Duration::from_secs(180);
const VERDICT: &str = "dhow-vm: ";

/// Boots and runs the tests: whether it could be booted. An error if a test failed or the machine died.
pub(super) fn run(disk: &Disk, freight: &Path, wanted: &Wanted<'_>) -> anyhow::Result<bool> {
    // /dev/kvm may be there and not work: nested, half supported
    if Path::new("/dev/kvm").exists() {
        if let Some(verdict) =
            step("booting with KVM", || Machine::start("kvm", disk, freight, wanted)?.watch(FIRST_WORD))?
        {
            return judge(&verdict).map(|()| true);
        }
        say("   KVM does not work here: emulating");
    }
    let verdict = step("booting", || {
        Machine::start("tcg,thread=multi", disk, freight, wanted)?.watch(FIRST_WORD_EMULATED)
    })?;
    match verdict {
        Some(verdict) => judge(&verdict).map(|()| true),
        None => Ok(false),
    }
}

fn judge(verdict: &str) -> anyhow::Result<()> {
    if verdict == "passed" { Ok(()) } else { bail!("in the machine: {verdict}") }
}

/// A qemu of ours; dropping it ends it.
struct Machine {
    qemu: Child,
    lines: Receiver<String>,
}

impl Machine {
    fn start(accelerator: &str, disk: &Disk, freight: &Path, wanted: &Wanted<'_>) -> anyhow::Result<Self> {
        let drive = |id: &str, path: &Path, more: &str| {
            let path = path.display();
            [
                "-drive".to_owned(),
                format!("if=none,id={id},format=raw,file={path},{more}"),
                "-device".to_owned(),
                format!("nvme,drive={id},serial={id}"),
            ]
        };
        let first = match (wanted.systemd, wanted.v1) {
            (_, true) => {
                "systemd systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=0"
            }
            (true, false) => "systemd",
            _ => "tests",
        };
        // setpriv: qemu dies with us, also when we are killed
        let mut qemu = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "qemu-system-x86_64", "-accel", accelerator])
            .args(["-cpu", if accelerator == "kvm" { "host" } else { "max" }, "-smp", "2", "-m", "3072"])
            .args(["-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio", "-no-reboot"])
            // writes go to a file that nobody sees and that ends with qemu
            .args(drive("root", &disk.image, "snapshot=on,cache=unsafe"))
            .args(drive("freight", freight, "readonly=on"))
            .arg("-kernel")
            .arg(&disk.kernel)
            .args([
                "-append",
                &format!(
                    "console=ttyS0 loglevel=3 panic=-1 root=/dev/nvme0n1 init=/sbin/dhow-init dhow={first}"
                ),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .context("starting qemu")?;
        let console = qemu.stdout.take().context("qemu without a console")?;
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(console).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned();
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self { qemu, lines })
    }

    /// Prints what the machine says until it ends; its verdict, or none if it never said anything.
    fn watch(self, first_word: Duration) -> anyhow::Result<Option<String>> {
        let end = Instant::now() + LIMIT;
        let (mut verdict, mut wait, mut spoke) = (None, first_word, false);
        loop {
            match self.lines.recv_timeout(wait) {
                Ok(line) => {
                    if let Some(word) = line.strip_prefix(VERDICT) {
                        verdict = Some(word.to_owned());
                    }
                    say(&line);
                    spoke = true;
                    wait = end.saturating_duration_since(Instant::now());
                }
                Err(_) if !spoke => return Ok(None),
                Err(RecvTimeoutError::Timeout) => {
                    bail!("the machine has not ended after {} s", LIMIT.as_secs())
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return verdict.context("the machine died before its verdict").map(Some);
                }
            }
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // it may have ended by itself
        drop(self.qemu.kill());
        drop(self.qemu.wait());
    }
}
