//! config.md: the words of a mount's options, one by one.

use super::{
    Scenario,
    mounts::{folder, tree},
    s,
};
use crate::{
    case::Case,
    verdict::{Verdict, must, same, skip},
};
use rustix::mount::{UnmountFlags, unmount};
use serde_json::json;

const OPTIONS: &str = "config.md#linux-mount-options";
const POSIX: &str = "config.md#posix-platform-mounts";

pub(crate) const SCENARIOS: &[Scenario] = &[
    s("mount-options.ro", OPTIONS, |case| {
        bind(case, &["ro"], &["ro"])?;
        same("writing", case.ask(&["make /data/x"])?, ["EROFS"])
    }),
    s("mount-options.rw", OPTIONS, |case| bind(case, &["ro", "rw"], &["rw"])),
    s("mount-options.nosuid", OPTIONS, |case| bind(case, &["nosuid"], &["nosuid"])),
    s("mount-options.nodev", OPTIONS, |case| {
        case.mount("/data", "tmpfs", "tmpfs", &["nodev"]);
        same("answers", case.ask(&["mknod /data/null c 1 3", "open /data/null rw"])?, ["ok", "EACCES"])
    }),
    s("mount-options.noexec", OPTIONS, |case| {
        let source = folder(case, "data")?;
        std::fs::hard_link(case.rootfs().join("probe"), source.join("probe"))?;
        case.mount("/data", "bind", &source.to_string_lossy(), &["bind", "noexec"]);
        same("running", case.ask(&["run /data/probe"])?, ["EACCES"])
    }),
    s("mount-options.exec", OPTIONS, |case| {
        let source = folder(case, "data")?;
        std::fs::hard_link(case.rootfs().join("probe"), source.join("probe"))?;
        case.mount("/data", "bind", &source.to_string_lossy(), &["bind", "noexec", "exec"]);
        same("running", case.ask(&["run /data/probe"])?, ["exit 3"])
    }),
    s("mount-options.noatime", OPTIONS, |case| bind(case, &["noatime"], &["noatime", "!relatime"])),
    s("mount-options.nodiratime", OPTIONS, |case| bind(case, &["nodiratime"], &["nodiratime"])),
    s("mount-options.relatime", OPTIONS, |case| bind(case, &["relatime"], &["relatime", "!noatime"])),
    s("mount-options.strictatime", OPTIONS, |case| bind(case, &["strictatime"], &["!relatime", "!noatime"])),
    s("mount-options.atime", OPTIONS, |case| bind(case, &["noatime", "atime"], &["!noatime"])),
    s("mount-options.suid-dev-diratime", OPTIONS, |case| {
        bind(
            case,
            &["nosuid", "nodev", "nodiratime", "suid", "dev", "diratime"],
            &["!nosuid", "!nodev", "!nodiratime"],
        )
    }),
    s("mount-options.nosymfollow", OPTIONS, |case| {
        let source = folder(case, "data")?;
        std::os::unix::fs::symlink("name", source.join("link"))?;
        case.mount("/data", "bind", &source.to_string_lossy(), &["bind", "nosymfollow"]);
        same("answers", case.ask(&["read /data/name", "read /data/link"])?, ["data", "ELOOP"])
    }),
    s("mount-options.sync", OPTIONS, |case| tmpfs(case, &["sync"], &["sync"])),
    s("mount-options.dirsync", OPTIONS, |case| tmpfs(case, &["dirsync"], &["dirsync"])),
    s("mount-options.lazytime", OPTIONS, |case| tmpfs(case, &["lazytime"], &["lazytime"])),
    s("mount-options.words-without-effect", OPTIONS, |case| {
        let words = [
            "defaults",
            "async",
            "loud",
            "silent",
            "norelatime",
            "nostrictatime",
            "noiversion",
            "nolazytime",
        ];
        tmpfs(case, &words, &["rw"])
    }),
    s("mount-options.of-the-file-system", OPTIONS, |case| tmpfs(case, &["nr_inodes=77"], &["nr_inodes=77"])),
    s("mount-options.unknown-to-the-file-system", OPTIONS, |case| {
        case.mount("/data", "tmpfs", "tmpfs", &["nonsense=1"]);
        case.rejected().map(drop)
    }),
    s("mount-options.of-the-file-system-of-a-bind", OPTIONS, |case| bind(case, &["mode=755"], &["rw"])),
    s("mount-options.remount", OPTIONS, |case| {
        case.mount("/data", "tmpfs", "tmpfs", &["rw"]);
        case.mount("/data", "tmpfs", "tmpfs", &["remount", "ro", "nosuid"]);
        case.report()?.mounted("/data", &["ro", "nosuid"])
    }),
    s("mount-options.locked-flags-stay", OPTIONS, |case| {
        let source = folder(case, "data")?;
        rustix::mount::mount("tmpfs", &source, "tmpfs", rustix::mount::MountFlags::NODEV, None)?;
        case.mount("/data", "bind", &source.to_string_lossy(), &["bind"]);
        let facts = case.report();
        unmount(&source, UnmountFlags::DETACH)?;
        facts?.mounted("/data", &["nodev"])
    }),
    s("mount-options.ro-is-not-recursive", OPTIONS, |case| recursive(case, "ro", "ro", false)),
    s("mount-options.rro", OPTIONS, |case| recursive(case, "rro", "ro", true)),
    s("mount-options.rnosuid", OPTIONS, |case| recursive(case, "rnosuid", "nosuid", true)),
    s("mount-options.rnodev", OPTIONS, |case| recursive(case, "rnodev", "nodev", true)),
    s("mount-options.rnoexec", OPTIONS, |case| recursive(case, "rnoexec", "noexec", true)),
    s("mount-options.rnoatime", OPTIONS, |case| recursive(case, "rnoatime", "noatime", true)),
    s("mount-options.rnosymfollow", OPTIONS, |case| recursive(case, "rnosymfollow", "nosymfollow", true)),
    s("mount-options.idmap", POSIX, |case| {
        let source = folder(case, "data")?;
        let map = json!([{"containerID": 0, "hostID": 5000, "size": 100}]);
        case.mount("/data", "bind", &source.to_string_lossy(), &["bind", "idmap"]);
        let Some(entry) = case.config["mounts"].as_array_mut().and_then(|mounts| mounts.last_mut()) else {
            return skip("no mounts");
        };
        entry["uidMappings"] = map.clone();
        entry["gidMappings"] = map;
        same("answers", case.ask(&["stat /data/name"])?, ["f 0:0 644 5000:5000"])
    }),
    s("mount-options.idmap-of-the-user-namespace", POSIX, |case| {
        case.user_namespace()?;
        let source = folder(case, "data")?;
        case.mount("/data", "bind", &source.to_string_lossy(), &["bind", "idmap"]);
        let call = case.probe(&["stat /data/name"]).create()?;
        if call.code != Some(0) {
            return call.refused().map(drop);
        }
        let pid = case.pid()?;
        case.start()?.ok()?;
        case.wait(pid)?;
        same("owner", case.output()?.trim(), "f 0:0 644 0:0")
    }),
    s("mount-options.idmap-without-mappings", POSIX, |case| {
        let source = folder(case, "data")?;
        case.mount("/data", "bind", &source.to_string_lossy(), &["bind", "idmap"]);
        case.rejected().map(drop)
    }),
];

/// A bind mount with these options must show those.
fn bind(case: &mut Case<'_>, options: &[&str], wanted: &[&str]) -> Verdict {
    let source = folder(case, "data")?;
    case.mount("/data", "bind", &source.to_string_lossy(), &[&["bind"], options].concat());
    case.report()?.mounted("/data", wanted)
}

/// Likewise a tmpfs.
fn tmpfs(case: &mut Case<'_>, options: &[&str], wanted: &[&str]) -> Verdict {
    case.mount("/data", "tmpfs", "tmpfs", options);
    case.report()?.mounted("/data", wanted)
}

/// Whether an option reaches the mount below the one it is given for.
fn recursive(case: &mut Case<'_>, option: &str, flag: &str, below: bool) -> Verdict {
    let source = tree(case)?;
    case.mount("/data", "bind", &source.to_string_lossy(), &["rbind", option]);
    let facts = case.report();
    unmount(source.join("below"), UnmountFlags::DETACH)?;
    let facts = facts?;
    facts.mounted("/data", &[flag])?;
    let has = facts.mount("/data/below")?.options.iter().any(|have| have == flag);
    must(has == below, || format!("{flag} below the mount: {has}, not {below}"))
}
