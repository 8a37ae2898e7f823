//! TLS at the door: our certificate, and whose clients are let in.

use std::{io, net::SocketAddr, path::Path, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
        server::WebPkiClientVerifier,
    },
    server::TlsStream,
};

/// For a client to show who it is.
const HANDSHAKE: Duration = Duration::from_secs(10);
const HANDSHAKE_RECORD: u8 = 0x16;

/// How connections are secured.
#[derive(Clone)]
pub struct Tls(TlsAcceptor);

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// With our certificate and its key; with `authority` only for clients whose certificate it has signed. PEM files.
    ///
    /// # Errors
    /// A file that cannot be read or does not fit, named.
    pub fn read(certificate: &Path, key: &Path, authority: Option<&Path>) -> io::Result<Self> {
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?;
        let builder = match authority {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for authority in certificates("CA certificate", path)? {
                    roots.add(authority).map_err(|error| unreadable("CA certificate", path, &error))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                    .build()
                    .map_err(|error| unreadable("CA certificate", path, &error))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let chain = certificates("certificate", certificate)?;
        let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable("key", key, &error))?;
        let config = builder
            .with_single_cert(chain, secret)
            .map_err(|error| unreadable("certificate", certificate, &error))?;
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    /// The handshake. A client that speaks plain HTTP is told so, as Go's server does.
    pub(crate) async fn accept(
        self,
        mut stream: TcpStream,
        from: SocketAddr,
    ) -> Option<TlsStream<TcpStream>> {
        let handshake = async {
            let mut first = [0];
            if stream.peek(&mut first).await? > 0 && first != [HANDSHAKE_RECORD] {
                let text =
                    "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
                stream.write_all(text.as_bytes()).await?;
                stream.shutdown().await?;
                // Closing with its request unread would take the answer from it.
                tokio::io::copy(&mut stream.take(1 << 20), &mut tokio::io::sink()).await?;
                return Ok(None);
            }
            self.0.accept(stream).await.map(Some)
        };
        match tokio::time::timeout(HANDSHAKE, handshake).await {
            Ok(Ok(secured)) => secured,
            Ok(Err(error)) => {
                tracing::info!(%from, %error, "TLS handshake failed");
                None
            }
            Err(_) => {
                tracing::debug!(%from, "a client did not finish its TLS handshake");
                None
            }
        }
    }
}

fn certificates(what: &str, path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let read = |error| unreadable(what, path, &error);
    let all: Vec<_> =
        CertificateDer::pem_file_iter(path).map_err(read)?.collect::<Result<_, _>>().map_err(read)?;
    if all.is_empty() {
        return Err(unreadable(what, path, &"there is none in it"));
    }
    Ok(all)
}

fn unreadable(what: &str, path: &Path, error: &dyn std::fmt::Display) -> io::Error {
    io::Error::other(format!("could not read TLS {what} {:?}: {error}", path.display().to_string()))
}
