//! `InitProducerId`: an identity for a producer that wants to repeat itself safely.

use super::{Call, blocking, note};
use dhow_kafka::{
    Code,
    messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse},
};

pub(crate) async fn init_producer_id(
    call: &Call<'_>,
    request: InitProducerIdRequest,
) -> InitProducerIdResponse {
    let failed = |code: Code| InitProducerIdResponse {
        error_code: code.code(),
        producer_id: -1,
        producer_epoch: -1,
        ..InitProducerIdResponse::default()
    };
    if request.transactional_id.is_some() {
        return failed(Code::TransactionalIdAuthorizationFailed);
    }
    match blocking(call.broker, |broker| broker.storage.producer_id()).await {
        Ok(producer_id) => {
            InitProducerIdResponse { producer_id, producer_epoch: 0, ..InitProducerIdResponse::default() }
        }
        Err(error) => failed(note(&error)),
    }
}
