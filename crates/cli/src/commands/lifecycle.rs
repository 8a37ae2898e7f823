//! What is done to containers that exist: stop, restart, kill, pause, unpause, rm, rename, wait, update.

use super::{attach, each, each_at_once, print_line, tell};
use crate::{
    client::{Client, Refused, escape, query},
    values,
};
use serde_json::{Map, Value, json};

// `dhow stop`
#[derive(Debug, clap::Args)]
pub(crate) struct Stop {
    /// Signal to send to the container
    #[arg(short, long)]
    signal: Option<String>,
    /// Seconds to wait before killing the container
    #[arg(short = 't', long = "time", alias = "timeout", allow_negative_numbers = true)]
    time: Option<i64>,
    /// Containers
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

// `dhow restart`
#[derive(Debug, clap::Args)]
pub(crate) struct Restart {
    #[command(flatten)]
    stop: Stop,
}

// `dhow kill`
#[derive(Debug, clap::Args)]
pub(crate) struct Kill {
    /// Signal to send to the container
    #[arg(short, long)]
    signal: Option<String>,
    /// Containers
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

// `dhow pause`
#[derive(Debug, clap::Args)]
pub(crate) struct Pause {
    /// Containers
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

// `dhow unpause`
#[derive(Debug, clap::Args)]
pub(crate) struct Unpause {
    /// Containers
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

// `dhow rm`
#[derive(Debug, clap::Args)]
pub(crate) struct Rm {
    /// Force the removal of a running container (uses SIGKILL)
    #[arg(short, long)]
    force: bool,
    /// Remove the specified link
    #[arg(short, long)]
    link: bool,
    /// Remove anonymous volumes associated with the container
    #[arg(short, long)]
    volumes: bool,
    /// Containers
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

// `dhow rename`
#[derive(Debug, clap::Args)]
pub(crate) struct Rename {
    /// Container
    container: String,
    /// New name
    new_name: String,
}

// `dhow wait`
#[derive(Debug, clap::Args)]
pub(crate) struct Wait {
    /// Containers
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

// `dhow update`
#[derive(Debug, clap::Args)]
pub(crate) struct Update {
    /// CPU shares (relative weight)
    #[arg(short, long)]
    cpu_shares: Option<i64>,
    /// Limit CPU CFS (Completely Fair Scheduler) period
    #[arg(long)]
    cpu_period: Option<i64>,
    /// Limit CPU CFS (Completely Fair Scheduler) quota
    #[arg(long)]
    cpu_quota: Option<i64>,
    /// Number of CPUs
    #[arg(long)]
    cpus: Option<String>,
    /// CPUs in which to allow execution (0-3, 0,1)
    #[arg(long)]
    cpuset_cpus: Option<String>,
    /// MEMs in which to allow execution (0-3, 0,1)
    #[arg(long)]
    cpuset_mems: Option<String>,
    /// Memory limit
    #[arg(short, long)]
    memory: Option<String>,
    /// Memory soft limit
    #[arg(long)]
    memory_reservation: Option<String>,
    /// Swap limit equal to memory plus swap: -1 to enable unlimited swap
    #[arg(long)]
    memory_swap: Option<String>,
    /// Tune container pids limit (set -1 for unlimited)
    #[arg(long, allow_negative_numbers = true)]
    pids_limit: Option<i64>,
    /// Restart policy to apply when a container exits
    #[arg(long)]
    restart: Option<String>,
    /// Containers
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl Stop {
    async fn ask(&self, client: &Client, verb: &str) -> anyhow::Result<u8> {
        let mut pairs = Vec::new();
        if let Some(signal) = &self.signal {
            pairs.push(("signal", signal.clone()));
        }
        if let Some(time) = self.time {
            pairs.push(("t", time.to_string()));
        }
        let query = query(&pairs);
        let query = query.as_str();
        let work = |name: String| async move {
            client.post(&format!("/containers/{}/{verb}{query}", escape(&name)), None).await.map(drop)
        };
        // docker restarts one after the other
        if verb == "stop" {
            each_at_once(&self.containers, work).await
        } else {
            each(&self.containers, work).await
        }
    }

    pub(crate) async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        self.ask(client, "stop").await
    }
}

impl Restart {
    pub(crate) async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        self.stop.ask(client, "restart").await
    }
}

impl Kill {
    pub(crate) async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        let query = query(&self.signal.iter().map(|signal| ("signal", signal.clone())).collect::<Vec<_>>());
        let query = query.as_str();
        each_at_once(&self.containers, |name| async move {
            client.post(&format!("/containers/{}/kill{query}", escape(&name)), None).await.map(drop)
        })
        .await
    }
}

impl Pause {
    pub(crate) async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        each_at_once(&self.containers, |name| async move {
            client.post(&format!("/containers/{}/pause", escape(&name)), None).await.map(drop)
        })
        .await
    }
}

impl Unpause {
    pub(crate) async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        each_at_once(&self.containers, |name| async move {
            client.post(&format!("/containers/{}/unpause", escape(&name)), None).await.map(drop)
        })
        .await
    }
}

impl Rm {
    pub(crate) async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        let mut pairs = Vec::new();
        for (key, on) in [("force", self.force), ("link", self.link), ("v", self.volumes)] {
            if on {
                pairs.push((key, "1".to_owned()));
            }
        }
        let (query, force) = (query(&pairs), self.force);
        let query = query.as_str();
        each_at_once(&self.containers, |name| async move {
            match client.delete(&format!("/containers/{}{query}", escape(&name))).await {
                // with --force, what is gone already is as wanted
                Err(error) if force && error.downcast_ref::<Refused>().is_some_and(|r| r.status == 404) => {
                    tell(&format!("{error:#}"));
                    Ok(())
                }
                other => other.map(drop),
            }
        })
        .await
    }
}

impl Rename {
    pub(crate) async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        client
            .post(
                &format!("/containers/{}/rename?name={}", escape(&self.container), escape(&self.new_name)),
                None,
            )
            .await?;
        Ok(0)
    }
}

