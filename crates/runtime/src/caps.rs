//! Capability names.

use std::collections::BTreeSet;

/// All capabilities, in the kernel's order: the index is the number (capabilities(7)).
pub const CAPABILITIES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// The bit of a name like `CAP_CHOWN`.
pub(crate) fn bit(name: &str) -> Option<u64> {
    CAPABILITIES.iter().position(|n| *n == name).map(|index| 1 << index)
}

/// Every capability that has a name.
pub(crate) const ALL: u64 = (1 << CAPABILITIES.len()) - 1;

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
