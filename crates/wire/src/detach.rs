//! Detach keys (`ctrl-p,ctrl-q`): the sequence that ends an attached terminal without ending the process.

use crate::Malformed;

/// docker's default: ctrl-p, ctrl-q.
pub const DEFAULT: [u8; 2] = [16, 17];

/// Reads `ctrl-p,ctrl-q` or `a,b`; empty means [`DEFAULT`].
///
/// # Errors
/// docker's `Unknown character: 'x'`.
pub fn parse(text: &str) -> Result<Vec<u8>, Malformed> {
    if text.is_empty() {
        return Ok(DEFAULT.to_vec());
    }
    text.split(',')
        .map(|key| match (key.as_bytes(), key.strip_prefix("ctrl-").map(str::as_bytes)) {
            ([single], _) => Ok(*single),
            (_, Some([c @ b'a'..=b'z'])) => Ok(c - b'a' + 1),
            (_, Some(b"@")) => Ok(0),
            (_, Some([c @ b'['..=b'_'])) => Ok(c - b'[' + 27),
            _ => Err(Malformed(format!("Unknown character: '{key}'"))),
        })
        .collect()
}

/// Watches what is typed for the sequence.
#[derive(Debug)]
pub struct Watch {
    keys: Vec<u8>,
    matched: usize,
}

/// What to do with typed bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum Typed {
    /// Pass these on (a begun sequence is held back until it is decided).
    Pass(Vec<u8>),
    /// The sequence is complete: pass these on and detach.
    Detach(Vec<u8>),
}

impl Watch {
    /// For this sequence.
    #[must_use]
    pub fn new(keys: Vec<u8>) -> Self {
        Self { keys, matched: 0 }
    }

    /// Looks at the next bytes.
    pub fn feed(&mut self, bytes: &[u8]) -> Typed {
        let mut pass = Vec::with_capacity(bytes.len());
        for &byte in bytes {
            if self.keys.get(self.matched) == Some(&byte) {
                self.matched += 1;
                if self.matched == self.keys.len() {
                    self.matched = 0;
                    return Typed::Detach(pass);
                }
                continue;
            }
            pass.extend_from_slice(self.keys.get(..self.matched).unwrap_or(&[]));
            self.matched = usize::from(self.keys.first() == Some(&byte));
            if self.matched == 0 {
                pass.push(byte);
            }
        }
        Typed::Pass(pass)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_read_as_dockers() {
        assert_eq!(parse(""), Ok(vec![16, 17]));
        assert_eq!(parse("ctrl-p,ctrl-q"), Ok(vec![16, 17]));
        assert_eq!(parse("ctrl-@,ctrl-[,ctrl-_,a"), Ok(vec![0, 27, 31, b'a']));
        assert_eq!(parse("ctrl-p,xx"), Err(Malformed("Unknown character: 'xx'".into())));
    }

    #[test]
    fn the_sequence_is_found_over_any_cut_and_nothing_else_is_lost() {
        let mut watch = Watch::new(vec![16, 17]);
        assert_eq!(watch.feed(b"ab\x10"), Typed::Pass(b"ab".to_vec()));
        assert_eq!(watch.feed(b"c"), Typed::Pass(b"\x10c".to_vec()));
        assert_eq!(watch.feed(b"\x10\x10"), Typed::Pass(b"\x10".to_vec()));
        assert_eq!(watch.feed(b"\x11rest"), Typed::Detach(Vec::new()));
    }
}
