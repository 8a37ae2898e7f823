//! What members say between joining and leaving: SyncGroup, Heartbeat, LeaveGroup, and whether they may commit.

use super::{
    Sync, SyncAnswer, Token,
    group::{Group, Output, State},
};
use dhow_kafka::Code;

impl Group {
    /// A member asks for its assignment; the leader brings everybody's.
    pub(super) fn sync(&mut self, request: Sync, token: Token, now: i64, out: &mut Vec<Output>) {
        if let Err(code) = self.try_sync(request, token, now, out) {
            out.push(Output::Synced(token, SyncAnswer::refused(code)));
        }
    }

    fn try_sync(&mut self, request: Sync, token: Token, now: i64, out: &mut Vec<Output>) -> Result<(), Code> {
        let id = request.member_id.as_str();
        self.check(id, request.instance.as_deref(), request.generation)?;
        let differs = |said: &Option<String>, known: &Option<String>| said.is_some() && said != known;
        if differs(&request.protocol_type, &self.protocol_type) || differs(&request.protocol, &self.protocol)
        {
            return Err(Code::InconsistentGroupProtocol);
        }
        let leads = self.leader.as_deref() == Some(id);
        let member = self.members.get_mut(id).ok_or(Code::UnknownMemberId)?;
        member.deadline = now + member.session_timeout;
        match self.state {
            State::Empty => return Err(Code::UnknownMemberId),
            State::Preparing => return Err(Code::RebalanceInProgress),
            State::Stable => out.push(Output::Synced(token, self.sync_answer(&self.members[id]))),
            State::Completing => {
                member.synced = true;
                if let Some(old) = member.sync.replace(token) {
                    out.push(Output::Synced(old, SyncAnswer::refused(Code::RebalanceInProgress)));
                }
                if leads {
                    let mut assignments = request.assignments;
                    for (id, member) in &mut self.members {
                        member.assignment = assignments.remove(id).unwrap_or_default();
                    }
                    self.complete_sync(now, out);
                }
            }
        }
        Ok(())
    }

    /// A member is alive; the answer tells it of a rebalance.
    pub(super) fn heartbeat(&mut self, id: &str, instance: Option<&str>, generation: i32, now: i64) -> Code {
        if let Err(code) = self.check(id, instance, generation) {
            return code;
        }
        if let Some(member) = self.members.get_mut(id) {
            member.deadline = now + member.session_timeout;
        }
        if self.state == State::Preparing { Code::RebalanceInProgress } else { Code::None }
    }

    /// A member goes; returns its name.
    pub(super) fn leave(
        &mut self,
        id: &str,
        instance: Option<&str>,
        now: i64,
        out: &mut Vec<Output>,
    ) -> (String, Code) {
        if let Some(instance) = instance {
            let Some(current) = self.of_instance(instance).cloned() else {
                return (id.to_owned(), Code::UnknownMemberId);
            };
            // Tools name a static member by its instance alone.
            if !id.is_empty() && id != current {
                return (id.to_owned(), Code::FencedInstanceId);
            }
            self.remove(&current, now, out);
            return (current, Code::None);
        }
        if self.pending.remove(id).is_some() {
            self.complete_if_all_joined(now, out);
        } else if self.members.contains_key(id) {
            self.remove(id, now, out);
        } else {
            return (id.to_owned(), Code::UnknownMemberId);
        }
        (id.to_owned(), Code::None)
    }

    /// Whether offsets may be committed by that member; `generation` -1 is somebody who uses no group management.
    pub(super) fn may_commit(&mut self, id: &str, instance: Option<&str>, generation: i32, now: i64) -> Code {
        if generation < 0 && self.members.is_empty() {
            return Code::None;
        }
        if let Err(code) = self.check(id, instance, generation) {
            return code;
        }
        if let Some(member) = self.members.get_mut(id) {
            member.deadline = now + member.session_timeout;
        }
        if self.state == State::Completing { Code::RebalanceInProgress } else { Code::None }
    }
}
