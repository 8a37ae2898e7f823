//! Observe: what this machine offers.

use crate::Error;
use crate::cgroup::lack::Lack;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};
use rustix::thread::CapabilitySet;
use std::fs;
use std::path::{Path, PathBuf};

/// One mounted v1 hierarchy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Hierarchy {
    /// Where it is mounted.
    pub(crate) mount: PathBuf,
    /// `cpu`, `cpuacct`, `name=systemd`.
    pub(crate) controllers: Vec<String>,
}

/// Facts about this machine that a plan depends on.
#[derive(Debug, Clone, Default)]
pub struct Host {
    pub(crate) hierarchies: Vec<Hierarchy>,
    /// Mount point of the unified hierarchy, alone or beside v1's.
    pub(crate) unified: Option<PathBuf>,
    /// Its controllers, which no v1 hierarchy has.
    pub(crate) unified_controllers: Vec<String>,
    /// What is known to be missing.
    pub(crate) lacks: Vec<Lack>,
    /// Whether containers are systemd's units.
    pub(crate) systemd: bool,
    pub(crate) bounding: u64,
    pub(crate) kernel: (u32, u32),
    pub(crate) apparmor: bool,
    pub(crate) selinux: bool,
    /// (resource, hard limit) of this process.
    pub(crate) hard_limits: Vec<(u32, u64)>,
}

/// Reads a file of the kernel, whose size is not known before: at once, where [`fs::read_to_string`] would ask in growing pieces.
pub(crate) fn read(path: &Path) -> rustix::io::Result<String> {
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut text = Vec::with_capacity(16 << 10);
    while rustix::io::read(&file, rustix::buffer::spare_capacity(&mut text))? > 0 {
        text.reserve(4096);
    }
    String::from_utf8(text).map_err(|_| Errno::ILSEQ)
}

fn must_read(path: &str) -> Result<String, Error> {
    read(Path::new(path)).map_err(|e| Error::os("read", path, e))
}

