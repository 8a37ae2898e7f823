//! What stands before every message: a length of four bytes, and a header.

use crate::{Error, Key, Reader, Writer};

/// Bytes of the length before a message.
pub const LENGTH: usize = 4;

/// The header of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHeader {
    /// Which request, as a number: the broker may not know it.
    pub key: i16,
    /// In which version.
    pub version: i16,
    /// The client's number for it; the response has it too.
    pub correlation: i32,
    /// What the client calls itself.
    pub client: Option<String>,
}

impl RequestHeader {
    /// Reads the header of a request (without the length), and gives what follows. The tagged fields of a flexible version are
    /// skipped; of a key that is not known only the numbers are read.
    pub fn read(bytes: &[u8]) -> Result<(Self, &[u8]), Error> {
        // the client's name is never compact, so that every broker can read it
        let mut input = Reader::new(bytes, false);
        let (key, version, correlation) = (input.i16()?, input.i16()?, input.i32()?);
        let Some(known) = Key::from_code(key).filter(|known| known.versions().contains(&version)) else {
            return Ok((Self { key, version, correlation, client: None }, input.rest()));
        };
        let client = input.optional_string()?;
        let mut input = Reader::new(input.rest(), known.flexible(version));
        input.skip_tags()?;
        Ok((Self { key, version, correlation, client }, input.rest()))
    }

    /// The header's bytes behind a length that [`close`] fills in.
    pub fn open(&self) -> Vec<u8> {
        let mut out = Writer::new(vec![0; LENGTH], false);
        out.i16(self.key);
        out.i16(self.version);
        out.i32(self.correlation);
        out.optional_string(self.client.as_deref());
        let (mut bytes, _) = out.finish();
        if Key::from_code(self.key).is_some_and(|key| key.flexible(self.version)) {
            bytes.push(0);
        }
        bytes
    }
}

/// The header of a response behind a length that [`close`] fills in.
pub fn open_response(key: Key, version: i16, correlation: i32) -> Vec<u8> {
    let mut bytes = vec![0; LENGTH];
    bytes.extend(correlation.to_be_bytes());
    if response_is_flexible(key, version) {
        bytes.push(0);
    }
    bytes
}

/// Reads the header of a response (without the length): the correlation, and what follows.
pub fn read_response(bytes: &[u8], key: Key, version: i16) -> Result<(i32, &[u8]), Error> {
    let mut input = Reader::new(bytes, response_is_flexible(key, version));
    let correlation = input.i32()?;
    input.skip_tags()?;
    Ok((correlation, input.rest()))
}

/// A client that asks for versions does not know yet which ones the broker reads: that answer never has a flexible header.
fn response_is_flexible(key: Key, version: i16) -> bool {
    key != Key::ApiVersions && key.flexible(version)
}

/// Fills in the length: that of the bytes and of the records that go elsewhere.
pub fn close(bytes: &mut [u8], elsewhere: usize) {
    let size = i32::try_from(bytes.len() + elsewhere - LENGTH).unwrap_or(i32::MAX);
    if let Some(length) = bytes.first_chunk_mut() {
        *length = size.to_be_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_header_comes_back() {
        for (key, version) in [(Key::Produce, 8), (Key::Produce, 9), (Key::ApiVersions, 4)] {
            let header = RequestHeader {
                key: key.code(),
                version,
                correlation: 77,
                client: Some("client".to_owned()),
            };
            let mut bytes = header.open();
            bytes.extend(b"body");
            close(&mut bytes, 0);
            assert_eq!(usize::from(bytes[3]), bytes.len() - LENGTH);
            assert_eq!(RequestHeader::read(&bytes[LENGTH..]), Ok((header, b"body".as_slice())));
        }
    }

    #[test]
    fn a_strange_request_keeps_its_numbers() {
        let (header, _) = RequestHeader::read(&[0x7f, 0, 0, 9, 0, 0, 0, 5, 0xff]).unwrap();
        assert_eq!((header.key, header.version, header.correlation, header.client), (0x7f00, 9, 5, None));
        assert_eq!(RequestHeader::read(b"GET / H"), Err(Error::Short));
    }

    #[test]
    fn versions_are_answered_without_tags() {
        assert_eq!(open_response(Key::ApiVersions, 4, 1).len(), 8);
        assert_eq!(open_response(Key::Metadata, 9, 1).len(), 9);
        assert_eq!(open_response(Key::Metadata, 8, 1).len(), 8);
        let mut answer = open_response(Key::Metadata, 12, 6);
        answer.push(9);
        assert_eq!(read_response(&answer[LENGTH..], Key::Metadata, 12), Ok((6, [9].as_slice())));
    }
}
