//! The host's resolv.conf, read again when it changes.

use crate::Resolvers;
use std::{fs, io, net::IpAddr, os::unix::fs::MetadataExt, path::PathBuf};

/// The file and what it said last.
#[derive(Debug)]
pub(crate) struct ResolvConf {
    path: PathBuf,
    /// Device, inode, size, seconds, nanoseconds of the last change.
    seen: Option<(u64, u64, u64, i64, i64)>,
    content: Resolvers,
}

impl ResolvConf {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, seen: None, content: Resolvers::default() }
    }

    /// What it says now. A file that is not there says nothing; one that cannot be read says what it said before.
    pub(crate) fn read(&mut self) -> &Resolvers {
        match fs::metadata(&self.path) {
            Ok(meta) => {
                let stamp = Some((meta.dev(), meta.ino(), meta.size(), meta.ctime(), meta.ctime_nsec()));
                if stamp != self.seen
                    && let Ok(text) = fs::read_to_string(&self.path)
                {
                    self.content = parse(&text);
                    self.seen = stamp;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.content = Resolvers::default();
                self.seen = None;
            }
            Err(_) => {}
        }
        &self.content
    }
}

/// See [`resolv.conf(5)`](https://man7.org/linux/man-pages/man5/resolv.conf.5.html). Servers with a scope (`fe80::1%eth0`) are left out: no
/// container could reach them.
fn parse(text: &str) -> Resolvers {
    let mut found = Resolvers::default();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])) {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("nameserver") => {
                found.servers.extend(words.next().and_then(|word| word.parse::<IpAddr>().ok()))
            }
            // The last of the two counts.
            Some("search" | "domain") => found.search = words.map(str::to_owned).collect(),
            Some("options") => found.options.extend(words.map(str::to_owned)),
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_usual() {
        let found = parse(
            "# x\nnameserver 127.0.0.53\nnameserver fe80::1%eth0\n nameserver ::1 # y\ndomain a\nsearch b c\noptions edns0 ndots:2\n",
        );
        assert_eq!(
            found.servers,
            ["127.0.0.53".parse::<std::net::IpAddr>().unwrap(), "::1".parse().unwrap()]
        );
        assert_eq!(found.search, ["b", "c"]);
        assert_eq!(found.options, ["edns0", "ndots:2"]);
    }
}
