//! A process's streams over a hijacked connection: our stdin to it, its frames to our stdout and stderr.

use crate::{
    client::{Client, Hijacked},
    terminal,
};
use anyhow::bail;
use dhow_wire::{
    detach::{Typed, Watch},
    frames::Decoder,
};
use std::io::Write as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};

/// Why copying ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The process closed its output.
    Output,
    /// The user typed the detach keys.
    Detached,
}

/// Which streams are wanted, and how.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// Raw bytes, no frames.
    pub(crate) tty: bool,
    /// Send our stdin.
    pub(crate) stdin: bool,
    /// Only with a terminal.
    pub(crate) keys: Vec<u8>,
}

/// Copies until the process's output ends or the user detaches.
pub(crate) async fn copy(stream: Hijacked, wanted: Wanted) -> anyhow::Result<End> {
    let raw = if wanted.tty && wanted.stdin && terminal::stdin_is_terminal() {
        Some(terminal::Raw::enter()?)
    } else {
        None
    };
    let (reader, writer) = tokio::io::split(stream);
    let keys = raw.is_some().then(|| Watch::new(wanted.keys.clone()));
    let mut output = Box::pin(pump_output(reader, wanted.tty));
    let end = if wanted.stdin {
        tokio::select! {
            ended = &mut output => { ended?; End::Output }
            detached = pump_input(writer, keys) => {
                if detached? { End::Detached } else { output.await?; End::Output }
            }
        }
    } else {
        // the write half stays open: closing it early would end the connection of some engines
        output.await?;
        drop(writer);
        End::Output
    };
    drop(raw);
    Ok(end)
}

/// Our stdin to the process; `true` when the detach keys were typed. At our end of file the write half is shut down.
async fn pump_input(mut writer: WriteHalf<Hijacked>, mut keys: Option<Watch>) -> anyhow::Result<bool> {
    let mut stdin = tokio::io::stdin();
    let mut buffer = vec![0; 16 << 10];
    loop {
        let count = stdin.read(&mut buffer).await?;
        if count == 0 {
            break;
        }
        let typed = buffer.get(..count).unwrap_or_default();
        let sent = match &mut keys {
            None => writer.write_all(typed).await,
            Some(keys) => {
                match keys.feed(typed) {
                    Typed::Pass(bytes) => writer.write_all(&bytes).await,
                    Typed::Detach(bytes) => {
                        // what was typed before still counts, if the process is there
                        drop(writer.write_all(&bytes).await);
                        return Ok(true);
                    }
                }
            }
        };
        if sent.is_err() || writer.flush().await.is_err() {
            // the process has gone; its output tells the rest
            return Ok(false);
        }
    }
    // a process that has gone already does not mind
    drop(writer.shutdown().await);
    Ok(false)
}

async fn pump_output(mut reader: ReadHalf<Hijacked>, tty: bool) -> anyhow::Result<()> {
    let mut printer = Printer::new(tty);
    let mut buffer = vec![0; 32 << 10];
    loop {
        let count = reader.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        printer.print(buffer.get(..count).unwrap_or_default())?;
    }
}

/// Prints what an engine sends of a process: raw bytes, or docker's frames.
struct Printer {
    tty: bool,
    frames: Decoder,
}

impl Printer {
    fn new(tty: bool) -> Self {
        Self { tty, frames: Decoder::default() }
    }

    fn print(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        if self.tty {
            return emit(1, bytes);
        }
        self.frames.push(bytes);
        while let Some((stream, payload)) = self.frames.frame()? {
            emit(stream, &payload)?;
        }
        Ok(())
    }
}

/// Writes to our stdout or stderr, at once.
fn emit(stream: u8, bytes: &[u8]) -> anyhow::Result<()> {
    match stream {
        0 | 1 => {
            let mut out = std::io::stdout().lock();
            out.write_all(bytes)?;
            out.flush()?;
        }
        2 => std::io::stderr().lock().write_all(bytes)?,
        3 => bail!("{}", String::from_utf8_lossy(bytes).trim()),
        other => bail!("the engine sent a frame of unknown stream {other}"),
    }
    Ok(())
}

/// Copies a response body's frames (logs) to our stdout and stderr.
pub(crate) async fn print_body(
    response: http::Response<hyper::body::Incoming>,
    tty: bool,
) -> anyhow::Result<()> {
    use http_body_util::BodyExt as _;
    let mut printer = Printer::new(tty);
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            printer.print(&data)?;
        }
    }
    Ok(())
}

/// Tells the engine our terminal's size now and whenever it changes, until dropped. `path` is `/containers/x/resize` or `/exec/x/resize`.
pub(crate) fn follow_size(client: &Client, path: String) -> tokio::task::JoinHandle<()> {
    let client = client.clone();
    tokio::spawn(async move {
        let Ok(mut changes) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::window_change())
        else {
            return;
        };
        loop {
            if let Some((rows, cols)) = terminal::size() {
                // the process may have gone meanwhile: its end is reported elsewhere
                drop(client.post(&format!("{path}?h={rows}&w={cols}"), None).await);
            }
            if changes.recv().await.is_none() {
                return;
            }
        }
    })
}
