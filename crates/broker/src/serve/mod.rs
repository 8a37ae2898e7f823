//! Connections: a task each, no thread each, nothing that wakes while nothing comes.

mod connection;
mod dispatch;
mod frames;
mod reply;

pub(crate) use dispatch::SERVED;

use crate::{broker::Broker, listen::Endpoint};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::net::{TcpListener, TcpStream};

/// When the process has no file left for a connection: the next try.
const OUT_OF_FILES: Duration = Duration::from_millis(100);

/// Takes connections for ever.
pub async fn accept(broker: Arc<Broker>, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let broker = Arc::clone(&broker);
                tokio::spawn(async move { serve(&broker, &stream, peer).await });
            }
            Err(error) => {
                tracing::warn!("cannot accept a connection: {error}");
                // No event tells when there are files again; a connection that died in the queue costs nothing to wait after.
                tokio::time::sleep(OUT_OF_FILES).await;
            }
        }
    }
}

async fn serve(broker: &Arc<Broker>, stream: &TcpStream, peer: SocketAddr) {
    let at = match stream.set_nodelay(true).and_then(|()| Endpoint::of(stream)) {
        Ok(at) => broker.settings.advertised.clone().unwrap_or(at),
        Err(error) => return tracing::debug!(%peer, "a connection that was gone at once: {error}"),
    };
    match connection::run(broker, stream, peer, at).await {
        frames::Ended::Closed => {}
        frames::Ended::Broken(error) => tracing::debug!(%peer, "connection broken: {error}"),
        frames::Ended::Garbage(why) => tracing::warn!(%peer, "connection ended: {why}"),
    }
}
