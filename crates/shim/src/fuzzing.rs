//! The doors of the fuzz targets.

use crate::codec::{decode_event, decode_request, encode_event, encode_request};

/// What can be decoded has these bytes.
pub fn decode(bytes: &[u8]) {
    if let Ok((seq, request)) = decode_request(bytes) {
        assert_eq!(encode_request(seq, &request), bytes);
    }
    if let Ok(event) = decode_event(bytes) {
        assert_eq!(encode_event(&event), bytes);
    }
}
