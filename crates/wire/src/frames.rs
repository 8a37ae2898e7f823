//! docker's stdout/stderr multiplexing (`stdcopy`): 1 byte stream, 3 zeros, 4 bytes length (big-endian), payload.

use crate::Malformed;

/// Bytes of a frame's header.
pub const HEADER: usize = 8;

/// Larger frames are taken for garbage by [`Decoder`].
pub const MAX_FRAME: usize = 16 << 20;

/// The header of one frame.
#[must_use]
pub fn header(stream: u8, length: u32) -> [u8; HEADER] {
    let [a, b, c, d] = length.to_be_bytes();
    [stream, 0, 0, 0, a, b, c, d]
}

/// One frame, or several when the data is longer than 4 GiB allows (never in practice).
#[must_use]
pub fn encode(stream: u8, data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() + HEADER);
    for chunk in data.chunks(1 << 30) {
        out.extend_from_slice(&header(stream, u32::try_from(chunk.len()).unwrap_or(u32::MAX)));
        out.extend_from_slice(chunk);
    }
    out
}

/// Cuts a byte stream into frames, whatever the pieces it comes in.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
}

impl Decoder {
    /// Adds bytes; then ask [`Decoder::frame`] until it has none.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame: stream (0 stdin, 1 stdout, 2 stderr, 3 error of the daemon) and payload.
    ///
    /// # Errors
    /// If the bytes are no frame (a terminal's raw stream, say).
    pub fn frame(&mut self) -> Result<Option<(u8, Vec<u8>)>, Malformed> {
        let Some((head, rest)) = self.buffer.split_first_chunk::<HEADER>() else { return Ok(None) };
        let [stream, x, y, z, a, b, c, d] = *head;
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        if stream > 3 || [x, y, z] != [0; 3] || length > MAX_FRAME {
            return Err(Malformed(format!("unrecognized input header: {stream}")));
        }
        let Some(payload) = rest.get(..length) else { return Ok(None) };
        let frame = (stream, payload.to_vec());
        self.buffer.drain(..HEADER + length);
        Ok(Some(frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_survive_any_cut() {
        let mut stream = encode(1, b"hello\n");
        stream.extend(encode(2, b""));
        stream.extend(encode(2, b"oops"));
        assert_eq!(stream.get(..8), Some([1, 0, 0, 0, 0, 0, 0, 6].as_slice()));
        for size in 1..stream.len() {
            let mut decoder = Decoder::default();
            let mut frames = Vec::new();
            for piece in stream.chunks(size) {
                decoder.push(piece);
                while let Some(frame) = decoder.frame().unwrap() {
                    frames.push(frame);
                }
            }
            // An empty payload makes no frame: `encode` writes none.
            assert_eq!(frames, [(1, b"hello\n".to_vec()), (2, b"oops".to_vec())], "{size}");
        }
    }

    #[test]
    fn a_raw_stream_is_noticed() {
        let mut decoder = Decoder::default();
        decoder.push(b"plain text of a terminal");
        assert!(decoder.frame().is_err());
    }
}
