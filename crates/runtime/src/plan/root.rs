//! The steps that make the container's view of the file system.

use super::{Body, Options, RootFs, cgroups, mounts, text};
use crate::step::{Attributes, Device, Overlay, Step, Tree};
use crate::{Error, Host};
use dhow_oci::runtime as spec;
use dhow_sys::clone::new;
use dhow_sys::mount::{attr, propagation};
use std::path::Path;

/// Kinds of nodes, as in a mode.
const CHARACTER: u32 = 0o020_000;
const BLOCK: u32 = 0o060_000;
const FIFO: u32 = 0o010_000;

/// Character devices every container has: path, major, minor.
const NODES: [(&str, u32, u32); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
];

/// Symbolic links every container has, and what must exist for them.
const LINKS: [(&str, &str, Option<&str>); 6] = [
    ("/dev/fd", "/proc/self/fd", None),
    ("/dev/stdin", "/proc/self/fd/0", None),
    ("/dev/stdout", "/proc/self/fd/1", None),
    ("/dev/stderr", "/proc/self/fd/2", None),
    ("/dev/ptmx", "pts/ptmx", None),
    ("/dev/core", "/proc/kcore", Some("/proc/kcore")),
];

pub(super) fn steps(
    spec: &spec::Spec,
    linux: &spec::Linux,
    options: &Options,
    place: &cgroups::Place,
    host: &Host,
    body: &mut Body,
) -> Result<(), Error> {
    let wanted = linux.rootfs_propagation.as_deref().unwrap_or("");
    let kind = match mounts::propagation_of(wanted.strip_prefix('r').unwrap_or(wanted)) {
        None if !wanted.is_empty() => {
            return Err(Error::invalid("linux.rootfsPropagation", format_args!("unknown value {wanted:?}")));
        }
        kind => kind,
    };
    let joined = body.joins.iter().any(|join| join.flag == new::MOUNT);
    if !joined {
        body.steps.push(Step::Detach { shared: kind == Some(propagation::SHARED) });
    }
    if body.namespaces & new::CGROUP != 0 {
        body.steps.push(Step::CgroupNamespace {});
    }
    source(spec, options, host, joined, body)?;
    let (mut late, compiler) = (Vec::new(), mounts::Compiler { linux, options, place, host });
    furnish(spec, &compiler, body, &mut late)?;
    if let Some(init) = &options.init {
        body.steps.push(Step::Bind {
            source: text("init", init.to_string_lossy())?,
            target: c"/sbin/docker-init".to_owned(),
            recursive: false,
            attributes: Attributes {
                set: attr::RDONLY,
                propagation: propagation::PRIVATE,
                ..Attributes::default()
            },
        });
    }
    if options.make_cwd {
        body.steps.push(Step::Folder { path: body.program.cwd.clone() });
    }
    names(spec, body)?;
    hooks(body);
    // Interfaces that moved in, by hooks or by us, are there now.
    sysctls(spec, linux, body)?;
    for path in &linux.masked_paths {
        body.steps.push(Step::Mask { path: absolute("linux.maskedPaths", path)? });
    }
    for path in &linux.readonly_paths {
        body.steps.push(Step::ReadOnlyPath { path: absolute("linux.readonlyPaths", path)? });
    }
    body.steps.append(&mut late);
    if spec.root.as_ref().is_some_and(|root| root.readonly) {
        body.steps.push(Step::ReadOnlyRoot {});
    }
    body.steps.push(match (joined, options.no_pivot) {
        (false, false) => Step::Pivot {},
        // Other processes have their root in a namespace that is joined: it stays.
        (joined, _) => Step::Chroot { hide: !joined },
    });
    if let Some(flags) = kind {
        body.steps.push(Step::RootPropagation { flags, recursive: wanted.starts_with('r') });
    }
    Ok(())
}

/// The mounts in their order, with the devices as soon as there is a place for them.
fn furnish(
    spec: &spec::Spec,
    compiler: &mounts::Compiler<'_>,
    body: &mut Body,
    late: &mut Vec<Step>,
) -> Result<(), Error> {
    let linux = compiler.linux;
    let (devices_after, terminal_after) = (last_mount(spec, "/dev"), last_mount(spec, "/dev/pts"));
    if devices_after.is_none() {
        devices(spec, linux, body)?;
    }
    for (index, mount) in spec.mounts.iter().enumerate() {
        let step = compiler.mount(mount, body, late)?;
        body.steps.push(step);
        // Before anything else is mounted: an image whose /data is a link to /dev would lead a volume for it there, and these into the volume.
        if Some(index) == devices_after {
            devices(spec, linux, body)?;
        }
        if Some(index) == terminal_after {
            terminal(body);
        }
    }
    if terminal_after.is_none() {
        terminal(body);
    }
    for device in linux.devices.iter().filter(|device| !in_dev(device)) {
        let step = asked(device)?;
        node(body, step);
    }
    Ok(())
}

