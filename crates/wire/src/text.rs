//! Output of programs as JSON text, whatever the pieces it comes in.

/// Turns bytes into text; a character cut in two waits for its rest, what is no UTF-8 becomes U+FFFD.
#[derive(Debug, Default)]
pub struct Pieces {
    kept: Vec<u8>,
}

impl Pieces {
    /// The text that is complete now.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        self.kept.extend_from_slice(bytes);
        let mut text = String::new();
        let mut used = 0;
        for chunk in self.kept.utf8_chunks() {
            text.push_str(chunk.valid());
            used += chunk.valid().len();
            let bad = chunk.invalid();
            let tail = used + bad.len() == self.kept.len();
            let waits = tail && begins_character(bad);
            if !bad.is_empty() && !waits {
                text.push(char::REPLACEMENT_CHARACTER);
                used += bad.len();
            }
        }
        self.kept.drain(..used);
        text
    }

    /// What was left at the end of the stream.
    pub fn end(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.kept)).into_owned()
    }
}

/// Whether more bytes could make this a character.
fn begins_character(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_survive_any_cut() {
        let whole = "héllo → wörld 🦀\n";
        for size in 1..whole.len() {
            let mut pieces = Pieces::default();
            let mut text: String = whole.as_bytes().chunks(size).map(|chunk| pieces.push(chunk)).collect();
            text.push_str(&pieces.end());
            assert_eq!(text, whole, "{size}");
        }
    }

    #[test]
    fn garbage_is_replaced_and_does_not_wait() {
        let mut pieces = Pieces::default();
        assert_eq!(pieces.push(b"a\xffb\xc3"), "a\u{fffd}b");
        assert_eq!(pieces.push(b"("), "\u{fffd}(");
        assert_eq!(pieces.push(b"\xf0\x9f"), "");
        assert_eq!(pieces.end(), "\u{fffd}");
    }
}
