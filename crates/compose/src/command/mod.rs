//! `dhow compose …`: the command line over [`crate::ops`], for any CLI to mount.

mod args;
mod dispatch;
mod requests;
mod subcommands;

pub use args::{Command, ComposeArgs};
pub use dispatch::run;
pub use subcommands::{
    Build, Config, Down, Events, Exec, Images, Kill, Logs, Ls, Port, Ps, Pull, Rm, Run, Scale, Services,
    Timed, Up,
};
