//! Plan: a pure function from a specification to steps.

mod cgroups;
mod mounts;
mod process;
mod root;

use crate::code::{Code, record};
use crate::step::{Cgroups, Join, Overlay, Program, Step};
use crate::{Error, Host};
use dhow_oci::runtime as spec;
use dhow_sys::clone::new;
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
}

record!(/// The body of a plan.
Body {
    /// An additional process: namespaces are those of a running one.
    exec: bool,
    namespaces: u64,
    joins: Vec<Join>,
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

    /// Who the container is, for the state that a seccomp agent is sent (`linux.seccomp.listenerPath`).
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
    if let Some(hooks) = &spec.hooks
        && *hooks != spec::Hooks::default()
    {
        return Err(Error::invalid("hooks", "are not supported yet"));
    }
    let mut body = Body { netns_passed: options.netns_passed, ..Body::default() };
    namespaces(linux, options, &mut body)?;
    let place = cgroups::compile(linux, body.namespaces & new::CGROUP != 0, host, &mut body.warnings)?;
    let mut resolved = process.clone();
    if options.init.is_some() {
        resolved.args.splice(0..0, ["/sbin/docker-init".to_owned(), "--".to_owned()]);
    }
    body.program = process::compile(&resolved, linux.seccomp.as_ref(), host, &mut body.warnings)?;
    body.program.init = options.init.is_some();
    describe(spec, &mut body);
    root::steps(spec, linux, options, &place, host, &mut body)?;
    // A clone into CLONE_NEWCGROUP would take the caller's cgroup as root: the child unshares once it is in its own.
    body.namespaces &= !new::CGROUP;
    body.cgroups = place.cgroups;
    Ok(Plan::new(body))
}

/// What a seccomp agent is told of the container.
fn describe(spec: &spec::Spec, body: &mut Body) {
    if let Some(listener) = &mut body.program.listener {
        listener.version.clone_from(&spec.oci_version);
        let pairs = spec.annotations.iter().flat_map(|(name, value)| [name.clone(), value.clone()]);
        listener.annotations = pairs.collect();
    }
}

fn namespaces(linux: &spec::Linux, options: &Options, body: &mut Body) -> Result<(), Error> {
    let field = "linux.namespaces";
    for namespace in &linux.namespaces {
        let flag = match namespace.kind.as_str() {
            "pid" => new::PID,
            "network" => new::NET,
            "mount" => new::MOUNT,
            "ipc" => new::IPC,
            "uts" => new::UTS,
            "cgroup" => new::CGROUP,
            "user" | "time" => {
                let detail = format!("{} namespaces are not supported yet", namespace.kind);
                return Err(Error::invalid(field, detail));
            }
            other => return Err(Error::invalid(field, format_args!("unknown type {other:?}"))),
        };
        let path = namespace.path.as_deref().filter(|path| !path.is_empty());
        if flag == new::NET && options.netns_passed {
            continue;
        }
        match path {
            None if body.namespaces & flag != 0 => {
                return Err(Error::invalid(field, format_args!("{} is listed twice", namespace.kind)));
            }
            None => body.namespaces |= flag,
            Some(_) if flag == new::MOUNT => {
                return Err(Error::invalid(field, "a mount namespace must be new"));
            }
            Some(path) => body.joins.push(Join { flag, path: text(field, path)? }),
        }
    }
    if body.namespaces & new::MOUNT == 0 {
        return Err(Error::invalid(field, "a new mount namespace is required"));
    }
    if !linux.uid_mappings.is_empty() || !linux.gid_mappings.is_empty() {
        return Err(Error::invalid("linux.uidMappings", "user namespaces are not supported yet"));
    }
    Ok(())
}

/// Compiles an additional process for a running container (its namespaces and cgroups are found by pid at [`crate::exec`]).
/// `container` is the specification the container was started with (for its cgroup path, seccomp, devices).
///
/// # Errors
/// As [`plan`].
pub fn plan_exec(container: &spec::Spec, process: &spec::Process, host: &Host) -> Result<Plan, Error> {
    let linux = container.linux.as_ref().ok_or_else(|| Error::invalid("linux", "is required"))?;
    let mut body = Body { exec: true, ..Body::default() };
    body.cgroups = cgroups::enter(linux, host)?;
    body.program = process::compile(process, linux.seccomp.as_ref(), host, &mut body.warnings)?;
    describe(container, &mut body);
    if process.terminal {
        body.steps.push(Step::Terminal { console: false });
    }
    Ok(Plan::new(body))
}
