//! Go's `os.FileMode` from `st_mode`: what `X-Docker-Container-Path-Stat` carries.

const DIR: u32 = 1 << 31;
const SYMLINK: u32 = 1 << 27;
const DEVICE: u32 = 1 << 26;
const NAMED_PIPE: u32 = 1 << 25;
const SOCKET: u32 = 1 << 24;
const SETUID: u32 = 1 << 23;
const SETGID: u32 = 1 << 22;
const CHAR_DEVICE: u32 = 1 << 21;
const STICKY: u32 = 1 << 20;

/// Go's bits for a kernel mode.
#[must_use]
pub fn to_go(mode: u32) -> u32 {
    let kind = match mode & 0o170_000 {
        0o040_000 => DIR,
        0o120_000 => SYMLINK,
        0o060_000 => DEVICE,
        0o020_000 => DEVICE | CHAR_DEVICE,
        0o010_000 => NAMED_PIPE,
        0o140_000 => SOCKET,
        _ => 0,
    };
    let bit = |kernel: u32, go: u32| if mode & kernel == 0 { 0 } else { go };
    kind | bit(0o4000, SETUID) | bit(0o2000, SETGID) | bit(0o1000, STICKY) | mode & 0o777
}

/// Whether Go's bits say folder.
#[must_use]
pub fn is_dir(go: u32) -> bool {
    go & DIR != 0
}

/// Whether Go's bits say symbolic link.
#[must_use]
pub fn is_symlink(go: u32) -> bool {
    go & SYMLINK != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_gos() {
        assert_eq!(to_go(0o100_644), 420);
        assert_eq!(to_go(0o040_755), 2_147_484_141);
        assert_eq!(to_go(0o041_777), 2_148_532_735);
        assert_eq!(to_go(0o120_777), 134_218_239);
        assert_eq!(to_go(0o104_755), 8_389_101);
        assert_eq!(to_go(0o020_666), 69_206_454);
        assert!(is_dir(to_go(0o040_755)) && !is_dir(to_go(0o100_644)) && is_symlink(to_go(0o120_777)));
    }
}
