//! The Kafka broker: ours, not docker's.

use crate::{
    call::Call,
    failure::Failure,
    reply::{Reply, json, no_content},
    show::Json,
};
use dhow_engine::kafka::{Kafka, State, Status};
use dhow_wire::{object::Object, record::Record};

fn view(kafka: &Kafka, status: &Status) -> Json {
    let state = match status.state {
        State::Stopped => "stopped",
        State::Starting => "starting",
        State::Running => "running",
        State::Failed => "failed",
    };
    Record::new()
        .put("State", state)
        .put("Port", status.port)
        .put("Pid", status.pid.unwrap_or(0))
        .put("Listening", &status.listening)
        .put("Refused", dhow_wire::record::filled(&status.refused))
        .put("Restarts", status.restarts)
        .put("Error", &status.error)
        .put("Data", kafka.data().display().to_string())
        .end()
}

pub(crate) async fn status(call: Call) -> Reply {
    let kafka = call.app.engine.kafka();
    json(view(kafka, &kafka.status()))
}

pub(crate) async fn up(mut call: Call) -> Reply {
    let body = call.json().await?;
    let port = match Object::new(&body)?.int("Port")? {
        0 => None,
        port => Some(
            u16::try_from(port).map_err(|_| Failure::bad(format!("Port: {port} is no port: 1 to 65535")))?,
        ),
    };
    let kafka = call.app.engine.kafka();
    let status = kafka.up(port).await?;
    json(view(kafka, &status))
}

pub(crate) async fn down(call: Call) -> Reply {
    call.app.engine.kafka().down().await?;
    no_content()
}
