//! What a client is told when something fails: a status and `{"message": …}`.

use crate::body::Body;
use dhow_engine::Kind;
use dhow_wire::Malformed;
use http::{Response, StatusCode};

/// A refusal.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// 501 with a sentence that says what is missing.
    pub(crate) fn absent(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, message)
    }

    pub(crate) fn answer(self) -> Response<Body> {
        let mut answer = if self.status == StatusCode::NOT_MODIFIED {
            Response::new(Body::empty())
        } else {
            // As Go's encoder: a line end after the object.
            let text = format!("{}\n", serde_json::json!({ "message": self.message }));
            crate::reply::json_text(text)
        };
        *answer.status_mut() = self.status;
        answer
    }
}

/// The one place where the engine's classes become statuses.
pub(crate) fn status(kind: Kind) -> StatusCode {
    match kind {
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::Conflict => StatusCode::CONFLICT,
        Kind::Invalid => StatusCode::BAD_REQUEST,
        Kind::NotModified => StatusCode::NOT_MODIFIED,
        Kind::Unauthorized => StatusCode::UNAUTHORIZED,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Unsupported => StatusCode::NOT_IMPLEMENTED,
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl From<dhow_engine::Error> for Failure {
    fn from(error: dhow_engine::Error) -> Self {
        Self::new(status(error.kind), error.message)
    }
}

impl From<Malformed> for Failure {
    fn from(malformed: Malformed) -> Self {
        Self::bad(malformed.0)
    }
}

impl From<dhow_engine::oci::InvalidReference> for Failure {
    fn from(invalid: dhow_engine::oci::InvalidReference) -> Self {
        Self::bad(invalid.to_string())
    }
}
