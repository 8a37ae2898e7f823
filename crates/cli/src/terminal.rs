//! The user's terminal: raw mode that is always undone, and its size.

use anyhow::Context as _;
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
