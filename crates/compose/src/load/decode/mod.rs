//! The merged tree → the model. Every key is checked; what is known but not supported says so.

mod build;
mod deploy;
mod mounts;
mod network;
mod service;
mod top;

use std::{
    cell::RefCell,
    collections::BTreeMap,
    path::{Path, PathBuf},
};

pub(super) use service::service;
pub(super) use top::project;

/// What decoding needs to know beside the tree.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    /// What relative paths are relative to.
    pub(crate) directory: &'a Path,
    /// The environment that `KEY` without a value takes from.
    pub(crate) env: &'a BTreeMap<String, String>,
    /// What the user should know although nothing is wrong.
    pub(crate) warnings: RefCell<Vec<String>>,
}

impl Context<'_> {
    /// A path of the file, absolute and without `.` and `..` where that is safe to say.
    #[must_use]
    pub(crate) fn absolute(&self, path: &str) -> String {
        let home = path.strip_prefix('~').filter(|rest| rest.is_empty() || rest.starts_with('/'));
        let path = match (home, self.env.get("HOME")) {
            (Some(rest), Some(home)) => PathBuf::from(format!("{home}{rest}")),
            _ => self.directory.join(path),
        };
        clean(&path).to_string_lossy().into_owned()
    }

    fn warn(&self, message: impl Into<String>) {
        let message = message.into();
        let mut warnings = self.warnings.borrow_mut();
        if !warnings.contains(&message) {
            warnings.push(message);
        }
    }
}

/// `a/./b/../c` → `a/c`, by text as Docker does it.
#[must_use]
pub fn clean(path: &Path) -> PathBuf {
    use std::path::Component;
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if matches!(out.components().next_back(), Some(Component::Normal(_))) => {
                out.pop();
            }
            Component::ParentDir if out.has_root() => {}
            other => out.push(other),
        }
    }
    out
}
