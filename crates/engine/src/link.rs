//! A connection to one shim: requests with answers, and what happens down there as notices. Nobody waits for a shim while
//! holding a lock, and a shim that goes answers everything that was still asked of it.

use dhow_runtime::Error as Refusal;
use dhow_shim::{Client, Event, Exit, Request, Target};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use rustix::process::Signal;
use std::{
    collections::HashMap,
    io,
    path::PathBuf,
    process::Child,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::unix::AsyncFd,
    sync::{mpsc, oneshot},
    time::timeout,
};

/// A shim answers within milliseconds; one that says nothing for so long has been stopped (SIGSTOP), or the machine stands still.
const PATIENCE: Duration = Duration::from_secs(3);
/// What is asked of a running container is done within that, also by another runtime, or it is a failure.
const LONG: Duration = Duration::from_secs(20);
/// A start may have to wait for disks, and another runtime is given a minute for each of its steps.
const LONGEST: Duration = Duration::from_secs(150);

const GONE: &str = "it has gone";

/// What a shim says by itself.
#[derive(Debug)]
pub(crate) enum Notice {
    /// First on every connection.
    Hello { pid: Option<i32>, running: bool, exit: Option<Exit>, execs: Vec<(String, i32)> },
    /// PID 1 ended.
    Exited(Exit),
    /// An exec ended that nobody registered for: one that is older than this daemon.
    ExecExited(String, Exit),
    /// The shim has gone.
    Gone,
}

/// What a shim says, in its order. After [`Notice::Gone`] it is gone for whoever asks again.
#[derive(Debug)]
pub(crate) struct Notices {
    said: mpsc::UnboundedReceiver<Notice>,
    gone: bool,
}

impl Notices {
    pub(crate) fn new(said: mpsc::UnboundedReceiver<Notice>) -> Self {
        Self { said, gone: false }
    }

    /// The notices of a shim that has gone.
    pub(crate) fn over() -> Self {
        Self { gone: true, ..Self::new(mpsc::unbounded_channel().1) }
    }

    /// The next. Who reads the shim never goes without [`Notice::Gone`], unless the daemon itself is ending: then tasks are dropped in any
    /// order, and nothing of a container may be concluded from that.
    pub(crate) async fn next(&mut self) -> Notice {
        if self.gone {
            return Notice::Gone;
        }
        let Some(notice) = self.said.recv().await else { return std::future::pending().await };
        self.gone = matches!(notice, Notice::Gone);
        notice
    }
}

#[derive(Debug)]
struct Polled(Client);

