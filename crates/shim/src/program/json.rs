//! One record of a json-file log, byte for byte as docker's encoder writes it.

use super::clock;

/// What every record of a log has behind its text: attributes, and the time, which is made once for all records of a reading.
#[derive(Debug)]
pub(super) struct Tail {
    attrs: String,
    time: Vec<u8>,
}

impl Tail {
    /// `attrs`: JSON object text or empty.
    pub(super) fn new(attrs: String) -> Self {
        Self { attrs, time: Vec::new() }
    }

    /// From now on records have this time.
    pub(super) fn set_time(&mut self, nanos: i64) {
        self.time.clear();
        clock::rfc3339(nanos, &mut self.time);
    }
}

/// Appends a record of `line` (with its newline, if it has one).
pub(super) fn record(line: &[u8], stream: u8, tail: &Tail, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"log\":\"");
    escape(line, out);
    out.extend_from_slice(b"\",\"stream\":\"");
    out.extend_from_slice(if stream == 2 { b"stderr" } else { b"stdout" });
    if !tail.attrs.is_empty() {
        out.extend_from_slice(b"\",\"attrs\":");
        out.extend_from_slice(tail.attrs.as_bytes());
        out.extend_from_slice(b",\"time\":\"");
    } else {
        out.extend_from_slice(b"\",\"time\":\"");
    }
    out.extend_from_slice(&tail.time);
    out.extend_from_slice(b"\"}\n");
}

/// Whether a byte stands for itself: nothing to escape, and no part of a longer character.
fn plain(byte: u8) -> bool {
    matches!(byte, 0x20..=0x7f) && !matches!(byte, b'"' | b'\\' | b'<' | b'>' | b'&')
}

fn escape(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while !rest.is_empty() {
        let run = rest.iter().position(|&b| !plain(b)).unwrap_or(rest.len());
        let (head, tail) = rest.split_at(run);
        out.extend_from_slice(head);
        rest = match tail.first() {
            None => return,
            Some(byte) if byte.is_ascii() => {
                ascii(*byte, out);
                tail.get(1..).unwrap_or_default()
            }
            Some(_) => {
                let length = tail.iter().position(u8::is_ascii).unwrap_or(tail.len());
                let (wide, after) = tail.split_at(length);
                unicode(wide, out);
                after
            }
        };
    }
}

fn ascii(byte: u8, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    match byte {
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
        _ => {
            let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 15)]);
        }
    }
}

/// Of bytes that are all outside ASCII. Every byte that is no UTF-8 becomes one replacement character.
fn unicode(wide: &[u8], out: &mut Vec<u8>) {
    for chunk in wide.utf8_chunks() {
        for part in chunk.valid().split_inclusive(['\u{2028}', '\u{2029}']) {
            let separator = part.chars().next_back().filter(|c| matches!(c, '\u{2028}' | '\u{2029}'));
            let end = part.len() - separator.map_or(0, char::len_utf8);
            out.extend_from_slice(part.as_bytes().get(..end).unwrap_or_default());
            match separator {
                Some('\u{2028}') => out.extend_from_slice(b"\\u2028"),
                Some(_) => out.extend_from_slice(b"\\u2029"),
                None => {}
            }
        }
        for _ in chunk.invalid() {
            out.extend_from_slice(b"\\ufffd");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(text: &[u8]) -> String {
        let mut out = Vec::new();
        escape(text, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn text_is_escaped_as_docker_does() {
        for (text, expected) in [
            (&b"plain ~\x7f"[..], "plain ~\x7f"),
            (b"a\tb\r\n\x00\x1b[0m", r"a\u0009b\r\n\u0000\u001b[0m"),
            (b"<a href=\"x\">&\\", r#"\u003ca href=\"x\"\u003e\u0026\\"#),
            ("zażółć 日本 🦀".as_bytes(), "zażółć 日本 🦀"),
            ("a\u{2028}b\u{2029}".as_bytes(), r"a\u2028b\u2029"),
            (b"\xff\xfe", r"\ufffd\ufffd"),
            // A cut character, a surrogate: one replacement for each byte, as Go's decoder gives.
            (b"\xe2\x82x\xed\xa0\x80", r"\ufffd\ufffdx\ufffd\ufffd\ufffd"),
            (b"\xc3\xa9\xff\xc3\xa9", "é\\ufffdé"),
        ] {
            assert_eq!(escaped(text), expected);
        }
    }

    #[test]
    fn a_record_has_dockers_order() {
        let mut tail = Tail::new(String::new());
        tail.set_time(1_704_164_645_500_000_000);
        let mut out = Vec::new();
        record(b"hi\n", 1, &tail, &mut out);
        assert_eq!(out, b"{\"log\":\"hi\\n\",\"stream\":\"stdout\",\"time\":\"2024-01-02T03:04:05.5Z\"}\n");
        let mut tail = Tail::new("{\"a\":\"b\"}".to_owned());
        tail.set_time(0);
        out.clear();
        record(b"", 2, &tail, &mut out);
        assert_eq!(out, b"{\"log\":\"\",\"stream\":\"stderr\",\"attrs\":{\"a\":\"b\"},\"time\":\"1970-01-01T00:00:00Z\"}\n");
    }
}
