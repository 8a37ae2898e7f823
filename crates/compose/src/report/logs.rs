//! Log lines of many containers in one stream: `web-1  | text`.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use super::{Output, write};

const COLORS: [&str; 12] =
    ["36", "33", "32", "35", "34", "36;1", "33;1", "32;1", "35;1", "34;1", "31;1", "37;1"];

/// How log lines look.
#[derive(Debug, Clone, Copy)]
pub struct LogStyle {
    /// Colour the prefix.
    pub color: bool,
    /// Print the prefix at all.
    pub prefix: bool,
}

/// Prints whole lines, each with the name of its container.
pub struct LogPrinter {
    output: Output,
    style: LogStyle,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    width: usize,
    colors: HashMap<String, usize>,
    /// What a container has written since its last line break.
    partial: HashMap<(String, bool), Vec<u8>>,
}

impl std::fmt::Debug for LogPrinter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogPrinter").field("style", &self.style).finish_non_exhaustive()
    }
}

impl LogPrinter {
    /// Prints to `output`, usually standard output.
    #[must_use]
    pub fn new(output: Output, style: LogStyle) -> Self {
        Self { output, style, state: Mutex::default() }
    }

    /// Makes the prefix wide enough for this name and gives it a colour.
    pub fn register(&self, name: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.width = state.width.max(name.chars().count());
        let next = state.colors.len();
        state.colors.entry(name.to_owned()).or_insert(next);
    }

    /// Takes a piece of output and prints the lines that it completes.
    pub fn feed(&self, name: &str, is_stderr: bool, bytes: &[u8]) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (name.to_owned(), is_stderr);
        let buffer = state.partial.entry(key.clone()).or_default();
        buffer.extend_from_slice(bytes);
        let Some(end) = buffer.iter().rposition(|byte| *byte == b'\n') else { return };
        let rest = buffer.split_off(end + 1);
        let complete = std::mem::replace(buffer, rest);
        let text: String =
            String::from_utf8_lossy(&complete).lines().map(|line| self.format(&state, name, line)).collect();
        write(&self.output, &text);
    }

    /// Prints what is left without a line break: the container has ended.
    pub fn flush(&self, name: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for is_stderr in [false, true] {
            let rest = state.partial.remove(&(name.to_owned(), is_stderr)).unwrap_or_default();
            if !rest.is_empty() {
                let text = self.format(&state, name, &String::from_utf8_lossy(&rest));
                write(&self.output, &text);
            }
        }
    }

    /// A line about a container, in its colour.
    pub fn note(&self, name: &str, text: &str) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let line = match self.paint(&state, name) {
            Some(color) => format!("\x1b[{color}m{name}\x1b[0m {text}\n"),
            None => format!("{name} {text}\n"),
        };
        drop(state);
        write(&self.output, &line);
    }

    fn paint(&self, state: &State, name: &str) -> Option<&'static str> {
        self.style.color.then(|| COLORS[state.colors.get(name).copied().unwrap_or(0) % COLORS.len()])
    }

    fn format(&self, state: &State, name: &str, line: &str) -> String {
        let line = line.trim_end_matches('\r');
        if !self.style.prefix {
            return format!("{line}\n");
        }
        let width = state.width;
        match self.paint(state, name) {
            Some(color) => format!("\x1b[{color}m{name:<width$}  | \x1b[0m{line}\n"),
            None => format!("{name:<width$}  | {line}\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn lines_are_whole_and_prefixed() {
        let sink = Arc::new(Mutex::new(Vec::new()));
        let output: Output = sink.clone();
        let printer = LogPrinter::new(output, LogStyle { color: false, prefix: true });
        printer.register("web-1");
        printer.register("worker-1");
        printer.feed("web-1", false, b"a\nb");
        printer.feed("worker-1", true, b"x\r\n");
        printer.feed("web-1", true, b"err\n");
        printer.feed("web-1", false, b"c\n");
        printer.feed("web-1", false, b"end");
        printer.flush("web-1");
        let text = String::from_utf8(sink.lock().unwrap().clone()).unwrap();
        assert_eq!(text, "web-1     | a\nworker-1  | x\nweb-1     | err\nweb-1     | bc\nweb-1     | end\n");
    }
}