/// Undoes the kernel's `\040` in mountinfo.
fn unescape(text: &str) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((&first, tail)) = rest.split_first() {
        let octal = |d: &[u8]| d.iter().all(|b| matches!(b, b'0'..=b'7'));
        if let (b'\\', Some((digits, after))) = (first, tail.split_at_checked(3))
            && octal(digits)
        {
            bytes.push(digits.iter().fold(0u8, |n, d| n.wrapping_mul(8).wrapping_add(d - b'0')));
            rest = after;
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    std::ffi::OsString::from_vec(bytes).into()
}

/// The cgroup mounts of a mountinfo text: v1 hierarchies and v2 mount points, first mount of each wins. In a container without a cgroup
/// namespace there are only mounts of its own cgroup, the parent of what is made here.
pub(crate) fn cgroup_mounts(mountinfo: &str) -> (Vec<Hierarchy>, Option<PathBuf>) {
    match mounts_of(mountinfo, "/") {
        (hierarchies, None) if hierarchies.is_empty() => {
            let cgroup = |line: &&str| line.contains(" - cgroup ") || line.contains(" - cgroup2 ");
            let root = mountinfo.lines().find(cgroup).and_then(|line| line.split(' ').nth(3));
            root.map_or_else(Default::default, |root| mounts_of(mountinfo, root))
        }
        found => found,
    }
}

fn mounts_of(mountinfo: &str, whole: &str) -> (Vec<Hierarchy>, Option<PathBuf>) {
    const NO_CONTROLLERS: [&str; 8] = [
        "rw",
        "ro",
        "xattr",
        "noprefix",
        "clone_children",
        "release_agent",
        "favordynmods",
        "cpuset_v2_mode",
    ];
    let (mut hierarchies, mut unified): (Vec<Hierarchy>, _) = (Vec::new(), None);
    for line in mountinfo.lines() {
        let Some((left, right)) = line.split_once(" - ") else { continue };
        let mut left = left.split(' ');
        let (Some(root), Some(mount)) = (left.nth(3), left.next()) else { continue };
        let mut right = right.split(' ');
        let (kind, options) = (right.next().unwrap_or(""), right.nth(1).unwrap_or(""));
        if root != whole {
            continue;
        }
        if kind == "cgroup2" && unified.is_none() {
            unified = Some(unescape(mount));
        } else if kind == "cgroup" {
            let controllers: Vec<String> = options
                .split(',')
                .filter(|o| !NO_CONTROLLERS.contains(&o.split('=').next().unwrap_or("")))
                .map(str::to_owned)
                .collect();
            if !controllers.is_empty() && !hierarchies.iter().any(|h| h.controllers == controllers) {
                hierarchies.push(Hierarchy { mount: unescape(mount), controllers });
            }
        }
    }
    (hierarchies, unified)
}

impl Host {
    /// Removes the cgroup `parent` of an engine (relative to the root) from every hierarchy, where no container is in it.
    ///
    /// # Errors
    /// What could not be removed, except that something is still inside.
    pub fn remove_parent(&self, parent: &str) -> Result<(), Error> {
        let mounts = self.hierarchies.iter().map(|hierarchy| &hierarchy.mount).chain(&self.unified);
        for mount in mounts {
            let dir = mount.join(parent.trim_matches('/'));
            match rustix::fs::rmdir(&dir) {
                Ok(()) | Err(Errno::NOENT | Errno::BUSY | Errno::NOTEMPTY) => {}
                Err(e) => return Err(Error::os("remove cgroup", dir.display(), e)),
            }
        }
        Ok(())
    }

    /// The folder that another runtime makes beside those of a plan on a hybrid host.
    #[must_use]
    pub fn beside(&self, dirs: &[PathBuf]) -> Option<PathBuf> {
        let (unified, first) = (self.unified.as_ref()?, dirs.first()?);
        let below =
            self.hierarchies.iter().find_map(|hierarchy| first.strip_prefix(&hierarchy.mount).ok())?;
        Some(unified.join(below))
    }

    /// Reads /proc and /sys once; a daemon does it at its start.
    ///
    /// # Errors
    /// If /proc or the cgroup mounts cannot be read.
    pub fn observe() -> Result<Self, Error> {
        let (hierarchies, unified) = cgroup_mounts(&must_read("/proc/self/mountinfo")?);
        Self::with_cgroups(hierarchies, unified)
    }

    /// As [`Host::observe`], but containers use the v2 hierarchy alone, even where v1 has the controllers.
    ///
    /// # Errors
    /// If there is no v2 hierarchy, or as [`Host::observe`].
    pub fn observe_unified() -> Result<Self, Error> {
        let (_, unified) = cgroup_mounts(&must_read("/proc/self/mountinfo")?);
        Self::with_cgroups(Vec::new(), unified)
    }

    fn with_cgroups(hierarchies: Vec<Hierarchy>, unified: Option<PathBuf>) -> Result<Self, Error> {
        let hierarchies = if hierarchies.iter().any(|h| h.controllers.iter().any(|c| !c.starts_with("name=")))
        {
            hierarchies
        } else {
            Vec::new()
        };
        let controllers = match &unified {
            Some(mount) => {
                let path = mount.join("cgroup.controllers");
                read(&path).map_err(|e| Error::os("read", path.display(), e))?
            }
            None => String::new(),
        };
        let unified_controllers: Vec<String> = controllers.split_whitespace().map(str::to_owned).collect();
        if hierarchies.is_empty() && unified.is_none() {
            return Err(Error::invalid("/proc/self/mountinfo", "no cgroup hierarchy is mounted"));
        }
        let status = must_read("/proc/self/status")?;
        let bounding = status
            .lines()
            .find_map(|line| line.strip_prefix("CapBnd:"))
            .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
            .ok_or_else(|| Error::invalid("/proc/self/status", "no CapBnd line"))?;
        Ok(Self {
            hierarchies,
            unified,
            unified_controllers,
            lacks: Vec::new(),
            systemd: false,
            bounding,
            kernel: kernel(&rustix::system::uname().release().to_string_lossy()),
            apparmor: read(Path::new("/sys/module/apparmor/parameters/enabled"))
                .is_ok_and(|text| text.starts_with('Y')),
            // selinuxfs is mounted where SELinux is on.
            selinux: fs::exists("/sys/fs/selinux/enforce").unwrap_or(false),
            hard_limits: RESOURCES
                .iter()
                .map(|&(number, _, resource)| (number, getrlimit(resource).maximum.unwrap_or(u64::MAX)))
                .collect(),
        })
    }

    /// Whether resource limits go to cgroup v2, and to nothing else.
    #[must_use]
    pub fn cgroup_v2(&self) -> bool {
        self.hierarchies.is_empty()
    }

    /// Looks which limits this kernel has, for [`Host::lacks`] and the warnings of plans. A daemon does it at its start; without it nothing
    /// is known to be missing.
    #[must_use]
    pub fn observe_limits(mut self) -> Self {
        self.lacks = crate::cgroup::lack::observe(&self);
        self
    }

    /// Whether this machine cannot limit that.
    #[must_use]
    pub fn lacks(&self, lack: Lack) -> bool {
        self.lacks.contains(&lack)
    }

    /// Containers become transient scopes of systemd's, and `linux.cgroupsPath` is `slice:prefix:name`.
    ///
    /// # Errors
    /// If systemd does not run this machine.
    pub fn with_systemd(mut self) -> Result<Self, Error> {
        // sd_booted(3)
        if !fs::exists("/run/systemd/system").unwrap_or(false) {
            return Err(Error::invalid(
                "systemd cgroup driver",
                "systemd is not the init of this machine (there is no /run/systemd/system)",
            ));
        }
        self.systemd = true;
        Ok(self)
    }

    /// Major and minor of the kernel.
    #[must_use]
    pub fn kernel(&self) -> (u32, u32) {
        self.kernel
    }

    /// Whether AppArmor is on.
    #[must_use]
    pub fn apparmor(&self) -> bool {
        self.apparmor
    }

    /// Whether the bounding set of this process has the capability `name` (`CAP_SYS_RESOURCE`).
    #[must_use]
    pub fn may(&self, name: &str) -> bool {
        crate::caps::bit(name).is_some_and(|bit| self.bounding & bit != 0)
    }

    pub(crate) fn may_raise_limits(&self) -> bool {
        self.bounding & CapabilitySet::SYS_RESOURCE.bits() != 0
    }
}

fn kernel(release: &str) -> (u32, u32) {
    let mut parts = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

/// Resource limits by number and OCI name.
pub(crate) const RESOURCES: [(u32, &str, Resource); 16] = [
    (0, "RLIMIT_CPU", Resource::Cpu),
    (1, "RLIMIT_FSIZE", Resource::Fsize),
    (2, "RLIMIT_DATA", Resource::Data),
    (3, "RLIMIT_STACK", Resource::Stack),
    (4, "RLIMIT_CORE", Resource::Core),
    (5, "RLIMIT_RSS", Resource::Rss),
    (6, "RLIMIT_NPROC", Resource::Nproc),
    (7, "RLIMIT_NOFILE", Resource::Nofile),
    (8, "RLIMIT_MEMLOCK", Resource::Memlock),
    (9, "RLIMIT_AS", Resource::As),
    (10, "RLIMIT_LOCKS", Resource::Locks),
    (11, "RLIMIT_SIGPENDING", Resource::Sigpending),
    (12, "RLIMIT_MSGQUEUE", Resource::Msgqueue),
    (13, "RLIMIT_NICE", Resource::Nice),
    (14, "RLIMIT_RTPRIO", Resource::Rtprio),
    (15, "RLIMIT_RTTIME", Resource::Rttime),
];
