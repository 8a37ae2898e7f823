//! The task that keeps the broker as it is wanted. Woken by commands, networks, and the broker's end; by time only while something is wrong.

use super::{
    NAME, State, Status, Wanted, data,
    process::{self, Answer, Process},
    program,
};
use crate::shared::Shared;
use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// The first wait before a broker that ended is started again; each time twice as long.
const SOON: Duration = Duration::from_millis(100);
/// The longest such wait; and that before an address is tried again. No event tells that somebody else left it.
const LATER: Duration = Duration::from_secs(30);
/// A broker that lived so long was well.
const WELL: Duration = Duration::from_secs(10);

/// Why a run of the broker is over.
enum Over {
    Unwanted,
    Died(String),
    /// The engine goes.
    Drained,
}

/// Until the engine goes.
pub(super) async fn keep(shared: Weak<Shared>, mut wanted: watch::Receiver<Option<Wanted>>) {
    let mut restarts = 0;
    let mut wait = SOON;
    loop {
        let want = wanted.borrow_and_update().clone();
        let Some(want) = want else {
            (restarts, wait) = (0, SOON);
            // Nobody is left to be told, if the engine has gone.
            if let Some(shared) = shared.upgrade() {
                shared.kafka.send_replace(Status::default());
            }
            if wanted.changed().await.is_err() {
                return;
            }
            continue;
        };
        let Some(shared) = shared.upgrade() else { return };
        let status = &shared.kafka;
        let starting = Status {
            state: State::Starting,
            port: want.port,
            restarts,
            round: want.round,
            ..Status::default()
        };
        status.send_replace(starting);
        // A drain waits for whoever holds this.
        let _busy = shared.tidying.clone().read_owned().await;
        if shared.draining() {
            return;
        }
        let began = Instant::now();
        let mut run = Run { shared: &shared, wanted: &mut wanted, restarts };
        let over = run.run(want).await;
        name(&shared, false);
        let why = match over {
            Over::Drained => return,
            Over::Unwanted => continue,
            Over::Died(why) => why,
        };
        if began.elapsed() > WELL {
            wait = SOON;
        }
        tracing::error!(again_in = ?wait, "Kafka broker: {why}");
        let round = status.borrow().round;
        let port = status.borrow().port;
        status.send_replace(Status {
            state: State::Failed,
            port,
            restarts,
            error: why,
            round,
            ..Status::default()
        });
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            changed = wanted.changed() => if changed.is_err() { return },
            () = shared.drains() => return,
        }
        (restarts, wait) = (restarts + 1, (wait * 2).min(LATER));
    }
}

/// One run of the program.
struct Run<'a> {
    shared: &'a Arc<Shared>,
    wanted: &'a mut watch::Receiver<Option<Wanted>>,
    restarts: u32,
}

impl Run<'_> {
    async fn run(&mut self, mut want: Wanted) -> Over {
        let mut networks = self.shared.networks.changes();
        let mut broker = match Process::start(&program(self.shared), &data(self.shared)) {
            Ok(broker) => broker,
            Err(failure) => return Over::Died(failure.message),
        };
        let mut said: Option<(Wanted, Vec<String>)> = None;
        // Lists that the broker has not answered yet: only the last answer counts.
        let mut open = 0;
        let mut retry = false;
        loop {
            networks.borrow_and_update();
            let addresses = process::wanted(want.port, &self.shared.networks);
            let now = (want.clone(), addresses);
            if retry || said.as_ref() != Some(&now) {
                if broker.listen(&now.1).await.is_err() {
                    return Over::Died(broker.ended().await);
                }
                said = Some(now);
                open += 1;
                retry = false;
            }
            let refused = !self.shared.kafka.borrow().refused.is_empty();
            tokio::select! {
                answer = broker.answer() => match answer {
                    Some(answer) => {
                        open -= 1;
                        if open == 0 {
                            self.serves(&want, &broker, answer);
                        }
                    }
                    None => return Over::Died(broker.ended().await),
                },
                _ = networks.changed() => {}
                () = tokio::time::sleep(LATER), if refused => retry = true,
                changed = self.wanted.changed() => {
                    let next = self.wanted.borrow_and_update().clone();
                    match next {
                        Some(next) if changed.is_ok() => want = next,
                        _ => {
                            broker.stop().await;
                            return if changed.is_ok() { Over::Unwanted } else { Over::Drained };
                        }
                    }
                }
                () = self.shared.drains() => {
                    broker.stop().await;
                    return Over::Drained;
                }
            }
        }
    }

    /// Publishes what the broker says of itself.
    fn serves(&self, want: &Wanted, broker: &Process, answer: Answer) {
        for (address, why) in &answer.failed {
            if self.shared.kafka.borrow().refused.get(address) != Some(why) {
                tracing::warn!("the Kafka broker cannot listen on {address}: {why}");
            }
        }
        name(self.shared, true);
        self.shared.kafka.send_replace(Status {
            state: State::Running,
            port: want.port,
            pid: broker.pid(),
            listening: answer.listening,
            refused: answer.failed,
            restarts: self.restarts,
            error: String::new(),
            round: want.round,
        });
    }
}

/// Gives containers the broker's name, or takes it away.
fn name(shared: &Shared, there: bool) {
    shared.net.name_host(there.then_some(NAME));
}
