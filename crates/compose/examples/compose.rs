//! The compose command alone: `cargo run -p dhow-compose --example compose -- up -d`, against `DOCKER_HOST`.

use std::process::ExitCode;

use bollard::Docker;
use clap::Parser;
use dhow_compose::{
    command::{ComposeArgs, run},
    ops::Io,
};

#[derive(Parser)]
struct Program {
    #[command(flatten)]
    compose: ComposeArgs,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let program = Program::parse();
    let io = Io::of_process();
    let host = std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".into());
    let result = match Docker::connect_with_host(&host) {
        Ok(docker) => run(program.compose, docker, Box::new(dhow_compose::kafka::Without), io.clone()).await,
        Err(error) => {
            drop(io.print(&format!("{host}: {error}\n")));
            return ExitCode::FAILURE;
        }
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let mut err = io.err.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            drop(writeln!(err, "{error}"));
            ExitCode::FAILURE
        }
    }
}
