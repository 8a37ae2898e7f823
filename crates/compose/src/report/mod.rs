//! Telling the user what happens: events go to a [`Reporter`], which draws or prints them.

mod logs;
mod plain;
mod terminal;

use std::fmt;

pub use logs::{LogPrinter, LogStyle};
pub use plain::Plain;
pub(crate) use terminal::FRAME;
pub use terminal::Terminal;

/// A writer that several tasks share.
pub type Output = std::sync::Arc<std::sync::Mutex<dyn std::io::Write + Send>>;

/// Makes an [`Output`] of a writer.
pub fn output(writer: impl std::io::Write + Send + 'static) -> Output {
    std::sync::Arc::new(std::sync::Mutex::new(writer))
}

/// How far an event has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It has begun.
    Working,
    /// It is done.
    Done,
    /// It went wrong.
    Failed,
    /// It did not happen, which is all right.
    Skipped,
}

/// Something happens to a resource: `Container app-web-1`, `Starting`.
#[derive(Debug, Clone)]
pub struct Event {
    /// `Network`, `Volume`, `Container`, `Image` and the name.
    pub resource: String,
    /// `Creating`, `Created`, `Starting`, …
    pub status: String,
    /// How far it is.
    pub phase: Phase,
    /// More, e.g. the state of a download.
    pub detail: String,
}

/// Takes events. Implementations never fail: an output that is gone is not worth more than silence.
pub trait Reporter: Send + Sync {
    /// Something happens.
    fn event(&self, event: Event);
    /// Something the user should know.
    fn warn(&self, text: &str);
    /// Output of a build step.
    fn build_output(&self, service: &str, text: &str);
    /// Time has passed: redraw if there is something to redraw.
    fn tick(&self) {}
    /// Whether [`Self::tick`] should be called at all.
    fn wants_ticks(&self) -> bool {
        false
    }
    /// The operation is over; later events begin a new picture.
    fn finish(&self) {}
}

impl fmt::Debug for dyn Reporter + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reporter")
    }
}

/// Says nothing but warnings: `--quiet`.
#[derive(Debug)]
pub struct Quiet<R>(pub R);

impl<R: Reporter> Reporter for Quiet<R> {
    fn event(&self, event: Event) {
        if event.phase == Phase::Failed {
            self.0.event(event);
        }
    }

    fn warn(&self, text: &str) {
        self.0.warn(text);
    }

    fn build_output(&self, _: &str, _: &str) {}
}

/// Writes text; a closed pipe is silence, as `Reporter` promises.
fn write(output: &Output, text: &str) {
    let mut writer = output.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    writer.write_all(text.as_bytes()).and_then(|()| writer.flush()).unwrap_or(());
}
