//! From `slice:prefix:name` and limits to a unit and its properties (systemd.resource-control(5)). Pure.

use crate::cgroup::devices::{List, letters};
use crate::cgroup::v2;
use crate::step::{DeviceLine, Property, Unit};
use crate::{Error, Host};
use dhow_oci::runtime as spec;
use std::path::PathBuf;

fn number(name: &str, value: u64) -> Property {
    Property::Number { name: name.to_owned(), value }
}

fn text(name: &str, value: &str) -> Property {
    Property::Text { name: name.to_owned(), value: value.to_owned() }
}

fn flag(name: &str) -> Property {
    Property::Flag { name: name.to_owned(), value: true }
}

/// The unit of `linux.cgroupsPath`, and its folder below each hierarchy's root.
pub(crate) fn compile(path: &str) -> Result<(Unit, PathBuf), Error> {
    let invalid = |detail: &str| Error::invalid("linux.cgroupsPath", format_args!("{path:?}: {detail}"));
    let parts: Vec<&str> = path.split(':').collect();
    let [slice, prefix, name] = parts.as_slice() else {
        return Err(invalid("the systemd cgroup driver wants slice:prefix:name"));
    };
    let plain = |part: &str| part.bytes().all(|b| b.is_ascii_alphanumeric() || b":-_.\\@".contains(&b));
    if name.is_empty() || ![slice, prefix, name].iter().all(|part| plain(part)) {
        return Err(invalid("that is no name of a unit"));
    }
    let slice = if slice.is_empty() { "system.slice" } else { slice };
    let folder = slice_folder(slice).ok_or_else(|| invalid("that is no name of a slice"))?;
    let name = if prefix.is_empty() { format!("{name}.scope") } else { format!("{prefix}-{name}.scope") };
    let mut properties =
        vec![text("Description", &format!("container {name}")), text("Slice", slice), flag("Delegate")];
    properties.extend(["MemoryAccounting", "CPUAccounting", "TasksAccounting", "IOAccounting"].map(flag));
    properties.push(Property::Flag { name: "DefaultDependencies".to_owned(), value: false });
    // A scope that the OOM killer struck is not kept as failed.
    properties.push(text("CollectMode", "inactive-or-failed"));
    Ok((Unit { name: name.clone(), properties }, folder.join(name)))
}

/// `a-b.slice` is in `a.slice`; `-.slice` is the root.
fn slice_folder(slice: &str) -> Option<PathBuf> {
    let name = slice.strip_suffix(".slice")?;
    if name == "-" {
        return Some(PathBuf::new());
    }
    let mut folder = PathBuf::new();
    let mut so_far = String::new();
    for part in name.split('-') {
        if part.is_empty() || part.contains('.') {
            return None;
        }
        if !so_far.is_empty() {
            so_far.push('-');
        }
        so_far.push_str(part);
        folder.push(format!("{so_far}.slice"));
    }
    Some(folder)
}

/// Limits as properties, as far as systemd knows them: it would undo what it does not know of when it reloads.
pub(crate) fn properties(
    resources: &spec::Resources,
    devices: Option<&List>,
    host: &Host,
) -> Result<Vec<Property>, Error> {
    let v2 = host.cgroup_v2();
    let mut all = Vec::new();
    // Both have it: no limit is systemd's "infinity".
    let limit = |n: i64| u64::try_from(n).unwrap_or(u64::MAX);
    if let Some(memory) = &resources.memory {
        if let Some(bytes) = memory.limit.filter(|n| *n != 0) {
            all.push(number(if v2 { "MemoryMax" } else { "MemoryLimit" }, limit(bytes)));
        }
        if v2 {
            all.extend(memory.reservation.filter(|n| *n != 0).map(|n| number("MemoryLow", limit(n))));
            all.extend(v2::swap_alone(memory)?.map(|n| number("MemorySwapMax", limit(n))));
        }
    }
    if let Some(cpu) = &resources.cpu {
        if let Some(shares) = cpu.shares.filter(|n| *n != 0) {
            all.push(if v2 { number("CPUWeight", v2::weight(shares)) } else { number("CPUShares", shares) });
        }
        if let Some(period) = cpu.period.filter(|n| *n != 0) {
            all.push(number("CPUQuotaPeriodUSec", period));
        }
        if let Some(quota) = cpu.quota.filter(|n| *n != 0) {
            all.push(number("CPUQuotaPerSecUSec", per_second(quota, cpu.period)));
        }
        if v2 {
            let sets = [("AllowedCPUs", &cpu.cpus), ("AllowedMemoryNodes", &cpu.mems)];
            for (name, list) in sets {
                if let Some(list) = list.as_ref().filter(|list| !list.is_empty()) {
                    all.push(Property::Bytes { name: name.to_owned(), value: bits(list)? });
                }
            }
        }
    }
    if let Some(pids) = resources.pids.as_ref().filter(|pids| pids.limit != 0) {
        all.push(number("TasksMax", if pids.limit > 0 { limit(pids.limit) } else { u64::MAX }));
    }
    if let Some(weight) = resources.block_io.as_ref().and_then(|io| io.weight).filter(|n| *n != 0 && !v2) {
        all.push(number("BlockIOWeight", u64::from(weight)));
    }
    // v2: our program and none of systemd's, as what one of two forbids is forbidden.
    if let Some(list) = devices.filter(|_| !v2) {
        all.extend(device_properties(list));
    }
    Ok(all)
}

