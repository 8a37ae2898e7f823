//! What stands on the machine: links, namespaces, mounts, cgroups, tables. Taken before and after, the difference is a leak.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

/// A picture of the machine, less what other programs may change meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftovers(BTreeSet<String>);

impl Leftovers {
    /// What stands now of things whose names or paths contain `mark` (a folder, an instance).
    #[must_use]
    pub fn of(marks: &[&str]) -> Self {
        let mut found = BTreeSet::new();
        let marked = |text: &str| marks.iter().any(|mark| text.contains(mark));
        for mount in
            fs::read_to_string("/proc/self/mounts").unwrap_or_default().lines().filter(|line| marked(line))
        {
            found.insert(format!("mount {mount}"));
        }
        for link in fs::read_dir("/sys/class/net").into_iter().flatten().flatten() {
            let name = link.file_name().to_string_lossy().into_owned();
            if marked(&name) {
                found.insert(format!("link {name}"));
            }
        }
        cgroups(Path::new("/sys/fs/cgroup"), 0, &marked, &mut found);
        let tables = Command::new("nft")
            .args(["list", "tables"])
            .output()
            .map(|out| String::from_utf8_lossy(&out.stdout).into_owned());
        for table in tables.unwrap_or_default().lines().filter(|line| marked(line)) {
            found.insert(format!("nft {table}"));
        }
        for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let command = fs::read(process.path().join("cmdline")).unwrap_or_default();
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            if marked(&command) && process.file_name().to_string_lossy() != std::process::id().to_string() {
                found.insert(format!("process {command}"));
            }
        }
        for mark in marks.iter().filter(|mark| mark.starts_with('/')) {
            if Path::new(mark).exists() {
                found.insert(format!("path {mark}"));
            }
        }
        Self(found)
    }

    /// Fails the test if anything is there, naming it.
    pub fn assert_none(&self) {
        assert!(self.0.is_empty(), "left behind:\n{}", self.0.iter().cloned().collect::<Vec<_>>().join("\n"));
    }

    /// Whether nothing is there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn cgroups(folder: &Path, depth: usize, marked: &impl Fn(&str) -> bool, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            if marked(&path.to_string_lossy()) {
                found.insert(format!("cgroup {}", path.display()));
            } else if depth < 4 {
                cgroups(&path, depth + 1, marked, found);
            }
        }
    }
}