/// Which mount is the last one of a place.
fn last_mount(spec: &spec::Spec, place: &str) -> Option<usize> {
    spec.mounts.iter().rposition(|mount| mount.destination.trim_end_matches('/') == place)
}

fn terminal(body: &mut Body) {
    if body.program.terminal {
        body.steps.push(Step::Terminal { console: true });
    }
}

/// Where what the parent does, and the child's own hooks, come in.
fn hooks(body: &mut Body) {
    let (mut outside, mut inside) = (!body.interfaces.is_empty(), false);
    if let Some(hooks) = &body.hooks {
        outside |= !hooks.prestart.is_empty() || !hooks.create_runtime.is_empty();
        inside = !hooks.create_container.is_empty();
    }
    if outside {
        body.steps.push(Step::RuntimeHooks {});
    }
    if inside {
        body.steps.push(Step::ContainerHooks {});
    }
}

fn names(spec: &spec::Spec, body: &mut Body) -> Result<(), Error> {
    if let Some(name) = spec.hostname.as_ref().filter(|name| !name.is_empty()) {
        namespaced(body, new::UTS, "hostname", "uts")?;
        body.steps.push(Step::Hostname { name: text("hostname", name)? });
    }
    if let Some(name) = spec.domainname.as_ref().filter(|name| !name.is_empty()) {
        namespaced(body, new::UTS, "domainname", "uts")?;
        body.steps.push(Step::Domainname { name: text("domainname", name)? });
    }
    Ok(())
}

/// The root itself.
fn source(
    spec: &spec::Spec,
    options: &Options,
    host: &Host,
    joined: bool,
    body: &mut Body,
) -> Result<(), Error> {
    match &options.rootfs {
        RootFs::Path => {
            let path = spec.root.as_ref().map(|root| root.path.as_str()).unwrap_or_default();
            let path = options.outside("root.path", path)?;
            // Hooks look for the container's files where the specification says that they are.
            let in_place = joined || body.hooks.is_some();
            let step = if body.in_userns && !joined {
                let tree = mounts::tree(body, path.clone(), true, &Attributes::default());
                Step::TreeRoot { tree, path: in_place.then_some(path), shared: true }
            } else {
                Step::BindRoot { path, in_place }
            };
            body.steps.push(step);
        }
        RootFs::Overlay { lowers, upper, work, volatile } => {
            let path = |path: &Path| text("rootfs", path.to_string_lossy());
            if lowers.is_empty() {
                return Err(Error::invalid("rootfs", "an overlay needs a lower layer"));
            }
            body.overlay = Some(Overlay {
                upper: upper.clone(),
                work: work.clone(),
                top: lowers.first().cloned(),
                volatile: *volatile,
            });
            if body.in_userns && host.kernel < (6, 8) {
                let detail = "an overlay in a user namespace needs Linux 6.8";
                return Err(Error::invalid("rootfs", detail));
            }
            let step = if host.kernel >= (6, 8) {
                let lowers = lowers.iter().map(|lower| path(lower)).collect::<Result<_, _>>()?;
                let (upper, work, volatile) = (path(upper)?, path(work)?, *volatile);
                if body.in_userns {
                    body.trees.push(Tree::Overlay { lowers, upper, work, volatile });
                    let tree = u32::try_from(body.trees.len() - 1).unwrap_or(u32::MAX);
                    Step::TreeRoot { tree, path: None, shared: false }
                } else {
                    Step::Overlay { lowers, upper, work, volatile }
                }
            } else {
                Step::OverlayClassic { upper: path(upper)?, data: classic(lowers, upper, work, *volatile)? }
            };
            body.steps.push(step);
        }
    }
    Ok(())
}

/// The option string of mount(2): a backslash before `:`, `,` and backslash; one page at most.
fn classic(
    lowers: &[std::path::PathBuf],
    upper: &Path,
    work: &Path,
    volatile: bool,
) -> Result<std::ffi::CString, Error> {
    let escape = |path: &Path, also: &[char]| {
        let mut out = String::new();
        for c in path.to_string_lossy().chars() {
            if c == '\\' || c == ',' || also.contains(&c) {
                out.push('\\');
            }
            out.push(c);
        }
        out
    };
    let lowers: Vec<_> = lowers.iter().map(|lower| escape(lower, &[':'])).collect();
    let mut data = format!(
        "lowerdir={},upperdir={},workdir={}",
        lowers.join(":"),
        escape(upper, &[]),
        escape(work, &[])
    );
    if volatile {
        data.push_str(",volatile");
    }
    if data.len() >= 4096 {
        let detail = "too many or too long layer paths for this kernel (Linux 6.8 has no limit)";
        return Err(Error::invalid("rootfs", detail));
    }
    text("rootfs", data)
}

