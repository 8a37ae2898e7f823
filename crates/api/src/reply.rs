//! Making answers.

use crate::{body::Body, failure::Failure};
use http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;

/// What a handler returns.
pub(crate) type Reply = Result<Response<Body>, Failure>;

/// 200 with JSON.
pub(crate) fn json(value: impl Serialize) -> Reply {
    json_with(StatusCode::OK, value)
}

/// 201 with JSON.
pub(crate) fn created(value: impl Serialize) -> Reply {
    json_with(StatusCode::CREATED, value)
}

fn json_with(status: StatusCode, value: impl Serialize) -> Reply {
    let mut text = serde_json::to_string(&value).map_err(|error| {
        Failure::new(StatusCode::INTERNAL_SERVER_ERROR, format!("cannot encode the answer: {error}"))
    })?;
    // Go's encoder ends with a line end; scripts that read line by line rely on it.
    text.push('\n');
    let mut answer = json_text(text);
    *answer.status_mut() = status;
    Ok(answer)
}

/// 200 with text that is JSON already.
pub(crate) fn json_text(text: String) -> Response<Body> {
    let mut answer = Response::new(Body::full(text));
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// 204.
pub(crate) fn no_content() -> Reply {
    empty(StatusCode::NO_CONTENT)
}

/// A status without a body.
pub(crate) fn empty(status: StatusCode) -> Reply {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = status;
    Ok(answer)
}

/// 200 with a stream of this type.
pub(crate) fn stream(content_type: &'static str, body: Body) -> Reply {
    let mut answer = Response::new(body);
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    Ok(answer)
}
