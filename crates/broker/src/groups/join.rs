//! JoinGroup.

use super::{
    Join, JoinAnswer, Token,
    group::{Group, Output, State},
    member::Member,
};
use dhow_kafka::Code;

impl Group {
    /// A consumer asks to be a member. `fresh` is a name for one that has none yet.
    pub(super) fn join(
        &mut self,
        request: Join,
        fresh: String,
        token: Token,
        now: i64,
        out: &mut Vec<Output>,
    ) {
        if let Err(code) = self.try_join(&request, fresh, token, now, out) {
            out.push(Output::Joined(token, JoinAnswer::refused(code, &request.member_id)));
        }
    }

    fn try_join(
        &mut self,
        request: &Join,
        fresh: String,
        token: Token,
        now: i64,
        out: &mut Vec<Output>,
    ) -> Result<(), Code> {
        if !self.limits.session.contains(&request.session_timeout) {
            return Err(Code::InvalidSessionTimeout);
        }
        if !self.fits(&request.protocol_type, &request.protocols) {
            return Err(Code::InconsistentGroupProtocol);
        }
        let holder = request.instance.as_deref().and_then(|instance| self.of_instance(instance)).cloned();
        match (request.member_id.as_str(), request.instance.is_some(), holder) {
            ("", true, Some(old)) => self.replace(&old, request, fresh, token, now, out),
            ("", true, None) => self.admit(fresh, request, token, now, out),
            ("", false, _) if request.name_first => {
                self.pending.insert(fresh.clone(), now + request.session_timeout);
                out.push(Output::Joined(token, JoinAnswer::refused(Code::MemberIdRequired, &fresh)));
            }
            ("", false, _) => self.admit(fresh, request, token, now, out),
            (id, false, _) if self.pending.remove(id).is_some() => {
                self.admit(id.to_owned(), request, token, now, out)
            }
            (id, true, Some(holder)) if holder != id => return Err(Code::FencedInstanceId),
            (id, ..) if !self.members.contains_key(id) => return Err(Code::UnknownMemberId),
            (id, ..) => self.rejoin(id, request, token, now, out),
        }
        Ok(())
    }

    /// A new member.
    fn admit(&mut self, id: String, request: &Join, token: Token, now: i64, out: &mut Vec<Output>) {
        let member = Member {
            instance: request.instance.clone(),
            client_id: request.client_id.clone(),
            client_host: request.client_host.clone(),
            session_timeout: request.session_timeout,
            rebalance_timeout: request.rebalance_timeout,
            protocols: request.protocols.clone(),
            assignment: Vec::new(),
            join: Some(token),
            sync: None,
            synced: false,
            deadline: now + request.session_timeout,
            order: self.next_order(),
        };
        if self.members.is_empty() {
            self.protocol_type = Some(request.protocol_type.clone());
        }
        self.members.insert(id, member);
        self.rebalance(now, out);
    }

    /// A static member comes back without its old name: it takes the place of what it was.
    fn replace(
        &mut self,
        old: &str,
        request: &Join,
        id: String,
        token: Token,
        now: i64,
        out: &mut Vec<Output>,
    ) {
        let Some(mut member) = self.members.remove(old) else { return };
        if let Some(token) = member.join.take() {
            out.push(Output::Joined(token, JoinAnswer::refused(Code::FencedInstanceId, old)));
        }
        if let Some(token) = member.sync.take() {
            out.push(Output::Synced(token, super::SyncAnswer::refused(Code::FencedInstanceId)));
        }
        let led = self.leader.as_deref() == Some(old);
        if led {
            self.leader = Some(id.clone());
        }
        refresh(&mut member, request, now);
        self.members.insert(id.clone(), member);
        if self.state == State::Stable && self.select_protocol() == self.protocol {
            // Nothing changes for anybody: it goes on with the assignment it had. A leader must not make a new one.
            let mut answer = self.join_answer(&id);
            answer.skip_assignment = led && request.can_skip_assignment;
            if led && !request.can_skip_assignment {
                (answer.leader, answer.members) = (old.to_owned(), Vec::new());
            }
            out.push(Output::Save);
            return out.push(Output::Joined(token, answer));
        }
        self.park(&id, token);
        self.rebalance(now, out);
    }

    /// A member joins again.
    fn rejoin(&mut self, id: &str, request: &Join, token: Token, now: i64, out: &mut Vec<Output>) {
        let Some(member) = self.members.get_mut(id) else { return };
        let same = member.protocols == request.protocols;
        let leads = self.leader.as_deref() == Some(id);
        refresh(member, request, now);
        let missed_the_answer = match self.state {
            State::Completing => same,
            // The leader joins again when it knows that the world has changed.
            State::Stable => same && !leads,
            State::Preparing | State::Empty => false,
        };
        if missed_the_answer {
            return out.push(Output::Joined(token, self.join_answer(id)));
        }
        if let Some(old) = member.join.replace(token) {
            out.push(Output::Joined(old, JoinAnswer::refused(Code::RebalanceInProgress, id)));
        }
        self.rebalance(now, out);
    }

    fn park(&mut self, id: &str, token: Token) {
        if let Some(member) = self.members.get_mut(id) {
            member.join = Some(token);
        }
    }
}

fn refresh(member: &mut Member, request: &Join, now: i64) {
    member.client_id.clone_from(&request.client_id);
    member.client_host.clone_from(&request.client_host);
    member.session_timeout = request.session_timeout;
    member.rebalance_timeout = request.rebalance_timeout;
    member.protocols.clone_from(&request.protocols);
    member.deadline = now + request.session_timeout;
}
