//! The device list. Rules in order become what the kernel's v1 controller would make of them, a default and exceptions, so that v1 and v2 say the
//! same.

use super::write;
use crate::Error;
use crate::step::CgroupWrite;
use dhow_oci::runtime as spec;
use std::fmt;

/// One kind of device; `None` is any number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Device {
    /// `b` or `c`.
    pub(crate) kind: char,
    pub(crate) major: Option<u32>,
    pub(crate) minor: Option<u32>,
}

/// A device and what is done to it: 1 mknod, 2 read, 4 write, the kernel's BPF_DEVCG_ACC bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exception {
    pub(crate) device: Device,
    pub(crate) access: u32,
}

/// What may be done to devices.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct List {
    /// Whether what no exception names is allowed.
    pub(crate) allow: bool,
    pub(crate) exceptions: Vec<Exception>,
}

const ALL: u32 = 7;

/// Every container may make nodes, and use these (runc's list).
const ALWAYS: [(char, Option<u32>, Option<u32>, u32); 10] = [
    ('c', None, None, 1),
    ('b', None, None, 1),
    ('c', Some(1), Some(3), ALL),
    ('c', Some(1), Some(8), ALL),
    ('c', Some(1), Some(7), ALL),
    ('c', Some(5), Some(0), ALL),
    ('c', Some(1), Some(5), ALL),
    ('c', Some(1), Some(9), ALL),
    ('c', Some(136), None, ALL),
    ('c', Some(5), Some(2), ALL),
];

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |n: Option<u32>| n.map_or("*".to_owned(), |n| n.to_string());
        write!(f, "{} {}:{}", self.kind, number(self.major), number(self.minor))
    }
}

/// `rwm`, as many as are set.
pub(crate) fn letters(access: u32) -> String {
    [(2, 'r'), (4, 'w'), (1, 'm')].iter().filter(|(bit, _)| access & bit != 0).map(|(_, c)| *c).collect()
}

impl List {
    /// The rules asked for, and behind them those every container has. `None`: none are asked for, nothing is restricted.
    pub(crate) fn new(rules: &[spec::DeviceRule]) -> Result<Option<Self>, Error> {
        if rules.is_empty() {
            return Ok(None);
        }
        let mut list = Self::default();
        for rule in rules {
            list.apply(rule)?;
        }
        if !list.allow {
            for (kind, major, minor, access) in ALWAYS {
                list.except(Device { kind, major, minor }, access, true);
            }
        }
        Ok(Some(list))
    }

    fn apply(&mut self, rule: &spec::DeviceRule) -> Result<(), Error> {
        let invalid = |detail: String| Error::invalid("linux.resources.devices", detail);
        let number = |n: Option<i64>| match n {
            None | Some(-1) => Ok(None),
            Some(n) => u32::try_from(n).map(Some).map_err(|_| invalid(format!("invalid device number {n}"))),
        };
        let access = rule.access.as_deref().filter(|a| !a.is_empty()).unwrap_or("rwm");
        let access = access.chars().try_fold(0, |bits, letter| match letter {
            'm' => Ok(bits | 1),
            'r' => Ok(bits | 2),
            'w' => Ok(bits | 4),
            other => Err(invalid(format!("unknown access {other:?}"))),
        })?;
        let (major, minor) = (number(rule.major)?, number(rule.minor)?);
        let kinds: &[char] = match rule.kind.as_deref().unwrap_or("a") {
            "a" | "" if access == ALL && (major, minor) == (None, None) => {
                *self = Self { allow: rule.allow, exceptions: Vec::new() };
                return Ok(());
            }
            "a" | "" => &['b', 'c'],
            "c" | "u" => &['c'],
            "b" => &['b'],
            other => return Err(invalid(format!("unknown type {other:?}"))),
        };
        for &kind in kinds {
            self.except(Device { kind, major, minor }, access, rule.allow);
        }
        Ok(())
    }

    /// Adds to an exception, or takes from it, as the kernel does: what differs from the default is one.
    fn except(&mut self, device: Device, access: u32, allow: bool) {
        let present = self.exceptions.iter_mut().find(|e| e.device == device);
        match (present, allow == self.allow) {
            (None, true) => {}
            (None, false) => self.exceptions.push(Exception { device, access }),
            (Some(exception), false) => exception.access |= access,
            (Some(exception), true) => {
                exception.access &= !access;
                self.exceptions.retain(|e| e.access != 0);
            }
        }
    }

    /// The lines of v1. A `fresh` cgroup has its parent's list, which says nothing to a default of allowing.
    pub(crate) fn writes(&self, fresh: bool) -> Vec<CgroupWrite> {
        let file = |allow: bool| if allow { "devices.allow" } else { "devices.deny" };
        let mut all = Vec::new();
        if !(fresh && self.allow) {
            all.push(write(file(self.allow), "a *:* rwm"));
        }
        let line = |e: &Exception| write(file(!self.allow), format!("{} {}", e.device, letters(e.access)));
        all.extend(self.exceptions.iter().map(line));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn list(json: &str) -> List {
        List::new(&serde_json::from_str::<Vec<spec::DeviceRule>>(json).unwrap()).unwrap().unwrap()
    }

    fn lines(list: &List, fresh: bool) -> Vec<String> {
        list.writes(fresh).into_iter().map(|w| format!("{} {}", w.files[0], w.value)).collect()
    }

    #[test]
    fn what_every_container_has_is_written_once() {
        let list = list(
            r#"[{"allow": false}, {"allow": true, "type": "c", "major": 1, "minor": 3, "access": "r"},
                {"allow": true, "type": "c", "major": 10, "minor": 200}]"#,
        );
        let lines = lines(&list, true);
        assert_eq!(
            lines[..3],
            ["devices.deny a *:* rwm", "devices.allow c 1:3 rwm", "devices.allow c 10:200 rwm"]
        );
        assert_eq!(lines.len(), 2 + ALWAYS.len());
    }

    #[test]
    fn later_rules_win_as_in_the_kernel() {
        let open = list(r#"[{"allow": true}, {"allow": false, "type": "b", "access": "w"}]"#);
        assert_eq!(lines(&open, true), ["devices.deny b *:* w"]);
        assert_eq!(lines(&open, false)[0], "devices.allow a *:* rwm");
        let again = list(
            r#"[{"allow": true}, {"allow": false, "type": "b"}, {"allow": true, "type": "b", "access": "rm"}]"#,
        );
        assert_eq!(lines(&again, true), ["devices.deny b *:* w"]);
        let closed = list(
            r#"[{"allow": false}, {"allow": true, "type": "c", "major": 10, "minor": 1},
                {"allow": false, "type": "c", "major": 10, "minor": 1}]"#,
        );
        assert!(!lines(&closed, true).iter().any(|l| l.contains("10:1")));
        assert!(lines(&list(r#"[{"allow": true}]"#), true).is_empty());
        assert!(List::new(&[]).unwrap().is_none());
    }
}
