//! `ListGroups`, `DescribeGroups`, `DeleteGroups`: what tools ask about groups.

use super::{Call, note, operations};
use dhow_kafka::{
    Code,
    messages::{
        delete_groups::{DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse},
        describe_groups::{
            DescribeGroupsRequest, DescribeGroupsResponse, DescribedGroup, DescribedGroupMember,
        },
        list_groups::{ListGroupsRequest, ListGroupsResponse, ListedGroup},
    },
};

/// The type of every group that there is.
const CLASSIC: &str = "classic";

pub(crate) fn list_groups(call: &Call<'_>, request: ListGroupsRequest) -> ListGroupsResponse {
    let wanted = |filter: &[String], word: &str| {
        filter.is_empty() || filter.iter().any(|one| one.eq_ignore_ascii_case(word))
    };
    let groups = call.broker.groups.list().into_iter();
    let groups = groups
        .filter(|group| wanted(&request.states_filter, group.state) && wanted(&request.types_filter, CLASSIC))
        .map(|group| ListedGroup {
            group_id: group.id,
            protocol_type: group.protocol_type,
            group_state: group.state.to_owned(),
            group_type: CLASSIC.to_owned(),
        });
    ListGroupsResponse { groups: groups.collect(), ..ListGroupsResponse::default() }
}

pub(crate) fn describe_groups(call: &Call<'_>, request: DescribeGroupsRequest) -> DescribeGroupsResponse {
    let operations = request.include_authorized_operations;
    let groups = request.groups.into_iter().map(|id| describe(call, id, operations));
    DescribeGroupsResponse { groups: groups.collect(), ..DescribeGroupsResponse::default() }
}

fn describe(call: &Call<'_>, group_id: String, operations: bool) -> DescribedGroup {
    let default = DescribedGroup::default();
    let Some(group) = call.broker.groups.describe(&group_id) else {
        let strict = call.version >= 6;
        return DescribedGroup {
            error_code: if strict { Code::GroupIdNotFound.code() } else { Code::None.code() },
            error_message: strict.then(|| format!("Group {group_id} not found.")),
            group_id,
            group_state: "Dead".to_owned(),
            ..default
        };
    };
    let members = group.members.into_iter().map(|member| DescribedGroupMember {
        member_id: member.id,
        group_instance_id: member.instance,
        client_id: member.client_id,
        client_host: member.client_host,
        member_metadata: member.metadata,
        member_assignment: member.assignment,
    });
    DescribedGroup {
        group_id,
        group_state: group.state.to_owned(),
        protocol_type: group.protocol_type,
        protocol_data: group.protocol,
        members: members.collect(),
        authorized_operations: if operations { operations::GROUP } else { default.authorized_operations },
        ..default
    }
}

pub(crate) async fn delete_groups(call: &Call<'_>, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    let mut results = Vec::with_capacity(request.groups_names.len());
    for group_id in request.groups_names {
        let code = match call.broker.groups.delete(&group_id) {
            Ok(ticket) => ticket.await.map_or_else(|error| note(&error), |()| Code::None),
            Err(code) => code,
        };
        results.push(DeletableGroupResult { group_id, error_code: code.code() });
    }
    DeleteGroupsResponse { results, ..DeleteGroupsResponse::default() }
}
