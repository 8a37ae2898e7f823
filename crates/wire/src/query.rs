//! Query strings as Go's `net/url` and docker's `httputils` read them.

use crate::Malformed;

/// The pairs of a query string, decoded, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Decodes `a=1&b=x%20y`. Bad escapes stay as they are.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        Self(
            pairs
                .map(|pair| {
                    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (decode(key, true), decode(value, true))
                })
                .collect(),
        )
    }

    /// The first value of a key; empty if absent.
    #[must_use]
    pub fn text(&self, key: &str) -> &str {
        self.get(key).unwrap_or("")
    }

    /// The first value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_str())
    }

    /// Every value of a key.
    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(k, _)| k == key).map(|(_, value)| value.as_str())
    }

    /// docker's `BoolValue`: anything but empty, `0`, `no`, `false`, `none` is true.
    #[must_use]
    pub fn flag(&self, key: &str) -> bool {
        !matches!(self.text(key).trim().to_ascii_lowercase().as_str(), "" | "0" | "no" | "false" | "none")
    }

    /// Like [`Query::flag`] with a default for an absent key.
    #[must_use]
    pub fn flag_or(&self, key: &str, default: bool) -> bool {
        if self.get(key).is_some() { self.flag(key) } else { default }
    }

    /// An integer; `None` if absent or empty.
    ///
    /// # Errors
    /// If it is none; names the key.
    pub fn int(&self, key: &str) -> Result<Option<i64>, Malformed> {
        let text = self.text(key);
        if text.is_empty() {
            return Ok(None);
        }
        text.parse()
            .map(Some)
            .map_err(|_| Malformed(format!("invalid value {text:?} for {key}: not an integer")))
    }
}

/// Percent-decodes; `plus` also turns `+` into a space (queries, not paths).
#[must_use]
pub fn decode(text: &str, plus: bool) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let mut ahead = bytes.clone();
                let digit = |b: Option<u8>| {
                    b.and_then(|b| char::from(b).to_digit(16)).and_then(|d| u8::try_from(d).ok())
                };
                if let (Some(high), Some(low)) = (digit(ahead.next()), digit(ahead.next())) {
                    out.push(high << 4 | low);
                    bytes = ahead;
                } else {
                    out.push(byte);
                }
            }
            b'+' if plus => out.push(b' '),
            other => out.push(other),
        }
    }
    String::from_utf8(out).unwrap_or_else(|bad| String::from_utf8_lossy(bad.as_bytes()).into_owned())
}

/// Percent-encodes everything but unreserved characters.
#[must_use]
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_decoded_in_order() {
        let query = Query::parse("t=a%3A1&t=b&q&x=1+2&bad=%zz");
        assert_eq!(query.all("t").collect::<Vec<_>>(), ["a:1", "b"]);
        assert_eq!(query.get("q"), Some(""));
        assert_eq!(query.text("x"), "1 2");
        assert_eq!(query.text("bad"), "%zz");
        assert_eq!(query.get("none"), None);
    }

    #[test]
    fn flags_are_true_unless_dockers_five_words() {
        for no in ["0", "no", "false", "none", "False", ""] {
            assert!(!Query::parse(&format!("a={no}")).flag("a"), "{no}");
        }
        for yes in ["1", "true", "yes", "x"] {
            assert!(Query::parse(&format!("a={yes}")).flag("a"), "{yes}");
        }
        assert!(Query::parse("").flag_or("a", true));
        assert!(!Query::parse("a=0").flag_or("a", true));
    }

    #[test]
    fn integers_are_checked() {
        assert_eq!(Query::parse("t=-1").int("t"), Ok(Some(-1)));
        assert_eq!(Query::parse("t=").int("t"), Ok(None));
        assert!(Query::parse("t=x").int("t").is_err_and(|e| e.0.contains("\"x\" for t")));
    }

    #[test]
    fn what_is_encoded_decodes() {
        let text = r#"{"a":["ü&=+ %"]}"#;
        assert_eq!(decode(&encode(text), true), text);
    }
}
