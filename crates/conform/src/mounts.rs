//! mountinfo as text: <https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html>.

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mount {
    /// The part of the file system that is mounted.
    pub(crate) root: String,
    /// Where.
    pub(crate) point: String,
    /// `rw`, `nosuid`, … of the mount.
    pub(crate) options: Vec<String>,
    /// `shared:1`, `master:2`, `unbindable`.
    pub(crate) propagation: Vec<String>,
    pub(crate) kind: String,
    pub(crate) source: String,
    /// Options of the file system.
    pub(crate) fs_options: Vec<String>,
}

impl Mount {
    /// Whether an option is there, of the mount or of the file system.
    pub(crate) fn has(&self, option: &str) -> bool {
        self.options.iter().chain(&self.fs_options).any(|have| have == option)
    }
}

/// All lines, in order; the last of one place is the one that is seen.
pub(crate) fn parse(text: &str) -> Vec<Mount> {
    text.lines().filter_map(line).collect()
}

fn line(text: &str) -> Option<Mount> {
    let (left, right) = text.split_once(" - ")?;
    let (mut left, mut right) = (left.split(' ').skip(3), right.split(' '));
    let commas = |word: &str| word.split(',').map(str::to_owned).collect();
    Some(Mount {
        root: left.next()?.to_owned(),
        point: left.next()?.to_owned(),
        options: commas(left.next()?),
        propagation: left.map(str::to_owned).collect(),
        kind: right.next()?.to_owned(),
        source: right.next()?.to_owned(),
        fs_options: commas(right.next()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read() {
        let seen = parse("36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n");
        assert_eq!(seen.len(), 1);
        assert_eq!((seen[0].root.as_str(), seen[0].point.as_str()), ("/mnt1", "/mnt2"));
        assert_eq!(seen[0].propagation, ["master:1"]);
        assert!(seen[0].has("noatime") && seen[0].has("errors=continue") && !seen[0].has("ro"));
        assert_eq!((seen[0].kind.as_str(), seen[0].source.as_str()), ("ext3", "/dev/root"));
    }
}
