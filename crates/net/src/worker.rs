//! Threads of this crate: each waits for events, and ends when its handle is dropped.

use rustix::{
    event::{EventfdFlags, Timespec, epoll, eventfd},
    fd::OwnedFd,
    io::Errno,
};
use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Instant,
};

/// A token of an epoll that is no state's: the end.
pub(crate) const END: u64 = 0;

/// Handle of a thread.
#[derive(Debug)]
pub(crate) struct Worker {
    end: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// `work` returns when the descriptor that it gets is readable.
    pub(crate) fn start(
        name: &str,
        stack: usize,
        work: impl FnOnce(&OwnedFd) + Send + 'static,
    ) -> io::Result<Self> {
        let end = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let theirs = Arc::clone(&end);
        let thread = thread::Builder::new().name(name.to_owned()).stack_size(stack);
        let thread = thread.spawn(move || work(&theirs))?;
        Ok(Self { end, thread: Some(thread) })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // The counter of an eventfd overflows only after 2⁶⁴ writes.
        rustix::io::write(&*self.end, &1u64.to_ne_bytes()).ok();
        // The last handle may be dropped by the thread itself, in its work.
        if let Some(thread) =
            self.thread.take().filter(|thread| thread.thread().id() != thread::current().id())
        {
            // A panic in there has been printed.
            thread.join().ok();
        }
    }
}

/// What a thread does whose events come from an epoll.
pub(crate) trait Events: Send + 'static {
    /// When [`Events::expire`] has something to do.
    fn deadline(&self) -> Option<Instant>;
    /// The descriptor with this token is ready.
    fn event(&mut self, token: u64);
    fn expire(&mut self);
}

/// Starts a thread that serves `state` in the caller's network namespace.
pub(crate) fn serve<S: Events>(name: &str, epoll: Arc<OwnedFd>, state: Arc<Mutex<S>>) -> io::Result<Worker> {
    Worker::start(name, 512 * 1024, move |end| {
        // Only a bug could make epoll fail (a closed descriptor), and spinning would hide it.
        run(&epoll, &state, end).unwrap_or_default();
    })
}

fn run<S: Events>(epoll: &OwnedFd, state: &Mutex<S>, end: &OwnedFd) -> rustix::io::Result<()> {
    epoll::add(epoll, end, epoll::EventData::new_u64(END), epoll::EventFlags::IN)?;
    let mut events = Vec::with_capacity(64);
    loop {
        let timeout = lock(state).deadline().map(until);
        events.clear();
        match epoll::wait(epoll, rustix::buffer::spare_capacity(&mut events), timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
        let mut state = lock(state);
        for event in &events {
            match event.data.u64() {
                END => return Ok(()),
                token => state.event(token),
            }
        }
        state.expire();
    }
}

pub(crate) fn lock<S>(state: &Mutex<S>) -> MutexGuard<'_, S> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn until(deadline: Instant) -> Timespec {
    let left = deadline.saturating_duration_since(Instant::now());
    Timespec {
        tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: left.subsec_nanos().into(),
    }
}
