//! SCMP_ACT_NOTIFY: the listener and the state of its process come to the agent, and a notified call waits for it.

use crate::cases::{end, words};
use crate::fixture::{Box, finish};
use dhow_oci::runtime as spec;
use dhow_runtime::{Process, Stdio, create, plan, plan_exec};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

pub(crate) const CASES: crate::Cases = &[
    ("root_seccomp_listener", listener),
    ("root_seccomp_listener_of_an_exec", listener_of_an_exec),
    ("root_seccomp_without_an_agent", without_an_agent),
];

/// Everything is allowed, and mount waits for the agent at `path`.
fn profile(path: &Path) -> spec::Seccomp {
    let notify = spec::Syscall {
        names: words(&["mount"]),
        action: "SCMP_ACT_NOTIFY".to_owned(),
        ..spec::Syscall::default()
    };
    spec::Seccomp {
        default_action: "SCMP_ACT_ALLOW".to_owned(),
        flags: words(&["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]),
        listener_path: Some(path.to_str().unwrap().to_owned()),
        listener_metadata: Some("the \"box\"".to_owned()),
        syscalls: vec![notify],
        ..spec::Seccomp::default()
    }
}

/// The state and the listener.
fn receive(agent: &UnixStream) -> (serde_json::Value, OwnedFd) {
    let mut bytes = [0u8; 8192];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let length = recvmsg(agent, &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, RecvFlags::CMSG_CLOEXEC);
    let fd = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    (serde_json::from_slice(&bytes[..length.unwrap().bytes]).unwrap(), fd.unwrap())
}

/// A call is waiting; the agent goes away, and the call is told that it does not exist.
fn a_call_waits(fd: OwnedFd) {
    let limit = Timespec { tv_sec: 10, tv_nsec: 0 };
    assert_eq!(poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&limit)), Ok(1));
    drop(fd);
}

fn start(b: &Box) -> (Process, OwnedFd) {
    let (id, bundle) = ("box".to_owned(), b.dir.to_str().unwrap().to_owned());
    let options = dhow_runtime::Options { id, bundle, ..b.options.clone() };
    let plan = plan(&b.spec, &options, &b.host).unwrap();
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let null = std::fs::File::open("/dev/null").unwrap();
    let plan = dhow_runtime::Plan::decode(&plan.encode()).unwrap();
    let stdio = Stdio::Fds([null.as_fd(), write.as_fd(), write.as_fd()]);
    let mut process = create(&plan, None, stdio).unwrap();
    process.go().unwrap();
    (process, read)
}

fn listener() {
    for no_new_privileges in [true, false] {
        let mut b = Box::new(&["probe", "calls"]);
        let path = b.dir.join("agent");
        let agent = UnixListener::bind(&path).unwrap();
        b.process().no_new_privileges = no_new_privileges;
        b.spec.annotations.insert("key".to_owned(), "value".to_owned());
        b.linux().seccomp = Some(profile(&path));
        let (mut process, read) = start(&b);
        let (state, fd) = receive(&agent.accept().unwrap().0);
        let pid = process.pid().as_raw_nonzero().get();
        let wanted = serde_json::json!({
            "ociVersion": "1.2.0", "fds": ["seccompFd"], "pid": pid, "metadata": "the \"box\"",
            "state": { "ociVersion": "1.2.0", "id": "box", "status": "created", "pid": pid,
                       "bundle": b.dir.to_str().unwrap(), "annotations": { "key": "value" } },
        });
        assert_eq!(state, wanted);
        a_call_waits(fd);
        let ended = finish(&mut process, read);
        assert!(ended.out.starts_with("mount 38\n"), "{}", ended.out);
        dhow_runtime::remove_cgroups(b.plan().unwrap().cgroup_dirs()).unwrap();
        drop(process);
        b.done();
    }
}

fn listener_of_an_exec() {
    let mut b = Box::new(&["probe", "hold"]);
    let path = b.dir.join("agent");
    let agent = UnixListener::bind(&path).unwrap();
    b.linux().seccomp = Some(profile(&path));
    let (process, _read) = start(&b);
    drop(receive(&agent.accept().unwrap().0));
    let mut more = b.spec.process.clone().unwrap();
    more.args = words(&["probe", "calls"]);
    let mut plan = plan_exec(&b.spec, &more, &b.host).unwrap();
    plan.identify("box", &b.dir);
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let null = std::fs::File::open("/dev/null").unwrap();
    let stdio = Stdio::Fds([null.as_fd(), write.as_fd(), write.as_fd()]);
    let mut second = dhow_runtime::exec(&plan, process.pid(), stdio).unwrap();
    second.go().unwrap();
    drop(write);
    let (state, fd) = receive(&agent.accept().unwrap().0);
    let pids = (state["pid"].as_i64().unwrap(), state["state"]["pid"].as_i64().unwrap());
    let number = |process: &Process| i64::from(process.pid().as_raw_nonzero().get());
    assert_eq!(
        (pids, state["state"]["status"].as_str()),
        ((number(&second), number(&process)), Some("running"))
    );
    a_call_waits(fd);
    assert!(finish(&mut second, read).out.starts_with("mount 38\n"));
    end(&b, &process);
    drop(process);
    b.done();
}

/// Nobody listens, or the profile itself forbids the handing over: the container does not run, and nothing of it is left.
fn without_an_agent() {
    let mut b = Box::new(&["probe", "calls"]);
    let path = b.dir.join("agent");
    b.linux().seccomp = Some(profile(&path));
    let error = b.run().err().unwrap();
    assert_eq!(
        (error.step.as_str(), error.errno, error.object.as_str()),
        ("connect", 2, path.to_str().unwrap())
    );
    let _agent = UnixListener::bind(&path).unwrap();
    let mut refusing = profile(&path);
    refusing.syscalls.push(spec::Syscall {
        names: words(&["write"]),
        action: "SCMP_ACT_ERRNO".to_owned(),
        ..spec::Syscall::default()
    });
    b.linux().seccomp = Some(refusing);
    let error = b.run().err().unwrap();
    assert_eq!((error.step.as_str(), error.errno), ("hand over", 1), "{error}");
    let refused = |change: fn(&mut spec::Seccomp)| {
        let mut seccomp = profile(&path);
        change(&mut seccomp);
        let mut spec = b.spec.clone();
        spec.linux.as_mut().unwrap().seccomp = Some(seccomp);
        plan(&spec, &b.options, &b.host).err().unwrap().object
    };
    assert_eq!(refused(|s| s.listener_path = None), "linux.seccomp.listenerMetadata");
    let no_path = |s: &mut spec::Seccomp| (s.listener_path, s.listener_metadata) = (None, None);
    assert_eq!(refused(no_path), "linux.seccomp.listenerPath");
    assert_eq!(refused(|s| s.default_action = "SCMP_ACT_NOTIFY".into()), "linux.seccomp.defaultAction");
    assert_eq!(refused(|s| s.syscalls[0].names.push("write".into())), "linux.seccomp.syscalls");
    b.done();
}
