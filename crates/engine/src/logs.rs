//! Reading a container's json-file log: from the end, over rotated files, since and until, and following it.
//! A torn record (power cut, full disk) is skipped, never fatal.
//!
//! One task answers one query. It reads on a blocking thread, in pieces; between pieces a follower sleeps on inotify, so nothing is
//! polled. Rotation is noticed by the live file's inode, so that no record is lost between two files.

pub(crate) mod files;
pub(crate) mod record;

use crate::{
    Error, Kind, Result,
    containers::{LogQuery, Output},
};
use files::Log;
use record::Format;
use rustix::{fd::OwnedFd, fs::inotify};
use std::{
    io,
    mem::MaybeUninit,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};
use tokio::{
    io::unix::AsyncFd,
    sync::{mpsc, watch},
    task,
};

/// Starts answering `query` from the log whose live file is `path` (it need not exist yet). One [`Output`] a record, in order.
///
/// Without `follow` the channel ends at the end of the log. With it, when `stopped` says true (or its sender is gone) and everything that
/// was written before has been sent; when `query.until` has passed; or when the receiver is dropped. An error is the last item.
#[must_use]
pub fn stream(
    path: PathBuf,
    query: LogQuery,
    stopped: watch::Receiver<bool>,
) -> mpsc::Receiver<Result<Output>> {
    let (sender, receiver) = mpsc::channel(256);
    tokio::spawn(async move {
        if let Err(source) = answer(&path, query, stopped, &sender).await {
            let message = format!("read log {}: {source}", path.display());
            let error = Error { kind: Kind::Internal, message, source: Some(Box::new(source)) };
            if sender.send(Err(error)).await.is_err() {
                tracing::debug!(path = %path.display(), "the reader of a log left before its error");
            }
        }
    });
    receiver
}

async fn answer(
    path: &Path,
    query: LogQuery,
    mut stopped: watch::Receiver<bool>,
    sender: &mpsc::Sender<Result<Output>>,
) -> io::Result<()> {
    // Watch first: what is written between reading and watching would be missed otherwise.
    let watch = if query.follow { Some(Watch::new(path)?) } else { None };
    let mut ended = *stopped.borrow_and_update();
    let end_of_time = query.until.map(wait_until);
    let mut log = Log::new(path.to_owned(), query.tail);
    let mut format = Format::new(query);
    loop {
        let mut more;
        (log, format, more) = read_on(log, format, sender.clone()).await?;
        let Some(watch) = watch.as_ref().filter(|_| more && !ended) else { return Ok(()) };
        tokio::select! {
            event = watch.changed() => event?,
            // The state is read again after its last change, and the log once more after that.
            state = stopped.wait_for(|stopped| *stopped) => { drop(state); ended = true; }
            () = sender.closed() => more = false,
            () = sleep(end_of_time), if end_of_time.is_some() => ended = true,
        }
        if !more {
            return Ok(());
        }
    }
}

/// Sends every record up to the log's present end. `false`: enough, whoever asked has left or `until` is reached.
async fn read_on(
    mut log: Log,
    mut format: Format,
    sender: mpsc::Sender<Result<Output>>,
) -> io::Result<(Log, Format, bool)> {
    let work = move || {
        let more = log.read(&mut |line| {
            let verdict = format.line(line);
            if let Some(output) = verdict.output
                && sender.blocking_send(Ok(output)).is_err()
            {
                return false;
            }
            verdict.more
        })?;
        Ok((log, format, more))
    };
    task::spawn_blocking(work).await.map_err(io::Error::other)?
}

fn wait_until(nanos: i64) -> tokio::time::Instant {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let then = Duration::from_nanos(u64::try_from(nanos).unwrap_or(0));
    let now_tokio = tokio::time::Instant::now();
    now_tokio.checked_add(then.saturating_sub(now)).unwrap_or(now_tokio)
}

async fn sleep(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Wakes when something happens in the log's folder.
struct Watch(AsyncFd<OwnedFd>);

impl Watch {
    #[expect(
        deprecated,
        reason = "the descriptor is owned: what the unsafe replacement asks for holds by type"
    )]
    fn new(path: &Path) -> io::Result<Self> {
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let fd = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
        let what = inotify::WatchFlags::MODIFY
            | inotify::WatchFlags::CREATE
            | inotify::WatchFlags::MOVED_TO
            | inotify::WatchFlags::DELETE_SELF;
        inotify::add_watch(&fd, folder, what)?;
        Ok(Self(AsyncFd::new(fd)?))
    }

    async fn changed(&self) -> io::Result<()> {
        let mut guard = self.0.readable().await?;
        let mut space = [MaybeUninit::uninit(); 4096];
        // All that is queued: one reading answers every event so far.
        loop {
            match rustix::io::read(self.0.get_ref(), &mut space) {
                Ok(_) => {}
                Err(rustix::io::Errno::AGAIN) => {
                    guard.clear_ready();
                    return Ok(());
                }
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests;
