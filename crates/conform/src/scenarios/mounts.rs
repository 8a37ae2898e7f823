//! config.md: what is mounted where.

use super::{Scenario, s};
use crate::{
    case::Case,
    verdict::{Verdict, must, same},
};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount};
use serde_json::json;
use std::{fs, path::PathBuf};

const MOUNTS: &str = "config.md#mounts";
const PROPAGATION: &str = "config-linux.md#rootfs-mount-propagation";
const DEFAULTS: &str = "config-linux.md#default-filesystems";

pub(crate) const SCENARIOS: &[Scenario] = &[
    s("mounts.default-filesystems", DEFAULTS, |case| {
        let facts = case.report()?;
        for (point, kind) in
            [("/proc", "proc"), ("/sys", "sysfs"), ("/dev/pts", "devpts"), ("/dev/shm", "tmpfs")]
        {
            same(point, facts.mount(point)?.kind.as_str(), kind)?;
        }
        Ok(())
    }),
    s("mounts.only-what-is-asked", MOUNTS, |case| {
        let facts = case.report()?;
        let points: Vec<String> = facts.mounts().into_iter().map(|mount| mount.point).collect();
        same("mounts", points, ["/", "/proc", "/dev", "/dev/pts", "/dev/shm", "/sys"])
    }),
    s("mounts.in-order", MOUNTS, |case| {
        let (first, second) = (folder(case, "first")?, folder(case, "second")?);
        fs::create_dir(first.join("inner"))?;
        case.mount("/data", "bind", &first.to_string_lossy(), &["bind"]);
        case.mount("/data/inner", "bind", &second.to_string_lossy(), &["bind"]);
        same("answers", case.ask(&["read /data/name", "read /data/inner/name"])?, ["first", "second"])
    }),
    s("mounts.later-covers-earlier", MOUNTS, |case| {
        let (first, second) = (folder(case, "first")?, folder(case, "second")?);
        case.mount("/data", "bind", &first.to_string_lossy(), &["bind"]);
        case.mount("/data", "bind", &second.to_string_lossy(), &["bind"]);
        same("answers", case.ask(&["read /data/name"])?, ["second"])
    }),
    s("mounts.destination-is-made", MOUNTS, |case| {
        let source = folder(case, "deep")?;
        case.mount("/a/b/c", "bind", &source.to_string_lossy(), &["bind"]);
        same("answers", case.ask(&["read /a/b/c/name"])?, ["deep"])
    }),
    s("mounts.relative-destination", MOUNTS, |case| {
        let source = folder(case, "relative")?;
        case.mount("some/where", "bind", &source.to_string_lossy(), &["bind"]);
        same("answers", case.ask(&["read /some/where/name"])?, ["relative"])
    }),
    s("mounts.file", MOUNTS, |case| {
        let source = folder(case, "file")?.join("name");
        case.mount("/etc/one-file", "bind", &source.to_string_lossy(), &["bind"]);
        same("answers", case.ask(&["read /etc/one-file", "write /etc/one-file changed"])?, ["file", "ok"])?;
        same("outside", fs::read_to_string(source)?.as_str(), "changed")
    }),
    s("mounts.source-relative-to-bundle", MOUNTS, |case| {
        folder(case, "beside")?;
        case.mount("/data", "bind", "beside", &["bind"]);
        same("answers", case.ask(&["read /data/name"])?, ["beside"])
    }),
    s("mounts.bind-by-option", MOUNTS, |case| {
        let source = folder(case, "bound")?;
        case.mount("/data", "none", &source.to_string_lossy(), &["bind"]);
        same("answers", case.ask(&["read /data/name"])?, ["bound"])
    }),
    s("mounts.type-may-be-missing", MOUNTS, |case| {
        let source = folder(case, "bound")?;
        crate::case::push(
            &mut case.config["mounts"],
            json!({"destination": "/data", "source": source, "options": ["rbind"]}),
        );
        same("answers", case.ask(&["read /data/name"])?, ["bound"])
    }),
    s("mounts.missing-source", MOUNTS, |case| {
        case.mount("/data", "bind", "/no/such/source", &["bind"]);
        case.rejected().map(drop)
    }),
    s("mounts.unknown-type", MOUNTS, |case| {
        case.mount("/data", "nonsense", "nonsense", &[]);
        case.rejected().map(drop)
    }),
    s("mounts.tmpfs", MOUNTS, |case| {
        case.mount(
            "/data",
            "tmpfs",
            "tmpfs",
            &["nosuid", "nodev", "mode=1750", "size=128k", "uid=7", "gid=8"],
        );
        let answers = case.ask(&["stat /data", "write /data/x hello", "read /data/x"])?;
        same("answers", answers, ["d 0:0 1750 7:8", "ok", "hello"])?;
        case.report()?.mounted("/data", &["nosuid", "nodev", "size=128k"])
    }),
    s("mounts.mqueue", MOUNTS, |case| {
        case.mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]);
        same("type", case.report()?.mount("/dev/mqueue")?.kind.as_str(), "mqueue")
    }),
    s("mounts.cgroup", MOUNTS, |case| {
        case.mount("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", "ro"]);
        case.new_namespace("cgroup");
        let facts = case.report()?;
        let cgroup = facts.mounts().into_iter().find(|mount| mount.kind.starts_with("cgroup"));
        must(cgroup.as_ref().is_some_and(|mount| mount.has("ro")), || format!("{cgroup:?}"))?;
        same("writing", case.ask(&["mkdir /sys/fs/cgroup/mine"])?, ["EROFS"])
    }),
    s("mounts.link-in-the-way", MOUNTS, |case| {
        let source = folder(case, "data")?;
        std::os::unix::fs::symlink("/tmp/else/where", case.rootfs().join("data"))?;
        case.mount("/data", "bind", &source.to_string_lossy(), &["bind"]);
        same("answers", case.ask(&["read /data/name"])?, ["data"])?;
        must(!PathBuf::from("/tmp/else").exists(), || "a folder was made on the host".to_owned())
    }),
    s("mounts.link-out-of-the-root", MOUNTS, |case| {
        let source = folder(case, "data")?;
        let outside = folder(case, "outside")?;
        std::os::unix::fs::symlink(&outside, case.rootfs().join("way"))?;
        case.mount("/way/out", "bind", &source.to_string_lossy(), &["bind"]);
        // refused or not: what counts is the host afterwards
        case.ask(&["exit 0"]).ok();
        must(!outside.join("out").exists(), || "a folder was made outside the root".to_owned())
    }),
    s("mounts.nothing-on-the-host", MOUNTS, |case| {
        let table = || fs::read_to_string("/proc/self/mountinfo");
        let before = table()?;
        case.mount("/data", "tmpfs", "tmpfs", &[]);
        case.probe(&["hold"]).running()?;
        same("the caller's mounts", table()?, before)
    }),
    s("mounts.tmpcopyup", MOUNTS, |case| {
        fs::create_dir_all(case.rootfs().join("data/sub"))?;
        fs::write(case.rootfs().join("data/sub/file"), "from the image")?;
        case.mount("/data", "tmpfs", "tmpfs", &["tmpcopyup"]);
        let answers = case.ask(&["read /data/sub/file", "write /data/sub/file changed"])?;
        same("answers", answers, ["from the image", "ok"])?;
        same("below", fs::read_to_string(case.rootfs().join("data/sub/file"))?.as_str(), "from the image")
    }),
    s("mounts.rbind-takes-what-is-below", MOUNTS, |case| {
        let source = tree(case)?;
        case.mount("/flat", "bind", &source.to_string_lossy(), &["bind"]);
        case.mount("/deep", "bind", &source.to_string_lossy(), &["rbind"]);
        let answers = case.ask(&["list /flat/below", "read /deep/below/name"]);
        unmount(source.join("below"), UnmountFlags::DETACH)?;
        same("answers", answers?, ["", "below"])
    }),
    s("mounts.slave-receives", MOUNTS, |case| propagated(case, "rslave", true, false)),
    s("mounts.shared-both-ways", MOUNTS, |case| propagated(case, "rshared", true, true)),
    s("mounts.private-neither", MOUNTS, |case| propagated(case, "rprivate", false, false)),
    s("mounts.unbindable", MOUNTS, |case| {
        let source = folder(case, "data")?;
        case.mount("/data", "bind", &source.to_string_lossy(), &["bind", "unbindable"]);
        let mount = case.report()?.mount("/data")?;
        must(mount.propagation.iter().any(|word| word == "unbindable"), || format!("{:?}", mount.propagation))
    }),
    s("rootfs-propagation.private", PROPAGATION, |case| {
        rootfs_propagation(case, "private", |words| words.is_empty())
    }),
    s("rootfs-propagation.shared", PROPAGATION, |case| {
        rootfs_propagation(case, "shared", |words| words.iter().any(|word| word.starts_with("shared:")))
    }),
    s("rootfs-propagation.slave", PROPAGATION, |case| {
        rootfs_propagation(case, "slave", |words| !words.iter().any(|word| word.starts_with("shared:")))
    }),
    s("rootfs-propagation.unbindable", PROPAGATION, |case| {
        rootfs_propagation(case, "unbindable", |words| words.iter().any(|word| word == "unbindable"))
    }),
    s("rootfs-propagation.invalid", PROPAGATION, |case| {
        case.config["linux"]["rootfsPropagation"] = json!("nonsense");
        case.rejected().map(drop)
    }),
];

