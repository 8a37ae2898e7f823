//! The only room with `unsafe`: what rustix lacks, one file per kernel subject, named after the system call, with its man page.
//! Descriptors are owned or borrowed, never integers. No policy, no logging.

// Process side (runtime's author): clone3, prctl, capabilities, seccomp, sched/rlimit, pty, …
// Network side (net's author):
pub mod netlink;
pub mod netns;
// The shim's author:
pub mod pidfd_signal;
pub mod sigaction;
