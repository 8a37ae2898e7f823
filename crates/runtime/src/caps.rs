//! Capability names.

use crate::Error;

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

/// A set, limited to `available`.
pub(crate) fn set(field: &str, names: &[String], available: u64) -> Result<u64, Error> {
    names.iter().try_fold(0, |bits, name| {
        let bit = bit(name).ok_or_else(|| {
            Error::invalid(
                format_args!("process.capabilities.{field}"),
                format_args!("unknown capability {name:?}"),
            )
        })?;
        Ok(bits | bit & available)
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
        assert_eq!(set("bounding", &["CAP_SYS_ADMIN".into(), "CAP_CHOWN".into()], 1).unwrap(), 1);
        assert!(set("bounding", &["CAP_NONE".into()], u64::MAX).is_err());
    }
}
