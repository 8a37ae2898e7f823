//! What a plan is made of. Everything is computed: the child only reads.

use crate::code::{choice, record};
use dhow_sys::clone::new;
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

choice!(/// The ids of an id-mapped mount.
IdMap {
    /// As the lines of `/proc/<pid>/uid_map` and `gid_map`.
    1 Ranges { uids: String, gids: String },
    /// Those of a user namespace that is there.
    2 Namespace { path: CString },
});

record!(/// A new user namespace's maps, as the lines of `uid_map` and `gid_map`.
UserMaps { uids: String, gids: String });

record!(/// What changes about a bound tree: bits of its top mount, bits of all its mounts, and how mounts flow.
Attributes { set: u64, clear: u64, recursive_set: u64, recursive_clear: u64, propagation: u64 });

record!(/// Kind (as in a mode) and number of a node.
Device { kind: u32, major: u32, minor: u32 });

choice!(/// A mount that the parent makes before the clone, with the host's privileges, for the child to attach.
Tree {
    /// A part of the host's tree; `device` is what it must be.
    1 Path { source: CString, recursive: bool, attributes: Attributes, idmap: Option<u32>, idmap_recursive: bool, device: Option<Device> },
    2 Overlay { lowers: Vec<CString>, upper: CString, work: CString, volatile: bool },
});

record!(/// A network interface of the host and its name in the container.
Interface { name: String, inside: String });

record!(/// A program run around the container's life, by the child.
Hook { path: CString, args: Vec<CString>, env: Vec<CString>, timeout: Option<u32> });

record!(/// What runs while the container is made. The state's JSON begins with pid and status, and goes on with `state`.
Hooks { state: String, prestart: Vec<Hook>, create_runtime: Vec<Hook>, create_container: Vec<Hook>, start_container: Vec<Hook> });

record!(/// `struct sched_attr`.
Scheduler { policy: u32, flags: u64, nice: i32, priority: u32, runtime: u64, deadline: u64, period: u64 });

record!(/// Turn at the disks.
IoPriority { class: u32, level: u32 });

record!(/// `MPOL_*` with its flags, and the bits of the nodes.
MemoryPolicy { mode: u32, nodes: Vec<u64> });

record!(/// A session keyring's name and what is allowed on it besides.
Keyring { name: CString, permissions: u32 });

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
    selinux: Option<CString>,
    keyring: Option<Keyring>,
    personality: Option<u32>,
    scheduler: Option<Scheduler>,
    io_priority: Option<IoPriority>,
    /// Processors before the cgroup and in it, as bits; empty: as they are.
    affinity: Vec<u64>,
    final_affinity: Vec<u64>,
    memory_policy: Option<MemoryPolicy>,
    /// Of a terminal whose maker says no size.
    rows: u16,
    columns: u16,
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
    /// The root is a folder; `in_place`: it stays where it is until the end, as programs of the host that look there expect.
    4 BindRoot { path: CString, in_place: bool },
    /// A new file system; `fallback`: the tree that is taken where the kernel refuses it in a user namespace.
    5 Filesystem { kind: CString, source: CString, target: CString, options: Vec<FsOption>, attributes: u64, propagation: u64, fallback: Option<u32> },
    /// A part of the host's tree.
    6 Bind { source: CString, target: CString, recursive: bool, attributes: Attributes },
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
    /// In place of it: the root is entered only; `hide`: the host's /proc and /sys are taken away from what is left above it.
    22 Chroot { hide: bool },
    19 RootPropagation { flags: u64, recursive: bool },
    20 CgroupNamespace {},
    21 MountReadOnly { path: CString },
    /// The root is one of the parent's trees, attached at `path` if there is one; `shared`: others reach its folders too.
    23 TreeRoot { tree: u32, path: Option<CString>, shared: bool },
    /// One of the parent's trees.
    24 Attach { tree: u32, source: CString, target: CString },
    /// A tmpfs that begins with what the image has there.
    25 CopyUp { source: CString, target: CString, options: Vec<FsOption>, attributes: u64, propagation: u64 },
    /// Attributes of what is mounted already.
    26 Remount { path: CString, attributes: Attributes },
    /// The parent moves network interfaces in, and runs prestart and createRuntime hooks.
    27 RuntimeHooks {},
    /// The child runs createContainer hooks.
    28 ContainerHooks {},
});

