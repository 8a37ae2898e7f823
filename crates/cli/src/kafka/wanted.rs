//! Topics that a compose file wants, on the engine's own broker.

use super::{cluster::Cluster, configs, engine, topics};
use crate::client::Client;
use dhow_compose::kafka::{Seen, Topic, Topics};
use futures_util::future::{FutureExt as _, LocalBoxFuture};
use std::collections::BTreeMap;

/// See [`Topics`].
#[derive(Debug)]
pub(crate) struct EngineTopics(pub(crate) Client);

impl EngineTopics {
    async fn seen(&self, names: &[String]) -> anyhow::Result<BTreeMap<String, Seen>> {
        engine::ensure_up(&self.0).await?;
        let mut cluster = Cluster::connect(&engine::address(&self.0).await?).await?;
        let mut seen = BTreeMap::new();
        for topic in cluster.metadata(Some(names), false).await? {
            let name = topic.name.clone().unwrap_or_default();
            if topics::is_missing(&topic) {
                continue;
            }
            let all = configs::described(&mut cluster, configs::TOPIC, &name).await?;
            let configs = all.into_iter().map(|one| (one.name, one.value.unwrap_or_default())).collect();
            let partitions = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
            seen.insert(name, Seen { partitions, configs });
        }
        Ok(seen)
    }

    async fn made(&self, topic: &Topic) -> anyhow::Result<()> {
        let mut cluster = Cluster::connect(&engine::address(&self.0).await?).await?;
        let configs: Vec<(String, String)> = topic.configs.clone().into_iter().collect();
        // `false`: somebody else was faster.
        topics::create(&mut cluster, &topic.name, topic.partitions.unwrap_or(-1), -1, &configs)
            .await
            .map(drop)
    }
}

impl Topics for EngineTopics {
    fn observe<'a>(
        &'a self,
        names: &'a [String],
    ) -> LocalBoxFuture<'a, Result<BTreeMap<String, Seen>, String>> {
        self.seen(names).map(|seen| seen.map_err(|error| format!("{error:#}"))).boxed_local()
    }

    fn create<'a>(&'a self, topic: &'a Topic) -> LocalBoxFuture<'a, Result<(), String>> {
        self.made(topic).map(|made| made.map_err(|error| format!("{error:#}"))).boxed_local()
    }
}
