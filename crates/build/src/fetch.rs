//! `ADD https://…`: one file over HTTP, bounded, redirects followed, its checksum verified.

use http_body_util::{BodyExt as _, Empty};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use ring::digest::{SHA256, digest};
use std::time::Duration;

const MAX_BYTES: usize = 1 << 30;
const MAX_REDIRECTS: usize = 10;
const PATIENCE: Duration = Duration::from_secs(30);

/// The last name of the URL's path, and the bytes.
pub(crate) async fn fetch(url: &str, checksum: Option<&str>) -> Result<(String, Vec<u8>), String> {
    let provider = rustls::crypto::ring::default_provider();
    let mut roots = rustls::RootCertStore::empty();
    // one that does not parse cannot be trusted either
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    let tls = rustls::ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .build();
    let client: Client<_, Empty<bytes::Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
    let mut at: http::Uri = url.parse().map_err(|error| format!("invalid URL: {error}"))?;
    for _ in 0..MAX_REDIRECTS {
        let request = http::Request::builder()
            .uri(at.clone())
            .header("User-Agent", "dhow")
            .body(Empty::new())
            .map_err(|error| error.to_string())?;
        let response = tokio::time::timeout(PATIENCE, client.request(request))
            .await
            .map_err(|_| "no answer within 30 s".to_owned())?
            .map_err(|error| said(&error))?;
        let status = response.status();
        if status.is_redirection() {
            let to = response
                .headers()
                .get(http::header::LOCATION)
                .and_then(|value| value.to_str().ok())
                .ok_or("a redirect to nowhere")?;
            at = resolve(&at, to)?;
            continue;
        }
        if !status.is_success() {
            return Err(format!("the server answered {status}"));
        }
        let bytes = read(response.into_body()).await?;
        verify(&bytes, checksum)?;
        let name =
            at.path().rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("index.html").to_owned();
        return Ok((name, bytes));
    }
    Err(format!("more than {MAX_REDIRECTS} redirects"))
}

fn said(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

fn resolve(base: &http::Uri, to: &str) -> Result<http::Uri, String> {
    let whole = if to.starts_with('/') {
        format!(
            "{}://{}{to}",
            base.scheme_str().unwrap_or("https"),
            base.authority().map_or("", |authority| authority.as_str())
        )
    } else {
        to.to_owned()
    };
    whole.parse().map_err(|error| format!("a redirect to {to:?}: {error}"))
}

async fn read(mut body: hyper::body::Incoming) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    loop {
        let frame = tokio::time::timeout(PATIENCE, body.frame())
            .await
            .map_err(|_| "nothing came for 30 s".to_owned())?;
        let Some(frame) = frame else { return Ok(bytes) };
        if let Ok(data) = frame.map_err(|error| said(&error))?.into_data() {
            bytes.extend_from_slice(&data);
        }
        if bytes.len() > MAX_BYTES {
            return Err("larger than 1 GiB".to_owned());
        }
    }
}

fn verify(bytes: &[u8], checksum: Option<&str>) -> Result<(), String> {
    let Some(wanted) = checksum else { return Ok(()) };
    let wanted: dhow_oci::Digest =
        wanted.parse().map_err(|error: dhow_oci::InvalidDigest| error.to_string())?;
    let sum: [u8; 32] = digest(&SHA256, bytes).as_ref().try_into().map_err(|_| "no checksum")?;
    let found = dhow_oci::Digest::sha256(&sum);
    if found == wanted { Ok(()) } else { Err(format!("its checksum is {found}, not {wanted}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_and_redirects() {
        assert!(
            verify(b"", Some("sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"))
                .is_ok()
        );
        assert!(
            verify(b"x", Some("sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"))
                .is_err()
        );
        assert!(verify(b"x", Some("md5:1")).is_err());
        let base: http::Uri = "https://a.example/x".parse().unwrap();
        assert_eq!(resolve(&base, "/y?z").unwrap().to_string(), "https://a.example/y?z");
        assert_eq!(resolve(&base, "http://b.example/").unwrap().to_string(), "http://b.example/");
    }
}
