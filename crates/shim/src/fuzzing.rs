//! The doors of the fuzz targets.

use crate::codec::{decode_event, decode_request, encode_event, encode_request};

/// A request that can be decoded has these bytes; an event comes back the same (two kinds have no number, and what stands in its place is ignored).
pub fn decode(bytes: &[u8]) {
    if let Ok((seq, request)) = decode_request(bytes) {
        assert_eq!(encode_request(seq, &request), bytes);
    }
    if let Ok(event) = decode_event(bytes) {
        assert_eq!(decode_event(&encode_event(&event)).ok(), Some(event));
    }
}
