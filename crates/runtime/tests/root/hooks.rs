//! Hooks of the kinds that run while a container is made.

use crate::cases::{end, words};
use crate::fixture::Box;
use dhow_oci::runtime as spec;
use std::fs;

pub(crate) const CASES: &[(&str, fn())] = &[
    ("root_hooks_of_all_kinds", all_kinds),
    ("root_failed_hooks", failed),
    ("root_hooks_find_the_root_in_place", in_place),
];

/// This program as a hook that appends to `log` and ends as `end` says.
fn hook(program: &str, log: &str, end: &str) -> spec::Hook {
    spec::Hook {
        path: program.to_owned(),
        args: words(&["probe", "hook", log, end]),
        env: words(&["HOOK=mine"]),
        timeout: None,
    }
}

fn all_kinds() {
    let mut b = Box::new(&["probe", "cat", "/tmp/log"]);
    (b.options.id, b.options.bundle) = ("c1".to_owned(), b.dir.to_str().unwrap().to_owned());
    b.spec.annotations.insert("a".to_owned(), "b\"c".to_owned());
    let outside = b.dir.join("lower/bin/probe").to_str().unwrap().to_owned();
    let log = b.dir.join("log").to_str().unwrap().to_owned();
    b.spec.hooks = Some(spec::Hooks {
        prestart: vec![hook(&outside, &log, "0")],
        create_runtime: vec![hook(&outside, &log, "0")],
        create_container: vec![hook(&outside, &log, "0"), hook(&outside, &log, "0")],
        start_container: vec![hook("/bin/probe", "/tmp/log", "0")],
        ..Default::default()
    });
    let (mut process, read) = b.start().unwrap();
    let pid = process.pid().as_raw_nonzero();
    let inside = crate::fixture::finish(&mut process, read).out;
    let text = fs::read_to_string(&log).unwrap();
    let told: Vec<&str> = text.lines().collect();
    let rest = format!(
        "\"ociVersion\":\"1.2.0\",\"id\":\"c1\",\"bundle\":\"{}\",\"annotations\":{{\"a\":\"b\\\"c\"}}}}",
        b.options.bundle
    );
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    // Five lines each: state, host name, folder, variable, capabilities.
    for (at, hook) in told.chunks(5).enumerate() {
        let [state, name, folder, variable, caps] = hook else { panic!("{text}") };
        // Those outside see the host; those inside the container's host name and pid, before it is entered.
        let (expected_pid, expected_name) = if at < 2 { (pid.get(), host.trim()) } else { (1, "box") };
        assert_eq!(*state, format!("{{\"pid\":{expected_pid},\"status\":\"creating\",{rest}"));
        assert_eq!((*name, *variable), (expected_name, "mine"));
        // The root of a classic overlay has a place, as it is mounted on its upper layer.
        let root = b.dir.join("upper").to_string_lossy().into_owned();
        let root = if b.host.kernel() < (6, 8) { root } else { "/".to_owned() };
        assert_eq!(*folder, if at < 2 { here() } else { root });
        assert!(caps.ends_with("ff"), "{caps}");
    }
    assert_eq!(told.len(), 20, "{text}");
    // In the container, as its user, with its capabilities.
    let expected =
        format!("{{\"pid\":1,\"status\":\"created\",{rest}\nbox\n/\nmine\nCapEff:\t00000000a80425fb\n");
    assert_eq!(inside, expected);
    dhow_runtime::remove_cgroups(b.plan().unwrap().cgroup_dirs()).unwrap();
    drop(process);
    b.done();
}

fn here() -> String {
    std::env::current_dir().unwrap().to_string_lossy().into_owned()
}

fn failed() {
    let mut b = Box::new(&["probe", "exit", "0"]);
    let outside = b.dir.join("lower/bin/probe").to_str().unwrap().to_owned();
    for kind in ["prestart", "createRuntime", "createContainer", "startContainer"] {
        let program = if kind == "startContainer" { "/bin/probe" } else { outside.as_str() };
        let mut error = |hook: spec::Hook| {
            b.spec.hooks = serde_json::from_value(serde_json::json!({ kind: [hook] })).unwrap();
            let error = b.run().err().unwrap();
            assert!(!b.dir.join("upper").exists(), "{kind}");
            assert!(b.plan().unwrap().cgroup_dirs().iter().all(|dir| !dir.exists()), "{kind}");
            error.to_string()
        };
        let sentence = error(hook(program, "-", "3"));
        assert!(sentence.starts_with("run hook ") && sentence.contains(program), "{kind}: {sentence}");
        assert!(sentence.contains("I say 3") && sentence.contains("exit status 3"), "{kind}: {sentence}");
        let sentence = error(spec::Hook { timeout: Some(1), ..hook(program, "-", "hang") });
        assert!(sentence.contains("ran past its timeout"), "{kind}: {sentence}");
        let sentence = error(hook("/not/there", "-", "0"));
        assert!(
            sentence.contains("no such file") || sentence.contains("exit status 127"),
            "{kind}: {sentence}"
        );
    }
    b.spec.hooks = None;
    b.done();
}

/// Programs of the host look for the container's files at `root.path`, in its mount namespace.
fn in_place() {
    for in_userns in [false, true] {
        let mut b = Box::new(&["probe", "hold"]);
        if in_userns {
            crate::ids::map(&mut b);
        }
        b.options.rootfs = dhow_runtime::RootFs::Path;
        let root = b.dir.join("lower");
        b.spec.root.as_mut().unwrap().path = root.to_str().unwrap().to_owned();
        let script =
            format!("grep -q ' {}/proc ' /proc/self/mountinfo && echo x >{0}/dev/seen", root.display());
        let shell = spec::Hook {
            path: "/bin/sh".to_owned(),
            args: words(&["sh", "-ec", &script]),
            ..Default::default()
        };
        b.spec.hooks = Some(spec::Hooks { create_container: vec![shell], ..Default::default() });
        let (process, _read) = b.start().unwrap();
        let ended = b.exec(&process, |p| p.args = words(&["probe", "cat", "/dev/seen"])).unwrap();
        assert_eq!(ended.out, "x\n");
        assert!(!root.join("dev/seen").exists(), "the hook wrote outside");
        end(&b, &process);
        drop(process);
        b.spec.hooks = None;
        b.done();
    }
}
