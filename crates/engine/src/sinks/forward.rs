//! The forwarder: from the spool of one container to its sink, one record at a time, for as long as the container exists.

use super::{
    backlog::{Backlog, Entry},
    connection::{Connection, Sent},
    hub::{Folder, Hub},
    identity::Identity,
    journald,
    message::{Lines, Message},
    options::{Driver, Format},
};
use crate::blocking;
use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(10);
/// How long the rest of a removed container's log is still sent.
const AFTERLIFE: Duration = Duration::from_secs(10);
/// A connection that carries nothing so long is closed.
const IDLE: Duration = Duration::from_secs(60);
/// Lost records are told at most so often.
const TELL: Duration = Duration::from_secs(60);

/// A container's forwarder. Dropping the handle leaves it running; [`Forwarder::finish`] ends it.
#[derive(Debug)]
pub(crate) struct Forwarder(Arc<Common>);

#[derive(Debug)]
struct Common {
    backlog: Mutex<Backlog>,
    identity: RwLock<Arc<Identity>>,
    folder: Folder,
    path: PathBuf,
    /// The container is removed: what is open is all there will be.
    finishing: AtomicBool,
    told: Mutex<Told>,
}

/// What the daemon's log knows of lost records.
#[derive(Debug, Default)]
struct Told {
    dropped: u64,
    /// Not before.
    again: Option<Instant>,
}

impl Forwarder {
    /// Starts forwarding the log `path`. Blocking, within tokio.
    pub(crate) fn start(hub: &Hub, driver: Driver, identity: Identity, path: &Path) -> io::Result<Self> {
        let folder = path.parent().unwrap_or(Path::new("/")).to_owned();
        let watch = hub.watch(&folder)?;
        let backlog = Backlog::open(path.to_owned(), &folder.join("sink/sent"))?;
        let told = Told { dropped: backlog.dropped, again: None };
        let common = Arc::new(Common {
            backlog: Mutex::new(backlog),
            identity: RwLock::new(Arc::new(identity)),
            folder: watch,
            path: folder,
            finishing: AtomicBool::new(false),
            told: Mutex::new(told),
        });
        let task =
            Task { common: common.clone(), driver, connection: None, down: None, lines: Lines::default() };
        tokio::spawn(task.run());
        Ok(Self(common))
    }

    /// The container has another name: from now on its records do.
    pub(crate) fn rename(&self, identity: Identity) {
        *self.0.identity.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(identity);
    }

    /// The log is about to be removed: its files are kept open until the rest is sent, for ten seconds at most.
    pub(crate) async fn finish(self) {
        let common = self.0.clone();
        let held = blocking::run(move || {
            let mut backlog = common.lock();
            backlog
                .finish()
                .map_err(|error| crate::error::io("open the log of", common.path.display(), error))
        });
        if let Err(failure) = held.await {
            tracing::warn!(%failure, "the last of a log is not sent");
        }
        self.0.finishing.store(true, Ordering::Release);
        self.0.folder.changed.notify_one();
    }
}

impl Common {
    fn lock(&self) -> std::sync::MutexGuard<'_, Backlog> {
        self.backlog.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn finishing(&self) -> bool {
        self.finishing.load(Ordering::Acquire)
    }

    /// Records were lost: said, but not too often.
    fn tell(&self, now: bool) {
        let dropped = self.lock().dropped;
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if dropped == told.dropped || !now && told.again.is_some_and(|again| Instant::now() < again) {
            return;
        }
        let lost = dropped - told.dropped;
        tracing::warn!(log = %self.path.display(), lost, dropped, "log records were dropped before they were sent");
        *told = Told { dropped, again: Some(Instant::now() + TELL) };
    }

    /// Something with the spool, on a thread that may block.
    async fn with<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&mut Backlog) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let common = self.clone();
        tokio::task::spawn_blocking(move || work(&mut common.lock())).await.map_err(io::Error::other)?
    }
}

/// What runs.
struct Task {
    common: Arc<Common>,
    driver: Driver,
    connection: Option<Connection>,
    /// Since when the sink takes nothing.
    down: Option<Instant>,
    lines: Lines,
}

impl Task {
    async fn run(mut self) {
        let mut deadline = None;
        loop {
            let entries = match self.next().await {
                Ok(entries) => entries,
                Err(error) if self.common.finishing() => return self.give_up("it was removed", &error),
                Err(error) => {
                    tracing::warn!(log = %self.common.path.display(), %error, "a log cannot be read to be forwarded; tried again");
                    tokio::time::sleep(LAST_RETRY).await;
                    continue;
                }
            };
            if entries.is_empty() {
                return;
            }
            for entry in entries {
                if self.common.finishing() {
                    deadline.get_or_insert_with(|| Instant::now() + AFTERLIFE);
                }
                if !self.forward(&entry, &mut deadline).await {
                    return self.give_up("it was removed", &"the sink took too long");
                }
            }
        }
    }

