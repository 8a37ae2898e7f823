//! Sees when someone else deletes our table (`nft flush ruleset`, a firewall's reload) and has it written again.

use crate::worker::Worker;
use dhow_sys::netlink::{
    Family, Socket,
    nft::{NFT_GROUP, is_table_deleted},
};
use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
};
use std::io;

/// Handle of the thread; ends it when dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    _worker: Worker,
}

impl Watch {
    /// Calls `repair` whenever the table is deleted in the caller's network namespace. `repair` says whether to go on.
    pub(crate) fn start(table: String, repair: impl Fn() -> bool + Send + 'static) -> io::Result<Self> {
        let mut socket = Socket::open(Family::Netfilter)?;
        socket.join(NFT_GROUP)?;
        let worker = Worker::start("net-table", 256 * 1024, move |end| {
            loop {
                let mut fds = [PollFd::new(&socket, PollFlags::IN), PollFd::new(end, PollFlags::IN)];
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
        })?;
        Ok(Self { _worker: worker })
    }
}
