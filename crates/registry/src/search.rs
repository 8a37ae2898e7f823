//! `docker search`: the hub's old interface (`GET /v1/search`), which some other registries have too.

use crate::{
    Client, Credentials, Error, Kind, endpoint,
    http::body,
    session::{Failure, Session},
};
use serde::{Deserialize, Serialize};

/// Of an answer.
const MAX: usize = 4 << 20;

/// One repository that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the hub's words")]
pub struct Found {
    #[serde(default)]
    pub star_count: i64,
    #[serde(default)]
    pub is_official: bool,
    pub name: String,
    #[serde(default)]
    pub is_automated: bool,
    #[serde(default)]
    pub description: String,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    results: Vec<Found>,
}

/// See [`Client::search`].
pub(crate) async fn search(
    client: &Client,
    term: &str,
    limit: u8,
    credentials: Option<&Credentials>,
) -> Result<Vec<Found>, Error> {
    if term.contains("://") {
        let text = format!("invalid repository name: repository name ({term}) should not have a scheme");
        return Err(Error::invalid(text));
    }
    let (server, term) = split(term);
    let credentials = credentials.cloned().unwrap_or_default();
    let mut last = None;
    for endpoint in endpoint::of_index(client, server).await {
        let session = Session::for_login(client, endpoint, &credentials);
        let url = format!("{}/v1/search?q={}&n={limit}", session.endpoint.base, escaped(term));
        let failure = match session.fetch(&url, &[]).await {
            Ok(answer) => {
                let bytes = body(answer, MAX, &url).await?;
                let answer: Answer = serde_json::from_slice(&bytes)
                    .map_err(|error| Error::unavailable(format!("read what {url} found: {error}")))?;
                return Ok(answer.results);
            }
            Err(Failure::Error(error)) => error,
            Err(Failure::Refused(status, _)) if status.as_u16() == 404 => {
                return Err(Error::unavailable(format!("{} cannot be searched", session.endpoint.host)));
            }
            Err(Failure::Refused(status, _)) => {
                Error::new(Kind::Unavailable, format!("Unexpected status code {}", status.as_u16()))
            }
        };
        if !session.endpoint.falls_through(&failure) {
            return Err(failure);
        }
        last = Some(failure);
    }
    Err(last.unwrap_or_else(|| Error::internal(format!("no way to registry {server}"))))
}

/// A first part that looks like a host names another registry; the hub's own images are asked for without `library/`.
fn split(term: &str) -> (&str, &str) {
    let host = |part: &str| part.contains(['.', ':']) || part == "localhost";
    match term.split_once('/') {
        Some((server, rest)) if host(server) && !matches!(server, "docker.io" | "index.docker.io") => {
            (server, rest)
        }
        Some((server, rest)) if host(server) => ("", rest.strip_prefix("library/").unwrap_or(rest)),
        _ => ("", term.strip_prefix("library/").unwrap_or(term)),
    }
}

fn escaped(term: &str) -> String {
    let one = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    term.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_part_may_be_a_registry() {
        assert_eq!(split("busybox"), ("", "busybox"));
        assert_eq!(split("library/busybox"), ("", "busybox"));
        assert_eq!(split("docker.io/library/busybox"), ("", "busybox"));
        assert_eq!(split("me/busybox"), ("", "me/busybox"));
        assert_eq!(split("localhost:5000/a/b"), ("localhost:5000", "a/b"));
        assert_eq!(escaped("a/b c"), "a%2Fb%20c");
    }
}
