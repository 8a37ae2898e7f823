//! `ApiVersions`: what is served.

use super::Call;
use crate::serve::SERVED;
use dhow_kafka::{
    Code, Key,
    messages::api_versions::{
        ApiVersion, ApiVersionsRequest, ApiVersionsResponse, FinalizedFeatureKey, SupportedFeatureKey,
    },
};

/// The feature that clients of transactions go by.
const TRANSACTIONS: &str = "transaction.version";
/// KIP-890: `Produce` makes its partitions part of the transaction, `EndTxn` gives the producer another epoch.
const TRANSACTIONS_LEVEL: i16 = 2;

pub(crate) fn api_versions(_: &Call<'_>, _: ApiVersionsRequest) -> ApiVersionsResponse {
    ApiVersionsResponse {
        api_keys: keys(),
        supported_features: vec![SupportedFeatureKey {
            name: TRANSACTIONS.to_owned(),
            min_version: 0,
            max_version: TRANSACTIONS_LEVEL,
        }],
        // clients ignore what has no epoch; ours never changes
        finalized_features_epoch: 0,
        finalized_features: vec![FinalizedFeatureKey {
            name: TRANSACTIONS.to_owned(),
            max_version_level: TRANSACTIONS_LEVEL,
            min_version_level: TRANSACTIONS_LEVEL,
        }],
        ..ApiVersionsResponse::default()
    }
}

/// The answer to a version that is too new: in version 0, so that everyone can read it.
pub(crate) fn unknown_version() -> ApiVersionsResponse {
    let keys = keys().into_iter().filter(|key| key.api_key == Key::ApiVersions.code());
    ApiVersionsResponse {
        error_code: Code::UnsupportedVersion.code(),
        api_keys: keys.collect(),
        ..ApiVersionsResponse::default()
    }
}

fn keys() -> Vec<ApiVersion> {
    let mut keys: Vec<ApiVersion> = SERVED
        .iter()
        .map(|(key, versions)| ApiVersion {
            api_key: key.code(),
            // librdkafka before 2.10 compresses only if it sees Produce from version 0 on (KAFKA-18659)
            min_version: if *key == Key::Produce { 0 } else { *versions.start() },
            max_version: *versions.end(),
        })
        .collect();
    keys.sort_by_key(|key| key.api_key);
    keys
}
