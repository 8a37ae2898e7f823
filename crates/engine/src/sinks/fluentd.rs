//! Fluentd's forward protocol, as docker's client speaks it: one message a record, `[tag, time, record, option]` in MessagePack.

use super::{identity::Identity, message::Message};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;

/// How this container's messages look.
#[derive(Debug, Clone)]
pub(super) struct Fluentd {
    /// `fluentd-sub-second-precision`.
    pub(super) precise: bool,
    /// `fluentd-request-ack`.
    pub(super) acknowledged: bool,
}

impl Fluentd {
    /// The bytes of a message, and what the other side must say that it has it.
    pub(super) fn encode(&self, of: &Identity, message: &Message) -> (Vec<u8>, Option<String>) {
        let mut fields = vec![
            ("container_id", of.id.clone()),
            ("container_name", format!("/{}", of.name)),
            ("source", if message.stderr { "stderr" } else { "stdout" }.to_owned()),
            ("log", message.text.clone()),
        ];
        for (name, value) in &of.extra {
            fields.retain(|(known, _)| known != name);
            fields.push((name, value.clone()));
        }
        if let Some(piece) = &message.piece {
            fields.push(("partial_message", "true".to_owned()));
            fields.push(("partial_id", piece.id.clone()));
            fields.push(("partial_ordinal", piece.ordinal.to_string()));
            fields.push(("partial_last", piece.last.to_string()));
        }
        let chunk = self.acknowledged.then(|| STANDARD.encode(fastrand::u128(..).to_be_bytes()));
        let mut pack = Pack(Vec::with_capacity(message.text.len() + 256));
        pack.array4();
        pack.text(&of.tag);
        if self.precise {
            pack.event_time(message.time)
        } else {
            pack.seconds(message.time)
        }
        pack.map(fields.len());
        for (name, value) in &fields {
            pack.text(name);
            pack.text(value);
        }
        pack.map(usize::from(chunk.is_some()));
        if let Some(chunk) = &chunk {
            pack.text("chunk");
            pack.text(chunk);
        }
        (pack.0, chunk)
    }
}

/// The little of MessagePack that this needs.
struct Pack(Vec<u8>);

impl Pack {
    fn array4(&mut self) {
        self.0.push(0x94);
    }

    fn map(&mut self, length: usize) {
        match u8::try_from(length) {
            Ok(short) if short < 16 => self.0.push(0x80 | short),
            _ => {
                self.0.push(0xde);
                self.0.extend_from_slice(&u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes());
            }
        }
    }

    fn text(&mut self, text: &str) {
        let length = text.len();
        if let Ok(short) = u8::try_from(length) {
            if short < 32 {
                self.0.push(0xa0 | short);
            } else {
                self.0.extend_from_slice(&[0xd9, short]);
            }
        } else if let Ok(middle) = u16::try_from(length) {
            self.0.push(0xda);
            self.0.extend_from_slice(&middle.to_be_bytes());
        } else {
            self.0.push(0xdb);
            // A record of the spool is at most a megabyte.
            self.0.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
        }
        self.0.extend_from_slice(text.as_bytes());
    }

    fn seconds(&mut self, time: Timestamp) {
        if let Ok(seconds) = i32::try_from(time.as_second()) {
            self.0.push(0xd2);
            self.0.extend_from_slice(&seconds.to_be_bytes());
        } else {
            self.0.push(0xd3);
            self.0.extend_from_slice(&time.as_second().to_be_bytes());
        }
    }

    /// The extension type 0: seconds and nanoseconds.
    fn event_time(&mut self, time: Timestamp) {
        self.0.extend_from_slice(&[0xd7, 0x00]);
        self.0.extend_from_slice(&u32::try_from(time.as_second()).unwrap_or(u32::MAX).to_be_bytes());
        self.0.extend_from_slice(&u32::try_from(time.subsec_nanosecond()).unwrap_or(0).to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::{super::message::Piece, *};

    fn encode(precise: bool, acknowledged: bool, piece: Option<Piece>) -> (Vec<u8>, Option<String>) {
        let of = Identity {
            id: "1e6f".into(),
            name: "n1".into(),
            tag: "1e6f140f689f".into(),
            ..Identity::default()
        };
        let time = "2026-11-21T15:54:16.5Z".parse().unwrap();
        Fluentd { precise, acknowledged }
            .encode(&of, &Message { time, stderr: true, text: "err".into(), piece })
    }

    /// As dockerd 20.10.24 sends it, but that Go takes the fields in no order.
    #[test]
    fn a_message_is_dockers() {
        let expected = b"\x94\xac1e6f140f689f\xd2k\x01\xbe\xa8\x84\xaccontainer_id\xa41e6f\xaecontainer_name\xa3/n1\xa6source\xa6stderr\xa3log\xa3err\x80";
        assert_eq!(encode(false, false, None).0, expected);
        let (bytes, chunk) = encode(true, true, None);
        assert_eq!(bytes[14..24], *b"\xd7\x00k\x01\xbe\xa8\x1d\xcd\x65\x00");
        let chunk = chunk.unwrap();
        assert_eq!(chunk.len(), 24);
        assert!(bytes.ends_with(&[b"\x81\xa5chunk\xb8", chunk.as_bytes()].concat()));
        let (bytes, _) = encode(false, false, Some(Piece { id: "p".into(), ordinal: 2, last: false }));
        let piece = b"\xafpartial_message\xa4true\xaapartial_id\xa1p\xafpartial_ordinal\xa12\xacpartial_last\xa5false\x80";
        assert!(bytes.ends_with(piece));
    }
}
