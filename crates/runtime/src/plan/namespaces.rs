//! Which namespaces are made and which are joined.

use super::{Body, Options, text};
use crate::Error;
use crate::step::{Interface, Join, UserMaps};
use dhow_oci::runtime as spec;
use dhow_sys::clone::new;
use std::fmt::Write;

const FIELD: &str = "linux.namespaces";

/// The kernel's flag for a type of the specification.
fn flag(kind: &str) -> Result<u64, Error> {
    Ok(match kind {
        "pid" => new::PID,
        "network" => new::NET,
        "mount" => new::MOUNT,
        "ipc" => new::IPC,
        "uts" => new::UTS,
        "cgroup" => new::CGROUP,
        "user" => new::USER,
        "time" => new::TIME,
        other => return Err(Error::invalid(FIELD, format_args!("unknown type {other:?}"))),
    })
}

/// Sorts the list into what is made and what is joined, and checks what goes with it.
pub(super) fn compile(linux: &spec::Linux, options: &Options, body: &mut Body) -> Result<(), Error> {
    let mut listed = 0;
    for namespace in &linux.namespaces {
        let flag = flag(&namespace.kind)?;
        if listed & flag != 0 {
            return Err(Error::invalid(FIELD, format_args!("{} is listed twice", namespace.kind)));
        }
        listed |= flag;
        if flag == new::NET && options.netns_passed {
            continue;
        }
        match namespace.path.as_deref().filter(|path| !path.is_empty()) {
            None => body.namespaces |= flag,
            Some(path) if path.starts_with('/') => {
                body.joins.push(Join { flag, path: text(FIELD, path)? });
            }
            Some(path) => {
                return Err(Error::invalid(FIELD, format_args!("the path {path:?} must be absolute")));
            }
        }
    }
    if listed & new::MOUNT == 0 {
        return Err(Error::invalid(FIELD, "a container without a mount namespace would mount on the host"));
    }
    // The user namespace last: until then the host's privileges hold. The mount namespace before it, but after all other paths are open.
    body.joins.sort_by_key(|join| (join.flag == new::USER, join.flag == new::MOUNT));
    body.in_userns = listed & new::USER != 0;
    user(linux, body)?;
    time(linux, listed, body)
}

fn user(linux: &spec::Linux, body: &mut Body) -> Result<(), Error> {
    let maps = !linux.uid_mappings.is_empty() || !linux.gid_mappings.is_empty();
    if !body.in_userns {
        return match maps {
            true => Err(Error::invalid("linux.uidMappings", "need a user namespace")),
            false => Ok(()),
        };
    }
    if body.namespaces & new::USER == 0 {
        return Ok(());
    }
    body.user = Some(UserMaps {
        uids: lines("linux.uidMappings", &linux.uid_mappings)?,
        gids: lines("linux.gidMappings", &linux.gid_mappings)?,
    });
    Ok(())
}

/// The lines of `/proc/<pid>/uid_map`.
pub(super) fn lines(field: &str, maps: &[spec::IdMapping]) -> Result<String, Error> {
    // The kernel's limit (user_namespaces(7)).
    const MOST: usize = 340;
    if maps.is_empty() || maps.len() > MOST {
        return Err(Error::invalid(field, format_args!("1 to {MOST} ranges are needed, not {}", maps.len())));
    }
    let mut text = String::new();
    for spec::IdMapping { container_id, host_id, size } in maps {
        let fits = |first: &u32| first.checked_add(*size).is_some();
        if *size == 0 || !fits(container_id) || !fits(host_id) {
            return Err(Error::invalid(field, format_args!("{container_id}:{host_id}:{size} is no range")));
        }
        // Writing to a String cannot fail.
        writeln!(text, "{container_id} {host_id} {size}").unwrap_or_default();
    }
    Ok(text)
}

