//! ConsumerProtocolSubscription.
// Made from `schema/` by `cargo xtask kafka-codec`: change that, not this.

use crate::{Error, Message, Reader, Writer};

/// Versions 0 to 3.
#[derive(Clone, Debug, PartialEq)]
pub struct ConsumerProtocolSubscription {
    pub topics: Vec<String>,
    pub user_data: Option<Vec<u8>>,
    pub owned_partitions: Vec<TopicPartition>,
    pub generation_id: i32,
    pub rack_id: Option<String>,
}

impl Default for ConsumerProtocolSubscription {
    fn default() -> Self {
        Self {
            topics: Default::default(),
            user_data: Default::default(),
            owned_partitions: Default::default(),
            generation_id: -1,
            rack_id: Default::default(),
        }
    }
}

impl<'a> Message<'a> for ConsumerProtocolSubscription {
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=3;

    fn flexible(_version: i16) -> bool {
        false
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.topics = input.array(Reader::string)?;
        value.user_data = input.optional_bytes()?;
        if version >= 1 {
            value.owned_partitions = input.array(|input| TopicPartition::read(input, version))?;
        }
        if version >= 2 {
            value.generation_id = input.i32()?;
        }
        if version == 3 {
            value.rack_id = input.optional_string()?;
        }
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.array(&self.topics, |out, one| out.string(one));
        out.optional_bytes(self.user_data.as_deref());
        if version >= 1 {
            out.array(&self.owned_partitions, |out, one| one.write(out, version));
        }
        if version >= 2 {
            out.i32(self.generation_id);
        }
        if version == 3 {
            out.optional_string(self.rack_id.as_deref());
        }
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct TopicPartition {
    pub topic: String,
    pub partitions: Vec<i32>,
}

impl TopicPartition {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        if version >= 1 {
            value.topic = input.string()?;
        }
        if version >= 1 {
            value.partitions = input.array(Reader::i32)?;
        }
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        if version >= 1 {
            out.string(&self.topic);
        }
        if version >= 1 {
            out.array(&self.partitions, |out, one| out.i32(*one));
        }
    }
}
