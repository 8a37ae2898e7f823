//! Listening on what somebody else says, while it runs: `--control`.
//!
//! A line on stdin has all addresses to listen on from now on, `ADDRESS:PORT` or, for what arrives by one link only,
//! `ADDRESS:PORT@LINK`. Each line is answered with one of JSON on stdout. The end of stdin is the end of the broker, so that it never
//! outlives who started it; connections made before stay when their listener goes.

use anyhow::{Context as _, Result};
use dhow_broker::{Broker, accept};
use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    net::SocketAddr,
    os::fd::AsFd as _,
    sync::Arc,
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::{TcpListener, TcpSocket, unix::pipe},
    task::JoinHandle,
};

/// Connections that wait to be taken.
const BACKLOG: u32 = 1024;

/// Follows what stdin says, until it ends.
///
/// # Errors
/// If stdin is no pipe, or nobody reads the answers.
pub(crate) async fn follow(broker: &Arc<Broker>) -> Result<()> {
    let stdin = io::stdin().as_fd().try_clone_to_owned().context("cannot read stdin")?;
    let stdin = pipe::Receiver::from_owned_fd(stdin).context("--control wants a pipe as stdin")?;
    let mut lines = BufReader::new(stdin).lines();
    let mut open = BTreeMap::new();
    while let Some(line) = lines.next_line().await.context("cannot read stdin")? {
        let failed = listen(broker, &mut open, &line).await;
        let listening: Vec<&String> = open.keys().collect();
        let answer = serde_json::json!({ "listening": listening, "failed": failed });
        let mut out = io::stdout().lock();
        writeln!(out, "{answer}").and_then(|()| out.flush()).context("cannot answer on stdout")?;
    }
    Ok(())
}

/// Closes what is not wanted any more and opens what is new; what could not be opened, and why.
async fn listen(
    broker: &Arc<Broker>,
    open: &mut BTreeMap<String, JoinHandle<()>>,
    line: &str,
) -> BTreeMap<String, String> {
    let wanted: Vec<&str> = line.split_whitespace().collect();
    let gone: Vec<String> =
        open.keys().filter(|address| !wanted.contains(&address.as_str())).cloned().collect();
    for address in gone {
        if let Some(task) = open.remove(&address) {
            task.abort();
            // Cancelled, as asked: now the address is free.
            drop(task.await);
            tracing::info!(address, "no longer listening");
        }
    }
    let mut failed = BTreeMap::new();
    for address in wanted {
        if open.contains_key(address) {
            continue;
        }
        match bind(address) {
            Ok(listener) => {
                tracing::info!(address, "listening");
                open.insert(address.to_owned(), tokio::spawn(accept(Arc::clone(broker), listener)));
            }
            Err(error) => {
                failed.insert(address.to_owned(), error.to_string());
            }
        }
    }
    failed
}

fn bind(text: &str) -> io::Result<TcpListener> {
    let (address, link) = text.split_once('@').map_or((text, None), |(address, link)| (address, Some(link)));
    let address: SocketAddr =
        address.parse().map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "not ADDRESS:PORT"))?;
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    if let Some(link) = link {
        socket.bind_device(Some(link.as_bytes()))?;
    }
    socket.bind(address)?;
    socket.listen(BACKLOG)
}
