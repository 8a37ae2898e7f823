//! Running the scenarios, one after the other, and looking at what each leaves behind.

use crate::{
    case::Case,
    command::Runtime,
    differences::{self, Difference},
    mounts,
    report::{self, Tally},
    scenarios::{self, Scenario},
    verdict::{Stop, Verdict, failed, must},
};
use rustix::{
    mount::{MountPropagationFlags, UnmountFlags, mount_change, unmount},
    process::{WaitOptions, getpid, set_child_subreaper, waitpid},
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    thread,
    time::{Duration, Instant},
};

/// What the command line asks for.
#[derive(Debug)]
pub(crate) struct Options {
    runtime: PathBuf,
    keep: bool,
    expected: &'static [Difference],
    filter: Vec<String>,
}

impl Options {
    pub(crate) fn read(words: &[&str]) -> Option<Self> {
        let mut options =
            Self { runtime: PathBuf::from("dhow-runtime"), keep: false, expected: &[], filter: Vec::new() };
        let mut words = words.iter();
        while let Some(&word) = words.next() {
            match word {
                "--runtime" => options.runtime = PathBuf::from(words.next()?),
                "--keep" => options.keep = true,
                "--differences" => options.expected = differences::of(words.next()?)?,
                flag if flag.starts_with('-') => return None,
                word => options.filter.push(word.to_owned()),
            }
        }
        Some(options)
    }

    fn wants(&self, scenario: &Scenario) -> bool {
        let has =
            |word: &String| scenario.name.contains(word.as_str()) || scenario.section.contains(word.as_str());
        self.filter.is_empty() || self.filter.iter().any(has)
    }
}

/// Runs what is asked for and says how it went.
pub(crate) fn run(options: &Options) -> ExitCode {
    let folder = PathBuf::from(format!("/tmp/dhow-conform-{}", getpid().as_raw_nonzero()));
    if let Err(stop) = settle(&folder, &options.runtime) {
        report::complain(&format!("dhow-conform: {stop}\n"));
        return ExitCode::FAILURE;
    }
    let runtime = Runtime::new(&options.runtime, folder.join("state"));
    let mut tally = Tally::new(options.expected);
    for (index, scenario) in scenarios::all().filter(|scenario| options.wants(scenario)).enumerate() {
        let began = Instant::now();
        let id = format!("conform-{}-{index}", getpid().as_raw_nonzero());
        let verdict = one(&runtime, &folder, &id, scenario);
        let keep = options.keep && matches!(verdict, Err(Stop::Failed(_)));
        tally.note(scenario, &verdict, began.elapsed());
        if keep {
            report::complain(&format!("      kept: {}\n", folder.join(&id).display()));
        } else {
            clear(&folder, &id);
        }
    }
    if !options.keep {
        clear(&folder, "");
    }
    cgroup_roots().iter().for_each(|root| drop(fs::remove_dir(root)));
    tally.close()
}

/// A mount namespace of our own, so that nothing stays on the host; containers' processes become our children.
fn settle(folder: &Path, runtime: &Path) -> Verdict {
    must(rustix::process::geteuid().is_root(), || "only root can run the scenarios".to_owned())?;
    if let Err(error) = Command::new(runtime).arg("--version").output() {
        return failed(format!("{}: {error}", runtime.display()));
    }
    dhow_sys::namespaces::unshare(dhow_sys::clone::new::MOUNT)?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    set_child_subreaper(Some(getpid()))?;
    Ok(fs::create_dir_all(folder.join("state"))?)
}

fn one(runtime: &Runtime, folder: &Path, id: &str, scenario: &Scenario) -> Verdict {
    let mut case = Case::new(runtime, folder, id)?;
    let verdict = (scenario.run)(&mut case);
    case.end()?;
    let left = nothing_left(folder, id);
    verdict.and(left)
}

/// What a deleted container must not leave: processes, mounts in the runtime's namespace, cgroups.
fn nothing_left(folder: &Path, id: &str) -> Verdict {
    for _ in 0..100 {
        match waitpid(None, WaitOptions::NOHANG) {
            Ok(Some(_)) => {}
            Ok(None) => thread::sleep(Duration::from_millis(10)),
            Err(_) => break,
        }
    }
    must(waitpid(None, WaitOptions::NOHANG).is_err(), || "left behind: a process".to_owned())?;
    let marks = folder.join(id);
    let mounts = mounts::parse(&fs::read_to_string("/proc/self/mountinfo")?);
    if let Some(mount) = mounts.iter().find(|mount| Path::new(&mount.point).starts_with(&marks)) {
        return failed(format!("left behind: a mount at {}", mount.point));
    }
    let cgroups = cgroup_roots().into_iter().map(|root| root.join(id)).find(|folder| folder.exists());
    cgroups.map_or(Ok(()), |folder| failed(format!("left behind: {}", folder.display())))
}

/// `/dhow-conform` in each hierarchy.
fn cgroup_roots() -> Vec<PathBuf> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let kinds = mounts::parse(&table).into_iter().filter(|mount| mount.kind.starts_with("cgroup"));
    kinds.map(|mount| PathBuf::from(mount.point).join("dhow-conform")).collect()
}

/// Removes a scenario's folders, and those of a second container beside it, with what a scenario that failed left mounted there.
fn clear(folder: &Path, id: &str) {
    let folders = if id.is_empty() {
        vec![folder.to_owned()]
    } else {
        vec![folder.join(id), folder.join(format!("{id}-b"))]
    };
    for folder in folders.iter().filter(|folder| folder.exists()) {
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        for mount in
            mounts::parse(&table).iter().rev().filter(|mount| Path::new(&mount.point).starts_with(folder))
        {
            if let Err(error) = unmount(mount.point.as_str(), UnmountFlags::DETACH) {
                report::complain(&format!("unmounting {}: {error}\n", mount.point));
            }
        }
        if let Err(error) = fs::remove_dir_all(folder) {
            report::complain(&format!("removing {}: {error}\n", folder.display()));
        }
    }
}
