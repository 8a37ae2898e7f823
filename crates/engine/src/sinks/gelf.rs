//! GELF messages: JSON, compressed and in chunks over UDP, ended by a zero over TCP.

use super::{identity::Identity, message::Message};
use flate2::{
    Compression as Level,
    write::{GzEncoder, ZlibEncoder},
};
use serde_json::Value;
use std::io::{self, Write};

/// Of a datagram, the head included: docker's.
const CHUNK: usize = 1420;
const HEAD: usize = 12;
const MOST_CHUNKS: usize = 128;

/// How this container's messages look.
#[derive(Debug, Clone)]
pub(super) struct Gelf {
    pub(super) compression: Compression,
    pub(super) level: i32,
    pub(super) udp: bool,
}

/// `gelf-compression-type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    Gzip,
    Zlib,
    None,
}

impl Gelf {
    /// The packets of a message; none for an empty line, as with docker. `Err`: it is too long for chunks.
    pub(super) fn encode(&self, of: &Identity, message: &Message) -> io::Result<Vec<Vec<u8>>> {
        if message.text.is_empty() {
            return Ok(Vec::new());
        }
        let mut json = document(of, message);
        if !self.udp {
            json.push(0);
            return Ok(vec![json]);
        }
        chunks(self.compress(&json)?, fastrand::u64(..).to_be_bytes())
    }

    fn compress(&self, json: &[u8]) -> io::Result<Vec<u8>> {
        let level = u32::try_from(self.level).map_or_else(|_| Level::default(), Level::new);
        match self.compression {
            Compression::None => Ok(json.to_vec()),
            Compression::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), level);
                encoder.write_all(json)?;
                encoder.finish()
            }
            Compression::Zlib => {
                let mut encoder = ZlibEncoder::new(Vec::new(), level);
                encoder.write_all(json)?;
                encoder.finish()
            }
        }
    }
}

fn document(of: &Identity, message: &Message) -> Vec<u8> {
    let level = if message.stderr { 3 } else { 6 };
    #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 need 41 bits")]
    let seconds = message.time.as_millisecond() as f64 / 1000.0;
    let head = [
        ("version", Value::from("1.1")),
        ("host", of.hostname.as_str().into()),
        ("short_message", message.text.as_str().into()),
        ("timestamp", seconds.into()),
        ("level", level.into()),
    ];
    let mut text = String::from("{");
    for (name, value) in head {
        text.push_str(&format!("\"{name}\":{value},"));
    }
    // Sorted by name, as Go encodes a map.
    let mut extra: Vec<(String, &str)> = [
        ("_command", &of.command),
        ("_container_id", &of.id),
        ("_container_name", &of.name),
        ("_created", &of.created),
        ("_image_id", &of.image_id),
        ("_image_name", &of.image_name),
        ("_tag", &of.tag),
    ]
    .map(|(name, value)| (name.to_owned(), value.as_str()))
    .into();
    for (name, value) in &of.extra {
        let name = if name.starts_with('_') { name.clone() } else { format!("_{name}") };
        extra.retain(|(known, _)| *known != name);
        extra.push((name, value));
    }
    extra.sort();
    for (position, (name, value)) in extra.into_iter().enumerate() {
        let comma = if position > 0 { "," } else { "" };
        text.push_str(&format!("{comma}{}:{}", Value::from(name), Value::from(value)));
    }
    text.push('}');
    text.into_bytes()
}

fn chunks(message: Vec<u8>, id: [u8; 8]) -> io::Result<Vec<Vec<u8>>> {
    if message.len() <= CHUNK {
        return Ok(vec![message]);
    }
    let count = message.len().div_ceil(CHUNK - HEAD);
    let Some(total) = u8::try_from(count).ok().filter(|_| count <= MOST_CHUNKS) else {
        return Err(io::Error::other(format!(
            "a GELF message of {} bytes needs more than 128 chunks",
            message.len()
        )));
    };
    let pieces = message.chunks(CHUNK - HEAD).zip(0_u8..);
    Ok(pieces.map(|(piece, number)| [&[0x1e, 0x0f], &id[..], &[number, total], piece].concat()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn identity() -> Identity {
        Identity {
            hostname: "vm".into(),
            id: "4b63".into(),
            name: "n1".into(),
            image_id: "sha256:f040".into(),
            image_name: "busybox".into(),
            command: "sh -c echo \"hi\"".into(),
            created: "2026-11-21T15:54:14.35218931Z".into(),
            tag: "4b".into(),
            extra: [("A".to_owned(), "b".to_owned()), ("lab".to_owned(), "x".to_owned())].into(),
            ..Identity::default()
        }
    }

    fn message(text: &str) -> Message {
        let time = "2026-11-21T15:54:16.21Z".parse().unwrap();
        Message { time, stderr: true, text: text.into(), piece: None }
    }

    /// As dockerd 20.10.24 sends it, but that Go's encoder writes `<` as `\u003c`.
    #[test]
    fn a_message_is_dockers() {
        let gelf = Gelf { compression: Compression::None, level: 1, udp: false };
        let packets = gelf.encode(&identity(), &message("err <w>")).unwrap();
        let expected = concat!(
            r#"{"version":"1.1","host":"vm","short_message":"err <w>","timestamp":1795276456.21,"level":3,"_A":"b","#,
            r#""_command":"sh -c echo \"hi\"","_container_id":"4b63","_container_name":"n1","#,
            r#""_created":"2026-11-21T15:54:14.35218931Z","_image_id":"sha256:f040","_image_name":"busybox","_lab":"x","#,
            r#""_tag":"4b"}"#,
            "\0"
        );
        assert_eq!(packets, [expected.as_bytes()]);
        assert!(gelf.encode(&identity(), &message("")).unwrap().is_empty());
    }

    #[test]
    fn datagrams_are_compressed_and_cut() {
        for (compression, first) in [(Compression::Gzip, 0x1f), (Compression::Zlib, 0x78)] {
            let gelf = Gelf { compression, level: 1, udp: true };
            let packets = gelf.encode(&identity(), &message("x")).unwrap();
            assert_eq!((packets.len(), packets[0][0]), (1, first));
            let mut plain = String::new();
            match compression {
                Compression::Gzip => flate2::read::GzDecoder::new(&packets[0][..]).read_to_string(&mut plain),
                _ => flate2::read::ZlibDecoder::new(&packets[0][..]).read_to_string(&mut plain),
            }
            .unwrap();
            assert!(plain.starts_with(r#"{"version":"1.1","host":"vm","short_message":"x""#), "{plain}");
        }
        let gelf = Gelf { compression: Compression::None, level: 1, udp: true };
        let packets = gelf.encode(&identity(), &message(&"y".repeat(16384))).unwrap();
        assert_eq!(packets.len(), 12);
        assert!(packets.iter().take(11).all(|packet| packet.len() == CHUNK));
        assert_eq!((&packets[3][..2], packets[3][10], packets[3][11]), (&[0x1e, 0x0f][..], 3, 12));
        let whole: Vec<u8> = packets.iter().flat_map(|packet| packet[HEAD..].to_vec()).collect();
        assert!(serde_json::from_slice::<Value>(&whole).is_ok());
        assert!(gelf.encode(&identity(), &message(&"z".repeat(200_000))).is_err());
    }
}
