//! What a plan is made of. Everything is computed: the child only reads.

use crate::code::{choice, record};
use std::ffi::CString;
use std::fmt;
use std::path::PathBuf;

record!(/// One option of a new file system: `key` or `key=value`.
FsOption { key: CString, value: Option<CString> });

record!(/// One file of a cgroup folder.
CgroupWrite {
    /// Name in the folder; the first that exists of several.
    files: Vec<String>,
    value: String,
    /// Skipped where no such file exists.
    optional: bool,
});

record!(/// One folder of one hierarchy.
CgroupDir {
    path: PathBuf,
    /// The hierarchy's mount point, which is not ours to make.
    mount: PathBuf,
    /// The unified hierarchy, else one of v1's.
    v2: bool,
    /// v1: `cpuset.cpus` and `cpuset.mems` are taken over from the parent before anything can join.
    cpuset: bool,
    /// v2: controllers to switch on along the way; v1: those of the hierarchy.
    controllers: Vec<String>,
    writes: Vec<CgroupWrite>,
});

record!(/// The cgroups of a container.
Cgroups {
    dirs: Vec<CgroupDir>,
    /// v2: the device program's instructions, 8 bytes each.
    devices: Vec<u64>,
    /// systemd makes the folders, as those of this unit.
    unit: Option<Unit>,
});

record!(/// A transient scope of systemd's.
Unit { name: String, properties: Vec<Property> });

record!(/// One kind of device and what is allowed: `/dev/char/1:3`, `rwm`.
DeviceLine { device: String, access: String });

choice!(/// One property of a unit.
Property {
    1 Flag { name: String, value: bool },
    2 Number { name: String, value: u64 },
    3 Text { name: String, value: String },
    4 Bytes { name: String, value: Vec<u8> },
    5 Devices { name: String, value: Vec<DeviceLine> },
});

record!(/// A namespace entered by path.
Join { flag: u64, path: CString });

record!(/// One resource limit.
Limit { resource: u32, soft: u64, hard: u64, name: CString });

record!(/// Where the overlay's writable layer is, made before the clone.
Overlay { upper: PathBuf, work: PathBuf, top: Option<PathBuf>, volatile: bool });

record!(/// Who answers the calls that the filter notifies, and what is said to it beside the pids.
Listener {
    path: PathBuf,
    metadata: Option<String>,
    version: String,
    id: String,
    bundle: PathBuf,
    /// Name, value, name, value.
    annotations: Vec<String>,
});

record!(/// Who the program runs as, and what it runs.
Program {
    /// Paths to try, in order; one if the name has a slash.
    candidates: Vec<CString>,
    /// Whether the name was looked up in PATH.
    searched: bool,
    args: Vec<CString>,
    env: Vec<CString>,
    cwd: CString,
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
    umask: u32,
    bounding: u64,
    effective: u64,
    permitted: u64,
    inheritable: u64,
    ambient: u64,
    no_new_privileges: bool,
    limits: Vec<Limit>,
    oom_score_adj: Option<CString>,
    apparmor: Option<CString>,
    /// Instructions, 8 bytes each; empty: none.
    seccomp: Vec<u64>,
    seccomp_flags: u32,
    listener: Option<Listener>,
    terminal: bool,
    /// HOME comes from the container's /etc/passwd.
    home: bool,
    /// The program is our init: signals stay blocked until it listens, as PID 1 would lose them.
    init: bool,
});

