//! docker's JSON message streams (pull, load, build, events): one object after the other, `\r\n` between.

use crate::Malformed;
use serde_json::{Value, json};

/// One message as it goes on the wire.
#[must_use]
pub fn encode(message: &Value) -> Vec<u8> {
    let mut line = message.to_string().into_bytes();
    line.extend_from_slice(b"\r\n");
    line
}

/// `{"status":…}` of a pull: with an id and a progress bar where known.
#[must_use]
pub fn status(id: &str, status: &str, bytes: Option<(u64, u64)>) -> Value {
    let mut message = json!({ "status": status });
    if !id.is_empty() {
        message["id"] = json!(id);
    }
    match bytes {
        Some((current, total)) if total > 0 => {
            message["progressDetail"] = json!({ "current": current, "total": total });
            message["progress"] = json!(bar(current, total));
        }
        Some((current, _)) if current > 0 => message["progressDetail"] = json!({ "current": current }),
        Some(_) => message["progressDetail"] = json!({}),
        // docker sends an empty detail for every line that belongs to a layer.
        None if !id.is_empty() && !status.starts_with("Pulling from") => {
            message["progressDetail"] = json!({})
        }
        None => {}
    }
    message
}

/// The failure that ends a stream whose status line was 200 already.
#[must_use]
pub fn failure(code: Option<i64>, text: &str) -> Value {
    let mut detail = json!({ "message": text });
    if let Some(code) = code {
        detail["code"] = json!(code);
    }
    json!({ "errorDetail": detail, "error": text })
}

/// docker's bar of 50 characters: `[====>   ]  10MB/20MB`.
fn bar(current: u64, total: u64) -> String {
    let current = current.min(total);
    let done = usize::try_from(current * 50 / total.max(1)).unwrap_or(50);
    let sizes = format!("{:>8}/{}", crate::size::human(current), crate::size::human(total));
    format!("[{}>{}] {sizes}", "=".repeat(done), " ".repeat(50 - done))
}

/// Splits a byte stream into messages, whatever the pieces it comes in.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
}

impl Decoder {
    /// Adds bytes; then ask [`Decoder::message`] until it has none.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message. Objects need no line end between them.
    ///
    /// # Errors
    /// If the bytes are no JSON.
    pub fn message(&mut self) -> Result<Option<Value>, Malformed> {
        let mut values = serde_json::Deserializer::from_slice(&self.buffer).into_iter::<Value>();
        match values.next() {
            None => {
                self.buffer.clear();
                Ok(None)
            }
            Some(Ok(value)) => {
                let used = values.byte_offset();
                self.buffer.drain(..used);
                Ok(Some(value))
            }
            Some(Err(error)) if error.is_eof() => Ok(None),
            Some(Err(error)) => Err(Malformed(format!("bad message in the stream: {error}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_any_cut() {
        let mut stream = encode(&status("abc", "Downloading", Some((5_000_000, 20_000_000))));
        stream.extend(encode(&failure(Some(1), "no\n such")));
        for size in 1..stream.len() {
            let mut decoder = Decoder::default();
            let mut seen = Vec::new();
            for piece in stream.chunks(size) {
                decoder.push(piece);
                while let Some(message) = decoder.message().unwrap() {
                    seen.push(message);
                }
            }
            assert_eq!(seen.len(), 2, "{size}");
            assert_eq!(seen[1]["errorDetail"]["code"], 1);
        }
    }

    #[test]
    fn the_bar_is_dockers() {
        assert_eq!(
            status("abc", "Downloading", Some((5_000_000, 20_000_000)))["progress"],
            "[============>                                      ]      5MB/20MB"
        );
        assert_eq!(status("", "Digest: x", None), json!({"status": "Digest: x"}));
        assert_eq!(status("abc", "Pull complete", None)["progressDetail"], json!({}));
    }

    #[test]
    fn garbage_is_an_error() {
        let mut decoder = Decoder::default();
        decoder.push(b"<html>");
        assert!(decoder.message().is_err());
    }
}
