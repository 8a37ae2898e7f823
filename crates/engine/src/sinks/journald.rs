//! The journal's native protocol: fields of one entry in one datagram.

use super::{identity::Identity, message::Message};

/// The datagram of a message.
pub(super) fn encode(of: &Identity, message: &Message) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.text.len() + 512);
    field("PRIORITY", if message.stderr { "3" } else { "6" }, &mut out);
    field("MESSAGE", &message.text, &mut out);
    for (name, value) in [
        ("CONTAINER_ID", of.short()),
        ("CONTAINER_ID_FULL", &of.id),
        ("CONTAINER_NAME", &of.name),
        ("CONTAINER_TAG", &of.tag),
        ("IMAGE_NAME", &of.image_name),
        ("SYSLOG_IDENTIFIER", &of.tag),
        ("SYSLOG_TIMESTAMP", &message.time.to_string()),
    ] {
        field(name, value, &mut out);
    }
    for (name, value) in &of.extra {
        field(&variable(name), value, &mut out);
    }
    if let Some(piece) = &message.piece {
        field("CONTAINER_PARTIAL_ID", &piece.id, &mut out);
        field("CONTAINER_PARTIAL_ORDINAL", &piece.ordinal.to_string(), &mut out);
        field("CONTAINER_PARTIAL_LAST", &piece.last.to_string(), &mut out);
        if !piece.last {
            field("CONTAINER_PARTIAL_MESSAGE", "true", &mut out);
        }
    }
    out
}

/// `NAME=value`, or with its length where the value has several lines.
fn field(name: &str, value: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        out.push(b'\n');
        out.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        out.push(b'=');
    }
    out.extend_from_slice(value.as_bytes());
    out.push(b'\n');
}

/// A name that the journal takes, as docker makes it.
fn variable(name: &str) -> String {
    let upper = name.chars().map(|c| match c.to_ascii_uppercase() {
        upper if upper.is_ascii_alphanumeric() => upper,
        _ => '_',
    });
    upper.skip_while(|c| *c == '_').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As dockerd 20.10.24 sends it, but that Go takes the fields in no order, and with docker 29's time.
    #[test]
    fn an_entry_is_dockers() {
        let of = Identity {
            id: "382ec86480dc42a4".into(),
            name: "n1".into(),
            tag: "382ec86480dc".into(),
            image_name: "busybox".into(),
            extra: [("_my.label".to_owned(), "two\nlines".to_owned())].into(),
            ..Identity::default()
        };
        let time = "2026-11-21T15:54:16.5Z".parse().unwrap();
        let message = Message { time, stderr: false, text: "hello <w>".into(), piece: None };
        let expected = b"PRIORITY=6\nMESSAGE=hello <w>\nCONTAINER_ID=382ec86480dc\nCONTAINER_ID_FULL=382ec86480dc42a4\nCONTAINER_NAME=n1\nCONTAINER_TAG=382ec86480dc\nIMAGE_NAME=busybox\nSYSLOG_IDENTIFIER=382ec86480dc\nSYSLOG_TIMESTAMP=2026-11-21T15:54:16.5Z\nMY_LABEL\n\x09\0\0\0\0\0\0\0two\nlines\n";
        assert_eq!(encode(&of, &message), expected);
    }
}