    fn give_up(&self, why: &str, error: &dyn std::fmt::Display) {
        let left = self.common.lock().left().unwrap_or(0);
        tracing::warn!(log = %self.common.path.display(), left, %error, "a log is forwarded no more: {why}");
    }

    /// The next records; sleeps while there are none. Nothing: the container is gone and all is sent.
    async fn next(&mut self) -> io::Result<Vec<Entry>> {
        let mut writes = false;
        loop {
            let finishing = self.common.finishing();
            let entries = self
                .common
                .with(|backlog| {
                    backlog.observe()?;
                    backlog.read()
                })
                .await?;
            self.common.tell(false);
            if !entries.is_empty() || finishing {
                if writes
                    && !finishing
                    && let Err(error) = self.common.folder.with_writes(&self.common.path, false)
                {
                    // Then they wake for nothing; or the folder has just gone.
                    tracing::debug!(%error, "writes to a log still wake its forwarder");
                }
                return Ok(entries);
            }
            if writes {
                self.wait().await;
            } else {
                // What is written from here on wakes; what was written before is read in the next round.
                match self.common.folder.with_writes(&self.common.path, true) {
                    Ok(()) => writes = true,
                    // The container was removed in this moment: the next round knows.
                    Err(_) if self.common.finishing() => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }

    /// Sleeps until something is written; closes the connection when that takes long.
    async fn wait(&mut self) {
        tokio::select! {
            () = self.common.folder.changed.notified() => {}
            () = tokio::time::sleep(IDLE), if self.connection.is_some() => self.connection = None,
        }
    }

    /// Sends one record however long it takes; meanwhile the spool may give up older ones. `false`: there is no time left.
    async fn forward(&mut self, entry: &Entry, deadline: &mut Option<Instant>) -> bool {
        if deadline.is_some_and(|end| end <= Instant::now()) {
            return false;
        }
        let Some(message) = self.lines.read(&entry.line) else { return self.sent(entry) };
        let common = self.common.clone();
        {
            let mut delivery = std::pin::pin!(self.deliver(&message));
            loop {
                let end = *deadline;
                tokio::select! {
                    biased;
                    sent = &mut delivery => {
                        common.lock().dropped += u64::from(!sent);
                        break;
                    }
                    () = common.folder.changed.notified() => {
                        if common.finishing() {
                            deadline.get_or_insert_with(|| Instant::now() + AFTERLIFE);
                        } else if let Err(error) = common.with(Backlog::observe).await {
                            tracing::warn!(log = %common.path.display(), %error, "the files of a log cannot be seen");
                        } else {
                            common.tell(false);
                        }
                    }
                    () = until(end) => return false,
                }
            }
        }
        self.sent(entry)
    }

    fn sent(&mut self, entry: &Entry) -> bool {
        let noted = self.common.lock().sent(entry.end);
        if let Err(error) = noted {
            tracing::warn!(log = %self.common.path.display(), %error, "what was sent of a log is not noted");
        }
        self.common.tell(false);
        true
    }

    /// Connects and sends until the sink has it; `false`: it is no record for this sink.
    async fn deliver(&mut self, message: &Message) -> bool {
        let mut delay = self.driver.retry.unwrap_or(FIRST_RETRY);
        loop {
            match self.attempt(message).await {
                Ok(sent) => {
                    if let Some(since) = self.down.take() {
                        let seconds = since.elapsed().as_secs();
                        tracing::info!(log = %self.common.path.display(), seconds, "a log sink takes records again");
                        self.common.tell(true);
                    }
                    return sent == Sent::Yes;
                }
                Err(error) => {
                    self.connection = None;
                    if self.down.is_none() {
                        tracing::warn!(log = %self.common.path.display(), %error, "a log sink takes nothing; its records wait");
                        self.down = Some(Instant::now());
                    }
                }
            }
            // Nothing tells when a sink is back.
            tokio::time::sleep(delay).await;
            delay = (delay * 2).clamp(FIRST_RETRY, LAST_RETRY);
        }
    }

    async fn attempt(&mut self, message: &Message) -> io::Result<Sent> {
        let identity = self.common.identity.read().unwrap_or_else(PoisonError::into_inner).clone();
        let (packets, acknowledged) = match &self.driver.format {
            Format::Syslog(syslog) => (syslog.encode(&identity, message).into_iter().collect(), None),
            Format::Journald => (vec![journald::encode(&identity, message)], None),
            Format::Fluentd(fluentd) => {
                let (bytes, acknowledged) = fluentd.encode(&identity, message);
                (vec![bytes], acknowledged)
            }
            Format::Gelf(gelf) => match gelf.encode(&identity, message) {
                Ok(packets) => (packets, None),
                Err(error) => {
                    tracing::debug!(%error, "a record is too long for its sink");
                    return Ok(Sent::TooLong);
                }
            },
        };
        if packets.is_empty() {
            return Ok(Sent::Yes);
        }
        let connection = match &mut self.connection {
            Some(connection) => connection,
            None => self.connection.insert(Connection::open(&self.driver.address, &self.driver.trust).await?),
        };
        connection.send(&packets, acknowledged.as_deref()).await
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
