//! ConsumerGroupDescribe.
// Made from `schema/` by `cargo xtask kafka-codec`: change that, not this.

use crate::{Error, Key, Message, Reader, Request, Uuid, Writer};

/// Versions 0 to 1.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ConsumerGroupDescribeRequest {
    pub group_ids: Vec<String>,
    pub include_authorized_operations: bool,
}

impl<'a> Message<'a> for ConsumerGroupDescribeRequest {
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=1;

    fn flexible(_version: i16) -> bool {
        true
    }

    fn read(input: &mut Reader<'a>, _version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.group_ids = input.array(Reader::string)?;
        value.include_authorized_operations = input.bool()?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, _version: i16) {
        out.array(&self.group_ids, |out, one| out.string(one));
        out.bool(self.include_authorized_operations);
        out.tags(|_| {});
    }
}

impl<'a> Request<'a> for ConsumerGroupDescribeRequest {
    const KEY: Key = Key::ConsumerGroupDescribe;
    type Response<'r> = ConsumerGroupDescribeResponse;
}

/// Versions 0 to 1.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ConsumerGroupDescribeResponse {
    pub throttle_time_ms: i32,
    pub groups: Vec<DescribedGroup>,
}

impl<'a> Message<'a> for ConsumerGroupDescribeResponse {
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=1;

    fn flexible(_version: i16) -> bool {
        true
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.throttle_time_ms = input.i32()?;
        value.groups = input.array(|input| DescribedGroup::read(input, version))?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.i32(self.throttle_time_ms);
        out.array(&self.groups, |out, one| one.write(out, version));
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct TopicPartitions {
    pub topic_id: Uuid,
    pub topic_name: String,
    pub partitions: Vec<i32>,
}

impl TopicPartitions {
    fn read(input: &mut Reader<'_>, _version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.topic_id = input.uuid()?;
        value.topic_name = input.string()?;
        value.partitions = input.array(Reader::i32)?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, _version: i16) {
        out.uuid(self.topic_id);
        out.string(&self.topic_name);
        out.array(&self.partitions, |out, one| out.i32(*one));
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct Assignment {
    pub topic_partitions: Vec<TopicPartitions>,
}

impl Assignment {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.topic_partitions = input.array(|input| TopicPartitions::read(input, version))?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.array(&self.topic_partitions, |out, one| one.write(out, version));
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct DescribedGroup {
    pub error_code: i16,
    pub error_message: Option<String>,
    pub group_id: String,
    pub group_state: String,
    pub group_epoch: i32,
    pub assignment_epoch: i32,
    pub assignor_name: String,
    pub members: Vec<Member>,
    pub authorized_operations: i32,
}

impl Default for DescribedGroup {
    fn default() -> Self {
        Self {
            error_code: Default::default(),
            error_message: Default::default(),
            group_id: Default::default(),
            group_state: Default::default(),
            group_epoch: Default::default(),
            assignment_epoch: Default::default(),
            assignor_name: Default::default(),
            members: Default::default(),
            authorized_operations: i32::MIN,
        }
    }
}

impl DescribedGroup {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.error_code = input.i16()?;
        value.error_message = input.optional_string()?;
        value.group_id = input.string()?;
        value.group_state = input.string()?;
        value.group_epoch = input.i32()?;
        value.assignment_epoch = input.i32()?;
        value.assignor_name = input.string()?;
        value.members = input.array(|input| Member::read(input, version))?;
        value.authorized_operations = input.i32()?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.i16(self.error_code);
        out.optional_string(self.error_message.as_deref());
        out.string(&self.group_id);
        out.string(&self.group_state);
        out.i32(self.group_epoch);
        out.i32(self.assignment_epoch);
        out.string(&self.assignor_name);
        out.array(&self.members, |out, one| one.write(out, version));
        out.i32(self.authorized_operations);
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    pub member_id: String,
    pub instance_id: Option<String>,
    pub rack_id: Option<String>,
    pub member_epoch: i32,
    pub client_id: String,
    pub client_host: String,
    pub subscribed_topic_names: Vec<String>,
    pub subscribed_topic_regex: Option<String>,
    pub assignment: Assignment,
    pub target_assignment: Assignment,
    pub member_type: i8,
}

impl Default for Member {
    fn default() -> Self {
        Self {
            member_id: Default::default(),
            instance_id: Default::default(),
            rack_id: Default::default(),
            member_epoch: Default::default(),
            client_id: Default::default(),
            client_host: Default::default(),
            subscribed_topic_names: Default::default(),
            subscribed_topic_regex: Default::default(),
            assignment: Default::default(),
            target_assignment: Default::default(),
            member_type: -1,
        }
    }
}

impl Member {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.member_id = input.string()?;
        value.instance_id = input.optional_string()?;
        value.rack_id = input.optional_string()?;
        value.member_epoch = input.i32()?;
        value.client_id = input.string()?;
        value.client_host = input.string()?;
        value.subscribed_topic_names = input.array(Reader::string)?;
        value.subscribed_topic_regex = input.optional_string()?;
        value.assignment = Assignment::read(input, version)?;
        value.target_assignment = Assignment::read(input, version)?;
        if version == 1 {
            value.member_type = input.i8()?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.string(&self.member_id);
        out.optional_string(self.instance_id.as_deref());
        out.optional_string(self.rack_id.as_deref());
        out.i32(self.member_epoch);
        out.string(&self.client_id);
        out.string(&self.client_host);
        out.array(&self.subscribed_topic_names, |out, one| out.string(one));
        out.optional_string(self.subscribed_topic_regex.as_deref());
        self.assignment.write(out, version);
        self.target_assignment.write(out, version);
        if version == 1 {
            out.i8(self.member_type);
        }
        out.tags(|_| {});
    }
}
