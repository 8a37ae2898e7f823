//! Topics that Kafka keeps its own state in. Ours is in the journal; tools and clients want to see the topics all the same.

use super::{Call, blocking};
use crate::{
    error::{Kind, Result},
    topics::config::Values,
};

/// Kafka's offsets of groups.
pub(crate) const OFFSETS: &str = "__consumer_offsets";
/// Kafka's transactional ids.
pub(crate) const TRANSACTIONS: &str = "__transaction_state";
const ALL: [&str; 2] = [OFFSETS, TRANSACTIONS];

/// Whether clients are told that it is none of theirs.
pub(crate) fn is_internal(topic: &str) -> bool {
    ALL.contains(&topic)
}

/// How Kafka configures them.
pub(crate) fn configuration() -> Values {
    let values =
        [("cleanup.policy", "compact"), ("compression.type", "producer"), ("segment.bytes", "104857600")];
    values.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// Makes the topic if it is not there, as Kafka does when a coordinator is first looked for: empty, of one partition.
pub(crate) async fn show(call: &Call<'_>, name: &'static str) -> Result<()> {
    if call.broker.storage.topics.get(name).is_some() {
        return Ok(());
    }
    let made = blocking(call.broker, move |broker| broker.storage.topics.create(name, 1, 1, configuration()));
    match made.await {
        Err(error) if error.kind != Kind::Exists => Err(error),
        _ => Ok(()),
    }
}
