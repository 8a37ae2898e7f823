//! SaslAuthenticate.
// Made from `schema/` by `cargo xtask kafka-codec`: change that, not this.

use crate::{Error, Key, Message, Reader, Request, Writer};

/// Versions 0 to 2.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct SaslAuthenticateRequest {
    pub auth_bytes: Vec<u8>,
}

impl<'a> Message<'a> for SaslAuthenticateRequest {
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=2;

    fn flexible(version: i16) -> bool {
        version >= 2
    }

    fn read(input: &mut Reader<'a>, _version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.auth_bytes = input.bytes()?;
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, _version: i16) {
        out.bytes(&self.auth_bytes);
        out.tags(|_| {});
    }
}

impl<'a> Request<'a> for SaslAuthenticateRequest {
    const KEY: Key = Key::SaslAuthenticate;
    type Response<'r> = SaslAuthenticateResponse;
}

/// Versions 0 to 2.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct SaslAuthenticateResponse {
    pub error_code: i16,
    pub error_message: Option<String>,
    pub auth_bytes: Vec<u8>,
    pub session_lifetime_ms: i64,
}

impl<'a> Message<'a> for SaslAuthenticateResponse {
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=2;

    fn flexible(version: i16) -> bool {
        version >= 2
    }

    fn read(input: &mut Reader<'a>, version: i16) -> Result<Self, Error> {
        let mut value = Self::default();
        value.error_code = input.i16()?;
        value.error_message = input.optional_string()?;
        value.auth_bytes = input.bytes()?;
        if version >= 1 {
            value.session_lifetime_ms = input.i64()?;
        }
        input.skip_tags()?;
        Ok(value)
    }

    fn write(&self, out: &mut Writer, version: i16) {
        out.i16(self.error_code);
        out.optional_string(self.error_message.as_deref());
        out.bytes(&self.auth_bytes);
        if version >= 1 {
            out.i64(self.session_lifetime_ms);
        }
        out.tags(|_| {});
    }
}
