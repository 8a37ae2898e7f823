//! The engine's own broker: `up`, `down`, `status`.

use crate::{
    client::{Client, Host, Refused},
    commands::{print, print_line},
};
use anyhow::{Context as _, anyhow, bail};
use http::StatusCode;
use serde_json::{Value, json};

// Arguments of `kafka up`.
#[derive(Debug, clap::Args)]
pub(crate) struct Up {
    /// Port on 127.0.0.1 and on every network's gateway [default: as before, else 9092]
    #[arg(long)]
    port: Option<u16>,
}

// Arguments of `kafka down`.
#[derive(Debug, clap::Args)]
pub(crate) struct Down {}

// Arguments of `kafka status`.
#[derive(Debug, clap::Args)]
pub(crate) struct Status {
    /// Format output: 'json'
    #[arg(short, long, value_parser = ["json"])]
    format: Option<String>,
}

/// Docker does not know these paths.
fn not_ours(error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref::<Refused>() {
        Some(refused) if refused.status == StatusCode::NOT_FOUND => {
            anyhow!("this engine has no Kafka broker (`dhow kafka … --bootstrap-server` uses another)")
        }
        _ => error,
    }
}

async fn state(client: &Client) -> anyhow::Result<Value> {
    client.get("/dhow/kafka").await.map_err(not_ours)
}

/// Where the engine's broker is for a client on its machine.
pub(super) async fn address(client: &Client) -> anyhow::Result<String> {
    let Host::Unix(_) = client.host() else {
        bail!("the engine is on another machine: name its Kafka broker with --bootstrap-server");
    };
    let state = state(client).await?;
    match (state["State"].as_str(), state["Port"].as_u64()) {
        (Some("stopped"), _) => {
            bail!(
                "the engine's Kafka broker is not up: start it with `dhow kafka up`, or name another with --bootstrap-server"
            )
        }
        (_, Some(port)) => Ok(format!("127.0.0.1:{port}")),
        _ => Err(anyhow!("the engine's answer has no Port")),
    }
}

/// Starts the engine's broker, unless it is wanted already.
pub(super) async fn ensure_up(client: &Client) -> anyhow::Result<()> {
    let state = state(client).await?;
    if state["State"].as_str() != Some("running") {
        client.post("/dhow/kafka/up", None).await.map_err(not_ours)?;
    }
    Ok(())
}

impl Up {
    pub(super) async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        let body = json!({ "Port": self.port.unwrap_or(0) });
        let state = client.post("/dhow/kafka/up", Some(&body)).await.map_err(not_ours)?;
        let port = state["Port"].as_u64().context("the engine's answer has no Port")?;
        print_line(&format!("127.0.0.1:{port}"))?;
        Ok(0)
    }
}

impl Down {
    #[allow(clippy::unused_self, reason = "as every command")]
    pub(super) async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        client.post("/dhow/kafka/down", None).await.map_err(not_ours)?;
        Ok(0)
    }
}

impl Status {
    pub(super) async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        let state = state(client).await?;
        if self.format.is_some() {
            print_line(&state.to_string())?;
            return Ok(0);
        }
        print(&text(&state))?;
        Ok(0)
    }
}

fn text(state: &Value) -> String {
    let word = |key: &str| state[key].as_str().unwrap_or_default().to_owned();
    let mut lines = vec![("State", word("State"))];
    for (title, key) in [("Process", "Pid"), ("Restarts", "Restarts")] {
        lines.extend(
            state[key].as_u64().filter(|number| *number > 0).map(|number| (title, number.to_string())),
        );
    }
    for address in state["Listening"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let shown = match address.split_once('@') {
            Some((address, link)) => format!("{address} (from {link})"),
            None => address.to_owned(),
        };
        lines.push(("Listening", shown));
    }
    for (address, why) in state["Refused"].as_object().into_iter().flatten() {
        lines.push(("Refused", format!("{address}: {}", why.as_str().unwrap_or_default())));
    }
    if !word("Error").is_empty() {
        lines.push(("Error", word("Error")));
    }
    lines.push(("Data", word("Data")));
    let mut last = "";
    lines.iter().fold(String::new(), |mut all, (title, value)| {
        let shown = if *title == last { String::new() } else { format!("{title}:") };
        last = title;
        all.push_str(&format!("{shown:<11}{value}\n"));
        all
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_is_a_list() {
        let state = json!({ "State": "running", "Pid": 7, "Restarts": 0, "Data": "/d", "Error": "",
            "Listening": ["127.0.0.1:9092", "172.26.0.1:9092@dhow0"], "Refused": null });
        let wanted = "State:     running\nProcess:   7\nListening: 127.0.0.1:9092\n           172.26.0.1:9092 (from dhow0)\nData:      /d\n";
        assert_eq!(text(&state), wanted);
    }
}
