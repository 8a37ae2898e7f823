//! How far something is on disk, and who waits for it.

use crate::error::{Error, Result};
use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Wake, Waker},
};

/// A mark that moves forward: up to it, all is done. A failure ends every wait beyond the mark, and the marks start over.
#[derive(Debug)]
pub(crate) struct Progress(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    done: i64,
    /// Grows with each failure: a mark of an older generation says nothing about a newer one.
    generation: u64,
    /// Where `done` was when the last generation failed, and why it did.
    failure: Option<(i64, Error)>,
    waiting: Vec<Waiting>,
    last_id: u64,
}

#[derive(Debug)]
struct Waiting {
    id: u64,
    mark: i64,
    waker: Waker,
}

impl Progress {
    pub(crate) fn new(done: i64) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State { done, ..State::default() })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves the mark, and wakes who waited for that.
    pub(crate) fn advance(&self, done: i64) {
        let mut state = self.lock();
        state.done = state.done.max(done);
        let done = state.done;
        wake(state, |waiting| waiting.mark <= done);
    }

    /// Nothing beyond the mark will come. It starts over at `done`.
    pub(crate) fn fail(&self, done: i64, why: &Error) {
        let mut state = self.lock();
        state.failure = Some((state.done, why.clone()));
        state.generation += 1;
        state.done = done;
        wake(state, |_| true);
    }

    /// A promise that is kept when the mark reaches `mark`.
    pub(crate) fn ticket(self: &Arc<Self>, mark: i64) -> Ticket {
        let generation = self.lock().generation;
        Ticket { progress: Arc::clone(self), generation, mark, id: 0 }
    }

    /// Whether anybody waits.
    pub(crate) fn is_awaited(&self) -> bool {
        !self.lock().waiting.is_empty()
    }

    #[cfg(test)]
    pub(crate) fn waiters(&self) -> usize {
        self.lock().waiting.len()
    }
}

/// Wakes outside the lock: a waker may run code of the executor.
fn wake(mut state: MutexGuard<'_, State>, which: impl Fn(&Waiting) -> bool) {
    let mut woken = Vec::new();
    state.waiting.retain(|waiting| {
        let which = which(waiting);
        if which {
            woken.push(waiting.waker.clone());
        }
        !which
    });
    drop(state);
    woken.into_iter().for_each(Waker::wake);
}

/// A promise that something will be on disk: a future for tasks, [`Ticket::wait`] for threads.
#[derive(Debug)]
#[must_use]
pub struct Ticket {
    progress: Arc<Progress>,
    generation: u64,
    mark: i64,
    /// Of the entry in the list of those who wait; 0 before the first poll.
    id: u64,
}

impl Clone for Ticket {
    fn clone(&self) -> Self {
        Self { progress: Arc::clone(&self.progress), generation: self.generation, mark: self.mark, id: 0 }
    }
}

impl Ticket {
    /// Blocks until it is known.
    ///
    /// # Errors
    /// If the disk failed first.
    pub fn wait(self) -> Result<()> {
        let mut ticket = std::pin::pin!(self);
        let waker = Waker::from(Arc::new(Thread(std::thread::current())));
        let mut context = Context::from_waker(&waker);
        loop {
            match ticket.as_mut().poll(&mut context) {
                Poll::Ready(outcome) => return outcome,
                Poll::Pending => std::thread::park(),
            }
        }
    }

    /// Whether it is kept already.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(outcome(&self.progress.lock(), self), Some(Ok(())))
    }

    /// The answer does not depend on it.
    pub fn forget(self) {}
}

struct Thread(std::thread::Thread);

impl Wake for Thread {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn outcome(state: &State, ticket: &Ticket) -> Option<Result<()>> {
    if ticket.generation == state.generation {
        return (state.done >= ticket.mark).then_some(Ok(()));
    }
    let (done, why) = state.failure.as_ref()?;
    // A ticket from before the last failure but one: nobody knows any more, and an error promises nothing.
    let kept = ticket.generation + 1 == state.generation && *done >= ticket.mark;
    Some(if kept { Ok(()) } else { Err(why.clone()) })
}

impl Future for Ticket {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let progress = Arc::clone(&self.progress);
        let mut state = progress.lock();
        if let Some(outcome) = outcome(&state, &self) {
            return Poll::Ready(outcome);
        }
        if let Some(waiting) = state.waiting.iter_mut().find(|waiting| waiting.id == self.id) {
            waiting.waker.clone_from(context.waker());
        } else {
            state.last_id += 1;
            self.id = state.last_id;
            state.waiting.push(Waiting { id: self.id, mark: self.mark, waker: context.waker().clone() });
        }
        Poll::Pending
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.id != 0 {
            self.progress.lock().waiting.retain(|waiting| waiting.id != self.id);
        }
    }
}
