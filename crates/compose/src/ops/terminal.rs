//! The terminal: its size, raw mode, and standard input that can be left behind.

use std::io::{Read, Stdin};

use bytes::Bytes;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::sync::mpsc;

use crate::error::Error;

/// Columns and rows of standard output or error.
pub(super) fn size() -> Option<(usize, usize)> {
    let window = tcgetwinsize(std::io::stdout()).or_else(|_| tcgetwinsize(std::io::stderr())).ok()?;
    (window.ws_col > 0).then_some((usize::from(window.ws_col), usize::from(window.ws_row)))
}

/// Raw mode for as long as it lives.
pub(super) struct Raw {
    stdin: Stdin,
    before: Termios,
}

impl Raw {
    /// Every key goes to the container.
    pub(super) fn enter() -> Result<Self, Error> {
        let stdin = std::io::stdin();
        let before = tcgetattr(&stdin).map_err(std::io::Error::from)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(&stdin, OptionalActions::Now, &raw).map_err(std::io::Error::from)?;
        Ok(Self { stdin, before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // The terminal may be gone; then there is nothing to restore.
        tcsetattr(&self.stdin, OptionalActions::Now, &self.before).unwrap_or(());
    }
}

/// Standard input in pieces. The thread that reads it does not keep the process alive, which an async reader would.
pub(super) fn stdin() -> mpsc::Receiver<Bytes> {
    let (sender, receiver) = mpsc::channel(8);
    std::thread::spawn(move || {
        let mut stdin = std::io::stdin().lock();
        let mut buffer = vec![0; 16 * 1024];
        loop {
            match stdin.read(&mut buffer) {
                Ok(0) | Err(_) => return,
                Ok(count) if sender.blocking_send(Bytes::copy_from_slice(&buffer[..count])).is_err() => {
                    return;
                }
                Ok(_) => {}
            }
        }
    });
    receiver
}
