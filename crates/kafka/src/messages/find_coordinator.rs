//! FindCoordinator.
// Made from `schema/` by `cargo xtask kafka-codec`: change that, not this.

use crate::{Error, Key, Message, Reader, Request, Writer};

/// Versions 0 to 6.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct FindCoordinatorRequest {
    pub key: String,
    pub key_type: i8,
    pub coordinator_keys: Vec<String>,
}

impl<'a> Message<'a> for FindCoordinatorRequest {
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=6;

    fn flexible(version: i16) -> bool {
        version >= 3
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        if version <= 3 {
            value.key = input.string()?;
        }
        if version >= 1 {
            value.key_type = input.i8()?;
        }
        if version >= 4 {
            value.coordinator_keys = input.array(Reader::string)?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        if version <= 3 {
            out.string(&self.key);
        }
        if version >= 1 {
            out.i8(self.key_type);
        }
        if version >= 4 {
            out.array(&self.coordinator_keys, |out, one| out.string(one));
        }
        out.tags(|_| {});
    }
}

impl<'a> Request<'a> for FindCoordinatorRequest {
    const KEY: Key = Key::FindCoordinator;
    type Response<'r> = FindCoordinatorResponse;
}

/// Versions 0 to 6.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct FindCoordinatorResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub error_message: Option<String>,
    pub node_id: i32,
    pub host: String,
    pub port: i32,
    pub coordinators: Vec<Coordinator>,
}

impl<'a> Message<'a> for FindCoordinatorResponse {
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=6;

    fn flexible(version: i16) -> bool {
        version >= 3
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        if version >= 1 {
            value.throttle_time_ms = input.i32()?;
        }
        if version <= 3 {
            value.error_code = input.i16()?;
        }
        if (1..=3).contains(&version) {
            value.error_message = input.optional_string()?;
        }
        if version <= 3 {
            value.node_id = input.i32()?;
        }
        if version <= 3 {
            value.host = input.string()?;
        }
        if version <= 3 {
            value.port = input.i32()?;
        }
        if version >= 4 {
            value.coordinators = input.array(|input| Coordinator::read(input, version))?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        if version >= 1 {
            out.i32(self.throttle_time_ms);
        }
        if version <= 3 {
            out.i16(self.error_code);
        }
        if (1..=3).contains(&version) {
            out.optional_string(self.error_message.as_deref());
        }
        if version <= 3 {
            out.i32(self.node_id);
        }
        if version <= 3 {
            out.string(&self.host);
        }
        if version <= 3 {
            out.i32(self.port);
        }
        if version >= 4 {
            out.array(&self.coordinators, |out, one| one.write(out, version));
        }
        out.tags(|_| {});
    }
}

#[derive(Clone, Debug, PartialEq, Default)]
pub struct Coordinator {
    pub key: String,
    pub node_id: i32,
    pub host: String,
    pub port: i32,
    pub error_code: i16,
    pub error_message: Option<String>,
}

impl Coordinator {
    fn read(input: &mut Reader<'_>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        if version >= 4 {
            value.key = input.string()?;
        }
        if version >= 4 {
            value.node_id = input.i32()?;
        }
        if version >= 4 {
            value.host = input.string()?;
        }
        if version >= 4 {
            value.port = input.i32()?;
        }
        if version >= 4 {
            value.error_code = input.i16()?;
        }
        if version >= 4 {
            value.error_message = input.optional_string()?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        if version >= 4 {
            out.string(&self.key);
        }
        if version >= 4 {
            out.i32(self.node_id);
        }
        if version >= 4 {
            out.string(&self.host);
        }
        if version >= 4 {
            out.i32(self.port);
        }
        if version >= 4 {
            out.i16(self.error_code);
        }
        if version >= 4 {
            out.optional_string(self.error_message.as_deref());
        }
        out.tags(|_| {});
    }
}
