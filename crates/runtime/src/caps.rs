//! Capability names.

use std::collections::BTreeSet;

/// In the kernel's order: the index is the number (capabilities(7)).
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// The bit of a name like `CAP_CHOWN`.
pub(crate) fn bit(name: &str) -> Option<u64> {
    let short = name.strip_prefix("CAP_")?;
    NAMES.iter().position(|n| *n == short).map(|index| 1 << index)
}

/// Every capability that has a name.
pub(crate) const ALL: u64 = (1 << NAMES.len()) - 1;

/// A set, limited to `available`; names that are none go to `unknown`.
pub(crate) fn set(names: &[String], available: u64, unknown: &mut BTreeSet<String>) -> u64 {
    names.iter().fold(0, |bits, name| match bit(name) {
        Some(bit) => bits | bit & available,
        None => {
            unknown.insert(name.clone());
            bits
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_at_the_kernels_numbers() {
        use rustix::thread::CapabilitySet as C;
        for (name, flag) in [
            ("CAP_CHOWN", C::CHOWN),
            ("CAP_SYS_ADMIN", C::SYS_ADMIN),
            ("CAP_SETFCAP", C::SETFCAP),
            ("CAP_CHECKPOINT_RESTORE", C::CHECKPOINT_RESTORE),
        ] {
            assert_eq!(bit(name), Some(flag.bits()), "{name}");
        }
        assert_eq!(bit("CHOWN"), None);
        let mut unknown = BTreeSet::new();
        let names = ["CAP_SYS_ADMIN".into(), "CAP_CHOWN".into(), "CAP_NONE".into()];
        assert_eq!(set(&names, 1, &mut unknown), 1);
        assert_eq!(unknown.into_iter().collect::<Vec<_>>(), ["CAP_NONE"]);
    }
}
