//! Answers, and how they come to whoever waits for them.

use crate::flush::Ticket;
use dhow_kafka::Code;
use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker},
};

/// To JoinGroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinAnswer {
    /// What went wrong.
    pub code: Code,
    /// -1 if something did.
    pub generation: i32,
    /// `consumer`, `connect`, …
    pub protocol_type: Option<String>,
    /// The one that all members have.
    pub protocol: Option<String>,
    /// The member that makes the assignment.
    pub leader: String,
    /// The leader keeps the assignment that there is.
    pub skip_assignment: bool,
    /// The name of who asked, perhaps a new one.
    pub member_id: String,
    /// All members, for the leader.
    pub members: Vec<JoinedMember>,
}

/// A member, as the leader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinedMember {
    /// Its name.
    pub id: String,
    /// Its static name.
    pub instance: Option<String>,
    /// Its subscription.
    pub metadata: Vec<u8>,
}

/// To SyncGroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncAnswer {
    /// What went wrong.
    pub code: Code,
    /// As in [`JoinAnswer`].
    pub protocol_type: Option<String>,
    /// As in [`JoinAnswer`].
    pub protocol: Option<String>,
    /// What the member is to read.
    pub assignment: Vec<u8>,
}

impl JoinAnswer {
    pub(crate) fn refused(code: Code, member_id: &str) -> Self {
        Self {
            code,
            generation: -1,
            protocol_type: None,
            protocol: None,
            leader: String::new(),
            skip_assignment: false,
            member_id: member_id.to_owned(),
            members: Vec::new(),
        }
    }
}

impl SyncAnswer {
    pub(crate) fn refused(code: Code) -> Self {
        Self { code, protocol_type: None, protocol: None, assignment: Vec::new() }
    }
}

/// Answers that can only say what went wrong.
pub trait Refusable {
    /// The same, but refused.
    fn refuse(&mut self, code: Code);
}

impl Refusable for JoinAnswer {
    fn refuse(&mut self, code: Code) {
        *self = Self::refused(code, &self.member_id);
    }
}

impl Refusable for SyncAnswer {
    fn refuse(&mut self, code: Code) {
        *self = Self::refused(code);
    }
}

/// An answer to come: a future. It comes when what it says is on disk.
#[derive(Debug)]
pub struct Answer<T> {
    shared: Arc<Mutex<Waiting<T>>>,
    /// What came, and waits for the disk.
    ready: Option<(T, Ticket)>,
}

#[derive(Debug)]
struct Waiting<T> {
    sent: Option<(T, Option<Ticket>)>,
    waker: Option<Waker>,
}

#[derive(Debug)]
pub(super) struct Sender<T>(Arc<Mutex<Waiting<T>>>);

pub(super) fn channel<T>() -> (Sender<T>, Answer<T>) {
    let shared = Arc::new(Mutex::new(Waiting { sent: None, waker: None }));
    (Sender(Arc::clone(&shared)), Answer { shared, ready: None })
}

impl<T> Sender<T> {
    pub(super) fn send(self, answer: T, ticket: Option<Ticket>) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.sent = Some((answer, ticket));
        let waker = waiting.waker.take();
        drop(waiting);
        waker.into_iter().for_each(Waker::wake);
    }
}

impl<T: Refusable + Unpin> Future for Answer<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        if self.ready.is_none() {
            let mut waiting = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
            match waiting.sent.take() {
                None => {
                    waiting.waker = Some(context.waker().clone());
                    return Poll::Pending;
                }
                Some((answer, None)) => return Poll::Ready(answer),
                Some((answer, Some(ticket))) => {
                    drop(waiting);
                    self.ready = Some((answer, ticket));
                }
            }
        }
        let Some((mut answer, mut ticket)) = self.ready.take() else { return Poll::Pending };
        match Pin::new(&mut ticket).poll(context) {
            Poll::Ready(Ok(())) => Poll::Ready(answer),
            Poll::Ready(Err(_)) => {
                answer.refuse(Code::CoordinatorNotAvailable);
                Poll::Ready(answer)
            }
            Poll::Pending => {
                self.ready = Some((answer, ticket));
                Poll::Pending
            }
        }
    }
}
