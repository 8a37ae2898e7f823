//! What can go wrong, in docker's words.

use dhow_oci::Reference;
use serde::Deserialize;
use std::{error::Error as StdError, fmt, io};

/// Class of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// No such repository, tag or digest (also: access denied without credentials).
    NotFound,
    /// Credentials refused.
    Unauthorized,
    /// No answer: name, route, TLS, time-out.
    Unavailable,
    /// The registry sent what is wrong: digest, manifest, media type.
    Invalid,
    /// Anything else.
    Internal,
}

/// What failed, in one sentence that names the image or host.
#[derive(Debug)]
pub struct Error {
    /// Class.
    pub kind: Kind,
    /// The sentence.
    pub message: String,
    /// Why.
    pub source: Option<Box<dyn StdError + Send + Sync>>,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl Error {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, message)
    }
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(Kind::Internal, message)
    }
    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(Kind::Unavailable, message)
    }

    /// Nobody answered at all: another scheme at the same address would wait as long.
    pub(crate) fn is_timeout(&self) -> bool {
        self.source.as_deref().is_some_and(|source| io_kind(source) == Some(io::ErrorKind::TimedOut))
    }

    /// Of a request that got no answer, worded as Go does: `Get "https://host/v2/": dial tcp …`.
    pub(crate) fn transport(
        method: &str,
        uri: &http::Uri,
        cause: impl StdError + Send + Sync + 'static,
    ) -> Self {
        let host = uri.host().unwrap_or_default();
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("http") { 80 } else { 443 });
        let texts = chain(&cause);
        let all = texts.join(": ");
        let why = if all.contains("dns error") {
            format!("dial tcp: lookup {host}: no such host")
        } else {
            match io_kind(&cause) {
                Some(io::ErrorKind::ConnectionRefused) => {
                    format!("dial tcp {host}:{port}: connect: connection refused")
                }
                Some(io::ErrorKind::TimedOut) => format!("dial tcp {host}:{port}: i/o timeout"),
                Some(io::ErrorKind::HostUnreachable) => {
                    format!("dial tcp {host}:{port}: connect: no route to host")
                }
                Some(io::ErrorKind::NetworkUnreachable) => {
                    format!("dial tcp {host}:{port}: connect: network is unreachable")
                }
                _ => go_words(texts.last().map(String::as_str).unwrap_or_default()),
            }
        };
        let message = format!("{method} \"{uri}\": {why}");
        Self { kind: Kind::Unavailable, message, source: Some(Box::new(cause)) }
    }
}

/// TLS failures that users know by Go's words.
fn go_words(cause: &str) -> String {
    if cause.contains("UnknownIssuer") {
        return "tls: failed to verify certificate: x509: certificate signed by unknown authority".to_owned();
    }
    if cause.contains("InvalidContentType") {
        return "http: server gave HTTP response to HTTPS client".to_owned();
    }
    cause.to_owned()
}

fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let this = next?;
        next = this.source();
        Some(this)
    })
}

