//! The user's terminal: raw mode that is always undone, its size, and detach keys.

use anyhow::{Context as _, bail};
use rustix::termios::{self, OptionalActions, Termios};
use std::io;

/// Whether standard input, output are terminals.
pub(crate) fn stdin_is_terminal() -> bool {
    termios::isatty(io::stdin())
}

/// See [`stdin_is_terminal`].
pub(crate) fn stdout_is_terminal() -> bool {
    termios::isatty(io::stdout())
}

/// Rows and columns.
pub(crate) fn size() -> Option<(u16, u16)> {
    let size = termios::tcgetwinsize(io::stdout()).ok()?;
    (size.ws_row > 0 && size.ws_col > 0).then_some((size.ws_row, size.ws_col))
}

/// Raw mode until dropped.
pub(crate) struct Raw {
    before: Termios,
}

impl Raw {
    pub(crate) fn enter() -> anyhow::Result<Self> {
        let before = termios::tcgetattr(io::stdin()).context("reading the terminal's mode")?;
        let mut raw = before.clone();
        raw.make_raw();
        termios::tcsetattr(io::stdin(), OptionalActions::Now, &raw)
            .context("setting the terminal to raw mode")?;
        Ok(Self { before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if termios::tcsetattr(io::stdin(), OptionalActions::Now, &self.before).is_err() {
            // the terminal is gone, and its mode with it
        }
    }
}

/// Finds the detach sequence in what is typed. Keys that might begin it are held back until it is clear.
#[derive(Debug, Clone)]
pub(crate) struct DetachKeys {
    sequence: Vec<u8>,
    matched: usize,
}

impl DetachKeys {
    /// `ctrl-p,ctrl-q`, `a`, `ctrl-@`; empty means docker's default.
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        let text = if text.is_empty() { "ctrl-p,ctrl-q" } else { text };
        let mut sequence = Vec::new();
        for key in text.split(',') {
            let byte = match key.strip_prefix("ctrl-").map(str::as_bytes) {
                Some([c @ b'a'..=b'z']) => c - b'a' + 1,
                Some([c @ (b'@' | b'[' | b'\\' | b']' | b'^' | b'_')]) => c - b'@',
                None if key.len() == 1 => key.as_bytes().first().copied().unwrap_or_default(),
                _ => bail!("invalid detach keys ({text}): unknown key {key:?}"),
            };
            sequence.push(byte);
        }
        Ok(Self { sequence, matched: 0 })
    }

    /// What goes on to the container of `typed`, and whether the sequence is complete.
    pub(crate) fn feed(&mut self, typed: &[u8]) -> (Vec<u8>, bool) {
        let mut out = Vec::with_capacity(typed.len());
        for &byte in typed {
            if self.sequence.get(self.matched) == Some(&byte) {
                self.matched += 1;
                if self.matched == self.sequence.len() {
                    self.matched = 0;
                    return (out, true);
                }
                continue;
            }
            out.extend_from_slice(self.sequence.get(..self.matched).unwrap_or_default());
            self.matched = 0;
            if self.sequence.first() == Some(&byte) {
                self.matched = 1;
            } else {
                out.push(byte);
            }
        }
        (out, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detach_keys_are_found_across_reads() {
        let mut keys = DetachKeys::parse("").unwrap();
        assert_eq!(keys.feed(b"ab\x10"), (b"ab".to_vec(), false));
        assert_eq!(keys.feed(b"\x11z"), (vec![], true));
        assert_eq!(keys.feed(b"\x10x"), (b"\x10x".to_vec(), false));
        assert_eq!(keys.feed(b"\x10\x10\x11"), (vec![0x10], true));
        assert!(DetachKeys::parse("ctrl-1").is_err());
        assert_eq!(DetachKeys::parse("ctrl-a,x").unwrap().feed(&[1, b'x']), (vec![], true));
    }
}
