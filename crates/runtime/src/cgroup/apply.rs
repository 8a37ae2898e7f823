//! Making and filling cgroup folders.

use super::{program, v2};
use crate::Error;
use crate::step::{CgroupDir, CgroupWrite, Cgroups};
use crate::systemd::Scope;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, mkdir, open};
use rustix::io::Errno;
use std::fs;
use std::path::{Path, PathBuf};

/// The file last written to, as device lists are many lines for one file.
type Last = Option<(String, OwnedFd)>;

/// Writes one file of `dir`: the first of its names that exists.
fn put(dir: &Path, item: &CgroupWrite, last: &mut Last) -> Result<(), Error> {
    let refused = |file: &str, e| {
        Error::os("write cgroup", dir.join(file).display(), e).because(format_args!("value {:?}", item.value))
    };
    if let (Some((file, fd)), Some(first)) = (&last, item.files.first())
        && file == first
    {
        return rustix::io::write(fd, item.value.as_bytes()).map(drop).map_err(|e| refused(file, e));
    }
    for file in &item.files {
        match open(dir.join(file), OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()) {
            Ok(fd) => {
                let written = rustix::io::write(&fd, item.value.as_bytes());
                *last = Some((file.clone(), fd));
                return written.map(drop).map_err(|e| refused(file, e));
            }
            Err(Errno::NOENT) => {}
            Err(e) => return Err(Error::os("write cgroup", dir.join(file).display(), e)),
        }
    }
    if item.optional {
        return Ok(());
    }
    let file = item.files.first().map_or("", String::as_str);
    let missing = Error::os("write cgroup", dir.join(file).display(), Errno::NOENT);
    Err(missing.because("this kernel does not have it, or its controller is not there for containers"))
}

/// Writes all; what is refused because of another value (memory before swap, quota before period) is tried once more after the rest.
pub(super) fn write_all(dir: &Path, writes: &[CgroupWrite]) -> Result<(), Error> {
    let (mut again, mut last) = (Vec::new(), None);
    for item in writes {
        match put(dir, item, &mut last) {
            Err(e) if [Errno::INVAL, Errno::BUSY].iter().any(|errno| errno.raw_os_error() == e.errno) => {
                again.push(item)
            }
            other => other?,
        }
    }
    again.into_iter().try_for_each(|item| put(dir, item, &mut last))
}

fn read(path: &Path) -> Result<String, Error> {
    let file = open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    let mut text = [0; 4096];
    let read = file.and_then(|file| rustix::io::read(&file, &mut text));
    let read = read.map_err(|e| Error::os("read cgroup", path.display(), e))?;
    Ok(String::from_utf8_lossy(text.get(..read).unwrap_or_default()).into_owned())
}

fn write(path: &Path, value: &str) -> Result<(), Error> {
    fs::write(path, value)
        .map_err(|e| Error::io("write cgroup", path.display(), &e).because(format_args!("value {value:?}")))
}

/// Makes the folder and its missing parents, parents first; whether it is new.
fn make(dir: &CgroupDir) -> Result<bool, Error> {
    if dir.v2 {
        pass_on(dir, parent(dir, &dir.path))?;
    }
    let new = make_folder(dir, &dir.path)?;
    if dir.cpuset {
        inherit_cpuset(dir, &dir.path)?;
    }
    Ok(new)
}

fn parent<'a>(dir: &'a CgroupDir, path: &'a Path) -> &'a Path {
    path.parent().unwrap_or(&dir.mount)
}

fn make_folder(dir: &CgroupDir, path: &Path) -> Result<bool, Error> {
    match mkdir(path, Mode::from_raw_mode(0o755)) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        Err(Errno::NOENT) if path.starts_with(&dir.mount) && path != dir.mount => {
            make_folder(dir, parent(dir, path))?;
            make_folder(dir, path)
        }
        Err(e) => Err(Error::os("make cgroup", path.display(), e)),
    }
}

/// v2: `above` is there and gives its children the controllers wanted; only what is off is switched on. What nothing is written for is only
/// counted by, and may be missing.
pub(super) fn pass_on(dir: &CgroupDir, above: &Path) -> Result<(), Error> {
    let control = above.join("cgroup.subtree_control");
    let on = match fs::read_to_string(&control) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && above != dir.mount => {
            pass_on(dir, parent(dir, above))?;
            make_folder(dir, above)?;
            read(&control)?
        }
        other => other.map_err(|e| Error::io("read cgroup", control.display(), &e))?,
    };
    let off = |list: &str, name: &str| !list.split_whitespace().any(|c| c == name);
    let missing: Vec<&String> = dir.controllers.iter().filter(|name| off(&on, name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let path = above.join("cgroup.controllers");
    let mut have = read(&path)?;
    if above != dir.mount && missing.iter().any(|name| off(&have, name)) {
        pass_on(dir, parent(dir, above))?;
        have = read(&path)?;
    }
    let words: Vec<String> =
        missing.into_iter().filter(|name| !off(&have, name)).map(|name| format!("+{name}")).collect();
    if words.is_empty() {
        return Ok(());
    }
    let needed = |word: &String| {
        let files = dir.writes.iter().flat_map(|item| &item.files);
        word.get(1..).is_some_and(|name| files.into_iter().any(|file| v2::controller(file) == name))
    };
    match write(&control, &words.join(" ")) {
        Err(e) if e.errno == Errno::BUSY.raw_os_error() => {
            if words.iter().any(needed) {
                let detail = "it has processes of its own, so that its children can have no limits: move them to a cgroup below it";
                return Err(e.because(detail));
            }
            Ok(())
        }
        other => other,
    }
}

/// v1: a fresh cpuset has no processors and nothing can join it, unless its parent hands its own down (`cgroup.clone_children`). Its memory is
/// what is looked at, as that is written last: another start may be in the middle of giving both to the parent.
fn inherit_cpuset(dir: &CgroupDir, path: &Path) -> Result<(), Error> {
    if path == dir.mount || !read(&path.join("cpuset.mems"))?.trim().is_empty() {
        return Ok(());
    }
    let above = parent(dir, path);
    inherit_cpuset(dir, above)?;
    for file in ["cpuset.cpus", "cpuset.mems"] {
        write(&path.join(file), read(&above.join(file))?.trim())?;
    }
    if above != dir.mount {
        // The next one finds them.
        write(&above.join("cgroup.clone_children"), "1")?;
    }
    Ok(())
}

/// The cgroups of a container, removed again unless kept.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) dirs: Vec<PathBuf>,
    /// Holds systemd's scope until the container is in it.
    scope: Option<Scope>,
    keep: bool,
}