fn chain(error: &(dyn StdError + 'static)) -> Vec<String> {
    causes(error).map(ToString::to_string).collect()
}

fn io_kind(error: &(dyn StdError + 'static)) -> Option<io::ErrorKind> {
    causes(error).filter_map(|e| e.downcast_ref::<io::Error>()).map(io::Error::kind).last()
}

/// A registry's word about a failure: the first of its `errors`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Complaint {
    /// `MANIFEST_UNKNOWN`.
    pub(crate) code: String,
    pub(crate) message: String,
}

impl Complaint {
    /// From the body of an answer, or from its status where the body says nothing.
    pub(crate) fn read(status: http::StatusCode, body: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Body {
            errors: Vec<One>,
        }
        #[derive(Deserialize)]
        struct One {
            code: String,
            #[serde(default)]
            message: String,
        }
        #[derive(Deserialize)]
        struct Details {
            details: String,
        }
        let said = serde_json::from_slice::<Body>(body).ok().and_then(|body| body.errors.into_iter().next());
        if let Some(One { code, message }) = said {
            return Self { code, message };
        }
        let (code, usual) = match status.as_u16() {
            401 => ("UNAUTHORIZED", "authentication required"),
            403 => ("DENIED", "requested access to the resource is denied"),
            404 => ("MANIFEST_UNKNOWN", "manifest unknown"),
            429 => ("TOOMANYREQUESTS", "too many requests"),
            _ => ("UNKNOWN", "unknown error"),
        };
        // The hub's token server.
        let details = serde_json::from_slice::<Details>(body).map(|d| d.details).unwrap_or_default();
        let message = if details.is_empty() { usual.to_owned() } else { details };
        Self { code: code.to_owned(), message }
    }

    /// As Go's client prints it: `manifest unknown: manifest unknown`.
    pub(crate) fn text(&self) -> String {
        format!("{}: {}", self.code.to_lowercase().replace('_', " "), self.message)
    }

    /// What it means for an image: docker's sentences.
    pub(crate) fn about(&self, image: &Reference, status: http::StatusCode, with_credentials: bool) -> Error {
        let name = image.familiar_name();
        let denied = |text: &str| {
            let login = "repository does not exist or may require 'docker login'";
            Error::new(Kind::NotFound, format!("pull access denied for {name}, {login}: {text}"))
        };
        match (self.code.as_str(), status.as_u16()) {
            ("DENIED", _) | (_, 403) => denied(&self.text()),
            ("UNAUTHORIZED", _) | (_, 401) if with_credentials => Error::new(Kind::Unauthorized, self.text()),
            ("UNAUTHORIZED", _) | (_, 401) => denied("denied: requested access to the resource is denied"),
            ("NAME_UNKNOWN", _) => {
                Error::new(Kind::NotFound, format!("repository {name} not found: {}", self.text()))
            }
            ("MANIFEST_UNKNOWN" | "NOT_FOUND" | "BLOB_UNKNOWN", _) | (_, 404) => {
                let full = image.familiar();
                Error::new(Kind::NotFound, format!("manifest for {full} not found: {}", self.text()))
            }
            (_, 429 | 500..) => Error::unavailable(format!("{name}: {}", self.text())),
            _ => {
                Error::internal(format!("{name}: received unexpected HTTP status: {status}: {}", self.text()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::StatusCode;

    #[test]
    fn tls_failures_have_gos_words() {
        let unknown = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        assert!(go_words(&unknown.to_string()).ends_with("certificate signed by unknown authority"));
        let plain = rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType);
        assert_eq!(go_words(&plain.to_string()), "http: server gave HTTP response to HTTPS client");
        assert_eq!(go_words("other"), "other");
    }

    #[test]
    fn sentences_are_dockers() {
        let image: Reference = "busybox:nope".parse().unwrap();
        let unknown = br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{}}]}"#;
        for (status, body, credentials, kind, text) in [
            (
                404,
                &unknown[..],
                false,
                Kind::NotFound,
                "manifest for busybox:nope not found: manifest unknown: manifest unknown",
            ),
            (
                404,
                b"<html>",
                false,
                Kind::NotFound,
                "manifest for busybox:nope not found: manifest unknown: manifest unknown",
            ),
            (
                401,
                b"",
                false,
                Kind::NotFound,
                "pull access denied for busybox, repository does not exist or may require 'docker login': denied: requested access to the resource is denied",
            ),
            (
                401,
                br#"{"details":"incorrect username or password"}"#,
                true,
                Kind::Unauthorized,
                "unauthorized: incorrect username or password",
            ),
            (
                404,
                br#"{"errors":[{"code":"NAME_UNKNOWN","message":"repository name not known to registry"}]}"#,
                false,
                Kind::NotFound,
                "repository busybox not found: name unknown: repository name not known to registry",
            ),
            (
                429,
                br#"{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}"#,
                false,
                Kind::Unavailable,
                "busybox: toomanyrequests: slow down",
            ),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let error = Complaint::read(status, body).about(&image, status, credentials);
            assert_eq!((error.kind, error.message.as_str()), (kind, text));
        }
    }
}
