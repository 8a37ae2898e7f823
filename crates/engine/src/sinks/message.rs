//! A record of the spool as a message for a sink: its text without the end of the line, and which piece of a long line it is.

use crate::logs::record;
use jiff::Timestamp;

/// What a container said, once.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Message {
    pub(super) time: Timestamp,
    pub(super) stderr: bool,
    pub(super) text: String,
    pub(super) piece: Option<Piece>,
}

/// A piece of a line that came in several, as docker numbers them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) id: String,
    pub(super) ordinal: u64,
    pub(super) last: bool,
}

/// Puts pieces of lines together by number, for each stream.
#[derive(Debug, Default)]
pub(super) struct Lines([Option<(String, u64, Timestamp)>; 2]);

impl Lines {
    /// Of one record; `None` if it is none.
    pub(super) fn read(&mut self, line: &[u8]) -> Option<Message> {
        let record = record::parse(line)?;
        let time: Timestamp = record.time.parse().ok()?;
        let stderr = record.stream == "stderr";
        let open = self.0.get_mut(usize::from(stderr))?;
        let (text, whole) = match record.log.strip_suffix('\n') {
            Some(text) => (text, true),
            None => (&*record.log, false),
        };
        let message = |time, piece| Message { time, stderr, text: text.to_owned(), piece };
        if whole && open.is_none() {
            return Some(message(time, None));
        }
        // All pieces have the time of the first, as with docker.
        let (id, ordinal, time) = open.take().unwrap_or_else(|| (identifier(), 1, time));
        let piece = Piece { id: id.clone(), ordinal, last: whole };
        if !whole {
            *open = Some((id, ordinal + 1, time));
        }
        Some(message(time, Some(piece)))
    }
}

/// 64 random hexadecimal digits.
fn identifier() -> String {
    (0..4).map(|_| format!("{:016x}", fastrand::u64(..))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_numbered_until_the_line_ends() {
        let mut lines = Lines::default();
        let mut read = |stream: &str, text: &str| {
            let line = format!(r#"{{"log":"{text}","stream":"{stream}","time":"2024-01-02T03:04:05.5Z"}}"#);
            let message = lines.read(line.as_bytes()).unwrap();
            (message.text, message.stderr, message.piece)
        };
        assert_eq!(read("stdout", "a\\n"), ("a".into(), false, None));
        let (_, _, first) = read("stdout", "par");
        let first = first.unwrap();
        assert_eq!((first.ordinal, first.last, first.id.len()), (1, false, 64));
        assert_eq!(read("stderr", "e\\n"), ("e".into(), true, None));
        let (text, _, last) = read("stdout", "tial\\n");
        let last = last.unwrap();
        assert_eq!((text.as_str(), last.ordinal, last.last, last.id), ("tial", 2, true, first.id));
        assert_eq!(read("stdout", "\\n"), (String::new(), false, None));
        assert_eq!(Lines::default().read(b"{\"log\":\"to"), None);
    }
}