/// Refuses a user that a new user namespace does not have: the kernel would say EINVAL much later.
pub(super) fn mapped(linux: &spec::Linux, user: &spec::User, body: &Body) -> Result<(), Error> {
    if body.user.is_none() {
        return Ok(());
    }
    let inside = |id: u32, maps: &[spec::IdMapping]| {
        maps.iter().any(|map| id.checked_sub(map.container_id).is_some_and(|at| at < map.size))
    };
    // Root makes the mounts.
    for (field, id, maps) in [
        ("linux.uidMappings", 0, &linux.uid_mappings),
        ("linux.gidMappings", 0, &linux.gid_mappings),
        ("process.user.uid", user.uid, &linux.uid_mappings),
        ("process.user.gid", user.gid, &linux.gid_mappings),
    ] {
        if !inside(id, maps) {
            return Err(Error::invalid(field, format_args!("{id} is in no range of the user namespace")));
        }
    }
    Ok(())
}

/// Who the program's user is on the host, where the specification says it.
pub(super) fn host_user(linux: &spec::Linux, uid: u32, in_userns: bool) -> Option<u32> {
    let mut maps = linux.uid_mappings.iter().filter(|_| in_userns);
    maps.find_map(|map| {
        uid.checked_sub(map.container_id).filter(|at| *at < map.size)?.checked_add(map.host_id)
    })
}

/// The namespaces that an additional process enters: where the container has none of its own this changes nothing, but for the
/// user and time namespaces, which must differ from the caller's.
pub(super) fn entered(linux: &spec::Linux) -> u64 {
    let listed = |kind: &str| linux.namespaces.iter().any(|namespace| namespace.kind == kind);
    let mut flags = new::MOUNT | new::CGROUP | new::UTS | new::IPC | new::NET;
    for (kind, flag) in [("user", new::USER), ("time", new::TIME)] {
        flags |= if listed(kind) { flag } else { 0 };
    }
    flags
}

/// Interfaces that move in: there must be somewhere to move them, and no two may get one name.
pub(super) fn interfaces(linux: &spec::Linux, options: &Options, body: &mut Body) -> Result<(), Error> {
    let own = body.namespaces & new::NET != 0
        || body.joins.iter().any(|join| join.flag == new::NET)
        || options.netns_passed;
    for (name, device) in &linux.net_devices {
        let field = format!("linux.netDevices {name}");
        if !own {
            return Err(Error::invalid(field, "the container shares the host's network namespace"));
        }
        let inside = device.name.as_ref().filter(|name| !name.is_empty()).unwrap_or(name);
        // The kernel's dev_valid_name.
        let valid = |name: &str| {
            let odd = |c: char| c == '/' || c == ':' || c.is_ascii_whitespace() || c == '\0' || c == '%';
            (1..16).contains(&name.len()) && name != "." && name != ".." && !name.contains(odd)
        };
        if !valid(name) || !valid(inside) {
            return Err(Error::invalid(field, format_args!("{inside:?} cannot be a name")));
        }
        if body.interfaces.iter().any(|known| known.inside == *inside) {
            return Err(Error::invalid(field, format_args!("{inside:?} is the name of two")));
        }
        body.interfaces.push(Interface { name: name.clone(), inside: inside.clone() });
    }
    Ok(())
}

