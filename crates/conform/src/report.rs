//! What is said on the terminal, and the tables of docs/conformance.md.

use crate::{
    differences::{self, Difference},
    scenarios::{self, Scenario},
    verdict::{Stop, Verdict},
};
use std::{
    collections::BTreeMap,
    io::Write as _,
    process::ExitCode,
    time::{Duration, Instant},
};

/// A text to stdout. A broken pipe is not our matter.
fn say(text: &str) {
    drop(std::io::stdout().write_all(text.as_bytes()));
}

/// A text to stderr.
pub(crate) fn complain(text: &str) {
    drop(std::io::stderr().write_all(text.as_bytes()));
}

/// How many passed, and what was expected of the others.
#[derive(Debug)]
pub(crate) struct Tally {
    expected: &'static [Difference],
    began: Instant,
    passed: usize,
    skipped: usize,
    differences: usize,
    failed: Vec<&'static str>,
}

impl Tally {
    pub(crate) fn new(expected: &'static [Difference]) -> Self {
        Self { expected, began: Instant::now(), passed: 0, skipped: 0, differences: 0, failed: Vec::new() }
    }

    /// One line.
    pub(crate) fn note(&mut self, scenario: &Scenario, verdict: &Verdict, took: Duration) {
        let written = self.expected.iter().any(|difference| difference.scenario == scenario.name);
        let (word, text) = match (verdict, written) {
            (Ok(()), false) => ("ok", String::new()),
            (Ok(()), true) => ("FAIL", ": passes, and is written down as a difference".to_owned()),
            (Err(Stop::Skipped(reason)), _) => ("skip", format!(": {reason}")),
            (Err(Stop::Failed(reason)), true) => ("diff", format!(": {reason}")),
            (Err(Stop::Failed(reason)), false) => ("FAIL", format!(": {reason}")),
        };
        match word {
            "ok" => self.passed += 1,
            "skip" => self.skipped += 1,
            "diff" => self.differences += 1,
            _ => self.failed.push(scenario.name),
        }
        say(&format!(
            "{word:<5} {:<36} {:>4} ms  {}{text}\n",
            scenario.name,
            took.as_millis(),
            scenario.section
        ));
    }

    /// The sum, and whether all is as it should be.
    pub(crate) fn close(self) -> ExitCode {
        let mut line = format!(
            "{} passed, {} failed, {} skipped, {} as written down; {:.1} s\n",
            self.passed,
            self.failed.len(),
            self.skipped,
            self.differences,
            self.began.elapsed().as_secs_f64()
        );
        for name in &self.failed {
            line += &format!("failed: {name}\n");
        }
        say(&line);
        if self.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// Every scenario, one a line.
pub(crate) fn list() {
    scenarios::all().for_each(|scenario| say(&format!("{:<36} {}\n", scenario.name, scenario.section)));
}

/// The tables of docs/conformance.md.
pub(crate) fn table() {
    say(&tables());
}

/// Scenarios by section, and runc's differences.
pub(crate) fn tables() -> String {
    let mut sections: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for scenario in scenarios::all() {
        sections.entry(scenario.section).or_default().push(scenario.name);
    }
    let mut text = format!("{} scenarios in {} sections.\n\n", scenarios::all().count(), sections.len());
    text += "| section | scenarios |\n|---|---|\n";
    for (section, names) in sections {
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        text += &format!("| {section} | {} |\n", names.join(" "));
    }
    for (name, list) in [("runc 1.1.5", differences::RUNC), ("dhow-runtime", differences::DHOW)] {
        text += &format!("\n| scenario | {name} is | because |\n|---|---|---|\n");
        for Difference { scenario, kind, reason } in list {
            text += &format!("| `{scenario}` | {} | {reason} |\n", kind.word());
        }
    }
    text
}
