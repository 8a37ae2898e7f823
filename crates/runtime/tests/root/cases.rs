//! What containers must and must not.

use crate::fixture::{Box, wait};
use std::fs;

/// Name and case.
pub(crate) const CASES: &[(&str, fn())] = &[
    ("root_exit_code", exit_code),
    ("root_namespaces_and_dev", namespaces_and_dev),
    ("root_missing_program", missing_program),
    ("root_exec", exec),
];

fn exit_code() {
    let b = Box::new(&["probe", "exit", "7"]);
    assert_eq!(b.run().unwrap().code, 7);
    b.done();
}

fn namespaces_and_dev() {
    let b = Box::new(&["probe", "cat", "/proc/sys/kernel/hostname", "/proc/self/status"]);
    let out = b.run().unwrap().out;
    assert!(out.starts_with("box\n"), "{out}");
    assert!(out.contains("\nPid:\t1\n"), "{out}");
    assert!(out.contains("CapEff:\t00000000a80425fb"), "{out}");
    assert!(out.contains("CapBnd:\t00000000a80425fb"), "{out}");
    b.done();
    let b = Box::new(&["probe", "ls", "/dev", "/sys/fs/cgroup"]);
    let out = b.run().unwrap().out;
    assert!(
        out.contains("fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero\n"),
        "{out}"
    );
    b.done();
}

fn missing_program() {
    for (program, errno) in [("nothing", 2), ("/nothing", 2), ("/etc/plain", 13), ("/etc", 13)] {
        let b = Box::new(&[program]);
        let error = b.run().err().unwrap();
        assert_eq!(
            (error.step.as_str(), error.object.as_str(), error.errno),
            ("exec", program, errno),
            "{error}"
        );
        assert!(!b.dir.join("upper").exists());
        b.done();
    }
}

fn exec() {
    let b = Box::new(&["probe", "hold"]);
    let (process, _read) = b.start().unwrap();
    let ended = b
        .exec(&process, |p| {
            p.args = ["probe", "cat", "/proc/self/status", "/proc/sys/kernel/hostname"]
                .map(str::to_owned)
                .to_vec();
            p.user.uid = 1000;
        })
        .unwrap();
    assert_eq!(ended.code, 0);
    assert!(ended.out.contains("Uid:\t1000\t1000\t1000\t1000\n"), "{}", ended.out);
    assert!(ended.out.contains("CapEff:\t0000000000000000"), "{}", ended.out);
    assert!(ended.out.ends_with("box\n"), "{}", ended.out);
    let failed = b.exec(&process, |p| p.args = vec!["nothing".to_owned()]).err().unwrap();
    assert_eq!((failed.step.as_str(), failed.errno), ("exec", 2));
    rustix::process::pidfd_send_signal(process.pidfd(), rustix::process::Signal::KILL).unwrap();
    assert_eq!(wait(&process), 137);
    dhow_runtime::remove_cgroups(b.plan().unwrap().cgroup_dirs()).unwrap();
    drop(process);
    assert!(fs::exists(b.dir.join("upper")).unwrap());
    b.done();
}
