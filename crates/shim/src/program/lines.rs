//! Bytes of a stream into lines, as docker's copier cuts them: a line that does not fit 16 KiB comes in pieces, only the last of which
//! has the newline.

/// Of a piece.
const LONGEST: usize = 16 * 1024;

/// One stream's line that has not ended yet.
#[derive(Debug, Default)]
pub(super) struct Lines {
    start: Vec<u8>,
}

impl Lines {
    /// Calls `each` with every piece that is complete after `bytes`.
    pub(super) fn feed(&mut self, bytes: &[u8], each: &mut dyn FnMut(&[u8])) {
        for part in bytes.split_inclusive(|&b| b == b'\n') {
            if self.start.is_empty() && part.ends_with(b"\n") && part.len() <= LONGEST {
                each(part);
            } else {
                self.push(part, each);
            }
        }
    }

    /// A part with a newline at its end or nowhere.
    fn push(&mut self, mut part: &[u8], each: &mut dyn FnMut(&[u8])) {
        loop {
            let room = LONGEST - self.start.len();
            let (head, rest) = part.split_at(room.min(part.len()));
            self.start.extend_from_slice(head);
            part = rest;
            if self.start.ends_with(b"\n") {
                each(&self.start);
                self.start = Vec::new();
                return;
            }
            if self.start.len() < LONGEST {
                return;
            }
            // Not through the middle of a character, which would be lost.
            let cut = LONGEST - cut_character(&self.start);
            each(self.start.get(..cut).unwrap_or_default());
            self.start.drain(..cut);
        }
    }

    /// The last line, if it has no end.
    pub(super) fn finish(&mut self, each: &mut dyn FnMut(&[u8])) {
        if !self.start.is_empty() {
            each(&self.start);
            self.start = Vec::new();
        }
    }
}

/// How many bytes at the end are the beginning of a character that goes on.
fn cut_character(bytes: &[u8]) -> usize {
    for back in 1..=3.min(bytes.len()) {
        let Some(byte) = bytes.len().checked_sub(back).and_then(|at| bytes.get(at)) else { break };
        let length = match byte {
            0x80..=0xbf => continue,
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => 1,
        };
        return if length > back { back } else { 0 };
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(feeds: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut lines = Lines::default();
        let mut all = Vec::new();
        for bytes in feeds {
            lines.feed(bytes, &mut |line| all.push(line.to_vec()));
        }
        lines.finish(&mut |line| all.push(line.to_vec()));
        all
    }

    #[test]
    fn lines_are_put_together_over_readings() {
        assert_eq!(cut(&[b"a\nb", b"c\n", b"\n", b"d"]), [&b"a\n"[..], b"bc\n", b"\n", b"d"]);
        assert!(cut(&[]).is_empty() && cut(&[b""]).is_empty());
    }

    #[test]
    fn long_lines_come_in_pieces() {
        let line = vec![b'x'; LONGEST];
        for feed in [1, 1000, LONGEST] {
            let mut whole = line.clone();
            whole.extend_from_slice(b"xx\nshort\n");
            let parts: Vec<&[u8]> = whole.chunks(feed).collect();
            assert_eq!(cut(&parts), [&line[..], b"xx\n", b"short\n"], "{feed}");
        }
        // Exactly full: as docker, the newline comes alone.
        let mut whole = line.clone();
        whole.push(b'\n');
        assert_eq!(cut(&[&whole]), [&line[..], b"\n"]);
    }

    #[test]
    fn a_character_is_not_cut() {
        for lead in 0..4 {
            let mut whole = vec![b'x'; lead];
            whole.extend_from_slice("🦀".repeat(LONGEST).as_bytes());
            let pieces = cut(&[&whole]);
            assert!(pieces.iter().all(|piece| std::str::from_utf8(piece).is_ok()), "{lead}");
            assert_eq!(pieces.concat(), whole);
        }
    }

    #[test]
    fn what_is_no_text_passes() {
        let noise: Vec<u8> = (0..200_000_u32).map(|n| 0x80 | (n * 7 % 128) as u8).collect();
        assert_eq!(cut(&[&noise]).concat(), noise);
    }
}