impl Step {
    /// The namespace that it sets something of.
    pub(crate) fn changes(&self) -> Option<u64> {
        match self {
            Self::Sysctl { path, .. } if path.to_bytes().starts_with(b"/proc/sys/net/") => Some(new::NET),
            Self::Sysctl { .. } => Some(new::IPC),
            Self::Hostname { .. } | Self::Domainname { .. } => Some(new::UTS),
            _ => None,
        }
    }

    /// Verb and object, as errors and printed plans say them.
    pub(crate) fn words(&self) -> (&'static str, &[u8]) {
        match self {
            Self::Detach { .. } => ("detach mounts", b"/"),
            Self::Overlay { upper, .. } | Self::OverlayClassic { upper, .. } => {
                ("mount overlay", upper.as_bytes())
            }
            Self::BindRoot { path, .. } => ("bind root", path.as_bytes()),
            Self::TreeRoot { path, .. } => {
                ("attach root", path.as_ref().map_or(b"/", |path| path.as_bytes()))
            }
            Self::Filesystem { target, .. } => ("mount", target.as_bytes()),
            Self::CopyUp { target, .. } => ("mount and copy", target.as_bytes()),
            Self::Bind { target, .. } | Self::Attach { target, .. } => ("bind", target.as_bytes()),
            Self::Remount { path, .. } => ("remount", path.as_bytes()),
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
            Self::Chroot { .. } => ("chroot", b"/"),
            Self::RuntimeHooks {} => ("run hooks", b"createRuntime"),
            Self::ContainerHooks {} => ("run hooks", b"createContainer"),
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
            Self::CopyUp { options, attributes, .. } | Self::Filesystem { options, attributes, .. } => {
                let kind = if let Self::Filesystem { kind, .. } = self { kind.as_c_str() } else { c"tmpfs" };
                write!(f, " type={}", kind.to_string_lossy())?;
                for option in options {
                    write!(f, " {}", option.key.to_string_lossy())?;
                    option.value.as_ref().map_or(Ok(()), |v| write!(f, "={}", v.to_string_lossy()))?;
                }
                write!(f, " attr={attributes:#x}")
            }
            Self::Bind { source, recursive, attributes, .. } => {
                let set = attributes.set;
                write!(f, " from={} recursive={recursive} attr={set:#x}", source.to_string_lossy())
            }
            Self::Attach { tree, source, .. } => write!(f, " from={} tree={tree}", source.to_string_lossy()),
            Self::TreeRoot { tree, .. } => write!(f, " tree={tree}"),
            Self::Remount { attributes, .. } => write!(f, " attr={:#x}", attributes.set),
            Self::Chroot { hide } => write!(f, " hide={hide}"),
            Self::Node { kind, mode, major, minor, .. } => write!(f, " {kind:o} {major}:{minor} {mode:o}"),
            Self::Link { to, .. } => write!(f, " -> {}", to.to_string_lossy()),
            Self::Sysctl { value, .. } => write!(f, "={}", value.to_string_lossy()),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path { source, recursive, attributes, idmap, .. } => {
                let set = attributes.set;
                write!(f, "open tree {} recursive={recursive} attr={set:#x}", source.to_string_lossy())?;
                idmap.map_or(Ok(()), |map| write!(f, " idmap={map}"))
            }
            Self::Overlay { lowers, upper, volatile, .. } => {
                let (upper, lowers) = (upper.to_string_lossy(), lowers.len());
                write!(f, "make overlay {upper} lowers={lowers} volatile={volatile}")
            }
        }
    }
}
