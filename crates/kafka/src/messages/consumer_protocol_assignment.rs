//! ConsumerProtocolAssignment.
// Made from `schema/` by `cargo xtask kafka-codec`: change that, not this.

use crate::{Error, Message, Reader, Writer};

/// Versions 0 to 3.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ConsumerProtocolAssignment {
    pub assigned_partitions: Vec<TopicPartition>,
    pub user_data: Option<Vec<u8>>,
}

impl<'a> Message<'a> for ConsumerProtocolAssignment {
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=3;

    fn flexible(_version: i16) -> bool {
        false
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.assigned_partitions = input.array(|input| TopicPartition::read(input, version))?;
        value.user_data = input.optional_bytes()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.array(&self.assigned_partitions, |out, one| one.write(out, version));
        out.optional_bytes(self.user_data.as_deref());
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct TopicPartition {
    pub topic: String,
    pub partitions: Vec<i32>,
}

impl TopicPartition {
    fn read(input: &mut Reader<'_>, _version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.topic = input.string()?;
        value.partitions = input.array(Reader::i32)?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, _version: i16) {
        out.string(&self.topic);
        out.array(&self.partitions, |out, one| out.i32(*one));
    }
}
