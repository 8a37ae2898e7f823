//! A shim with a container, driven as a daemon does it.

use dhow_oci::runtime::Spec;
use dhow_runtime::{Host, Options, RootFs, plan, plan_exec};
use dhow_shim::{Client, Event, Exit, Launcher, LogConfig, Request, StdioConfig, Target, attach_pair};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fd::{AsFd, OwnedFd},
    io::Errno,
};
use std::{
    cell::{Cell, RefCell},
    fs,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::Child,
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
};

const SPEC: &str = include_str!("spec.json");
const PATIENCE: Timespec = Timespec { tv_sec: 15, tv_nsec: 0 };

pub(crate) struct Container {
    pub(crate) root: PathBuf,
    pub(crate) dir: PathBuf,
    name: String,
    pub(crate) spec: Spec,
    host: Host,
    pub(crate) stdio: StdioConfig,
    pub(crate) rotation: (u64, u32),
    pub(crate) log_dir: PathBuf,
    /// As with `--init`.
    pub(crate) init: bool,
    client: RefCell<Option<Client>>,
    child: RefCell<Option<Child>>,
    seq: Cell<u32>,
    patience: Cell<Timespec>,
    /// Events that nobody asked for yet.
    events: RefCell<Vec<Event>>,
}

impl Container {
    /// A shim that has not made its container yet.
    pub(crate) fn new(args: &[&str]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("dhow-shim-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let root = std::env::temp_dir().join(&name);
        for sub in ["lower/bin", "lower/etc"] {
            fs::create_dir_all(root.join(sub)).unwrap();
        }
        fs::copy(std::env::current_exe().unwrap(), root.join("lower/bin/inside")).unwrap();
        fs::set_permissions(root.join("lower/bin/inside"), fs::Permissions::from_mode(0o755)).unwrap();
        let mut spec: Spec = serde_json::from_str(SPEC).unwrap();
        spec.process.as_mut().unwrap().args = command(args);
        spec.linux.as_mut().unwrap().cgroups_path = Some(format!("/dhow-shim-test/{name}"));
        let dir = root.join("shim");
        static LAUNCHER: LazyLock<Launcher> =
            LazyLock::new(|| Launcher::new(env!("CARGO_BIN_EXE_dhow-shim").as_ref()).unwrap());
        let (client, child) = LAUNCHER.spawn(&dir).unwrap();
        let this = Self {
            dir,
            name,
            spec,
            host: Host::observe().unwrap(),
            stdio: StdioConfig::default(),
            rotation: (0, 1),
            log_dir: root.clone(),
            init: false,
            root,
            client: RefCell::new(Some(client)),
            child: RefCell::new(Some(child)),
            seq: Cell::new(0),
            patience: Cell::new(PATIENCE),
            events: RefCell::default(),
        };
        assert_eq!(this.event(), Event::Hello { pid: None, running: false, exit: None, execs: vec![] });
        this
    }

    pub(crate) fn shim_pid(&self) -> u32 {
        self.child.borrow().as_ref().unwrap().id()
    }

    pub(crate) fn plan(&self) -> dhow_runtime::Plan {
        let rootfs = RootFs::Overlay {
            lowers: vec![self.root.join("lower")],
            upper: self.root.join("upper"),
            work: self.root.join("work"),
            volatile: true,
        };
        let init = self.init.then(|| PathBuf::from(env!("CARGO_BIN_EXE_dhow-shim")));
        let options = Options { rootfs, make_cwd: true, init, ..Options::default() };
        plan(&self.spec, &options, &self.host).unwrap()
    }

    /// The next event of any kind.
    pub(crate) fn event(&self) -> Event {
        if let Some(event) = (!self.events.borrow().is_empty()).then(|| self.events.borrow_mut().remove(0)) {
            return event;
        }
        self.next().expect("the shim has gone")
    }

    fn next(&self) -> Option<Event> {
        let client = self.client.borrow();
        let client = client.as_ref().unwrap();
        loop {
            match client.recv() {
                Ok(event) => return event,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    let mut fds = [PollFd::new(client, PollFlags::IN)];
                    assert_eq!(poll(&mut fds, Some(&self.patience.get())), Ok(1), "no event in time");
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Asks; other events are kept.
    pub(crate) fn ask(&self, request: &Request, fds: &[OwnedFd]) -> Event {
        let seq = self.seq.get() + 1;
        self.seq.set(seq);
        let borrowed: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        self.client.borrow().as_ref().unwrap().send(seq, request, &borrowed).unwrap();
        loop {
            let event = self.next().expect("the shim has gone");
            match &event {
                Event::Created { seq: n, .. } | Event::Started { seq: n, .. } | Event::Done { seq: n }
                    if *n == seq =>
                {
                    return event;
                }
                Event::Failed { seq: n, .. } if *n == seq => return event,
                _ => self.events.borrow_mut().push(event),
            }
        }
    }

    pub(crate) fn done(&self, request: &Request, fds: &[OwnedFd]) {
        let event = self.ask(request, fds);
        assert!(matches!(event, Event::Done { .. }), "{event:?}");
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.log_dir.join("x-json.log")
    }

    pub(crate) fn create(&self) -> i32 {
        let (max_size, max_files) = self.rotation;
        let log = LogConfig::JsonFile { path: self.log(), max_size, max_files, attrs: String::new() };
        let plan = self.plan().encode();
        match self
            .ask(&Request::Create { plan, netns: false, stdio: self.stdio.clone(), log, outside: None }, &[])
        {
            Event::Created { pid, .. } => pid,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn go(&self) -> i32 {
        match self.ask(&Request::Go, &[]) {
            Event::Started { pid, .. } => pid,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn start(&self) -> i32 {
        self.create();
        self.go()
    }

    pub(crate) fn attach(&self, target: Target, stdin: bool) -> Attachment {
        let (ours, theirs) = attach_pair().unwrap();
        self.done(&Request::Attach { target, stdin, stdout: true, stderr: true }, &[theirs]);
        Attachment(ours)
    }

    pub(crate) fn exec(&self, id: &str, args: &[&str], stdio: StdioConfig) -> Event {
        let mut process = self.spec.process.clone().unwrap();
        (process.args, process.terminal) = (command(args), stdio.tty);
        let plan = plan_exec(&self.spec, &process, &self.host).unwrap().encode();
        self.ask(&Request::Exec { id: id.to_owned(), plan, stdio }, &[])
    }

    pub(crate) fn signal(&self, target: Target, signal: i32) {
        self.done(&Request::Signal { target, signal }, &[]);
    }

    /// How a process ends.
    pub(crate) fn exit(&self, target: &Target) -> Exit {
        self.exit_within(target, PATIENCE.tv_sec)
    }

    pub(crate) fn exit_within(&self, target: &Target, seconds: i64) -> Exit {
        self.patience.set(Timespec { tv_sec: seconds, tv_nsec: 0 });
        let known = self
            .events
            .borrow()
            .iter()
            .position(|e| matches!(e, Event::Exited { target: t, .. } if t == target));
        let event = known.map(|at| self.events.borrow_mut().remove(at));
        let mut event = event.unwrap_or_else(|| self.next().expect("the shim has gone"));
        loop {
            match event {
                Event::Exited { target: t, exit } if t == *target => return exit,
                other => self.events.borrow_mut().push(other),
            }
            event = self.next().expect("the shim has gone");
        }
    }

    /// As when the daemon is killed.
    pub(crate) fn disconnect(&self) {
        self.client.borrow_mut().take();
        self.events.borrow_mut().clear();
    }

    pub(crate) fn reconnect(&self) -> Event {
        *self.client.borrow_mut() = Some(Client::connect(&self.dir).unwrap());
        self.event()
    }

    /// `(text, stream)` of every record; fails on one that is none.
    pub(crate) fn records(&self, suffix: &str) -> Vec<(String, String)> {
        let path = format!("{}{suffix}", self.log().display());
        let text = fs::read_to_string(path).unwrap();
        let parse = |line: &str| -> (String, String) {
            let record: serde_json::Value = serde_json::from_str(line).unwrap();
            assert!(record["time"].as_str().unwrap().ends_with('Z'));
            (record["log"].as_str().unwrap().to_owned(), record["stream"].as_str().unwrap().to_owned())
        };
        text.lines().map(parse).collect()
    }

    pub(crate) fn wait_for_shim(&self) {
        self.child.borrow_mut().take().unwrap().wait().unwrap();
    }

    /// Says goodbye and checks that nothing is left.
    pub(crate) fn finish(self) {
        self.done(&Request::Goodbye, &[]);
        assert_eq!(self.next(), None);
        self.wait_for_shim();
        self.nothing_left();
    }

    pub(crate) fn nothing_left(self) {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(&self.name), "a mount is left");
        for dir in self.plan().cgroup_dirs() {
            assert!(!dir.exists(), "{} is left", dir.display());
        }
        assert_eq!(Client::connect(&self.dir).unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.borrow_mut().take() {
            // Only after a failure: the container dies with its shim.
            child.kill().ok();
            child.wait().ok();
            dhow_runtime::remove_cgroups(self.plan().cgroup_dirs()).ok();
        }
        for dir in self.plan().cgroup_dirs() {
            dir.parent().map(fs::remove_dir);
        }
        fs::remove_dir_all(&self.root).ok();
    }
}

fn command(args: &[&str]) -> Vec<String> {
    std::iter::once("/bin/inside").chain(args.iter().copied()).map(str::to_owned).collect()
}

pub(crate) fn exec(id: &str) -> Target {
    Target::Exec(id.to_owned())
}

/// A client's end.
pub(crate) struct Attachment(pub(crate) OwnedFd);

impl Attachment {
    pub(crate) fn send(&self, bytes: &[u8]) {
        assert_eq!(rustix::io::write(&self.0, bytes).unwrap(), bytes.len());
    }

    pub(crate) fn end_input(&self) {
        rustix::net::shutdown(&self.0, rustix::net::Shutdown::Write).unwrap();
    }

    /// What comes next; empty at the end.
    pub(crate) fn read(&self, most: usize) -> Vec<u8> {
        let mut buffer = vec![0; most];
        loop {
            match rustix::io::read(&self.0, &mut buffer) {
                Ok(count) => {
                    buffer.truncate(count);
                    return buffer;
                }
                Err(Errno::AGAIN) => {
                    let mut fds = [PollFd::new(&self.0, PollFlags::IN)];
                    assert_eq!(poll(&mut fds, Some(&PATIENCE)), Ok(1), "nothing came in 15 s");
                }
                Err(errno) => panic!("{errno}"),
            }
        }
    }

    /// Until this is in it.
    pub(crate) fn until(&self, wanted: &str) -> String {
        let mut all = Vec::new();
        while !String::from_utf8_lossy(&all).contains(wanted) {
            let more = self.read(65536);
            assert!(!more.is_empty(), "ended without {wanted:?}: {:?}", String::from_utf8_lossy(&all));
            all.extend(more);
        }
        String::from_utf8_lossy(&all).into_owned()
    }

    /// Everything to the end, unframed: stdout, stderr.
    pub(crate) fn frames(&self) -> (Vec<u8>, Vec<u8>) {
        let mut all = Vec::new();
        loop {
            let more = self.read(65536);
            if more.is_empty() {
                break;
            }
            all.extend(more);
        }
        let (mut out, mut err, mut rest) = (Vec::new(), Vec::new(), &all[..]);
        while let Some((head, tail)) = rest.split_first_chunk::<8>() {
            assert!(head[1..4] == [0; 3], "not a frame: {head:?}");
            let length = u32::from_be_bytes(head[4..].try_into().unwrap()) as usize;
            let (payload, after) = tail.split_at(length);
            if head[0] == 2 {
                err.extend_from_slice(payload)
            } else {
                out.extend_from_slice(payload)
            }
            rest = after;
        }
        assert!(rest.is_empty());
        (out, err)
    }
}