impl AsRawFd for Polled {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Link {
    client: AsyncFd<Polled>,
    /// Its folder, by which its process is found.
    dir: PathBuf,
    next: AtomicU32,
    open: Mutex<Open>,
    /// The shim, until somebody reaps it.
    child: Mutex<Option<Child>>,
}

/// What waits for an answer.
#[derive(Debug, Default)]
struct Open {
    replies: HashMap<u32, oneshot::Sender<Result<i32, Refusal>>>,
    exits: HashMap<String, oneshot::Sender<Exit>>,
    gone: bool,
}

impl Link {
    /// Takes the connection to the shim in `dir` over. `child` is reaped when the shim has gone.
    pub(crate) fn new(
        client: Client,
        dir: PathBuf,
        child: Option<Child>,
    ) -> io::Result<(Arc<Self>, Notices)> {
        #[expect(
            deprecated,
            reason = "its successor is unsafe; Polled owns its descriptor and never lets go of it"
        )]
        let client = AsyncFd::new(Polled(client))?;
        let link = Arc::new(Self {
            client,
            dir,
            next: AtomicU32::new(1),
            open: Mutex::default(),
            child: Mutex::new(child),
        });
        let (sender, said) = mpsc::unbounded_channel();
        tokio::spawn(read(link.clone(), sender));
        Ok((link, Notices::new(said)))
    }

    /// An error of this connection, which names the container.
    fn trouble(&self, detail: &str) -> Refusal {
        let id = self.dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Refusal {
            step: "talk to the shim of container".to_owned(),
            object: id,
            errno: 0,
            detail: detail.to_owned(),
        }
    }

    /// The shim's process, for who will reap it when it has gone; else the link does.
    pub(crate) fn take_child(&self) -> Option<Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Sends a request and waits for its answer: the pid for `Create`, `Go` and `Exec`, else 0.
    pub(crate) async fn call(&self, request: &Request, fds: &[BorrowedFd<'_>]) -> Result<i32, Refusal> {
        self.ask(request, fds).await?.answer().await
    }

    /// Sends a request: the shim does one after the other, and others may be sent before it has answered.
    pub(crate) async fn ask(&self, request: &Request, fds: &[BorrowedFd<'_>]) -> Result<Asked<'_>, Refusal> {
        let seq = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        {
            let mut open = self.lock();
            if open.gone {
                return Err(self.trouble(GONE));
            }
            open.replies.insert(seq, sender);
        }
        if let Err(failure) = self.send(seq, request, fds).await {
            self.lock().replies.remove(&seq);
            return Err(Refusal {
                errno: failure.raw_os_error().unwrap_or(0),
                ..self.trouble(&failure.to_string())
            });
        }
        let silence = match request {
            Request::Goodbye | Request::Signal { target: Target::Init, signal: 9 } => Silence::Kills,
            Request::Signal { .. } => Silence::Fails(PATIENCE),
            Request::Create { .. } | Request::Go => Silence::Fails(LONGEST),
            _ => Silence::Fails(LONG),
        };
        Ok(Asked { link: self, answer, silence })
    }

    /// The first notice, which is `Hello`; none from a shim that cannot be woken.
    pub(crate) async fn hello(&self, notices: &mut Notices) -> Option<Notice> {
        if let Ok(notice) = timeout(PATIENCE, notices.next()).await {
            return Some(notice);
        }
        self.prod(Signal::CONT).await;
        timeout(PATIENCE, notices.next()).await.ok()
    }

    /// Signals the shim itself, which says nothing.
    async fn prod(&self, signal: Signal) {
        tracing::warn!(shim = %self.dir.display(), ?signal, "a shim does not answer");
        let dir = self.dir.clone();
        let found = crate::blocking::run(move || {
            dhow_shim::signal_shim(&dir, signal)
                .map_err(|e| crate::error::io("signal the shim in", dir.display(), e))
        });
        match found.await {
            Ok(true) => {}
            Ok(false) => tracing::debug!(shim = %self.dir.display(), "it has gone meanwhile"),
            Err(failure) => tracing::error!(%failure, "a shim that does not answer is left alone"),
        }
    }

    /// Registers for the end of an exec; call it before the exec is started. Fails when the shim goes.
    pub(crate) fn exit_of(&self, id: &str) -> oneshot::Receiver<Exit> {
        let (sender, exit) = oneshot::channel();
        let mut open = self.lock();
        if !open.gone {
            open.exits.insert(id.to_owned(), sender);
        }
        exit
    }

    /// The exec was never started: nobody waits for it any more.
    pub(crate) fn forget(&self, id: &str) {
        self.lock().exits.remove(id);
    }

    /// Hands a stream end to the shim.
    pub(crate) async fn attach(&self, target: Target, end: OwnedFd, wanted: Streams) -> Result<(), Refusal> {
        self.ask_attach(target, end, wanted).await?.answer().await.map(drop)
    }

    /// The same, with the answer for later.
    pub(crate) async fn ask_attach(
        &self,
        target: Target,
        end: OwnedFd,
        wanted: Streams,
    ) -> Result<Asked<'_>, Refusal> {
        let Streams { stdin, stdout, stderr } = wanted;
        self.ask(&Request::Attach { target, stdin, stdout, stderr }, &[end.as_fd()]).await
    }

    /// Signals a process of the container.
    pub(crate) async fn signal(&self, target: Target, signal: i32) -> Result<(), Refusal> {
        self.call(&Request::Signal { target, signal }, &[]).await.map(|_| ())
    }

    async fn send(&self, seq: u32, request: &Request, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        loop {
            match self.client.get_ref().0.send(seq, request, fds) {
                Err(full) if full.kind() == io::ErrorKind::WouldBlock => {
                    self.client.writable().await?.clear_ready();
                }
                other => return other,
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn dispatch(&self, event: Event, notices: &mpsc::UnboundedSender<Notice>) {
        let answer = |seq: u32, result| {
            if let Some(waiting) = self.lock().replies.remove(&seq)
                && waiting.send(result).is_err()
            {
                tracing::debug!(seq, "the asker of a shim has gone");
            }
        };
        let notice = match event {
            Event::Hello { pid, running, exit, execs } => Notice::Hello { pid, running, exit, execs },
            Event::Created { seq, pid } | Event::Started { seq, pid } => return answer(seq, Ok(pid)),
            Event::Done { seq } => return answer(seq, Ok(0)),
            Event::Failed { seq, step, object, errno, detail } => {
                return answer(seq, Err(Refusal { step, object, errno, detail }));
            }
            Event::Exited { target: Target::Init, exit } => Notice::Exited(exit),
            Event::Exited { target: Target::Exec(id), exit } => match self.lock().exits.remove(&id) {
                Some(waiting) => {
                    if waiting.send(exit).is_err() {
                        tracing::debug!(exec = id, "nobody waits for this exec any more");
                    }
                    return;
                }
                None => Notice::ExecExited(id, exit),
            },
        };
        if notices.send(notice).is_err() {
            tracing::debug!("the container's task has gone before its shim");
        }
    }
}

/// A request that was sent.
#[derive(Debug)]
#[must_use]
pub(crate) struct Asked<'a> {
    link: &'a Link,
    answer: oneshot::Receiver<Result<i32, Refusal>>,
    silence: Silence,
}

/// What becomes of a request whose shim does not answer even when woken: it waits for something itself (a runtime or a disk that hangs), or
/// somebody holds it where no signal helps.
#[derive(Debug, Clone, Copy)]
enum Silence {
    /// It was to end its container: it is killed, and the container dies with it.
    Kills,
    /// After so long.
    Fails(Duration),
}

impl Asked<'_> {
    /// The pid for `Create`, `Go` and `Exec`, else 0. A shim that does not answer is woken first: somebody may have stopped it.
    pub(crate) async fn answer(mut self) -> Result<i32, Refusal> {
        if let Ok(answer) = timeout(PATIENCE, &mut self.answer).await {
            return answer.unwrap_or_else(|_| Err(self.link.trouble(GONE)));
        }
        self.link.prod(Signal::CONT).await;
        let patience = match self.silence {
            Silence::Kills => PATIENCE,
            Silence::Fails(patience) => patience,
        };
        match (timeout(patience, &mut self.answer).await, self.silence) {
            (Ok(answer), _) => return answer.unwrap_or_else(|_| Err(self.link.trouble(GONE))),
            (Err(_), Silence::Kills) => self.link.prod(Signal::KILL).await,
            (Err(_), Silence::Fails(_)) => {
                let seconds = (PATIENCE + patience).as_secs();
                return Err(self.link.trouble(&format!("it has not answered for {seconds} s")));
            }
        }
        self.answer.await.unwrap_or_else(|_| Err(self.link.trouble(GONE)))
    }
}

/// Which streams an attached client takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Streams {
    pub(crate) stdin: bool,
    pub(crate) stdout: bool,
    pub(crate) stderr: bool,
}

/// Reads events until the shim has gone, then answers whatever is still open and reaps it.
async fn read(link: Arc<Link>, notices: mpsc::UnboundedSender<Notice>) {
    let failure = loop {
        let mut ready = match link.client.readable().await {
            Ok(ready) => ready,
            Err(failure) => break Some(failure),
        };
        match link.client.get_ref().0.recv() {
            Ok(Some(event)) => link.dispatch(event, &notices),
            Ok(None) => break None,
            Err(empty) if empty.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
            Err(failure) if failure.kind() == io::ErrorKind::Interrupted => {}
            Err(failure) => break Some(failure),
        }
    };
    if let Some(failure) = failure {
        tracing::debug!(%failure, "the connection to a shim broke");
    }
    let open = {
        let mut open = link.lock();
        open.gone = true;
        std::mem::take(&mut *open)
    };
    link.lock().gone = true;
    drop(open);
    if notices.send(Notice::Gone).is_err() {
        tracing::debug!("a shim went after its container's task");
    }
    if let Some(mut child) = link.take_child() {
        // It has closed its socket, so it is ending: this takes microseconds, on a thread that may block.
        let reaped =
            crate::blocking::run(move || child.wait().map_err(|e| crate::error::io("reap", "shim", e))).await;
        if let Err(failure) = reaped {
            tracing::warn!(%failure, "a shim was not reaped");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reader_that_is_dropped_is_no_shim_that_has_gone() {
        let (sender, said) = mpsc::unbounded_channel();
        let mut notices = Notices::new(said);
        sender.send(Notice::Exited(Exit { code: 7, oom: false, at: 1 })).unwrap();
        drop(sender);
        assert!(matches!(notices.next().await, Notice::Exited(Exit { code: 7, .. })));
        // as when the daemon ends: whoever waits here is dropped as well, and must not have taken the container for dead
        timeout(Duration::from_millis(50), notices.next()).await.unwrap_err();
    }

    #[tokio::test]
    async fn who_has_gone_stays_gone() {
        let (sender, said) = mpsc::unbounded_channel();
        let mut notices = Notices::new(said);
        sender.send(Notice::Gone).unwrap();
        drop(sender);
        for _ in 0..2 {
            assert!(matches!(notices.next().await, Notice::Gone));
        }
        assert!(matches!(Notices::over().next().await, Notice::Gone));
    }
}