impl Wait {
    pub(crate) async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        let mut failed = 0;
        for name in &self.containers {
            match attach::wait(client, name, "not-running").await {
                Ok(waiting) => print_line(&waiting.await?.to_string())?,
                Err(error) => {
                    tell(&format!("{error:#}"));
                    failed = 1;
                }
            }
        }
        Ok(failed)
    }
}

impl Update {
    pub(crate) async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        let mut body = Map::new();
        let mut set = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                body.insert(key.to_owned(), value);
            }
        };
        set("CpuShares", self.cpu_shares.map(Value::from));
        set("CpuPeriod", self.cpu_period.map(Value::from));
        set("CpuQuota", self.cpu_quota.map(Value::from));
        set("CpusetCpus", self.cpuset_cpus.clone().map(Value::from));
        set("CpusetMems", self.cpuset_mems.clone().map(Value::from));
        set("PidsLimit", self.pids_limit.map(Value::from));
        set("NanoCpus", self.cpus.as_deref().map(values::nano_cpus).transpose()?.map(Value::from));
        for (key, flag) in [
            ("Memory", &self.memory),
            ("MemoryReservation", &self.memory_reservation),
            ("MemorySwap", &self.memory_swap),
        ] {
            let bytes = match flag.as_deref() {
                Some("-1") => Some(-1),
                other => other.map(dhow_wire::size::ram).transpose()?,
            };
            set(key, bytes.map(|bytes| json!(bytes)));
        }
        set("RestartPolicy", self.restart.as_deref().map(values::restart).transpose()?);
        let body = Value::Object(body);
        let body = &body;
        each(&self.containers, |name| async move {
            let answer = client.post(&format!("/containers/{}/update", escape(&name)), Some(body)).await?;
            for warning in answer["Warnings"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                tell(&format!("WARNING: {warning}"));
            }
            Ok(())
        })
        .await
    }
}
