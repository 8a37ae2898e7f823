//! Plan: a pure function from a specification to steps.

mod cgroups;
mod hooks;
mod mounts;
mod namespaces;
mod process;
mod root;
mod scheduling;

use crate::code::{Code, record};
use crate::step::{Cgroups, Hooks, IdMap, Interface, Join, Keyring, Overlay, Program, Step, Tree, UserMaps};
use crate::{Error, Host};
use dhow_oci::runtime as spec;
use dhow_sys::clone::new;
use process::Place;
use std::ffi::CString;
use std::fmt;
use std::path::{Path, PathBuf};

/// Where the root file system comes from.
#[derive(Debug, Clone)]
pub enum RootFs {
    /// `spec.root.path`, as runc does it.
    Path,
    /// An overlay mounted inside the container's own mount namespace, never in the host's table.
    Overlay {
        /// Top first.
        lowers: Vec<PathBuf>,
        /// Writable layer; made (with its parents' owner and mode kept) if absent.
        upper: PathBuf,
        /// On the same file system as `upper`.
        work: PathBuf,
        /// Skip syncs: the content need not outlive a power cut (`--rm`, build steps).
        volatile: bool,
    },
}

/// What the specification cannot say.
#[derive(Debug, Clone)]
pub struct Options {
    /// The root file system.
    pub rootfs: RootFs,
    /// Join the network namespace whose descriptor is passed to [`crate::create`] instead of making one.
    pub netns_passed: bool,
    /// Make `process.cwd` in the rootfs if it is absent (docker does).
    pub make_cwd: bool,
    /// Run `init` (a path outside, bind-mounted read-only at `/sbin/docker-init`) as PID 1 with `-- args…`.
    pub init: Option<PathBuf>,
    /// The container's name, as hooks and its keyring have it.
    pub id: String,
    /// Absolute; what relative paths of `root.path` and of bind mounts begin at. Empty: they are refused.
    pub bundle: String,
    /// Enter the root with `chroot` in place of `pivot_root`, which the kernel refuses below an initramfs. Weaker: what is above stays mounted.
    pub no_pivot: bool,
    /// A session keyring of its own (`_ses.<id>`), as runc makes one; without, the caller's is the container's too.
    pub keyring: bool,
}

impl Default for Options {
    /// As runc without flags, but for the keyring.
    fn default() -> Self {
        Self {
            rootfs: RootFs::Path,
            netns_passed: false,
            make_cwd: false,
            init: None,
            id: String::new(),
            bundle: String::new(),
            no_pivot: false,
            keyring: false,
        }
    }
}

impl Options {
    /// A path outside the container.
    fn outside(&self, field: &str, path: &str) -> Result<CString, Error> {
        if path.starts_with('/') {
            return text(field, path);
        }
        if path.is_empty() || self.bundle.is_empty() {
            return Err(Error::invalid(field, format_args!("the path {path:?} outside must be absolute")));
        }
        text(field, format!("{}/{path}", self.bundle))
    }
}

record!(/// The body of a plan.
Body {
    /// An additional process: namespaces are those of a running one.
    exec: bool,
    namespaces: u64,
    joins: Vec<Join>,
    /// An additional process: the namespaces of the running one that it enters.
    entered: u64,
    /// Whether the container has a user namespace, new or joined.
    in_userns: bool,
    user: Option<UserMaps>,
    /// In a user namespace: who gets pipes as the standard streams, as the host counts.
    stdio_owner: Option<u32>,
    /// A new time namespace with these lines.
    time_offsets: Option<CString>,
    id_maps: Vec<IdMap>,
    trees: Vec<Tree>,
    hooks: Option<Hooks>,
    interfaces: Vec<Interface>,
    netns_passed: bool,
    cgroups: Cgroups,
    overlay: Option<Overlay>,
    steps: Vec<Step>,
    program: Program,
    warnings: Vec<String>,
});

/// A flat, printable list of steps: everything that [`crate::create`] will do, in order. `Display` prints one step a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub(crate) body: Body,
    dirs: Vec<PathBuf>,
}

