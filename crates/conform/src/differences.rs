//! Where a runtime is known to do otherwise than a scenario asks. Expected, and checked: a difference that is gone is a failure too.

/// One scenario that does not pass.
#[derive(Debug)]
pub(crate) struct Difference {
    pub(crate) scenario: &'static str,
    pub(crate) kind: Kind,
    pub(crate) reason: &'static str,
}

/// Whose fault it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The specification says otherwise.
    Wrong,
    /// That part of the specification is younger.
    Old,
    /// Nobody's: somebody depends on it.
    Meant,
}

impl Kind {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Wrong => "wrong",
            Self::Old => "too old",
            Self::Meant => "meant",
        }
    }
}

/// The differences of a runtime by name.
pub(crate) fn of(runtime: &str) -> Option<&'static [Difference]> {
    match runtime {
        "runc" => Some(RUNC),
        "dhow" => Some(DHOW),
        _ => None,
    }
}

/// What the specification says otherwise.
const fn wrong(scenario: &'static str, reason: &'static str) -> Difference {
    Difference { scenario, kind: Kind::Wrong, reason }
}

/// What came later.
const fn old(scenario: &'static str, reason: &'static str) -> Difference {
    Difference { scenario, kind: Kind::Old, reason }
}

/// What is meant so.
const fn meant(scenario: &'static str, reason: &'static str) -> Difference {
    Difference { scenario, kind: Kind::Meant, reason }
}

/// Ours.
pub(crate) const DHOW: &[Difference] = &[
    meant(
        "delete.created",
        "containerd's shim deletes a created container without `--force`, as runc lets it",
    ),
    meant("namespaces.inherited-mounts", "what it mounts would be mounted on the host"),
    meant(
        "user.umask-of-the-caller",
        "022 as runc: no caller with a loose one decides about files in containers",
    ),
    meant(
        "device-list.denies-making",
        "as runc and crun: a node that cannot be opened does no harm, and images make some",
    ),
];

/// runc 1.1.5, as Debian 12 has it.
pub(crate) const RUNC: &[Difference] = &[
    old("kill.real-time-signal", "real-time signals by name came with 1.2"),
    wrong("delete.created", "deletes a container that is created; containerd relies on it"),
    wrong("version.missing", "does not look at `ociVersion`"),
    wrong("version.not-semver", "does not look at `ociVersion`"),
    wrong("version.next-major", "does not look at `ociVersion`"),
    wrong("hooks.order", "runs poststart hooks in `create`"),
    wrong("hooks.state", "tells poststart hooks that the container is created"),
    wrong("hooks.relative-path", "accepts a relative path"),
    wrong("hooks.fails-start", "`start` returns before the startContainer hooks have run"),
    wrong("hooks.fails-poststart", "runs poststart hooks in `create`"),
    wrong("hooks.fails-poststop", "the hooks after one that failed do not run"),
    wrong("user.umask-of-the-caller", "sets 022 where nothing is said"),
    wrong("rlimits.duplicate", "the last one wins"),
    old("process.io-priority", "`ioPriority` is of 1.1"),
    old("process.io-priority-invalid", "`ioPriority` is of 1.1"),
    old("process.scheduler-batch", "`scheduler` is of 1.1"),
    old("process.scheduler-idle", "`scheduler` is of 1.1"),
    old("process.scheduler-invalid", "`scheduler` is of 1.1"),
    old("process.domainname", "`domainname` is of 1.1"),
    old("process.personality", "runc has `personality` since 1.2"),
    old("process.personality-invalid", "runc has `personality` since 1.2"),
    old("capabilities.not-the-hosts-to-give", "1.0 asked for an error, since 1.1 it is a warning"),
    wrong("mounts.cgroup", "the tmpfs around the hierarchies stays writable with a cgroup namespace"),
    wrong("rootfs-propagation.shared", "the root is private after `pivot_root`"),
    wrong("rootfs-propagation.unbindable", "makes the root unbindable before it binds it"),
    wrong("mount-options.words-without-effect", "passes `defaults` to the file system"),
    old("mount-options.idmap", "id-mapped mounts came with 1.2"),
    old("mount-options.idmap-of-the-user-namespace", "id-mapped mounts came with 1.2"),
    old("mount-options.idmap-without-mappings", "id-mapped mounts came with 1.2"),
    wrong("user-namespace.joined", "wants mappings for a namespace that has them"),
    old("time-namespace.offsets", "time namespaces are of 1.1"),
    old("time-namespace.new", "time namespaces are of 1.1"),
    old("time-namespace.offsets-without-namespace", "time namespaces are of 1.1"),
    wrong("devices.another-file-is-there", "takes whatever is there"),
    wrong("device-list.denies-making", "lets every node be made, whatever the list says"),
    wrong("device-list.unknown-access", "leaves unknown letters out"),
    wrong("masked.relative", "accepts a relative path"),
    wrong("read-only.relative", "accepts a relative path"),
    old("cpu.burst", "`burst` is of 1.1"),
    old("cpu.idle", "`idle` is of 1.1"),
    old("seccomp.flags", "no flags before 1.2"),
    wrong("seccomp.errno-of-an-action-without", "ignores the number"),
    wrong("seccomp.no-names", "ignores a rule without names"),
    wrong("seccomp.metadata-without-a-path", "ignores the metadata"),
    wrong("exec.process-file", "`exec` ignores the umask"),
    wrong(
        "features.mount-options-are-known",
        "`ratime` fails on every kernel: the mask it clears is not whole",
    ),
    old("features.time-namespace", "time namespaces are of 1.1"),
];
