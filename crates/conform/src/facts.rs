//! What the probe's `report` says, taken apart.

use crate::{
    mounts::{self, Mount},
    verdict::{Verdict, failed, must},
};
use serde_json::Value;

/// A report.
#[derive(Debug)]
pub(crate) struct Facts(Value);

impl Facts {
    /// The first line of a container's output.
    pub(crate) fn read(out: &str) -> Verdict<Self> {
        match serde_json::from_str(out.lines().next().unwrap_or_default()) {
            Ok(value) => Ok(Self(value)),
            Err(error) => failed(format!("no report of the probe ({error}): {out:?}")),
        }
    }

    /// A value by name.
    pub(crate) fn get(&self, name: &str) -> &Value {
        &self.0[name]
    }

    /// A text by name.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.0[name].as_str().unwrap_or_default()
    }

    /// A line of `/proc/self/status`.
    pub(crate) fn status(&self, name: &str) -> &str {
        let line = self.text("status").lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_default().trim()
    }

    /// A set of `/proc/self/status` (`CapEff`, `SigIgn`) as bits.
    pub(crate) fn bits(&self, set: &str) -> u64 {
        u64::from_str_radix(self.status(set), 16).unwrap_or_default()
    }

    /// All mounts.
    pub(crate) fn mounts(&self) -> Vec<Mount> {
        mounts::parse(self.text("mountinfo"))
    }

    /// What is seen at a place.
    pub(crate) fn mount(&self, point: &str) -> Verdict<Mount> {
        let found = self.mounts().into_iter().rfind(|mount| mount.point == point);
        found.map_or_else(|| failed(format!("nothing is mounted at {point}")), Ok)
    }

    /// A mount must have these options, and not those with a `!` before.
    pub(crate) fn mounted(&self, point: &str, options: &[&str]) -> Verdict {
        let mount = self.mount(point)?;
        options.iter().try_for_each(|option| {
            let (name, wanted) = option.strip_prefix('!').map_or((*option, true), |name| (name, false));
            must(mount.has(name) == wanted, || {
                format!("{point} is mounted {:?} {:?}, wanted {option}", mount.options, mount.fs_options)
            })
        })
    }

    /// A field of `/proc/self/stat`, by its number in proc(5), from 3.
    pub(crate) fn stat(&self, number: usize) -> &str {
        let after = self.text("stat").rsplit(") ").next().unwrap_or_default();
        after.split(' ').nth(number.saturating_sub(3)).unwrap_or_default()
    }

    /// Soft and hard limit by the words of `/proc/self/limits`.
    pub(crate) fn limit(&self, words: &str) -> Vec<&str> {
        let line = self.text("limits").lines().find_map(|line| line.strip_prefix(words));
        line.unwrap_or_default().split_whitespace().take(2).collect()
    }
}