const MAGIC: &str = concat!("dhow plan ", env!("CARGO_PKG_VERSION"), " 1");

impl Plan {
    fn new(body: Body) -> Self {
        let dirs = body.cgroups.dirs.iter().map(|dir| dir.path.clone()).collect();
        Self { body, dirs }
    }

    /// As bytes for another process of the same version.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(16 << 10);
        MAGIC.to_owned().put(&mut out);
        self.body.put(&mut out);
        out
    }

    /// The inverse of [`Plan::encode`]; never panics on garbage.
    ///
    /// # Errors
    /// If the bytes are no plan.
    pub fn decode(mut bytes: &[u8]) -> Result<Self, Error> {
        let input = &mut bytes;
        let magic = String::take(input);
        if magic.as_deref() != Some(MAGIC) {
            return Err(Error::invalid("encoded plan", "it was not made by this version"));
        }
        match Body::take(input) {
            Some(body) if input.is_empty() => Ok(Self::new(body)),
            _ => Err(Error::invalid("encoded plan", "it is cut off or damaged")),
        }
    }

    /// Of an exec: who the container is, for the state that a seccomp agent is sent (`linux.seccomp.listenerPath`).
    pub fn identify(&mut self, id: &str, bundle: &Path) {
        if let Some(listener) = &mut self.body.program.listener {
            id.clone_into(&mut listener.id);
            bundle.clone_into(&mut listener.bundle);
        }
    }

    /// The cgroup folders that [`crate::create`] makes, to be read for stats and removed after the end.
    #[must_use]
    pub fn cgroup_dirs(&self) -> &[PathBuf] {
        &self.dirs
    }

    /// For an additional process: the session keyring that [`Options::keyring`] made for the container `id`.
    ///
    /// # Errors
    /// If `id` cannot be a name.
    pub fn in_keyring(mut self, id: &str) -> Result<Self, Error> {
        self.body.program.keyring = Some(keyring(id, self.body.in_userns)?);
        Ok(self)
    }

    /// Sentences about what this host cannot give and what is done instead.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.body.warnings
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = &self.body;
        if let Some(unit) = &body.cgroups.unit {
            writeln!(f, "unit {} properties={}", unit.name, unit.properties.len())?;
        }
        for dir in &body.cgroups.dirs {
            writeln!(f, "cgroup {}", dir.path.display())?;
            for write in &dir.writes {
                writeln!(f, "  write {}={}", write.files.join("|"), write.value)?;
            }
        }
        writeln!(f, "clone namespaces={:#x}", body.namespaces)?;
        for join in &body.joins {
            writeln!(f, "setns {}", join.path.to_string_lossy())?;
        }
        if let Some(maps) = &body.user {
            writeln!(f, "uid_map {:?} gid_map {:?}", maps.uids, maps.gids)?;
        }
        if let Some(offsets) = &body.time_offsets {
            writeln!(f, "timens_offsets {offsets:?}")?;
        }
        for interface in &body.interfaces {
            writeln!(f, "move network device {} as {}", interface.name, interface.inside)?;
        }
        for tree in &body.trees {
            writeln!(f, "{tree}")?;
        }
        for step in &body.steps {
            writeln!(f, "{step}")?;
        }
        let program = &body.program;
        writeln!(f, "identity uid={} gid={} caps={:#x}", program.uid, program.gid, program.effective)?;
        writeln!(f, "chdir {}", program.cwd.to_string_lossy())?;
        writeln!(f, "wait for go")?;
        writeln!(f, "seccomp instructions={}", program.seccomp.len())?;
        let args: Vec<_> = program.args.iter().map(|a| a.to_string_lossy()).collect();
        writeln!(f, "exec {args:?}")
    }
}

/// A C string for the kernel.
fn text(field: &str, text: impl AsRef<str>) -> Result<CString, Error> {
    CString::new(text.as_ref()).map_err(|_| Error::invalid(field, "contains a NUL byte"))
}