/// µs of processor a second; whole percents, as systemd counts, and none below what is asked.
fn per_second(quota: i64, period: Option<u64>) -> u64 {
    let Some(quota) = u64::try_from(quota).ok() else { return u64::MAX };
    let period = period.filter(|n| *n != 0).unwrap_or(100_000);
    quota.saturating_mul(1_000_000).div_ceil(period).next_multiple_of(10_000)
}

/// `0-2,7` as bits, lowest first.
fn bits(list: &str) -> Result<Vec<u8>, Error> {
    const LARGEST: usize = 8191;
    let mut mask = Vec::new();
    for range in list.split(',').map(str::trim).filter(|range| !range.is_empty()) {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (Ok(first), Ok(last @ ..=LARGEST)) = (first.parse::<usize>(), last.parse::<usize>()) else {
            return Err(Error::invalid(
                "linux.resources.cpu.cpus",
                format_args!("{list:?} is no list of numbers"),
            ));
        };
        for bit in first..=last {
            if mask.len() <= bit / 8 {
                mask.resize(bit / 8 + 1, 0);
            }
            if let Some(byte) = mask.get_mut(bit / 8) {
                *byte |= 1 << (bit % 8);
            }
        }
    }
    Ok(mask)
}

/// v1: systemd writes the list anew when it reloads. It knows lists of what is allowed only.
fn device_properties(list: &List) -> [Property; 2] {
    let device = |kind: char, major: Option<u32>, minor: Option<u32>| match (kind, major, minor) {
        ('b', Some(major), Some(minor)) => format!("/dev/block/{major}:{minor}"),
        ('b', Some(major), None) => format!("block-{major}"),
        ('b', None, _) => "block-*".to_owned(),
        (_, Some(major), Some(minor)) => format!("/dev/char/{major}:{minor}"),
        (_, Some(major), None) => format!("char-{major}"),
        (_, None, _) => "char-*".to_owned(),
    };
    let lines = list.exceptions.iter().filter(|_| !list.allow).map(|e| DeviceLine {
        device: device(e.device.kind, e.device.major, e.device.minor),
        access: letters(e.access),
    });
    [
        text("DevicePolicy", if list.allow { "auto" } else { "strict" }),
        Property::Devices { name: "DeviceAllow".to_owned(), value: lines.collect() },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_folders() {
        let folder =
            |path: &str| compile(path).map(|(unit, folder)| (unit.name, folder.display().to_string()));
        let place = folder("system.slice:docker:abc").unwrap();
        assert_eq!(place, ("docker-abc.scope".into(), "system.slice/docker-abc.scope".into()));
        let place = folder(":cri:x").unwrap();
        assert_eq!(place.1, "system.slice/cri-x.scope");
        let place = folder("machine-a-b.slice::x").unwrap();
        assert_eq!(place.1, "machine.slice/machine-a.slice/machine-a-b.slice/x.scope");
        assert_eq!(folder("-.slice:p:x").unwrap().1, "p-x.scope");
        for bad in
            ["/dhow/x", "a:b", "a:b:c:d", "a.slice:b:", "a--b.slice:b:c", "../a.slice:b:c", "a.slice:b:c/d"]
        {
            assert!(folder(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn limits_are_systemds() {
        let mut resources: spec::Resources =
            serde_json::from_str(include_str!("../cgroup/every.json")).unwrap();
        resources.block_io = None;
        let names = |host: &Host| -> Vec<(String, u64)> {
            let all = properties(&resources, None, host).unwrap();
            let one = |p| match p {
                Property::Number { name, value } => Some((name, value)),
                _ => None,
            };
            all.into_iter().filter_map(one).collect()
        };
        let pair = |name: &str, value| (name.to_owned(), value);
        assert_eq!(
            names(&Host::default()),
            [
                pair("MemoryMax", 512 << 20),
                pair("MemoryLow", 256 << 20),
                pair("MemorySwapMax", 512 << 20),
                pair("CPUWeight", 100),
                pair("CPUQuotaPeriodUSec", 100_000),
                pair("CPUQuotaPerSecUSec", 500_000),
                pair("TasksMax", 100)
            ]
        );
        let v1 = Host { hierarchies: vec![crate::host::Hierarchy::default()], ..Host::default() };
        assert_eq!(names(&v1)[..2], [pair("MemoryLimit", 512 << 20), pair("CPUShares", 1024)]);
        assert_eq!(
            (per_second(-1, None), per_second(50_500, None), per_second(1000, Some(7000))),
            (u64::MAX, 510_000, 150_000)
        );
        assert_eq!(bits("0-1,9").unwrap(), [3, 2]);
        assert!(bits("0-99999999999").is_err());
    }
}
