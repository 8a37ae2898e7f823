//! `InitProducerId`: an identity for a producer that wants to repeat itself safely.

use super::{Call, blocking, note, transactions::older};
use crate::{log::now, txn::Identity};
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
    if let Some(id) = request.transactional_id {
        let timeout = request.transaction_timeout_ms.into();
        let said = Identity { id: request.producer_id, epoch: request.producer_epoch };
        let said = Some(said).filter(|said| said.id >= 0);
        let broker = call.broker;
        return match broker.txns.initialise(&broker.storage, &id, timeout, said, now()).await {
            Ok(Identity { id: producer_id, epoch: producer_epoch }) => {
                InitProducerIdResponse { producer_id, producer_epoch, ..InitProducerIdResponse::default() }
            }
            Err(code) => failed(older(call, 4, code)),
        };
    }
    match blocking(call.broker, |broker| broker.storage.producer_id()).await {
        Ok(producer_id) => {
            InitProducerIdResponse { producer_id, producer_epoch: 0, ..InitProducerIdResponse::default() }
        }
        Err(error) => failed(note(&error)),
    }
}
