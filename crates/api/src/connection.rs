//! One connection: served until the client hangs up, or the server drains.

use crate::body::Body;
use http::Response;
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{convert::Infallible, future::Future, pin::pin, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{mpsc, watch},
};

/// How long a connection may take to send the head of its (next) request: idle connections of clients are kept longer than Go's
/// own 90 seconds, so that it is the client who closes first.
const HEAD_TIMEOUT: Duration = Duration::from_secs(300);

/// How long running answers may go on once the daemon ends.
const GRACE: Duration = Duration::from_secs(5);

/// Serves a connection. With `half_close` a client may close its sending side and still wait for the answer; `gone` tells when it has
/// closed both. `busy` is held as long.
pub(crate) async fn serve<F: Future<Output = Response<Body>> + Send>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    half_close: bool,
    gone: impl Future<Output = ()> + Send,
    mut stop: watch::Receiver<bool>,
    busy: mpsc::Sender<Infallible>,
    service: impl Fn(Request<Incoming>) -> F + Send,
) {
    let _busy = busy;
    let service = service_fn(move |request| {
        let answer = service(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .half_close(half_close)
            .title_case_headers(true)
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades()
    );
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        // Dropping the connection drops its handler and its stream: a build stops, a log is no longer followed.
        () = gone => Ok(()),
        () = stopped(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(GRACE, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
}

/// Ends when the server drains.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        tracing::debug!("the server is gone");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        hijack::{Framing, Input, hand_over},
        peer::Peer,
    };
    use bytes::Bytes;
    use dhow_wire::version::ApiVersion;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::UnixStream,
    };

    /// A client's end of a connection that this service serves, and what ends with it.
    fn client<F: Future<Output = Response<Body>> + Send + 'static>(
        service: impl Fn(Request<Incoming>) -> F + Send + 'static,
    ) -> (UnixStream, tokio::task::JoinHandle<()>) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let gone = Peer::of(&ours).unwrap().gone();
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(async move {
            serve(ours, true, gone, stopped, mpsc::channel(1).0, service).await;
            drop(stop);
        });
        (theirs, task)
    }

    async fn all(client: &mut UnixStream) -> String {
        let mut text = String::new();
        client.read_to_string(&mut text).await.unwrap();
        text
    }

    #[tokio::test]
    async fn a_client_that_has_nothing_more_to_say_is_answered() {
        let (mut client, _task) = client(|_| async {
            tokio::task::yield_now().await;
            Response::new(Body::full("late"))
        });
        client.write_all(b"GET / HTTP/1.1\r\nhost: d\r\n\r\n").await.unwrap();
        client.shutdown().await.unwrap();
        assert!(all(&mut client).await.ends_with("\r\n\r\nlate"));
    }

    #[tokio::test]
    async fn a_client_that_hangs_up_ends_its_handler_and_its_stream() {
        let (sender, receiver) = mpsc::channel::<Bytes>(1);
        let body = std::sync::Mutex::new(Some(receiver));
        let (mut client, task) = client(move |_| {
            let body = body.lock().unwrap().take().unwrap();
            async move { Response::new(Body::pieces(body)) }
        });
        client.write_all(b"GET /events HTTP/1.1\r\nhost: d\r\n\r\n").await.unwrap();
        let mut head = [0; 12];
        client.read_exact(&mut head).await.unwrap();
        assert_eq!(&head, b"HTTP/1.1 200");
        assert!(!sender.is_closed());
        drop(client);
        sender.closed().await;
        task.await.unwrap();
    }

    /// A process that shouts back, behind `hand_over`.
    async fn echo(request: Request<Incoming>) -> Response<Body> {
        let (ours, theirs) = UnixStream::pair().unwrap();
        tokio::spawn(async move {
            let mut typed = String::new();
            let mut theirs = theirs;
            theirs.write_all(b"ready\n").await.unwrap();
            theirs.read_to_string(&mut typed).await.unwrap();
            theirs.write_all(typed.to_uppercase().as_bytes()).await.unwrap();
        });
        let input = Input { stdin: true, watch: None, before_end: None };
        hand_over(request, ApiVersion::MAX, ours, input, Framing::Terminal).await.unwrap()
    }

    #[tokio::test]
    async fn an_upgraded_client_types_before_the_answer_and_half_closes() {
        let (mut client, _task) = client(echo);
        let head = b"POST /attach HTTP/1.1\r\nhost: d\r\nconnection: Upgrade\r\nupgrade: tcp\r\n\r\nearly ";
        client.write_all(head).await.unwrap();
        client.write_all(b"bird").await.unwrap();
        client.shutdown().await.unwrap();
        let text = all(&mut client).await;
        assert!(text.starts_with("HTTP/1.1 101 UPGRADED\r\n"), "{text}");
        assert!(text.contains("Upgrade: tcp\r\n"), "{text}");
        assert!(text.ends_with("\r\n\r\nready\nEARLY BIRD"), "{text}");
    }

    #[tokio::test]
    async fn a_client_without_upgrade_gets_the_raw_stream() {
        let (mut client, _task) = client(echo);
        let head =
            b"POST /attach HTTP/1.1\r\nhost: d\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
        client.write_all(head).await.unwrap();
        let text = all(&mut client).await;
        assert!(text.starts_with("HTTP/1.0 200 OK\r\n"), "{text}");
        assert!(text.contains("Content-Type: application/vnd.docker.raw-stream\r\n"), "{text}");
        assert!(text.ends_with("\r\n\r\nready\nHI"), "{text}");
    }
}