/// Nodes and links of /dev, unless the host's /dev is bound there.
fn devices(spec: &spec::Spec, linux: &spec::Linux, body: &mut Body) -> Result<(), Error> {
    let bound = spec.mounts.iter().any(|mount| {
        mount.destination.trim_end_matches('/') == "/dev"
            && (mount.kind.as_deref() == Some("bind")
                || mount.options.iter().any(|o| o == "bind" || o == "rbind"))
    });
    if bound {
        return Ok(());
    }
    for (path, major, minor) in NODES {
        if !linux.devices.iter().any(|device| device.path == path) {
            let path = text("devices", path)?;
            node(body, Step::Node { path, kind: CHARACTER, mode: 0o666, major, minor, uid: 0, gid: 0 });
        }
    }
    for device in linux.devices.iter().filter(|device| in_dev(device)) {
        let step = asked(device)?;
        node(body, step);
    }
    for (path, to, only_if) in LINKS {
        let only_if = only_if.map(|path| text("devices", path)).transpose()?;
        body.steps.push(Step::Link { path: text("devices", path)?, to: text("devices", to)?, only_if });
    }
    Ok(())
}

fn in_dev(device: &spec::Device) -> bool {
    device.path.starts_with("/dev/")
}

/// A node that the specification asks for.
fn asked(device: &spec::Device) -> Result<Step, Error> {
    let field = format!("linux.devices {}", device.path);
    let kind = match device.kind.as_str() {
        "c" | "u" => CHARACTER,
        "b" => BLOCK,
        "p" => FIFO,
        other => return Err(Error::invalid(field, format_args!("unknown type {other:?}"))),
    };
    let number = |n: i64| u32::try_from(n).map_err(|_| Error::invalid(&field, "invalid device number"));
    if !device.path.starts_with('/') {
        return Err(Error::invalid(&field, "the path must be absolute"));
    }
    Ok(Step::Node {
        path: text(&field, &device.path)?,
        kind,
        mode: device.file_mode.unwrap_or(0o666) & 0o7777,
        major: number(device.major)?,
        minor: number(device.minor)?,
        uid: device.uid.unwrap_or(0),
        gid: device.gid.unwrap_or(0),
    })
}

/// A node is made; in a user namespace, where the kernel makes no devices, the host's of the same name and number is bound.
fn node(body: &mut Body, step: Step) {
    match step {
        Step::Node { path, kind, major, minor, .. } if body.in_userns && kind != FIFO => {
            let tree = mounts::tree(body, path.clone(), false, &Attributes::default());
            if let Some(Tree::Path { device, .. }) = body.trees.last_mut() {
                *device = Some(Device { kind, major, minor });
            }
            body.steps.push(Step::Attach { tree, source: path.clone(), target: path });
        }
        step => body.steps.push(step),
    }
}

/// Refuses what would change the host.
fn namespaced(body: &Body, flag: u64, field: &str, kind: &str) -> Result<(), Error> {
    let own = body.namespaces & flag != 0
        || body.joins.iter().any(|join| join.flag == flag)
        || flag == new::NET && body.netns_passed;
    if own {
        return Ok(());
    }
    Err(Error::invalid(
        field,
        format_args!("cannot be set: the container shares the host's {kind} namespace"),
    ))
}

fn sysctls(spec: &spec::Spec, linux: &spec::Linux, body: &mut Body) -> Result<(), Error> {
    const IPC: [&str; 8] = [
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
    ];
    for (key, value) in &linux.sysctl {
        let field = format!("linux.sysctl {key}");
        // As sysctl(8): whichever of `.` and `/` comes first separates, and the other is part of a name (`net.ipv4.conf.eth0/1.mtu`).
        let slashes = key.find(['.', '/']).is_some_and(|at| key.get(at..=at) == Some("/"));
        let swapped = |c: char| {
            if c == '.' {
                '/'
            } else if c == '/' {
                '.'
            } else {
                c
            }
        };
        let path = if slashes { key.clone() } else { key.chars().map(swapped).collect() };
        let name = path.replace('/', ".");
        let (flag, kind) = if path.starts_with("net/") {
            (new::NET, "network")
        } else if IPC.contains(&name.as_str()) || path.starts_with("fs/mqueue/") {
            (new::IPC, "ipc")
        } else if name == "kernel.domainname" {
            (new::UTS, "uts")
        } else if name == "kernel.hostname" {
            return Err(Error::invalid(field, "conflicts with hostname"));
        } else {
            return Err(Error::invalid(field, "is not namespaced: it would change the host"));
        };
        namespaced(body, flag, &field, kind)?;
        if path.split('/').any(|part| part.is_empty() || part == "..") {
            return Err(Error::invalid(field, "is no sysctl"));
        }
        let value = text(&field, value)?;
        if flag != new::UTS {
            body.steps.push(Step::Sysctl { path: text(&field, format!("/proc/sys/{path}"))?, value });
        } else if spec.domainname.as_ref().is_none_or(String::is_empty) {
            // By the call, as the file is the host's root's alone. The specification's own field has the last word.
            body.steps.push(Step::Domainname { name: value });
        }
    }
    Ok(())
}
/// A path that the specification wants absolute.
fn absolute(field: &str, path: &str) -> Result<std::ffi::CString, Error> {
    if path.starts_with('/') {
        return text(field, path);
    }
    Err(Error::invalid(field, format_args!("the path {path:?} must be absolute")))
}
