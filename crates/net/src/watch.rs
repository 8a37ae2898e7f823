//! Sees when someone else deletes our table (`nft flush ruleset`, a firewall's reload) and has it written again.

use dhow_sys::netlink::{
    Family, Socket,
    nft::{NFT_GROUP, is_table_deleted},
};
use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, eventfd, poll},
    fd::OwnedFd,
    io::Errno,
};
use std::{
    io,
    sync::Arc,
    thread::{self, JoinHandle},
};

/// Handle of the thread; ends it when dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    end: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Calls `repair` whenever the table is deleted in the caller's network namespace. `repair` says whether to go on.
    pub(crate) fn start(table: String, repair: impl Fn() -> bool + Send + 'static) -> io::Result<Self> {
        let mut socket = Socket::open(Family::Netfilter)?;
        socket.join(NFT_GROUP)?;
        let end = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let theirs = Arc::clone(&end);
        let work = move || {
            loop {
                let mut fds = [PollFd::new(&socket, PollFlags::IN), PollFd::new(&*theirs, PollFlags::IN)];
                let polled = poll(&mut fds, None);
                let ending = !fds[1].revents().is_empty();
                match polled {
                    Ok(_) if ending => return,
                    Ok(_) | Err(Errno::INTR) => {}
                    Err(_) => return,
                }
                let mut gone = false;
                let complete = socket.notices(|notice| gone |= is_table_deleted(notice, &table));
                // Notices that were lost may have been the one.
                if (gone || !complete.unwrap_or(false)) && !repair() {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("net-table".into()).stack_size(256 * 1024).spawn(work)?;
        Ok(Self { end, thread: Some(thread) })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // The counter of an eventfd overflows only after 2⁶⁴ writes.
        rustix::io::write(&*self.end, &1u64.to_ne_bytes()).ok();
        // The last handle may be dropped by the thread itself, inside `repair`.
        if let Some(thread) =
            self.thread.take().filter(|thread| thread.thread().id() != thread::current().id())
        {
            thread.join().ok();
        }
    }
}
