//! Routes that are not served yet (or never): each says so in a sentence, in docker's words where clients match them.

use crate::{
    call::Call,
    failure::Failure,
    reply::{Reply, json},
};
use http::StatusCode;

const NO_MANAGER: &str = "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again.";

pub(crate) async fn swarm(_: Call) -> Reply {
    Err(Failure::new(StatusCode::SERVICE_UNAVAILABLE, NO_MANAGER))
}

pub(crate) async fn not_in_swarm(_: Call) -> Reply {
    Err(Failure::new(StatusCode::SERVICE_UNAVAILABLE, "This node is not part of a swarm"))
}

pub(crate) async fn swarm_mode(_: Call) -> Reply {
    Err(Failure::absent("swarm mode is not supported by this version of Dhow"))
}

pub(crate) async fn checkpoints(_: Call) -> Reply {
    Err(Failure::absent("checkpoints are not supported"))
}

pub(crate) async fn attestations(_: Call) -> Reply {
    Err(Failure::absent("attestations of images are not kept"))
}

pub(crate) async fn build_cancel(_: Call) -> Reply {
    Err(Failure::absent("a build is cancelled by closing its connection"))
}

pub(crate) async fn session(_: Call) -> Reply {
    let text = "BuildKit sessions are not supported by this version of Dhow: build with POST /build (DOCKER_BUILDKIT=0)";
    Err(Failure::absent(text))
}

pub(crate) async fn no_plugins(_: Call) -> Reply {
    json([(); 0])
}

pub(crate) async fn no_such_plugin(call: Call) -> Reply {
    Err(Failure::new(StatusCode::NOT_FOUND, format!("plugin {:?} not found", call.name())))
}

pub(crate) async fn plugins(_: Call) -> Reply {
    Err(Failure::absent("plugins are not supported"))
}
