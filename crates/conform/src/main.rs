//! `dhow-conform`: is this program an OCI runtime? Scenarios for every section of the specification, put to any program with
//! runc's command line. The same file, called `probe`, is what runs inside the containers and tells what it sees.
#![forbid(unsafe_code)]

mod case;
mod cgroups;
mod command;
mod differences;
mod facts;
mod mounts;
mod probe;
mod report;
mod scenarios;
mod socket;
mod suite;
mod verdict;

use std::process::ExitCode;

const USAGE: &str = "usage: dhow-conform [--runtime PROGRAM] [--keep] [--differences NAME] [FILTER ...]
       dhow-conform list|table

  --runtime PROGRAM     what is judged; default: dhow-runtime
  --keep                leave the bundles of scenarios that fail
  --differences NAME    expect what is written down for this runtime (dhow, runc): anything else is a failure
  FILTER                words that a scenario's name or section must contain, any of them
  list                  the scenarios, one a line
  table                 the tables of docs/conformance.md
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    if args.first().is_some_and(|name| name.rsplit('/').next() == Some("probe")) {
        return probe::main(args.get(1..).unwrap_or_default());
    }
    let words: Vec<&str> = args.iter().skip(1).map(String::as_str).collect();
    match words.as_slice() {
        ["list"] => report::list(),
        ["table"] => report::table(),
        words => match suite::Options::read(words) {
            Some(options) => return suite::run(&options),
            None => {
                report::complain(USAGE);
                return ExitCode::from(2);
            }
        },
    }
    ExitCode::SUCCESS
}
