//! SaslHandshake.
// Made from `schema/` by `cargo xtask kafka-codec`: change that, not this.

use crate::{Error, Key, Message, Reader, Request, Writer};

/// Versions 0 to 1.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct SaslHandshakeRequest {
    pub mechanism: String,
}

impl<'a> Message<'a> for SaslHandshakeRequest {
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=1;

    fn flexible(_version: i16) -> bool {
        false
    }

    fn read(input: &mut Reader<'a>, _version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.mechanism = input.string()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, _version: i16) {
        out.string(&self.mechanism);
    }
}

impl<'a> Request<'a> for SaslHandshakeRequest {
    const KEY: Key = Key::SaslHandshake;
    type Response<'r> = SaslHandshakeResponse;
}

/// Versions 0 to 1.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct SaslHandshakeResponse {
    pub error_code: i16,
    pub mechanisms: Vec<String>,
}

impl<'a> Message<'a> for SaslHandshakeResponse {
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=1;

    fn flexible(_version: i16) -> bool {
        false
    }

    fn read(input: &mut Reader<'a>, _version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.error_code = input.i16()?;
        value.mechanisms = input.array(Reader::string)?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, _version: i16) {
        out.i16(self.error_code);
        out.array(&self.mechanisms, |out, one| out.string(one));
    }
}
