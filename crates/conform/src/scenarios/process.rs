//! config.md: the process, its user, its limits, its names.

use super::{Scenario, s};
use crate::{
    case::Case,
    command::finish,
    facts::Facts,
    verdict::{Verdict, must, same, skip},
};
use rustix::{
    fs::Mode,
    process::{self, Resource},
};
use serde_json::{Value, json};

const PROCESS: &str = "config.md#process";
const POSIX: &str = "config.md#posix-process";
const LINUX: &str = "config.md#linux-process";
const USER: &str = "config.md#posix-platform-user";
const DESCRIPTORS: &str = "runtime-linux.md#file-descriptors";

pub(crate) const SCENARIOS: &[Scenario] = &[
    s("process.cwd", PROCESS, |case| {
        case.config["process"]["cwd"] = json!("/tmp");
        same("cwd", case.report()?.text("cwd"), "/tmp")
    }),
    s("process.cwd-relative", PROCESS, |case| {
        case.config["process"]["cwd"] = json!("tmp");
        case.rejected().map(drop)
    }),
    s("process.cwd-is-a-file", PROCESS, |case| {
        case.config["process"]["cwd"] = json!("/probe");
        case.rejected().map(drop)
    }),
    s("process.cwd-outside", PROCESS, |case| {
        case.probe(&["getcwd"]);
        for number in 3..16 {
            case.config["process"]["cwd"] = json!(format!("/proc/self/fd/{number}"));
            case.rejected()?;
        }
        Ok(())
    }),
    s("process.env", PROCESS, |case| {
        let wanted = json!(["PATH=/bin", "A=1", "EMPTY=", "WITH=equals=sign", "SPACE=a b", "HOME=/root"]);
        case.config["process"]["env"] = wanted.clone();
        same("environment", case.report()?.get("env"), &wanted)
    }),
    s("process.args", PROCESS, |case| {
        let args = json!(["/probe", "report", "exit 0", "two words", "", "*"]);
        case.config["process"]["args"] = args.clone();
        let ended = case.run()?;
        same("argv", Facts::read(&ended.out)?.get("args"), &args)
    }),
    s("process.args-by-path", PROCESS, |case| {
        std::fs::create_dir_all(case.rootfs().join("opt/bin"))?;
        std::fs::hard_link(case.rootfs().join("probe"), case.rootfs().join("opt/bin/probe"))?;
        case.config["process"]["env"] = json!(["PATH=/usr/bin:/opt/bin:/bin"]);
        case.config["process"]["args"] = json!(["probe", "exit 5"]);
        same("exit code", case.run()?.code, 5)
    }),
    s("process.args-relative", PROCESS, |case| {
        case.config["process"]["cwd"] = json!("/tmp");
        case.config["process"]["args"] = json!(["../probe", "exit 5"]);
        same("exit code", case.run()?.code, 5)
    }),
    s("process.args-empty", PROCESS, |case| {
        case.config["process"]["args"] = json!([]);
        case.rejected().map(drop)
    }),
    s("process.not-executable", PROCESS, |case| {
        std::fs::write(case.rootfs().join("plain"), "text")?;
        case.config["process"]["args"] = json!(["/plain"]);
        case.rejected().map(drop)
    }),
    s("process.is-pid-1", PROCESS, |case| {
        let facts = case.report()?;
        same("pid", facts.get("pid"), &json!(1))?;
        same("session", facts.stat(6), "1")
    }),
    s("process.signals-are-default", PROCESS, |case| {
        let facts = case.report()?;
        // Rust's standard library ignores SIGPIPE, the 13th
        let ignored = facts.bits("SigIgn") & !(1 << 12);
        same("SigIgn", ignored, 0)?;
        same("SigBlk", facts.status("SigBlk"), "0000000000000000")
    }),
    s("fds.only-three", DESCRIPTORS, |case| {
        let facts = case.report()?;
        let mut open: Vec<_> =
            facts.get("descriptors").as_object().into_iter().flat_map(|all| all.keys()).collect();
        open.sort();
        same("descriptors", open, ["0", "1", "2"])
    }),
    s("fds.leaked-by-the-caller", DESCRIPTORS, |case| {
        let leaked = std::fs::File::open("/")?;
        rustix::io::fcntl_setfd(&leaked, rustix::io::FdFlags::empty())?;
        let facts = case.report()?;
        same("number of descriptors", facts.get("descriptors").as_object().map(serde_json::Map::len), Some(3))
    }),
    s("user.ids", USER, |case| {
        case.config["process"]["user"] = json!({"uid": 1000, "gid": 100});
        let facts = case.report()?;
        same("uids", facts.status("Uid"), "1000\t1000\t1000\t1000")?;
        same("gids", facts.status("Gid"), "100\t100\t100\t100")
    }),
    s("user.additional-gids", USER, |case| {
        case.config["process"]["user"] = json!({"uid": 1000, "gid": 100, "additionalGids": [5, 6, 70_000]});
        let facts = case.report()?;
        let mut groups: Vec<u64> =
            facts.get("groups").as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
        groups.retain(|&group| group != 100);
        same("groups", groups, [5, 6, 70_000])
    }),
    s("user.no-groups-of-the-caller", USER, |case| same("groups", case.report()?.status("Groups"), "")),
    s("user.umask", USER, |case| {
        case.config["process"]["user"]["umask"] = json!(0o27);
        same("umask", case.report()?.status("Umask"), "0027")
    }),
    s("user.umask-of-the-caller", USER, |case| {
        let before = process::umask(Mode::from_raw_mode(0o037));
        let facts = case.report();
        process::umask(before);
        same("umask", facts?.status("Umask"), "0037")
    }),
    s("rlimits.set", POSIX, |case| {
        case.config["process"]["rlimits"] = json!([
            {"type": "RLIMIT_NOFILE", "soft": 256, "hard": 512},
            {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
            {"type": "RLIMIT_STACK", "soft": 4_194_304, "hard": 8_388_608},
            {"type": "RLIMIT_MSGQUEUE", "soft": 1000, "hard": 2000},
        ]);
        let facts = case.report()?;
        same("open files", facts.limit("Max open files"), ["256", "512"])?;
        same("core", facts.limit("Max core file size"), ["0", "0"])?;
        same("stack", facts.limit("Max stack size"), ["4194304", "8388608"])?;
        same("message queues", facts.limit("Max msgqueue size"), ["1000", "2000"])
    }),
    s("rlimits.every-type", POSIX, |case| {
        let names = [
            "AS",
            "CORE",
            "CPU",
            "DATA",
            "FSIZE",
            "LOCKS",
            "MEMLOCK",
            "MSGQUEUE",
            "NICE",
            "NOFILE",
            "NPROC",
            "RSS",
            "RTPRIO",
            "RTTIME",
            "SIGPENDING",
            "STACK",
        ];
        for name in names {
            // what is already there: this host may not have the right to raise a limit
            let Some(limit) = resource(name).map(process::getrlimit) else { continue };
            let (soft, hard) = (limit.current.unwrap_or(u64::MAX), limit.maximum.unwrap_or(u64::MAX));
            case.config["process"]["rlimits"] =
                json!([{"type": format!("RLIMIT_{name}"), "soft": soft, "hard": hard}]);
            case.probe(&["exit 0"]).run()?;
        }
        Ok(())
    }),
    s("rlimits.duplicate", POSIX, |case| {
        let one = json!({"type": "RLIMIT_NOFILE", "soft": 256, "hard": 512});
        case.config["process"]["rlimits"] = json!([one, one]);
        case.rejected().map(drop)
    }),
    s("rlimits.unknown", POSIX, |case| {
        case.config["process"]["rlimits"] = json!([{"type": "RLIMIT_NONSENSE", "soft": 1, "hard": 1}]);
        case.rejected().map(drop)
    }),
    s("rlimits.soft-above-hard", POSIX, |case| {
        case.config["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 512, "hard": 256}]);
        case.rejected().map(drop)
    }),
    s("process.no-new-privileges", LINUX, |case| {
        case.config["process"]["noNewPrivileges"] = json!(true);
        same("NoNewPrivs", case.report()?.status("NoNewPrivs"), "1")?;
        case.config["process"]["noNewPrivileges"] = json!(false);
        same("NoNewPrivs", case.report()?.status("NoNewPrivs"), "0")
    }),
    s("process.oom-score-adj", LINUX, |case| {
        case.config["process"]["oomScoreAdj"] = json!(321);
        same("oom_score_adj", case.report()?.text("oom_score_adj"), "321")
    }),
    s("process.oom-score-adj-of-the-caller", LINUX, |case| {
        same("oom_score_adj", worse(case)?.text("oom_score_adj"), "123")
    }),
    s("process.oom-score-adj-zero", LINUX, |case| {
        case.config["process"]["oomScoreAdj"] = json!(0);
        same("oom_score_adj", worse(case)?.text("oom_score_adj"), "0")
    }),
    s("process.oom-score-adj-invalid", LINUX, |case| {
        case.config["process"]["oomScoreAdj"] = json!(5000);
        case.rejected().map(drop)
    }),
    s("process.io-priority", LINUX, |case| {
        for (name, class, level) in [("IOPRIO_CLASS_IDLE", 3, 0), ("IOPRIO_CLASS_BE", 2, 6)] {
            case.config["process"]["ioPriority"] = json!({"class": name, "priority": level});
            same("class and level", case.report()?.get("ioprio"), &json!([class, level]))?;
        }
        Ok(())
    }),
    s("process.io-priority-invalid", LINUX, |case| {
        case.config["process"]["ioPriority"] = json!({"class": "IOPRIO_CLASS_NONSENSE", "priority": 4});
        case.rejected()?;
        case.config["process"]["ioPriority"] = json!({"class": "IOPRIO_CLASS_BE", "priority": 8});
        case.rejected().map(drop)
    }),
    s("process.scheduler-batch", LINUX, |case| {
        case.config["process"]["scheduler"] = json!({"policy": "SCHED_BATCH", "nice": 5});
        let facts = case.report()?;
        same("policy", facts.stat(41), "3")?;
        same("nice", facts.get("nice"), &json!(5))
    }),
    s("process.scheduler-idle", LINUX, |case| {
        case.config["process"]["scheduler"] = json!({"policy": "SCHED_IDLE"});
        same("policy", case.report()?.stat(41), "5")
    }),
    s("process.scheduler-fifo", LINUX, |case| {
        if std::fs::metadata("/sys/fs/cgroup/cpu/cpu.rt_runtime_us").is_ok() {
            return skip("this kernel's cpu cgroups have no real-time budget by default");
        }
        case.config["process"]["scheduler"] = json!({"policy": "SCHED_FIFO", "priority": 7});
        let facts = case.report()?;
        same("policy", facts.stat(41), "1")?;
        same("priority", facts.stat(40), "7")
    }),
    s("process.scheduler-invalid", LINUX, |case| {
        case.config["process"]["scheduler"] = json!({"policy": "SCHED_NONSENSE"});
        case.rejected()?;
        case.config["process"]["scheduler"] = json!({"policy": "SCHED_OTHER", "priority": 50});
        case.rejected().map(drop)
    }),
    s("process.apparmor", LINUX, |case| {
        let enabled = std::fs::read_to_string("/sys/module/apparmor/parameters/enabled").unwrap_or_default();
        if enabled.trim() != "Y" {
            return skip("this kernel has no AppArmor");
        }
        case.config["process"]["apparmorProfile"] = json!("unconfined");
        same("profile", case.report()?.text("apparmor"), "unconfined")?;
        case.config["process"]["apparmorProfile"] = json!("no-such-profile");
        case.rejected().map(drop)
    }),
    s("process.selinux", LINUX, |case| {
        if std::fs::metadata("/sys/fs/selinux/enforce").is_ok() {
            return skip("labels of this machine's SELinux policy are not known");
        }
        case.config["process"]["selinuxLabel"] = json!("system_u:system_r:container_t:s0");
        case.rejected().map(drop)
    }),
    s("process.hostname", "config.md#hostname", |case| {
        case.config["hostname"] = json!("mrsdalloway");
        same("host name", case.report()?.text("hostname"), "mrsdalloway")
    }),
    s("process.domainname", "config.md#domainname", |case| {
        case.config["domainname"] = json!("foobarbaz.test");
        let facts = case.report()?;
        same("domain name", facts.text("domainname"), "foobarbaz.test")
    }),
    s("process.names-stay-inside", "config.md#hostname", |case| {
        case.config["hostname"] = json!("mrsdalloway");
        case.probe(&["exit 0"]).run()?;
        let name = rustix::system::uname();
        must(name.nodename().to_bytes() != b"mrsdalloway", || "the host was renamed".to_owned())
    }),
    s("process.personality", "config-linux.md#personality", |case| {
        case.config["linux"]["personality"] = json!({"domain": "LINUX32"});
        let facts = case.report()?;
        same("machine", facts.text("machine"), if cfg!(target_arch = "x86_64") { "i686" } else { "armv8l" })?;
        same("personality", facts.text("personality"), "00000008")
    }),
    s("process.personality-linux", "config-linux.md#personality", |case| {
        case.config["linux"]["personality"] = json!({"domain": "LINUX"});
        same("personality", case.report()?.text("personality"), "00000000")
    }),
    s("process.personality-invalid", "config-linux.md#personality", |case| {
        case.config["linux"]["personality"] = json!({"domain": "SOLARIS"});
        case.rejected()?;
        case.config["linux"]["personality"] = json!({"domain": "LINUX", "flags": ["ADDR_NO_RANDOMIZE"]});
        case.rejected().map(drop)
    }),
];

/// Which number a limit's name has; those that rustix does not know are left out.
fn resource(name: &str) -> Option<Resource> {
    Some(match name {
        "AS" => Resource::As,
        "CORE" => Resource::Core,
        "CPU" => Resource::Cpu,
        "DATA" => Resource::Data,
        "FSIZE" => Resource::Fsize,
        "LOCKS" => Resource::Locks,
        "MEMLOCK" => Resource::Memlock,
        "MSGQUEUE" => Resource::Msgqueue,
        "NICE" => Resource::Nice,
        "NOFILE" => Resource::Nofile,
        "NPROC" => Resource::Nproc,
        "RSS" => Resource::Rss,
        "RTPRIO" => Resource::Rtprio,
        "RTTIME" => Resource::Rttime,
        "SIGPENDING" => Resource::Sigpending,
        "STACK" => Resource::Stack,
        _ => return None,
    })
}

/// A report from a container whose runtime was started with a higher oom_score_adj than ours.
fn worse(case: &mut Case<'_>) -> Verdict<Facts> {
    case.probe(&["report"]).write()?;
    let bundle = case.bundle.to_string_lossy().into_owned();
    let create = case.runtime.command(&["create", "--bundle", &bundle, &case.id]);
    let mut shell = std::process::Command::new("/bin/sh");
    shell.args(["-c", "echo 123 >/proc/self/oom_score_adj && exec \"$@\"", "sh"]);
    shell.arg(create.get_program()).args(create.get_args()).stdin(std::process::Stdio::null());
    finish(&mut shell, &case.bundle.join("container"))?.ok()?;
    let pid = case.pid()?;
    case.start()?.ok()?;
    case.wait(pid)?;
    Facts::read(&case.output()?)
}