/// A folder of the bundle with a file `name` that says its name.
pub(super) fn folder(case: &Case<'_>, name: &str) -> Verdict<PathBuf> {
    let path = case.bundle.join(name);
    fs::create_dir(&path)?;
    fs::write(path.join("name"), name)?;
    Ok(path)
}

/// A folder with a tmpfs below it at `below`.
pub(super) fn tree(case: &Case<'_>) -> Verdict<PathBuf> {
    let path = folder(case, "tree")?;
    fs::create_dir(path.join("below"))?;
    mount("tmpfs", path.join("below"), "tmpfs", MountFlags::empty(), None)?;
    fs::write(path.join("below/name"), "below")?;
    Ok(path)
}

/// Whether mounts made outside appear inside, and the other way round.
fn propagated(case: &mut Case<'_>, option: &str, inward: bool, outward: bool) -> Verdict {
    let source = folder(case, "data")?;
    for inside in ["from-outside", "from-inside"] {
        fs::create_dir(source.join(inside))?;
    }
    mount(&source, &source, "", MountFlags::BIND, None)?;
    let tested = (|| {
        mount_change(&source, MountPropagationFlags::SHARED)?;
        if outward {
            case.config["linux"]["rootfsPropagation"] = json!("shared");
        }
        case.mount("/data", "bind", &source.to_string_lossy(), &["rbind", option]);
        let all = ["CAP_SYS_ADMIN"];
        case.config["process"]["capabilities"] = json!({"bounding": all, "effective": all, "permitted": all});
        case.probe(&[
            "mount /data/from-inside",
            "write /data/from-inside/x 1",
            "signal",
            "list /data/from-outside",
        ]);
        let pid = case.running()?;
        super::lifecycle::wait_for(&case.rootfs().join("tmp/ready"))?;
        let seen = source.join("from-inside/x").exists();
        mount("tmpfs", source.join("from-outside"), "tmpfs", MountFlags::empty(), None)?;
        fs::write(source.join("from-outside/y"), "")?;
        case.kill("HUP")?.ok()?;
        case.wait(pid)?;
        let out = case.output()?;
        same("a mount of the container is seen outside", seen, outward)?;
        same("a mount of the host is seen inside", out.lines().last() == Some("y"), inward)
    })();
    case.end()?;
    while unmount(&source, UnmountFlags::DETACH).is_ok() {}
    tested
}

fn rootfs_propagation(case: &mut Case<'_>, word: &str, holds: fn(&[String]) -> bool) -> Verdict {
    case.config["linux"]["rootfsPropagation"] = json!(word);
    let root = case.report()?.mount("/")?;
    must(holds(&root.propagation), || format!("/ is {:?}", root.propagation))
}
