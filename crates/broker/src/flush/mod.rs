//! Group commit: one thread syncs what was written, and tells everybody who waits.
//!
//! Whoever writes does so to the page cache and reports itself: [`Flusher::now`] when somebody waits for the disk, [`Flusher::later`]
//! when nobody does. The thread takes all that was reported, syncs each once, and starts over; what is written meanwhile shares the
//! next round. So one writer pays one sync, and a hundred writers of one file pay one as well. A broker that nobody writes to is
//! never woken.

mod progress;
mod tail;

pub(crate) use progress::Progress;
pub use progress::Ticket;
pub(crate) use tail::Tail;

use crate::error::{At as _, Result};
use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// How long what nobody waits for may stay in the page cache alone.
const LINGER: Duration = Duration::from_secs(1);

/// Something with a file behind it.
pub(crate) trait Flush: Send + Sync {
    /// Syncs what was written until now and reports to those who wait. Called on the flusher's thread alone.
    fn flush(self: Arc<Self>);
}

/// The thread that syncs.
pub struct Flusher {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    queue: Mutex<Queue>,
    work: Condvar,
}

#[derive(Default)]
struct Queue {
    now: Vec<Arc<dyn Flush>>,
    later: Vec<Arc<dyn Flush>>,
    /// When the first of `later` came.
    since: Option<Instant>,
    closing: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Flusher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flusher").finish_non_exhaustive()
    }
}

impl Flusher {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system has no thread left.
    pub fn start() -> Result<Arc<Self>> {
        let shared = Arc::new(Shared { queue: Mutex::default(), work: Condvar::new() });
        let inside = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("flush".to_owned())
            .stack_size(256 * 1024)
            .spawn(move || run(&inside))
            .at("start", "the flusher's thread")?;
        Ok(Arc::new(Self { shared, thread: Mutex::new(Some(thread)) }))
    }

    /// Somebody waits for `what` to be on disk.
    pub(crate) fn now(&self, what: Arc<dyn Flush>) {
        let mut queue = self.shared.lock();
        let idle = queue.now.is_empty();
        queue.now.push(what);
        drop(queue);
        if idle {
            self.shared.work.notify_one();
        }
    }

    /// `what` shall be on disk within [`LINGER`].
    pub(crate) fn later(&self, what: Arc<dyn Flush>) {
        let mut queue = self.shared.lock();
        let first = queue.since.is_none();
        queue.since.get_or_insert_with(Instant::now);
        queue.later.push(what);
        drop(queue);
        if first {
            self.shared.work.notify_one();
        }
    }

    /// Flushes what is reported, and ends the thread.
    pub fn close(&self) {
        self.shared.lock().closing = true;
        self.shared.work.notify_one();
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // A panic in the thread has been printed, and aborts the process in a release build.
            drop(thread.join());
        }
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        self.close();
    }
}

fn run(shared: &Shared) {
    loop {
        let (round, closing) = next_round(shared);
        for what in round {
            what.flush();
        }
        if closing {
            return;
        }
    }
}

/// Sleeps until there is something to sync.
fn next_round(shared: &Shared) -> (Vec<Arc<dyn Flush>>, bool) {
    let mut queue = shared.lock();
    loop {
        let due = queue.closing || queue.since.is_some_and(|since| since.elapsed() >= LINGER);
        if due || !queue.now.is_empty() {
            let mut round = std::mem::take(&mut queue.now);
            if due {
                queue.since = None;
                round.append(&mut queue.later);
            }
            return (round, queue.closing);
        }
        queue = match queue.since {
            None => shared.work.wait(queue).unwrap_or_else(PoisonError::into_inner),
            Some(since) => {
                let left = LINGER.saturating_sub(since.elapsed());
                shared.work.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0
            }
        };
    }
}
