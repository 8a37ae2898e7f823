//! `--cpuset-cpus` and `--cpuset-mems`: what this machine does not have is refused in docker's words, before anything is made.

use super::Resources;
use crate::{Error, Kind, Result};
use std::collections::BTreeSet;

/// Numbers past this are no processor of any machine.
const MOST: u32 = 8192;

/// The kernel's list notation: `0-3,7`.
fn parse(list: &str) -> Option<BTreeSet<u32>> {
    let mut all = BTreeSet::new();
    for part in list.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.parse::<u32>().ok()?, last.parse::<u32>().ok()?);
        if first > last || last >= MOST {
            return None;
        }
        all.extend(first..=last);
    }
    Some(all)
}

/// Refuses what is no list, and what is not among the available. Pure.
fn check(wanted: &str, available: &str, short: &str, long: &str) -> Result<()> {
    let invalid = |message: String| Err(Error::new(Kind::Invalid, message));
    let Some(numbers) = parse(wanted) else {
        return invalid(format!("Invalid value {wanted} for cpuset {short}"));
    };
    match parse(available) {
        // A kernel that does not say what it has decides for itself.
        Some(there) if !there.is_empty() && !numbers.is_subset(&there) => invalid(format!(
            "Requested {long} are not available - requested {wanted}, available: {}",
            available.trim()
        )),
        _ => Ok(()),
    }
}

/// Checks both against this machine.
pub(crate) fn verify(wanted: &Resources) -> Result<()> {
    let both = [(&wanted.cpuset_cpus, "cpus", "CPUs"), (&wanted.cpuset_mems, "mems", "memory nodes")];
    for (list, short, long) in both.into_iter().filter(|(list, ..)| !list.is_empty()) {
        let places = [
            format!("/sys/fs/cgroup/cpuset.{short}.effective"),
            format!("/sys/fs/cgroup/cpuset/cpuset.{short}"),
        ];
        let available = places.iter().find_map(|place| std::fs::read_to_string(place).ok());
        check(list, &available.unwrap_or_default(), short, long)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockers_words() {
        let refused = |wanted: &str| check(wanted, "0-1\n", "cpus", "CPUs").unwrap_err().message;
        for good in ["0", "1", "0-1", "0,1", "0,"] {
            check(good, "0-1\n", "cpus", "CPUs").unwrap();
        }
        assert_eq!(refused("99"), "Requested CPUs are not available - requested 99, available: 0-1");
        assert_eq!(refused("0-2"), "Requested CPUs are not available - requested 0-2, available: 0-1");
        for bad in ["a", "1-0", "0-4294967295", "-1", "0-"] {
            assert_eq!(refused(bad), format!("Invalid value {bad} for cpuset cpus"));
        }
        check("5", "", "mems", "memory nodes").unwrap();
    }
}
