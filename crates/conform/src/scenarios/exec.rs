//! runc's `exec`: a second process gets what the first has.

use super::{Scenario, lifecycle::wait_for, s};
use crate::{
    case::Case,
    facts::Facts,
    verdict::{Verdict, must, same},
};
use serde_json::{Value, json};
use std::{fs, os::unix::net::UnixListener};

const EXEC: &str = "runc(8): exec";

pub(crate) const SCENARIOS: &[Scenario] = &[
    s("exec.exit-code", EXEC, |case| {
        case.probe(&["hold"]).running()?;
        for code in [0, 1, 77] {
            same("exit code", exec(case, &[], &[&format!("exit {code}")])?.code, Some(code))?;
        }
        Ok(())
    }),
    s("exec.by-a-signal", EXEC, |case| {
        case.probe(&["hold"]).running()?;
        let mut command = case.runtime.command(&["exec", &case.id, "/probe", "make /tmp/ready", "hold"]);
        let mut child = command.stdout(std::process::Stdio::null()).spawn()?;
        wait_for(&case.rootfs().join("tmp/ready"))?;
        let inside = processes(case)?
            .into_iter()
            .rfind(|pid| *pid != case.pid().map_or(0, |pid| pid.as_raw_nonzero().get()));
        let Some(pid) = inside.and_then(rustix::process::Pid::from_raw) else {
            child.kill()?;
            return crate::verdict::failed("no second process in ps");
        };
        rustix::process::kill_process(pid, rustix::process::Signal::KILL)?;
        same("exit code", child.wait()?.code(), Some(137))
    }),
    s("exec.output", EXEC, |case| {
        case.probe(&["hold"]).running()?;
        same("stdout", exec(case, &[], &["getcwd"])?.ok()?.out.as_str(), "/\n")
    }),
    s("exec.in-every-namespace", EXEC, |case| {
        case.new_namespace("cgroup");
        let pid = case.probe(&["hold"]).running()?.as_raw_nonzero();
        let facts = facts(case, &[])?;
        ["pid", "net", "ipc", "uts", "mnt", "cgroup"].iter().try_for_each(|file| {
            let theirs = fs::read_link(format!("/proc/{pid}/ns/{file}"))?.display().to_string();
            same(file, facts.get("namespaces")[file].as_str(), Some(theirs.as_str()))
        })
    }),
    s("exec.in-the-user-namespace", EXEC, |case| {
        case.user_namespace()?;
        case.probe(&["hold"]).running()?;
        let facts = facts(case, &[])?;
        same("uid", facts.get("uid"), &json!(0))?;
        let map: Vec<&str> = facts.text("uid_map").split_whitespace().collect();
        same("uid_map", map, ["0", "100000", "65536"])
    }),
    s("exec.in-the-cgroups", EXEC, |case| {
        case.probe(&["hold"]).running()?;
        let pid = case.pid()?.as_raw_nonzero();
        let wanted = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
        same("cgroups", facts(case, &[])?.text("cgroup"), wanted.trim_end())
    }),
    s("exec.inherits-the-process", EXEC, |case| {
        case.config["process"]["user"] = json!({"uid": 1000, "gid": 100, "additionalGids": [7]});
        case.config["process"]["noNewPrivileges"] = json!(true);
        case.config["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 256, "hard": 512}]);
        case.config["process"]["cwd"] = json!("/tmp");
        case.config["process"]["env"] = json!(["PATH=/bin", "FROM=config"]);
        case.probe(&["hold"]).running()?;
        let facts = facts(case, &[])?;
        same("uids", facts.status("Uid"), "1000\t1000\t1000\t1000")?;
        same("groups", facts.status("Groups"), "7")?;
        same("NoNewPrivs", facts.status("NoNewPrivs"), "1")?;
        same("open files", facts.limit("Max open files"), ["256", "512"])?;
        same("cwd", facts.text("cwd"), "/tmp")?;
        must(facts.get("env").as_array().is_some_and(|env| env.contains(&json!("FROM=config"))), || {
            facts.get("env").to_string()
        })
    }),
    s("exec.capabilities-are-the-containers", EXEC, |case| {
        case.probe(&["hold"]).running()?;
        let pid = case.pid()?.as_raw_nonzero();
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let facts = facts(case, &[])?;
        ["CapBnd", "CapEff", "CapPrm"].iter().try_for_each(|name| {
            let theirs = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"));
            same(name, Some(facts.status(name)), theirs)
        })
    }),
    s("exec.cwd-and-env", EXEC, |case| {
        case.probe(&["hold"]).running()?;
        let facts = facts(case, &["--cwd", "/tmp", "--env", "A=1", "--env", "B=two words"])?;
        same("cwd", facts.text("cwd"), "/tmp")?;
        let env = facts.get("env").as_array().cloned().unwrap_or_default();
        must(env.contains(&json!("A=1")) && env.contains(&json!("B=two words")), || format!("{env:?}"))
    }),
    s("exec.user", EXEC, |case| {
        case.probe(&["hold"]).running()?;
        let facts = facts(case, &["--user", "1000:100", "--additional-gids", "7"])?;
        same("uids", facts.status("Uid"), "1000\t1000\t1000\t1000")?;
        same("gids", facts.status("Gid"), "100\t100\t100\t100")?;
        must(facts.status("Groups").split_whitespace().any(|group| group == "7"), || {
            facts.status("Groups").to_owned()
        })
    }),
    s("exec.capability", EXEC, |case| {
        case.probe(&["hold"]).running()?;
        let facts = facts(case, &["--cap", "CAP_NET_BIND_SERVICE"])?;
        must(facts.bits("CapBnd") & (1 << 10) != 0, || format!("{:x}", facts.bits("CapBnd")))
    }),
    s("exec.no-new-privileges", EXEC, |case| {
        case.probe(&["hold"]).running()?;
        same("NoNewPrivs", facts(case, &["--no-new-privs"])?.status("NoNewPrivs"), "1")
    }),
    s("exec.process-file", EXEC, |case| {
        case.probe(&["hold"]).running()?;
        let process = json!({
            "user": {"uid": 5, "gid": 6, "umask": 0o77}, "cwd": "/dev", "env": ["X=y"],
            "args": ["/probe", "report"], "noNewPrivileges": true,
        });
        let file = case.bundle.join("process.json");
        fs::write(&file, process.to_string())?;
        let call = case.call(&["exec", "--process", &file.to_string_lossy(), &case.id])?.ok()?;
        let facts = Facts::read(&call.out)?;
        same("uids", facts.status("Uid"), "5\t5\t5\t5")?;
        same("cwd", facts.text("cwd"), "/dev")?;
        same("umask", facts.status("Umask"), "0077")?;
        same("CapEff", facts.bits("CapEff"), 0)?;
        same("NoNewPrivs", facts.status("NoNewPrivs"), "1")
    }),
    s("exec.seccomp", EXEC, |case| {
        case.config["linux"]["seccomp"] = json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["chmod", "fchmodat", "fchmodat2"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}],
        });
        case.probe(&["hold"]).running()?;
        same("answer", exec(case, &[], &["chmod /etc 493"])?.ok()?.out.trim(), "ENOSYS")
    }),
    s("exec.detached", EXEC, |case| {
        case.probe(&["hold"]).running()?;
        let file = case.bundle.join("exec.pid");
        exec(case, &["--detach", "--pid-file", &file.to_string_lossy()], &["sleep 100", "exit 9"])?.ok()?;
        let pid = fs::read_to_string(file)?.trim().parse().ok().and_then(rustix::process::Pid::from_raw);
        match pid {
            Some(pid) => same("exit code", case.wait(pid)?, 9),
            None => crate::verdict::failed("no number in the pid file"),
        }
    }),
    s("exec.terminal", EXEC, |case| {
        case.probe(&["hold"]).running()?;
        let socket = case.bundle.join("exec.sock");
        let listener = UnixListener::bind(&socket)?;
        let file = case.bundle.join("exec.pid");
        let flags = [
            "--tty",
            "--detach",
            "--console-socket",
            &socket.to_string_lossy(),
            "--pid-file",
            &file.to_string_lossy(),
        ];
        exec(case, &flags, &["tty"])?.ok()?;
        let master = super::terminal::receive(&listener)?;
        let out = super::terminal::drain(master);
        must(out.starts_with("true true true"), || format!("{out:?}"))?;
        let pid = fs::read_to_string(file)?.trim().parse().ok().and_then(rustix::process::Pid::from_raw);
        pid.map_or(Ok(()), |pid| case.wait(pid).map(drop))
    }),
    s("exec.descriptors", EXEC, |case| {
        case.probe(&["hold"]).running()?;
        let facts = facts(case, &[])?;
        same("number of descriptors", facts.get("descriptors").as_object().map(serde_json::Map::len), Some(3))
    }),
    s("exec.cwd-outside", EXEC, |case| {
        case.probe(&["hold"]).running()?;
        for number in 3..12 {
            exec(case, &["--cwd", &format!("/proc/self/fd/{number}")], &["getcwd"])?.refused()?;
        }
        Ok(())
    }),
    s("exec.created", EXEC, |case| {
        case.probe(&["hold"]).create()?.ok()?;
        same("exit code", exec(case, &[], &["exit 4"])?.code, Some(4))
    }),
    s("exec.stopped", EXEC, |case| {
        let pid = case.probe(&["exit 0"]).running()?;
        case.wait(pid)?;
        exec(case, &[], &["exit 0"])?.refused().map(drop)
    }),
    s("exec.nothing", EXEC, |case| case.call(&["exec", "no-such-container", "/probe"])?.refused().map(drop)),
    s("exec.no-such-program", EXEC, |case| {
        case.probe(&["hold"]).running()?;
        case.call(&["exec", &case.id, "/no/such/program"])?.refused()?;
        same("status", case.status()?.as_str(), "running")
    }),
    s("exec.when-the-container-ends", EXEC, |case| {
        let pid = case.probe(&["hold"]).running()?;
        let mut command = case.runtime.command(&["exec", &case.id, "/probe", "make /tmp/ready", "hold"]);
        let mut child = command.stdout(std::process::Stdio::null()).spawn()?;
        wait_for(&case.rootfs().join("tmp/ready"))?;
        case.kill("KILL")?.ok()?;
        case.wait(pid)?;
        same("exit code of exec", child.wait()?.code(), Some(137))
    }),
    s("ps.json", "runc(8): ps", |case| {
        let pid = case.probe(&["hold"]).running()?.as_raw_nonzero().get();
        same("processes", processes(case)?, [pid])
    }),
    s("ps.table", "runc(8): ps", |case| {
        let pid = case.probe(&["hold"]).running()?.as_raw_nonzero().get().to_string();
        let out = case.on(&["ps"])?.ok()?.out;
        must(out.lines().skip(1).any(|line| line.split_whitespace().any(|word| word == pid)), || out.clone())
    }),
];

/// Runs the probe in the container.
fn exec(case: &Case<'_>, flags: &[&str], actions: &[&str]) -> Verdict<crate::command::Call> {
    case.call(&[&["exec"], flags, &[case.id.as_str(), "/probe"], actions].concat())
}

fn facts(case: &Case<'_>, flags: &[&str]) -> Verdict<Facts> {
    Facts::read(&exec(case, flags, &["report"])?.ok()?.out)
}

/// `ps --format json`: numbers on the host.
fn processes(case: &Case<'_>) -> Verdict<Vec<i32>> {
    let out = case.call(&["ps", "--format", "json", &case.id])?.ok()?.out;
    let list: Value = serde_json::from_str(&out).unwrap_or_default();
    Ok(list.as_array().into_iter().flatten().filter_map(|pid| i32::try_from(pid.as_i64()?).ok()).collect())
}
