//! One line per event, for files and pipes.

use std::sync::{Mutex, PoisonError};

use super::{Event, Output, Reporter, write};

/// Prints ` Container app-web-1  Started`.
pub struct Plain {
    output: Output,
    prefix: &'static str,
    last: Mutex<String>,
}

impl std::fmt::Debug for Plain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Plain")
    }
}

impl Plain {
    /// Prints to `output`, usually standard error.
    #[must_use]
    pub fn new(output: Output) -> Self {
        Self { output, prefix: "", last: Mutex::new(String::new()) }
    }

    /// Marks each line as a rehearsal.
    #[must_use]
    pub fn dry_run(output: Output) -> Self {
        Self { prefix: " DRY-RUN MODE - ", ..Self::new(output) }
    }
}

impl Reporter for Plain {
    fn event(&self, event: Event) {
        let Event { resource, status, detail, .. } = event;
        let gap = if detail.is_empty() { "" } else { "  " };
        let line = format!("{} {resource}  {status}{gap}{detail}\n", self.prefix);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        // Downloads repeat themselves.
        if *last != line {
            write(&self.output, &line);
            *last = line;
        }
    }

    fn warn(&self, text: &str) {
        write(&self.output, &format!("WARN: {text}\n"));
    }

    fn build_output(&self, service: &str, text: &str) {
        let lines: String = text
            .lines()
            .filter(|line| !line.trim().is_empty())
            .map(|line| format!("{service}: {line}\n"))
            .collect();
        write(&self.output, &lines);
    }
}