impl Made {
    /// Makes and fills all folders.
    pub(crate) fn new(cgroups: &Cgroups) -> Result<Self, Error> {
        let mut made = Self { dirs: Vec::new(), scope: None, keep: false };
        if let Some(unit) = &cgroups.unit {
            made.scope = Some(Scope::start(unit)?);
            // systemd made some of them.
            made.dirs = cgroups.dirs.iter().map(|dir| dir.path.clone()).collect();
        }
        for dir in &cgroups.dirs {
            // Shared parents stay, and what was there before: only the container's own folders are undone.
            let new = make(dir)?;
            if new && made.scope.is_none() {
                made.dirs.push(dir.path.clone());
            }
            write_all(&dir.path, &dir.writes)?;
            if dir.v2 && !cgroups.devices.is_empty() {
                program::attach(&dir.path, &cgroups.devices, new)?;
            }
        }
        Ok(made)
    }

    /// The container is in its cgroups.
    pub(crate) fn entered(&mut self) {
        self.scope = None;
    }

    pub(crate) fn keep(&mut self) {
        self.keep = true;
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if !self.keep {
            self.scope = None;
            // Undoing after a failure that is already being reported.
            drop(super::kill::remove_cgroups(&self.dirs));
        }
    }
}

/// What a process joins by: v1 the `tasks` files, v2 the folder itself.
#[derive(Debug, Default)]
pub(crate) struct Doors {
    pub(crate) tasks: Vec<OwnedFd>,
    pub(crate) folder: Option<OwnedFd>,
}

impl Doors {
    pub(crate) fn open(cgroups: &Cgroups) -> Result<Self, Error> {
        let open = |path: &Path, flags| {
            open(path, flags | OFlags::CLOEXEC, Mode::empty())
                .map_err(|e| Error::os("open cgroup", path.display(), e))
        };
        let mut doors = Self::default();
        for dir in &cgroups.dirs {
            if dir.v2 {
                doors.folder = Some(open(&dir.path, OFlags::RDONLY | OFlags::DIRECTORY)?);
            } else {
                doors.tasks.push(open(&dir.path.join("tasks"), OFlags::WRONLY)?);
            }
        }
        Ok(doors)
    }

    /// Where the container's init has gone, for one that made cgroups of its own and left the root of them, which then takes no process.
    /// `None`: it is where it was put, or not below.
    pub(crate) fn follow(cgroups: &Cgroups, init: i32) -> Result<Option<OwnedFd>, Error> {
        let Some(dir) = cgroups.dirs.iter().find(|dir| dir.v2) else { return Ok(None) };
        let membership = read(Path::new(&format!("/proc/{init}/cgroup")))?;
        let own = membership.lines().find_map(|line| line.strip_prefix("0::/"));
        let Some(path) = own.map(|own| dir.mount.join(own)) else { return Ok(None) };
        if path == dir.path || !path.starts_with(&dir.path) {
            return Ok(None);
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = open(&path, flags, Mode::empty());
        folder.map(Some).map_err(|e| Error::os("open cgroup", path.display(), e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The files of a cpuset, on an ordinary disk.
    fn cpuset(path: &Path, cpus: &str, mems: &str) {
        fs::create_dir(path).unwrap();
        for (file, value) in [("cpuset.cpus", cpus), ("cpuset.mems", mems), ("cgroup.clone_children", "0")] {
            fs::write(path.join(file), value).unwrap();
        }
    }

    /// Two first starts at once: the other one has given the parent its processors, and not yet its memory.
    #[test]
    fn a_cpuset_that_another_start_is_filling_is_not_taken_for_full() {
        let mount = std::env::temp_dir().join(format!("dhow-cpuset-{}", std::process::id()));
        let (above, path) = (mount.join("docker"), mount.join("docker/one"));
        cpuset(&mount, "0-1\n", "0\n");
        cpuset(&above, "0-1\n", "\n");
        cpuset(&path, "\n", "\n");
        let dir = CgroupDir {
            path: path.clone(),
            mount: mount.clone(),
            v2: false,
            cpuset: true,
            controllers: vec!["cpuset".to_owned()],
            writes: Vec::new(),
        };
        inherit_cpuset(&dir, &path).unwrap();
        for folder in [&above, &path] {
            let has = ["cpuset.cpus", "cpuset.mems"].map(|file| read(&folder.join(file)).unwrap());
            assert_eq!(has, ["0-1", "0"], "{}", folder.display());
        }
        assert_eq!(read(&above.join("cgroup.clone_children")).unwrap(), "1");
        fs::remove_dir_all(&mount).unwrap();
    }
}
