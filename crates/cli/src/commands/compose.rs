//! `compose`: the compose room's own command line, over our connection.

use crate::{
    client::{Client, Host},
    kafka::EngineTopics,
};
use bollard::{API_DEFAULT_VERSION, Docker};
use dhow_compose::{command::ComposeArgs, ops::Io};

/// Builds and pulls may be silent for long.
const PATIENCE_SECONDS: u64 = 3600;

pub(crate) async fn run(client: &Client, args: ComposeArgs) -> anyhow::Result<u8> {
    let docker = match client.host() {
        Host::Unix(path) => {
            Docker::connect_with_unix(&path.to_string_lossy(), PATIENCE_SECONDS, API_DEFAULT_VERSION)?
        }
        Host::Tcp(address) => {
            Docker::connect_with_http(&format!("tcp://{address}"), PATIENCE_SECONDS, API_DEFAULT_VERSION)?
        }
    };
    let topics = Box::new(EngineTopics(client.clone()));
    Ok(dhow_compose::command::run(args, docker, topics, Io::of_process()).await?)
}
