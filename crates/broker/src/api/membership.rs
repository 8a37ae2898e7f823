//! `JoinGroup`, `SyncGroup`, `Heartbeat`, `LeaveGroup`: the members of consumer groups.

use super::{Call, note};
use crate::{
    groups::{Join, JoinAnswer, Sync},
    log::now,
};
use dhow_kafka::{
    Code,
    messages::{
        heartbeat::{HeartbeatRequest, HeartbeatResponse},
        join_group::{JoinGroupRequest, JoinGroupResponse, JoinGroupResponseMember},
        leave_group::{LeaveGroupRequest, LeaveGroupResponse, MemberIdentity, MemberResponse},
        sync_group::{SyncGroupRequest, SyncGroupResponse},
    },
};

pub(crate) async fn join_group(call: &Call<'_>, request: JoinGroupRequest) -> JoinGroupResponse {
    let session = i64::from(request.session_timeout_ms);
    let join = Join {
        member_id: request.member_id.clone(),
        instance: request.group_instance_id,
        client_id: call.client.to_owned(),
        client_host: format!("/{}", call.peer.ip().to_canonical()),
        session_timeout: session,
        // before version 1 there is one timeout for both
        rebalance_timeout: if call.version == 0 { session } else { request.rebalance_timeout_ms.into() },
        protocol_type: request.protocol_type,
        protocols: request.protocols.into_iter().map(|one| (one.name, one.metadata)).collect(),
        name_first: call.version >= 4,
        can_skip_assignment: call.version >= 9,
    };
    let answer = match call.broker.groups.join(&request.group_id, join, now()) {
        Ok(answer) => answer.await,
        Err(error) => JoinAnswer::refused(note(&error), &request.member_id),
    };
    let members = answer.members.into_iter().map(|member| JoinGroupResponseMember {
        member_id: member.id,
        group_instance_id: member.instance,
        metadata: member.metadata,
    });
    JoinGroupResponse {
        error_code: answer.code.code(),
        generation_id: answer.generation,
        protocol_type: answer.protocol_type,
        // before version 7 there is always one, if only in name
        protocol_name: answer.protocol.or_else(|| (call.version < 7).then(String::new)),
        leader: answer.leader,
        skip_assignment: answer.skip_assignment,
        member_id: answer.member_id,
        members: members.collect(),
        ..JoinGroupResponse::default()
    }
}

pub(crate) async fn sync_group(call: &Call<'_>, request: SyncGroupRequest) -> SyncGroupResponse {
    let sync = Sync {
        member_id: request.member_id,
        instance: request.group_instance_id,
        generation: request.generation_id,
        protocol_type: request.protocol_type,
        protocol: request.protocol_name,
        assignments: request.assignments.into_iter().map(|one| (one.member_id, one.assignment)).collect(),
    };
    let answer = call.broker.groups.sync(&request.group_id, sync, now()).await;
    SyncGroupResponse {
        error_code: answer.code.code(),
        protocol_type: answer.protocol_type,
        protocol_name: answer.protocol,
        assignment: answer.assignment,
        ..SyncGroupResponse::default()
    }
}

pub(crate) fn heartbeat(call: &Call<'_>, request: HeartbeatRequest) -> HeartbeatResponse {
    let HeartbeatRequest { group_id, generation_id, member_id, group_instance_id } = request;
    let instance = group_instance_id.as_deref();
    let code = call.broker.groups.heartbeat(&group_id, &member_id, instance, generation_id, now());
    HeartbeatResponse { error_code: code.code(), ..HeartbeatResponse::default() }
}

pub(crate) fn leave_group(call: &Call<'_>, request: LeaveGroupRequest) -> LeaveGroupResponse {
    let leave = |member: &str, instance: Option<&str>| {
        call.broker.groups.leave(&request.group_id, member, instance, now())
    };
    if call.version < 3 {
        let (_, code) = leave(&request.member_id, None);
        return LeaveGroupResponse { error_code: code.code(), ..LeaveGroupResponse::default() };
    }
    let members = request.members.iter().map(|MemberIdentity { member_id, group_instance_id, .. }| {
        let (member_id, code) = leave(member_id, group_instance_id.as_deref());
        MemberResponse { member_id, group_instance_id: group_instance_id.clone(), error_code: code.code() }
    });
    LeaveGroupResponse {
        error_code: Code::None.code(),
        members: members.collect(),
        ..LeaveGroupResponse::default()
    }
}
