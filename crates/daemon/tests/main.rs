//! End to end: the real programs, driven by `dhow` and by docker's own command line. Every test has an engine of its own and
//! ends by looking at what is left on the machine.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod suite {
    mod bad_input;
    mod build;
    mod cgroups;
    mod compose;
    mod contract;
    mod differential;
    mod docker_cli;
    mod dockerd;
    mod doors;
    mod examples;
    mod exec;
    mod faults;
    mod files;
    mod held;
    mod hostile;
    mod images;
    mod kafka;
    mod leaks;
    mod lifecycle;
    mod limits;
    mod logs;
    mod network;
    mod registry;
    mod rude;
    mod run;
    mod runtimes;
    mod side_by_side;
    mod sinks;
    mod survival;
    mod tls;
    mod versions;
    mod volumes;
}
