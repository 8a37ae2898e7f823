//! The machine's root disk: a small Debian with what tests call, and a kernel beside it.

use crate::{
    install,
    shell::{command, run, step, target},
};
use anyhow::Context as _;
use std::{
    fs,
    path::{Path, PathBuf},
};

const SUITE: &str = "bookworm";
/// Beside what the tests install on any machine: kernel modules, systemd and its bus, and the runtimes that ours is compared with.
const PACKAGES: &[&str] = &["kmod", "systemd-sysv", "dbus", "docker.io", "runc", "crun"];
const INIT: &str = include_str!("init.sh");

/// The kernel is only unpacked: its package would bring, and run, what makes an initial RAM disk, which this machine needs not.
const KERNEL: &str = r#"chroot "$1" sh -ec '
    cd /var/tmp
    apt-get -qq download "$(apt-cache depends linux-image-cloud-amd64 | sed -n "s/.*Depends: //p")"
    dpkg-deb --fsys-tarfile linux-image-*.deb | tar -x --keep-directory-symlink -C /
    rm linux-image-*.deb
    depmod "$(ls /lib/modules)"'"#;

/// A disk that can be booted.
pub(super) struct Disk {
    pub(super) image: PathBuf,
    pub(super) kernel: PathBuf,
}

/// The disk, made anew when what is written here has changed.
pub(super) fn make() -> anyhow::Result<Disk> {
    let folder = target().join("vm");
    let disk = Disk { image: folder.join("root.ext4"), kernel: folder.join("vmlinuz") };
    let packages = packages();
    let recipe = format!("{SUITE}\n{packages}\n{KERNEL}\n{INIT}");
    let made = folder.join("recipe");
    if fs::read_to_string(&made).is_ok_and(|text| text == recipe) && disk.image.exists() {
        return Ok(disk);
    }
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    // mmdebstrap wants a folder that others can read: not all build folders are
    let tree = std::env::temp_dir().join(format!("dhow-vm-{}", std::process::id()));
    let outcome = step("making the machine's disk", || fill(&tree, &packages, &disk));
    fs::remove_dir_all(&tree).with_context(|| format!("removing {}", tree.display()))?;
    outcome?;
    fs::write(&made, recipe)?;
    Ok(disk)
}

fn packages() -> String {
    let tests = install::TEST.iter().map(|(_, package)| *package);
    tests.chain(PACKAGES.iter().copied()).collect::<Vec<_>>().join(",")
}

fn fill(tree: &Path, packages: &str, disk: &Disk) -> anyhow::Result<()> {
    run(command("mmdebstrap")
        .args(["--quiet", "--variant=minbase"])
        .arg(format!("--include={}", packages))
        .arg(format!("--customize-hook={KERNEL}"))
        .arg(SUITE)
        .arg(tree))?;
    let init = tree.join("sbin/dhow-init");
    fs::write(&init, INIT)?;
    fs::set_permissions(&init, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let kernel = fs::read_dir(tree.join("boot"))?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz-")))
        .context("the kernel's package has no /boot/vmlinuz-*")?;
    fs::copy(kernel, &disk.kernel)?;
    run(command("mke2fs")
        .args(["-q", "-F", "-t", "ext4", "-L", "root", "-d"])
        .arg(tree)
        .arg(&disk.image)
        .arg("8G"))
}
