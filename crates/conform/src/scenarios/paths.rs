//! config-linux.md: masked and read-only paths.

use super::{Scenario, s};
use crate::verdict::{must, same};
use serde_json::json;
use std::fs;

const MASKED: &str = "config-linux.md#masked-paths";
const READ_ONLY: &str = "config-linux.md#readonly-paths";

pub(crate) const SCENARIOS: &[Scenario] = &[
    s("masked.file", MASKED, |case| {
        fs::write(case.rootfs().join("secret"), "secret")?;
        case.config["linux"]["maskedPaths"] = json!(["/secret", "/proc/timer_list"]);
        same("content", case.ask(&["read /secret", "read /proc/timer_list"])?, ["", ""])
    }),
    s("masked.folder", MASKED, |case| {
        fs::create_dir(case.rootfs().join("secrets"))?;
        fs::write(case.rootfs().join("secrets/one"), "secret")?;
        case.config["linux"]["maskedPaths"] = json!(["/secrets", "/sys/kernel"]);
        let answers = case.ask(&["list /secrets", "list /sys/kernel", "make /secrets/x"])?;
        same("content", answers, ["", "", "EROFS"])
    }),
    s("masked.missing", MASKED, |case| {
        case.config["linux"]["maskedPaths"] = json!(["/no/such/path"]);
        same("exit code", case.probe(&["exit 0"]).run()?.code, 0)?;
        must(!case.rootfs().join("no").exists(), || "it was made".to_owned())
    }),
    s("masked.link", MASKED, |case| {
        fs::write(case.rootfs().join("secret"), "secret")?;
        std::os::unix::fs::symlink("/secret", case.rootfs().join("way"))?;
        case.config["linux"]["maskedPaths"] = json!(["/way"]);
        same("content", case.ask(&["read /secret"])?, [""])
    }),
    s("masked.relative", MASKED, |case| {
        case.config["linux"]["maskedPaths"] = json!(["proc/timer_list"]);
        case.rejected().map(drop)
    }),
    s("read-only.file", READ_ONLY, |case| {
        fs::write(case.rootfs().join("kept"), "kept")?;
        case.config["linux"]["readonlyPaths"] = json!(["/kept"]);
        same("answers", case.ask(&["read /kept", "write /kept x"])?, ["kept", "EROFS"])
    }),
    s("read-only.folder", READ_ONLY, |case| {
        fs::create_dir(case.rootfs().join("kept"))?;
        case.config["linux"]["readonlyPaths"] = json!(["/kept", "/proc/sys"]);
        let answers = case.ask(&[
            "make /kept/x",
            "write /proc/sys/kernel/domainname x",
            "read /proc/sys/kernel/ostype",
        ])?;
        same("answers", answers, ["EROFS", "EROFS", "Linux"])
    }),
    s("read-only.keeps-flags", READ_ONLY, |case| {
        case.config["linux"]["readonlyPaths"] = json!(["/dev/shm"]);
        case.report()?.mounted("/dev/shm", &["ro", "nosuid", "nodev", "noexec"])
    }),
    s("read-only.missing", READ_ONLY, |case| {
        case.config["linux"]["readonlyPaths"] = json!(["/no/such/path"]);
        same("exit code", case.probe(&["exit 0"]).run()?.code, 0)
    }),
    s("read-only.relative", READ_ONLY, |case| {
        case.config["linux"]["readonlyPaths"] = json!(["proc/sys"]);
        case.rejected().map(drop)
    }),
    s("read-only.with-a-read-only-root", READ_ONLY, |case| {
        case.config["root"]["readonly"] = json!(true);
        case.config["linux"]["readonlyPaths"] = json!(["/proc/sys"]);
        case.config["linux"]["maskedPaths"] = json!(["/proc/timer_list"]);
        let answers =
            case.ask(&["make /x", "write /proc/sys/kernel/domainname x", "read /proc/timer_list"])?;
        same("answers", answers, ["EROFS", "EROFS", ""])
    }),
];
