//! config-linux.md: the system call filter.

use super::{Scenario, s};
use crate::{
    case::Case,
    socket,
    verdict::{Verdict, failed, must, same},
};
use rustix::fd::OwnedFd;
use serde_json::{Value, json};
use std::os::unix::net::UnixListener;

const SECCOMP: &str = "config-linux.md#seccomp";
const STATE: &str = "config-linux.md#the-container-process-state";
/// What the scenarios forbid: chmod(2), in the shapes that libraries call it by.
const CHMOD: [&str; 3] = ["chmod", "fchmodat", "fchmodat2"];
const TRY: &str = "chmod /etc 493";

pub(crate) const SCENARIOS: &[Scenario] = &[
    s("seccomp.none", SECCOMP, |case| same("Seccomp", case.report()?.status("Seccomp"), "0")),
    s("seccomp.mode", SECCOMP, |case| {
        filter(case, "SCMP_ACT_ALLOW", json!([{"names": CHMOD, "action": "SCMP_ACT_ERRNO"}]));
        same("Seccomp", case.report()?.status("Seccomp"), "2")
    }),
    s("seccomp.errno-default", SECCOMP, |case| {
        filter(case, "SCMP_ACT_ALLOW", json!([{"names": CHMOD, "action": "SCMP_ACT_ERRNO"}]));
        same("answers", case.ask(&[TRY, "getcwd"])?, ["EPERM", "/"])
    }),
    s("seccomp.errno", SECCOMP, |case| {
        filter(case, "SCMP_ACT_ALLOW", json!([{"names": CHMOD, "action": "SCMP_ACT_ERRNO", "errnoRet": 38}]));
        same("answers", case.ask(&[TRY])?, ["ENOSYS"])
    }),
    s("seccomp.errno-of-each-rule", SECCOMP, |case| {
        filter(
            case,
            "SCMP_ACT_ALLOW",
            json!([
                {"names": CHMOD, "action": "SCMP_ACT_ERRNO", "errnoRet": 22},
                {"names": ["sethostname"], "action": "SCMP_ACT_ERRNO", "errnoRet": 12},
            ]),
        );
        same("answers", case.ask(&[TRY, "hostname x"])?, ["EINVAL", "ENOMEM"])
    }),
    s("seccomp.default-errno", SECCOMP, |case| {
        filter(case, "SCMP_ACT_ERRNO", json!([{"names": allowed(), "action": "SCMP_ACT_ALLOW"}]));
        case.config["linux"]["seccomp"]["defaultErrnoRet"] = json!(12);
        same("answers", case.ask(&[TRY, "getcwd"])?, ["ENOMEM", "/"])
    }),
    s("seccomp.allow-list", SECCOMP, |case| {
        filter(case, "SCMP_ACT_ERRNO", json!([{"names": allowed(), "action": "SCMP_ACT_ALLOW"}]));
        same("answers", case.ask(&[TRY, "getcwd"])?, ["EPERM", "/"])
    }),
    s("seccomp.kill-process", SECCOMP, |case| dies(case, "SCMP_ACT_KILL_PROCESS")),
    s("seccomp.kill", SECCOMP, |case| dies(case, "SCMP_ACT_KILL")),
    s("seccomp.kill-thread", SECCOMP, |case| dies(case, "SCMP_ACT_KILL_THREAD")),
    s("seccomp.trap", SECCOMP, |case| dies(case, "SCMP_ACT_TRAP")),
    s("seccomp.trace-without-a-tracer", SECCOMP, |case| {
        filter(case, "SCMP_ACT_ALLOW", json!([{"names": CHMOD, "action": "SCMP_ACT_TRACE"}]));
        same("answers", case.ask(&[TRY])?, ["ENOSYS"])
    }),
    s("seccomp.log", SECCOMP, |case| {
        filter(case, "SCMP_ACT_ALLOW", json!([{"names": CHMOD, "action": "SCMP_ACT_LOG"}]));
        same("answers", case.ask(&[TRY])?, ["ok"])
    }),
    s("seccomp.unknown-names-are-left-out", SECCOMP, |case| {
        filter(
            case,
            "SCMP_ACT_ALLOW",
            json!([{"names": ["no_such_call", "chmod", "fchmodat", "fchmodat2"], "action": "SCMP_ACT_ERRNO"}]),
        );
        same("answers", case.ask(&[TRY])?, ["EPERM"])
    }),
    s("seccomp.with-no-new-privileges", SECCOMP, |case| {
        case.config["process"]["noNewPrivileges"] = json!(true);
        case.config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
        filter(case, "SCMP_ACT_ALLOW", json!([{"names": CHMOD, "action": "SCMP_ACT_ERRNO", "errnoRet": 38}]));
        same("answers", case.ask(&[TRY])?, ["ENOSYS"])
    }),
    s("seccomp.of-a-user", SECCOMP, |case| {
        case.config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
        filter(case, "SCMP_ACT_ALLOW", json!([{"names": CHMOD, "action": "SCMP_ACT_ERRNO", "errnoRet": 38}]));
        same("answers", case.ask(&[TRY])?, ["ENOSYS"])
    }),
    s("seccomp.does-not-hinder-the-runtime", SECCOMP, |case| {
        let calls = [
            "mount",
            "umount2",
            "pivot_root",
            "setns",
            "unshare",
            "sethostname",
            "capset",
            "prctl",
            "setgroups",
            "close_range",
            "mknod",
            "mknodat",
        ];
        filter(case, "SCMP_ACT_ALLOW", json!([{"names": calls, "action": "SCMP_ACT_ERRNO"}]));
        case.config["process"]["noNewPrivileges"] = json!(true);
        same("answers", case.ask(&["hostname x"])?, ["EPERM"])
    }),
    s("seccomp.args-eq", SECCOMP, |case| args(case, "SCMP_CMP_EQ", 16, 0, |family| family == 16)),
    s("seccomp.args-ne", SECCOMP, |case| args(case, "SCMP_CMP_NE", 1, 0, |family| family != 1)),
    s("seccomp.args-lt", SECCOMP, |case| args(case, "SCMP_CMP_LT", 2, 0, |family| family < 2)),
    s("seccomp.args-le", SECCOMP, |case| args(case, "SCMP_CMP_LE", 2, 0, |family| family <= 2)),
    s("seccomp.args-gt", SECCOMP, |case| args(case, "SCMP_CMP_GT", 2, 0, |family| family > 2)),
    s("seccomp.args-ge", SECCOMP, |case| args(case, "SCMP_CMP_GE", 2, 0, |family| family >= 2)),
    s("seccomp.args-masked", SECCOMP, |case| {
        args(case, "SCMP_CMP_MASKED_EQ", 2, 2, |family| family & 2 == 2)
    }),
    s("seccomp.args-all-must-hold", SECCOMP, |case| {
        let both = json!([{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}, {"index": 2, "value": 9, "op": "SCMP_CMP_EQ"}]);
        filter(
            case,
            "SCMP_ACT_ALLOW",
            json!([{"names": ["socket"], "action": "SCMP_ACT_ERRNO", "args": both}]),
        );
        same("answers", case.ask(&["socket 1 1"])?, ["ok"])
    }),
    s("seccomp.args-of-several-rules", SECCOMP, |case| {
        let rule = |family: u32| json!({"names": ["socket"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": family, "op": "SCMP_CMP_EQ"}]});
        filter(case, "SCMP_ACT_ALLOW", json!([rule(16), rule(10)]));
        same("answers", case.ask(&["socket 1 1", "socket 16 3", "socket 10 1"])?, ["ok", "EPERM", "EPERM"])
    }),
    s("seccomp.flags", SECCOMP, |case| {
        filter(case, "SCMP_ACT_ALLOW", json!([{"names": CHMOD, "action": "SCMP_ACT_ERRNO"}]));
        case.config["linux"]["seccomp"]["flags"] =
            json!(["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"]);
        same("answers", case.ask(&[TRY])?, ["EPERM"])
    }),
    s("seccomp.unknown-action", SECCOMP, |case| {
        filter(case, "SCMP_ACT_ALLOW", json!([{"names": CHMOD, "action": "SCMP_ACT_NONSENSE"}]));
        case.rejected().map(drop)
    }),
    s("seccomp.unknown-default", SECCOMP, |case| {
        filter(case, "SCMP_ACT_NONSENSE", json!([]));
        case.rejected().map(drop)
    }),
    s("seccomp.unknown-operator", SECCOMP, |case| {
        let args = json!([{"index": 0, "value": 1, "op": "SCMP_CMP_NONSENSE"}]);
        filter(
            case,
            "SCMP_ACT_ALLOW",
            json!([{"names": ["socket"], "action": "SCMP_ACT_ERRNO", "args": args}]),
        );
        case.rejected().map(drop)
    }),
    s("seccomp.unknown-architecture", SECCOMP, |case| {
        filter(case, "SCMP_ACT_ALLOW", json!([{"names": CHMOD, "action": "SCMP_ACT_ERRNO"}]));
        case.config["linux"]["seccomp"]["architectures"] = json!(["SCMP_ARCH_NONSENSE"]);
        case.rejected().map(drop)
    }),
    s("seccomp.unknown-flag", SECCOMP, |case| {
        filter(case, "SCMP_ACT_ALLOW", json!([{"names": CHMOD, "action": "SCMP_ACT_ERRNO"}]));
        case.config["linux"]["seccomp"]["flags"] = json!(["SECCOMP_FILTER_FLAG_NONSENSE"]);
        case.rejected().map(drop)
    }),
    s("seccomp.argument-out-of-range", SECCOMP, |case| {
        let args = json!([{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}]);
        filter(
            case,
            "SCMP_ACT_ALLOW",
            json!([{"names": ["socket"], "action": "SCMP_ACT_ERRNO", "args": args}]),
        );
        case.rejected().map(drop)
    }),
    s("seccomp.errno-of-an-action-without", SECCOMP, |case| {
        filter(case, "SCMP_ACT_ALLOW", json!([{"names": CHMOD, "action": "SCMP_ACT_KILL", "errnoRet": 5}]));
        case.rejected().map(drop)
    }),
    s("seccomp.no-names", SECCOMP, |case| {
        filter(case, "SCMP_ACT_ALLOW", json!([{"names": [], "action": "SCMP_ACT_ERRNO"}]));
        case.rejected().map(drop)
    }),
    s("seccomp.notify", STATE, |case| {
        case.config["annotations"] = json!({"org.example": "told"});
        let (told, listener) = notified(case)?;
        let pid = case.pid()?;
        same("fds", &told["fds"], &json!(["seccompFd"]))?;
        same("pid", &told["pid"], &json!(pid.as_raw_nonzero().get()))?;
        same("metadata", &told["metadata"], &json!("opaque"))?;
        must(told["ociVersion"].is_string(), || "no ociVersion".to_owned())?;
        same("state: id", &told["state"]["id"], &json!(case.id))?;
        same("state: bundle", told["state"]["bundle"].as_str(), case.bundle.to_str())?;
        same("state: annotation", &told["state"]["annotations"]["org.example"], &json!("told"))?;
        must(told["state"]["status"].is_string(), || "no status".to_owned())?;
        // nobody answers: the call ends with ENOSYS
        drop(listener);
        case.wait(pid)?;
        same("answers", case.output()?.trim(), "ENOSYS")
    }),
    s("seccomp.notify-nobody-listens", SECCOMP, |case| {
        filter(case, "SCMP_ACT_ALLOW", json!([{"names": CHMOD, "action": "SCMP_ACT_NOTIFY"}]));
        case.config["linux"]["seccomp"]["listenerPath"] = json!(case.bundle.join("no-such.sock"));
        case.rejected().map(drop)
    }),
    s("seccomp.notify-without-a-path", SECCOMP, |case| {
        filter(case, "SCMP_ACT_ALLOW", json!([{"names": CHMOD, "action": "SCMP_ACT_NOTIFY"}]));
        case.rejected().map(drop)
    }),
    s("seccomp.metadata-without-a-path", SECCOMP, |case| {
        filter(case, "SCMP_ACT_ALLOW", json!([{"names": CHMOD, "action": "SCMP_ACT_ERRNO"}]));
        case.config["linux"]["seccomp"]["listenerMetadata"] = json!("opaque");
        case.rejected().map(drop)
    }),
    s("seccomp.path-without-notify", SECCOMP, |case| {
        filter(case, "SCMP_ACT_ALLOW", json!([{"names": CHMOD, "action": "SCMP_ACT_ERRNO"}]));
        case.config["linux"]["seccomp"]["listenerPath"] = json!(case.bundle.join("no-such.sock"));
        same("answers", case.ask(&[TRY])?, ["EPERM"])
    }),
];

fn filter(case: &mut Case<'_>, default: &str, rules: Value) {
    case.config["linux"]["seccomp"] = json!({"defaultAction": default, "syscalls": rules});
}

/// What the probe and a runtime behind its own filter need.
const ALLOWED: &str = "\
    read write open openat close stat fstat lstat newfstatat statx poll ppoll mmap mprotect munmap brk \
    rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack ioctl readv writev access faccessat faccessat2 \
    execve execveat exit exit_group arch_prctl set_tid_address set_robust_list rseq prlimit64 getrandom \
    futex getcwd getpid gettid fcntl lseek capset capget prctl clone clone3 tgkill epoll_create1 \
    epoll_ctl epoll_pwait pipe2 nanosleep madvise sched_yield sched_getaffinity uname readlinkat setuid \
    setgid setgroups chdir getuid getgid geteuid getegid getppid dup3 eventfd2 getdents64 mremap \
    timer_create timer_settime clock_gettime clock_nanosleep restart_syscall seccomp fstatfs statfs";

fn allowed() -> Vec<&'static str> {
    ALLOWED.split_whitespace().collect()
}

/// The forbidden call must end the process by SIGSYS.
fn dies(case: &mut Case<'_>, action: &str) -> Verdict {
    filter(case, "SCMP_ACT_ALLOW", json!([{"names": CHMOD, "action": action}]));
    let ended = case.probe(&["getcwd", TRY]).run()?;
    same("exit code", ended.code, 128 + 31)?;
    same("before it", ended.out.as_str(), "/\n")
}

/// socket(2) with a comparison of its first argument: which families are refused.
fn args(case: &mut Case<'_>, op: &str, value: u64, value_two: u64, refused: fn(u32) -> bool) -> Verdict {
    let one = json!([{"index": 0, "value": value, "valueTwo": value_two, "op": op}]);
    filter(
        case,
        "SCMP_ACT_ALLOW",
        json!([{"names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 12, "args": one}]),
    );
    // local, internet, internet 6, netlink
    let answers = case.ask(&["socket 1 1", "socket 2 1", "socket 10 1", "socket 16 3"])?;
    [1, 2, 10, 16].into_iter().zip(answers).try_for_each(|(family, answer)| {
        let wanted = if refused(family) { "ENOMEM" } else { "ok" };
        same(&format!("family {family}"), answer.as_str(), wanted)
    })
}

/// Starts a container with a listener; what came over its socket, and the filter's descriptor.
fn notified(case: &mut Case<'_>) -> Verdict<(Value, OwnedFd)> {
    let path = case.bundle.join("seccomp.sock");
    let listener = UnixListener::bind(&path)?;
    filter(case, "SCMP_ACT_ALLOW", json!([{"names": CHMOD, "action": "SCMP_ACT_NOTIFY"}]));
    case.config["linux"]["seccomp"]["listenerPath"] = json!(path);
    case.config["linux"]["seccomp"]["listenerMetadata"] = json!("opaque");
    case.probe(&[TRY]);
    std::thread::scope(|scope| {
        let agent = scope.spawn(|| listen(&listener));
        case.running()?;
        agent.join().unwrap_or_else(|_| failed("the suite's listener panicked"))
    })
}

/// The seccomp agent: reads one connection to its end.
fn listen(listener: &UnixListener) -> Verdict<(Value, OwnedFd)> {
    let stream = socket::accept(listener)?;
    let (mut text, mut sent) = socket::receive(&stream)?;
    loop {
        let (more, descriptors) = socket::receive(&stream)?;
        if more.is_empty() {
            break;
        }
        must(descriptors.is_empty(), || "descriptors came with the second message".to_owned())?;
        text.extend(more);
    }
    let told = serde_json::from_slice(&text)
        .or_else(|error| failed(format!("{error}: {}", String::from_utf8_lossy(&text))))?;
    match (sent.pop(), sent.len()) {
        (Some(descriptor), 0) => Ok((told, descriptor)),
        (_, more) => failed(format!("{more} descriptors were sent, not 1")),
    }
}
