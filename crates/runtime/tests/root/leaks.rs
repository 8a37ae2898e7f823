//! Nothing of the runtime or its caller is within reach of a container: descriptors, working directories, the program.

use crate::cases::{end, words};
use crate::fixture::Box;
use dhow_runtime::{Stdio, exec, plan_exec};
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};
use std::fs;
use std::io::{BufRead, BufReader};

pub(crate) const CASES: crate::Cases = &[
    ("root_no_working_directory_on_a_descriptor", working_directories),
    ("root_a_joining_process_is_not_seen_into", peek),
];

/// Every descriptor below 1024 that is free becomes the host's root, and is inherited by whatever is executed.
fn leak() -> Vec<OwnedFd> {
    let host = fs::File::open("/").unwrap();
    let mut leaked = Vec::new();
    loop {
        let copy = fcntl_dupfd_cloexec(&host, 3).unwrap();
        if copy.as_raw_fd() > 1023 {
            return leaked;
        }
        fcntl_setfd(&copy, FdFlags::empty()).unwrap();
        leaked.push(copy);
    }
}

/// CVE-2024-21626, start and exec. Three guards stand behind each other: seen to fail without `close_others` and `cloexec_from` (the program has the
/// host's root a thousand times), and without `close_others` and `inside_root` (it works in the host's root).
fn working_directories() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    assert!(limit.maximum.is_none_or(|n| n > 1024), "{limit:?}");
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let room: Vec<OwnedFd> = (0..40).map(|_| fs::File::open("/").unwrap().into()).collect();
    let mut b = Box::new(&["probe", "fds"]);
    b.options.make_cwd = false;
    let leaked = leak();
    assert!(leaked.len() > 900);
    // What a start itself needs.
    drop(room);
    assert_eq!(b.run().unwrap().out, "0 1 2\n");
    b.process().args = words(&["probe", "hold"]);
    let (process, _read) = b.start().unwrap();
    let ended = b.exec(&process, |p| p.args = words(&["probe", "fds"])).unwrap();
    assert_eq!(ended.out, "0 1 2\n");
    for fd in 3..1024 {
        let place = format!("/proc/self/fd/{fd}");
        let joined = b.exec(&process, |p| (p.cwd, p.args) = (place.clone(), words(&["probe", "exit", "0"])));
        let error = joined.err().unwrap();
        assert_eq!(error.step, "chdir", "{error}");
    }
    end(&b, &process);
    drop(process);
    // A start costs more: every one in the long test, else some.
    let all = crate::swaps::starts() >= 1000;
    for fd in (3..1024).filter(|fd| all || *fd < 24 || fd % 97 == 0) {
        b.process().cwd = format!("/proc/self/fd/{fd}");
        let error = b.run().err().unwrap();
        assert_eq!(error.step, "chdir", "{error}");
    }
    b.done();
}

/// A container with every capability but CAP_SYS_PTRACE looks at a process that is about to join it (CVE-2016-9962). Seen to fail without
/// `keep_private`: it reads the link of the program and the list of descriptors.
fn peek() {
    let mut b = Box::new(&["probe", "peek"]);
    let capabilities = b.process().capabilities.as_mut().unwrap();
    let all = ["CAP_SYS_ADMIN", "CAP_DAC_READ_SEARCH", "CAP_NET_ADMIN", "CAP_SYS_MODULE", "CAP_SYS_RAWIO"];
    for set in [&mut capabilities.bounding, &mut capabilities.permitted, &mut capabilities.effective] {
        set.extend(words(&all));
    }
    b.linux().seccomp = None;
    let (process, read) = b.start().unwrap();
    let mut lines = BufReader::new(fs::File::from(read)).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "ready");
    let mut joining = b.spec.process.clone().unwrap();
    joining.args = words(&["probe", "exit", "0"]);
    joining.user.uid = 0;
    let plan = plan_exec(&b.spec, &joining, &b.host).unwrap();
    let null = fs::File::open("/dev/null").unwrap();
    let waiting = exec(&plan, process.pid(), Stdio::Fds([null.as_fd(); 3])).unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "got 0");
    drop(waiting);
    end(&b, &process);
    drop(process);
    b.done();
}
