//! What a container's task keeps in every state: its record, how it stands, who waits; and how that reaches readers, journal and events.

use super::Ahead;
use crate::{
    Error, Kind, Result, blocking,
    containers::{
        Book, Health, Status,
        book::{Handle, Queued},
        logging,
        record::{Record, Standing},
    },
    error::io,
    events::{Event, Time},
    shared::Shared,
    sinks::{self, Forwarder, Identity},
};
use dhow_store::Ticket;
use std::{path::PathBuf, sync::Arc};
use tokio::task::JoinHandle;

/// See the module.
#[derive(Debug)]
pub(crate) struct Keeper {
    pub(crate) shared: Arc<Shared>,
    pub(crate) handle: Arc<Handle>,
    pub(crate) record: Arc<Record>,
    pub(crate) standing: Standing,
    pub(crate) health: Option<Health>,
    /// Attached before the start.
    pub(crate) queue: Vec<Queued>,
    /// `containers/<id>`.
    pub(crate) dir: PathBuf,
    /// What the first start needs.
    pub(crate) ahead: Option<Ahead>,
    /// What the last run left is being cleaned up.
    pub(crate) cleanup: Option<JoinHandle<()>>,
    /// Counts starts of this daemon's life: probes of an older run do not count.
    pub(crate) runs: u64,
    /// Sends its log where the driver says.
    pub(crate) forwarder: Option<Forwarder>,
}

impl Keeper {
    pub(crate) fn id(&self) -> &str {
        &self.record.id
    }

    pub(crate) fn book(&self) -> &Book {
        &self.shared.containers
    }

    /// Shows readers how it stands now.
    pub(crate) fn publish(&self) {
        self.handle.publish(self.record.view(&self.standing, self.health.clone(), &self.dir));
    }

    /// Writes how it stands; nobody waits.
    pub(crate) fn save_state(&self) {
        if let Some(ticket) = self.record_state() {
            ticket.forget();
        }
    }

    fn record_state(&self) -> Option<Ticket> {
        let recorded = self.shared.journal(&format!("state/{}", self.id()), &self.standing);
        recorded
            .inspect_err(|failure| {
                tracing::error!(id = self.id(), %failure, "the state of a container is not recorded");
            })
            .ok()
    }

    /// Writes what it is made from.
    pub(crate) fn save_record(&self) -> Result<Ticket> {
        self.shared.journal(&format!("container/{}", self.id()), &*self.record)
    }

    /// Publishes and writes a status.
    pub(crate) fn set_status(&mut self, status: Status) {
        self.note_status(status).forget();
    }

    /// The same; what else knows of it may go when [`Noted::written`] has come back.
    pub(crate) fn note_status(&mut self, status: Status) -> Noted {
        self.standing.status = status;
        self.publish();
        Noted(self.record_state())
    }

    /// One of docker's events, with its attributes.
    pub(crate) fn event<const N: usize>(&self, action: &str, extra: [(&str, &str); N]) {
        emit(&self.shared, &self.record, action, &extra);
    }

    /// From now on, or on as before, its log goes where its driver says. A log that cannot be forwarded stops no container.
    pub(crate) async fn forward_log(&mut self) {
        let log = &self.record.spec.host.log;
        let Some(driver) = sinks::driver(&log.driver, &logging::own_options(&log.options)) else { return };
        let driver = driver.map_err(|why| Error::new(Kind::Invalid, why));
        let started = match (driver, Identity::of(&self.record), self.forwarder.take()) {
            (Ok(_), Ok(identity), Some(forwarder)) => {
                forwarder.rename(identity);
                Ok(forwarder)
            }
            (Ok(driver), Ok(identity), None) => {
                let (shared, path) = (self.shared.clone(), self.record.log_path(&self.dir));
                blocking::run(move || {
                    Forwarder::start(&shared.log_folders, driver, identity, &path)
                        .map_err(|error| io("forward", path.display(), error))
                })
                .await
            }
            (Err(failure), ..) | (_, Err(failure), _) => Err(failure),
        };
        match started {
            Ok(forwarder) => self.forwarder = Some(forwarder),
            Err(failure) => tracing::error!(id = self.id(), %failure, "a log is not forwarded"),
        }
    }

