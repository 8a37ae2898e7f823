//! The scenarios, one file per part of the specification. A section is named by file and heading, as in its links.

mod capabilities;
mod cgroups;
mod commands;
mod devices;
mod exec;
mod features;
mod hooks;
mod lifecycle;
mod mount_options;
mod mounts;
mod namespaces;
mod paths;
mod process;
mod seccomp;
mod state;
mod terminal;
mod update;

use crate::{case::Case, verdict::Verdict};

/// What is done to a runtime, and what must come of it.
#[derive(Debug)]
pub(crate) struct Scenario {
    /// Unique.
    pub(crate) name: &'static str,
    /// Where the specification asks for it.
    pub(crate) section: &'static str,
    pub(crate) run: fn(&mut Case<'_>) -> Verdict,
}

/// A line of the tables.
const fn s(name: &'static str, section: &'static str, run: fn(&mut Case<'_>) -> Verdict) -> Scenario {
    Scenario { name, section, run }
}

/// All of them, in the order of the specification.
pub(crate) fn all() -> impl Iterator<Item = &'static Scenario> {
    [
        state::SCENARIOS,
        lifecycle::SCENARIOS,
        hooks::SCENARIOS,
        process::SCENARIOS,
        capabilities::SCENARIOS,
        terminal::SCENARIOS,
        mounts::SCENARIOS,
        mount_options::SCENARIOS,
        namespaces::SCENARIOS,
        devices::SCENARIOS,
        paths::SCENARIOS,
        cgroups::SCENARIOS,
        update::SCENARIOS,
        seccomp::SCENARIOS,
        exec::SCENARIOS,
        commands::SCENARIOS,
        features::SCENARIOS,
    ]
    .into_iter()
    .flatten()
}