choice!(/// One thing the child does between the clone and "go".
Step {
    /// No mount made from here on is seen outside; `shared` keeps what is mounted below shared sources flowing out.
    1 Detach { shared: bool },
    /// The root is an overlay.
    2 Overlay { lowers: Vec<CString>, upper: CString, work: CString, volatile: bool },
    /// The same for kernels without `lowerdir+`: mount(2) with one string, over `upper`.
    3 OverlayClassic { upper: CString, data: CString },
    /// The root is a folder.
    4 BindRoot { path: CString },
    /// A new file system.
    5 Filesystem { kind: CString, source: CString, target: CString, options: Vec<FsOption>, attributes: u64, propagation: u64 },
    /// A part of the host's tree.
    6 Bind { source: CString, target: CString, recursive: bool, set: u64, clear: u64, recursive_set: u64, propagation: u64 },
    /// v1: a tmpfs with the container's folder of every hierarchy.
    7 CgroupTree { target: CString, folders: Vec<CString>, names: Vec<CString>, aliases: Vec<CString>, attributes: u64 },
    8 Folder { path: CString },
    9 Node { path: CString, kind: u32, mode: u32, major: u32, minor: u32, uid: u32, gid: u32 },
    10 Link { path: CString, to: CString, only_if: Option<CString> },
    11 Sysctl { path: CString, value: CString },
    12 Hostname { name: CString },
    13 Domainname { name: CString },
    14 Mask { path: CString },
    15 ReadOnlyPath { path: CString },
    16 Terminal { console: bool },
    17 ReadOnlyRoot {},
    18 Pivot {},
    19 RootPropagation { flags: u64, recursive: bool },
    20 CgroupNamespace {},
    21 MountReadOnly { path: CString },
});

impl Step {
    /// Verb and object, as errors and printed plans say them.
    pub(crate) fn words(&self) -> (&'static str, &[u8]) {
        match self {
            Self::Detach { .. } => ("detach mounts", b"/"),
            Self::Overlay { upper, .. } | Self::OverlayClassic { upper, .. } => {
                ("mount overlay", upper.as_bytes())
            }
            Self::BindRoot { path } => ("bind root", path.as_bytes()),
            Self::Filesystem { target, .. } => ("mount", target.as_bytes()),
            Self::Bind { target, .. } => ("bind", target.as_bytes()),
            Self::CgroupTree { target, .. } => ("mount cgroups", target.as_bytes()),
            Self::Folder { path } => ("mkdir", path.as_bytes()),
            Self::Node { path, .. } => ("mknod", path.as_bytes()),
            Self::Link { path, .. } => ("symlink", path.as_bytes()),
            Self::Sysctl { path, .. } => ("sysctl", path.as_bytes()),
            Self::Hostname { name } => ("sethostname", name.as_bytes()),
            Self::Domainname { name } => ("setdomainname", name.as_bytes()),
            Self::Mask { path } => ("mask", path.as_bytes()),
            Self::ReadOnlyPath { path } | Self::MountReadOnly { path } => ("make read-only", path.as_bytes()),
            Self::Terminal { .. } => ("open terminal", b"/dev/pts/ptmx"),
            Self::ReadOnlyRoot {} => ("make read-only", b"/"),
            Self::Pivot {} => ("pivot_root", b"/"),
            Self::RootPropagation { .. } => ("set propagation", b"/"),
            Self::CgroupNamespace {} => ("unshare", b"cgroup namespace"),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (verb, object) = self.words();
        write!(f, "{verb} {}", String::from_utf8_lossy(object))?;
        match self {
            Self::Overlay { lowers, volatile, .. } => {
                write!(f, " lowers={} volatile={volatile}", lowers.len())
            }
            Self::Filesystem { kind, options, attributes, .. } => {
                write!(f, " type={}", kind.to_string_lossy())?;
                for option in options {
                    write!(f, " {}", option.key.to_string_lossy())?;
                    option.value.as_ref().map_or(Ok(()), |v| write!(f, "={}", v.to_string_lossy()))?;
                }
                write!(f, " attr={attributes:#x}")
            }
            Self::Bind { source, recursive, set, .. } => {
                write!(f, " from={} recursive={recursive} attr={set:#x}", source.to_string_lossy())
            }
            Self::Node { kind, mode, major, minor, .. } => write!(f, " {kind:o} {major}:{minor} {mode:o}"),
            Self::Link { to, .. } => write!(f, " -> {}", to.to_string_lossy()),
            Self::Sysctl { value, .. } => write!(f, "={}", value.to_string_lossy()),
            _ => Ok(()),
        }
    }
}