/// Compiles a specification. Pure.
///
/// # Errors
/// If the specification asks for what is invalid or not supported; the error names the field.
pub fn plan(spec: &spec::Spec, options: &Options, host: &Host) -> Result<Plan, Error> {
    let process = spec.process.as_ref().ok_or_else(|| Error::invalid("process", "is required"))?;
    let linux = spec.linux.as_ref().ok_or_else(|| Error::invalid("linux", "is required"))?;
    version(&spec.oci_version)?;
    if linux.intel_rdt.is_some() {
        return Err(Error::invalid("linux.intelRdt", "is not supported: this runtime has no resctrl"));
    }
    let mut body = Body { netns_passed: options.netns_passed, ..Body::default() };
    namespaces::compile(linux, options, &mut body)?;
    namespaces::mapped(linux, &process.user, &body)?;
    body.stdio_owner = namespaces::host_user(linux, process.user.uid, body.in_userns);
    body.hooks = hooks::compile(spec, options)?;
    namespaces::interfaces(linux, options, &mut body)?;
    let place = cgroups::compile(linux, body.namespaces & new::CGROUP != 0, host, &mut body.warnings)?;
    let mut resolved = process.clone();
    if options.init.is_some() {
        resolved.args.splice(0..0, ["/sbin/docker-init".to_owned(), "--".to_owned()]);
    }
    body.program = process::compile(
        &resolved,
        linux,
        Place { exec: false, in_userns: body.in_userns },
        host,
        &mut body.warnings,
    )?;
    if options.keyring {
        body.program.keyring = Some(keyring(&options.id, body.in_userns)?);
    }
    body.program.init = options.init.is_some();
    describe(spec, &mut body);
    root::steps(spec, linux, options, &place, host, &mut body)?;
    // A clone into CLONE_NEWCGROUP would take the caller's cgroup as root: the child unshares once it is in its own.
    body.namespaces &= !new::CGROUP;
    body.cgroups = place.cgroups;
    let mut plan = Plan::new(body);
    plan.identify(&options.id, Path::new(&options.bundle));
    Ok(plan)
}

/// What a seccomp agent is told of the container.
fn describe(spec: &spec::Spec, body: &mut Body) {
    if let Some(listener) = &mut body.program.listener {
        listener.version.clone_from(&spec.oci_version);
        let pairs = spec.annotations.iter().flat_map(|(name, value)| [name.clone(), value.clone()]);
        listener.annotations = pairs.collect();
    }
}

/// The versions whose meaning this runtime knows.
fn version(text: &str) -> Result<(), Error> {
    if text.split_once('.').is_some_and(|(major, _)| major == "1") {
        return Ok(());
    }
    Err(Error::invalid("ociVersion", format_args!("{text:?}: only 1.x is known")))
}

/// The container's session keyring, as runc calls it and allows others to find it.
fn keyring(id: &str, in_userns: bool) -> Result<Keyring, Error> {
    // Search: for others in a user namespace, else for the user.
    let permissions = if in_userns { 0x8 } else { 0x80000 };
    Ok(Keyring { name: text("id", format!("_ses.{id}"))?, permissions })
}

/// Compiles an additional process for a running container (its namespaces and cgroups are found by pid at [`crate::exec`]).
/// `container` is the specification the container was started with (for its cgroup path, seccomp, devices).
///
/// # Errors
/// As [`plan`].
pub fn plan_exec(container: &spec::Spec, process: &spec::Process, host: &Host) -> Result<Plan, Error> {
    let linux = container.linux.as_ref().ok_or_else(|| Error::invalid("linux", "is required"))?;
    let mut body = Body { exec: true, ..Body::default() };
    body.entered = namespaces::entered(linux);
    body.in_userns = body.entered & new::USER != 0;
    body.stdio_owner = namespaces::host_user(linux, process.user.uid, body.in_userns);
    body.cgroups = cgroups::enter(linux, host)?;
    body.program = process::compile(
        process,
        linux,
        Place { exec: true, in_userns: body.in_userns },
        host,
        &mut body.warnings,
    )?;
    describe(container, &mut body);
    if process.terminal {
        body.steps.push(Step::Terminal { console: false });
    }
    Ok(Plan::new(body))
}
