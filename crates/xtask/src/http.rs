//! Just enough HTTP to drive a demo page: GET over a plain connection.

use anyhow::{Context as _, bail};
use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

fn connect(address: &str, path: &str) -> anyhow::Result<BufReader<TcpStream>> {
    let mut stream = TcpStream::connect(address).with_context(|| format!("connecting to {address}"))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).with_context(|| format!("reading from http://{address}{path}"))?;
    if !line.contains(" 200 ") {
        bail!("http://{address}{path} answered {:?}", line.trim());
    }
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    Ok(reader)
}

/// A page's body.
pub(crate) fn get(address: &str, path: &str) -> anyhow::Result<String> {
    let mut body = String::new();
    connect(address, path)?.read_to_string(&mut body)?;
    Ok(body)
}

/// The data of the next `count` server-sent events.
pub(crate) fn events(address: &str, path: &str, count: usize) -> anyhow::Result<Vec<String>> {
    let mut events = Vec::new();
    for line in connect(address, path)?.lines() {
        if let Some(data) = line.context("reading server-sent events")?.strip_prefix("data: ") {
            events.push(data.to_owned());
            if events.len() == count {
                return Ok(events);
            }
        }
    }
    bail!("http://{address}{path} ended after {} of {count} events", events.len())
}
