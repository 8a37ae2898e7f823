//! `ApiVersions`: what is served.

use super::Call;
use crate::serve::SERVED;
use dhow_kafka::{
    Code, Key,
    messages::api_versions::{ApiVersion, ApiVersionsRequest, ApiVersionsResponse},
};

pub(crate) fn api_versions(_: &Call<'_>, _: ApiVersionsRequest) -> ApiVersionsResponse {
    ApiVersionsResponse {
        api_keys: keys(),
        // without a number of their own, features would be ignored; there are none yet
        finalized_features_epoch: 0,
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