    /// Waits until nothing of the last run is left.
    pub(crate) async fn settle(&mut self) {
        if let Some(cleanup) = self.cleanup.take()
            && let Err(failure) = cleanup.await
        {
            tracing::error!(id = self.id(), %failure, "cleaning up after a container failed");
        }
    }

    /// Takes the container out of the world: journal, name, list, event; then, after the answer, its files.
    pub(crate) async fn remove(&mut self, volumes: bool, durable: bool) -> Result<()> {
        let before = self.standing.status;
        self.standing.status = Status::Removing;
        self.publish();
        let keys = [format!("container/{}", self.id()), format!("state/{}", self.id())];
        let journal = self.shared.store.journal();
        let [record, state] = keys.map(|key| journal.put(&key, None));
        record.forget();
        if durable {
            if let Err(failure) = self.shared.synced(state).await {
                self.standing.status = before;
                self.publish();
                return Err(failure);
            }
        } else {
            state.forget();
        }
        self.queue.clear();
        self.ahead = None;
        self.book().remove(self.id(), &self.record.name);
        self.shared.execs.drop_of(self.id());
        self.shared.volumes.forget(&self.record);
        self.event("destroy", []);
        let code = self.standing.exit_code;
        self.handle.answer_waiters(code, &self.standing.error, true);
        let (shared, record, cleanup) = (self.shared.clone(), self.record.clone(), self.cleanup.take());
        let forwarder = self.forwarder.take();
        // none while a drain waits: it has seen all that came before
        let tidying = self.shared.tidying.clone().try_read_owned().ok();
        let work = async move {
            let _tidying = tidying;
            if let Some(cleanup) = cleanup
                && let Err(failure) = cleanup.await
            {
                tracing::error!(%failure, "cleaning up after a container failed");
            }
            if let Some(forwarder) = forwarder {
                forwarder.finish().await;
            }
            let removed = blocking::run(move || {
                if volumes {
                    crate::volumes::remove_anonymous(&shared, &record);
                }
                shared.store.remove_snapshot(&record.id)?;
                release_layers(&shared, &record)
            });
            if let Err(failure) = removed.await {
                tracing::error!(%failure, "the files of a removed container are still there");
            }
        };
        if durable {
            // `docker rm` promises that the disk is free again
            work.await;
        } else {
            tokio::spawn(work);
        }
        Ok(())
    }
}

/// A state on its way to the journal.
#[derive(Debug)]
#[must_use]
pub(crate) struct Noted(Option<Ticket>);

impl Noted {
    fn forget(self) {
        if let Some(ticket) = self.0 {
            ticket.forget();
        }
    }

    /// Returns when a daemon that comes after a `kill -9` of this one would read it; nearly always that is so at once.
    pub(crate) async fn written(self) {
        let Some(ticket) = self.0.filter(|ticket| !ticket.is_written()) else { return };
        if let Err(failure) = blocking::run(move || ticket.written().map_err(Into::into)).await {
            tracing::error!(%failure, "the end of a container may not be recorded");
        }
    }
}

/// The layers of an image that was deleted while this container held them.
fn release_layers(shared: &Shared, record: &Record) -> Result<()> {
    if shared.store.image(record.image.as_str()).is_ok() {
        return Ok(());
    }
    let mut keep = shared.containers.layers_in_use();
    keep.extend(shared.kept_layers());
    shared.store.release_layers(&record.diff_ids, &keep)?;
    Ok(())
}

/// One of docker's container events: labels, image and name, and what is special about it.
pub(crate) fn emit(shared: &Shared, record: &Record, action: &str, extra: &[(&str, &str)]) {
    let mut attributes = record.spec.labels.clone();
    attributes.insert("image".to_owned(), record.spec.image.clone());
    attributes.insert("name".to_owned(), record.name.clone());
    for (key, value) in extra {
        attributes.insert((*key).to_owned(), (*value).to_owned());
    }
    shared.events.emit(Event {
        kind: "container",
        action: action.to_owned(),
        id: record.id.clone(),
        attributes,
        time: Time::now(),
    });
}