fn time(linux: &spec::Linux, listed: u64, body: &mut Body) -> Result<(), Error> {
    const FIELD: &str = "linux.timeOffsets";
    if linux.time_offsets.is_empty() {
        return Ok(());
    }
    if listed & new::TIME == 0 {
        return Err(Error::invalid(FIELD, "need a time namespace"));
    }
    if body.namespaces & new::TIME == 0 {
        return Err(Error::invalid(FIELD, "cannot be set in a time namespace that is joined"));
    }
    let mut offsets = String::new();
    for (clock, offset) in &linux.time_offsets {
        if !matches!(clock.as_str(), "monotonic" | "boottime") {
            return Err(Error::invalid(FIELD, format_args!("no clock is called {clock:?}")));
        }
        if offset.nanosecs >= 1_000_000_000 {
            return Err(Error::invalid(
                FIELD,
                format_args!("{clock}: {} is no part of a second", offset.nanosecs),
            ));
        }
        writeln!(offsets, "{clock} {} {}", offset.secs, offset.nanosecs).unwrap_or_default();
    }
    // A clone into the namespace would freeze the offsets: the child makes it, writes them and enters.
    body.namespaces &= !new::TIME;
    body.time_offsets = Some(text(FIELD, offsets)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use spec::{IdMapping, Linux, Namespace, TimeOffset};

    fn compiled(list: &[(&str, &str)], change: impl FnOnce(&mut Linux)) -> Result<Body, Error> {
        let namespaces = list.iter().map(|(kind, path)| Namespace {
            kind: (*kind).to_owned(),
            path: (!path.is_empty()).then(|| (*path).to_owned()),
        });
        let mut linux = Linux { namespaces: namespaces.collect(), ..Linux::default() };
        change(&mut linux);
        let mut body = Body::default();
        compile(&linux, &Options::default(), &mut body).map(|()| body)
    }

    fn map(container_id: u32, host_id: u32, size: u32) -> Vec<IdMapping> {
        vec![IdMapping { container_id, host_id, size }]
    }

    #[test]
    fn user_is_joined_last_and_mounts_before_it() {
        let body = compiled(&[("user", "/u"), ("mount", "/m"), ("time", "/t"), ("pid", "")], |_| ()).unwrap();
        let order: Vec<_> = body.joins.iter().map(|join| join.flag).collect();
        assert_eq!(order, [new::TIME, new::MOUNT, new::USER]);
        assert!(body.in_userns && body.user.is_none());
        assert_eq!(body.namespaces, new::PID);
    }

    #[test]
    fn interfaces_need_a_place_and_a_name() {
        let moved = |names: &[(&str, &str)], new: u64| {
            let mut linux = Linux::default();
            for (outside, inside) in names {
                let name = (!inside.is_empty()).then(|| (*inside).to_owned());
                linux.net_devices.insert((*outside).to_owned(), spec::NetDevice { name });
            }
            let mut body = Body { namespaces: new, ..Body::default() };
            interfaces(&linux, &Options::default(), &mut body).map(|()| body.interfaces)
        };
        let found = moved(&[("a", ""), ("b", "eth0")], new::NET).unwrap();
        assert_eq!(found.iter().map(|i| i.inside.as_str()).collect::<Vec<_>>(), ["a", "eth0"]);
        assert!(moved(&[("a", "")], 0).is_err());
        assert!(moved(&[("a", "x"), ("b", "x")], new::NET).is_err());
        assert!(moved(&[("a", "a/b")], new::NET).is_err());
        assert!(moved(&[("a", "0123456789abcdef")], new::NET).is_err());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let sentence = |result: Result<Body, Error>| result.unwrap_err().to_string();
        assert!(sentence(compiled(&[("mount", ""), ("mount", "/m")], |_| ())).contains("listed twice"));
        assert!(sentence(compiled(&[("pid", "")], |_| ())).contains("mount namespace"));
        assert!(sentence(compiled(&[("mount", ""), ("ipc", "x")], |_| ())).contains("absolute"));
        assert!(sentence(compiled(&[("mount", ""), ("user", "")], |_| ())).contains("ranges are needed"));
        assert!(
            sentence(compiled(&[("mount", "")], |l| l.uid_mappings = map(0, 1, 1))).contains("need a user")
        );
        let overflow = |l: &mut Linux| {
            l.uid_mappings = map(0, u32::MAX, 2);
            l.gid_mappings = map(0, 1, 1);
        };
        assert!(sentence(compiled(&[("mount", ""), ("user", "")], overflow)).contains("is no range"));
        let offset = |l: &mut Linux| {
            l.time_offsets.insert("monotonic".to_owned(), TimeOffset { secs: 1, nanosecs: 0 });
        };
        assert!(sentence(compiled(&[("mount", "")], offset)).contains("need a time"));
        assert!(sentence(compiled(&[("mount", ""), ("time", "/t")], offset)).contains("joined"));
        let body = compiled(&[("mount", ""), ("time", "")], offset).unwrap();
        assert_eq!(body.time_offsets.as_deref(), Some(c"monotonic 1 0\n"));
        assert_eq!(body.namespaces, new::MOUNT);
    }
}
