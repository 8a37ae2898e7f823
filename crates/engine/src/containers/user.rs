//! Who a process is: `user[:group]` against the container's own `/etc/passwd` and `/etc/group`, as docker reads them. Pure.

use crate::{Error, Kind, Result};

/// A user, resolved.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Identity {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) more: Vec<u32>,
    /// For `HOME`.
    pub(crate) home: String,
}

/// The largest passwd or group file that is read.
pub(crate) const MAX_FILE: u64 = 4 << 20;

struct Passwd<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

fn users(text: &str) -> impl Iterator<Item = Passwd<'_>> {
    text.lines().filter_map(|line| {
        let mut parts = line.split(':');
        let (name, _password) = (parts.next()?, parts.next()?);
        let (uid, gid) = (parts.next()?.trim().parse().ok()?, parts.next()?.trim().parse().ok()?);
        let home = parts.nth(1).unwrap_or("");
        Some(Passwd { name, uid, gid, home })
    })
}

struct Group<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

fn groups(text: &str) -> impl Iterator<Item = Group<'_>> {
    text.lines().filter_map(|line| {
        let mut parts = line.split(':');
        let (name, _password) = (parts.next()?, parts.next()?);
        Some(Group {
            name,
            gid: parts.next()?.trim().parse().ok()?,
            members: parts.next().unwrap_or("").trim(),
        })
    })
}

fn number(text: &str) -> Option<u32> {
    text.parse::<u32>().ok().filter(|n| *n <= i32::MAX as u32)
}

/// Resolves `user` with the groups of `--group-add`.
pub(crate) fn resolve(user: &str, add: &[String], passwd: &str, group: &str) -> Result<Identity> {
    let (name, wanted_group) = match user.split_once(':') {
        Some((name, group)) => (name, Some(group).filter(|g| !g.is_empty())),
        None => (user, None),
    };
    let wanted = if name.is_empty() { "0" } else { name };
    let found = users(passwd).find(|u| u.name == wanted || number(wanted) == Some(u.uid));
    let mut identity = match (found, number(wanted)) {
        (Some(u), _) => {
            let member = |g: &Group<'_>| g.members.split(',').any(|m| m.trim() == u.name);
            let more = if wanted_group.is_none() {
                groups(group).filter(member).map(|g| g.gid).collect()
            } else {
                Vec::new()
            };
            Identity { uid: u.uid, gid: u.gid, more, home: u.home.to_owned() }
        }
        (None, Some(uid)) => Identity { uid, ..Identity::default() },
        (None, None) => {
            return Err(Error::new(
                Kind::Invalid,
                format!("unable to find user {wanted}: no matching entries in passwd file"),
            ));
        }
    };
    let find_group = |wanted: &str| {
        groups(group).find(|g| g.name == wanted).map(|g| g.gid).or_else(|| number(wanted)).ok_or_else(|| {
            Error::new(
                Kind::Invalid,
                format!("unable to find group {wanted}: no matching entries in group file"),
            )
        })
    };
    if let Some(wanted) = wanted_group {
        identity.gid = find_group(wanted)?;
    }
    for wanted in add {
        identity.more.push(find_group(wanted)?);
    }
    identity.more.retain(|gid| *gid != identity.gid);
    // docker puts the main group first among the additional ones
    identity.more.insert(0, identity.gid);
    let mut seen = Vec::new();
    identity.more.retain(|gid| {
        !seen.contains(gid) && {
            seen.push(*gid);
            true
        }
    });
    if identity.home.is_empty() {
        "/".clone_into(&mut identity.home);
    }
    Ok(identity)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nbad line\nwww:x:33:33:www:/var/www:/bin/false\n";
    const GROUP: &str = "root:x:0:\nwww:x:33:\nvideo:x:44:www,other\naudio:x:29:root\n";

    fn ask(user: &str, add: &[&str]) -> std::result::Result<(u32, u32, Vec<u32>, String), String> {
        let add: Vec<String> = add.iter().map(|s| (*s).to_owned()).collect();
        resolve(user, &add, PASSWD, GROUP).map(|i| (i.uid, i.gid, i.more, i.home)).map_err(|e| e.message)
    }

    #[test]
    fn resolves_as_docker_does() {
        assert_eq!(ask("", &[]), Ok((0, 0, vec![0, 29], "/root".into())));
        assert_eq!(ask("www", &[]), Ok((33, 33, vec![33, 44], "/var/www".into())));
        assert_eq!(ask("33", &["audio", "1000"]), Ok((33, 33, vec![33, 44, 29, 1000], "/var/www".into())));
        assert_eq!(ask("www:video", &[]), Ok((33, 44, vec![44], "/var/www".into())));
        assert_eq!(ask("1234", &[]), Ok((1234, 0, vec![0], "/".into())));
        assert_eq!(ask("1234:5678", &[]), Ok((1234, 5678, vec![5678], "/".into())));
        assert_eq!(
            ask("ghost", &[]).unwrap_err(),
            "unable to find user ghost: no matching entries in passwd file"
        );
        assert_eq!(
            ask("www:ghost", &[]).unwrap_err(),
            "unable to find group ghost: no matching entries in group file"
        );
    }
}
