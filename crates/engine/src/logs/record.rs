//! One line of a json-file log and what a query makes of it.

use crate::containers::{LogQuery, Output};
use bytes::Bytes;
use jiff::Timestamp;
use serde::Deserialize;
use std::{borrow::Cow, collections::BTreeMap, fmt::Write as _};

/// As the shim writes it.
#[derive(Deserialize)]
pub(crate) struct Record<'a> {
    #[serde(borrow)]
    pub(crate) log: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) stream: Cow<'a, str>,
    #[serde(default)]
    attrs: BTreeMap<String, String>,
    #[serde(borrow)]
    pub(crate) time: Cow<'a, str>,
}

/// What to do with a line.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// To be sent.
    pub(super) output: Option<Output>,
    /// Whether later lines may matter.
    pub(super) more: bool,
}

/// Turns lines into output as a query wants them.
#[derive(Debug)]
pub(super) struct Format {
    query: LogQuery,
    /// Of stdout, stderr: whether the next record begins a line, so that time and attributes come before it.
    fresh: [bool; 2],
}

impl Format {
    pub(super) fn new(query: LogQuery) -> Self {
        Self { query, fresh: [true; 2] }
    }

    /// Of one line without its end. What is no record is left out.
    pub(super) fn line(&mut self, line: &[u8]) -> Verdict {
        let nothing = Verdict { output: None, more: true };
        let Some(record) = parse(line) else { return nothing };
        let Ok(time) = record.time.parse::<Timestamp>() else { return nothing };
        let nanos = i64::try_from(time.as_nanosecond()).unwrap_or(i64::MAX);
        if self.query.until.is_some_and(|until| nanos > until) {
            return Verdict { output: None, more: false };
        }
        let stream = if record.stream == "stderr" { 2 } else { 1 };
        let wanted = if stream == 2 { self.query.stderr } else { self.query.stdout };
        if !wanted || self.query.since.is_some_and(|since| nanos < since) {
            return nothing;
        }
        let data = self.text(&record, stream, time);
        Verdict { output: Some(Output { stream, data }), more: true }
    }

    fn text(&mut self, record: &Record<'_>, stream: u8, time: Timestamp) -> Bytes {
        let Some(fresh) = self.fresh.get_mut(usize::from(stream - 1)) else { return Bytes::new() };
        let begins = std::mem::replace(fresh, record.log.ends_with('\n'));
        if !begins || !(self.query.timestamps || self.query.details) {
            return Bytes::copy_from_slice(record.log.as_bytes());
        }
        let mut text = String::with_capacity(record.log.len() + 64);
        if self.query.timestamps {
            // docker's RFC3339NanoFixed: always nine digits.
            text.push_str(&format!("{time:.9} "));
        }
        if self.query.details {
            for (position, (name, value)) in record.attrs.iter().enumerate() {
                if position > 0 {
                    text.push(',');
                }
                escape(name, &mut text);
                text.push('=');
                escape(value, &mut text);
            }
            text.push(' ');
        }
        text.push_str(&record.log);
        Bytes::from(text)
    }
}

/// A record; also one that follows a torn one on the same line, as docker leaves them.
pub(crate) fn parse(line: &[u8]) -> Option<Record<'_>> {
    const BEGIN: &[u8] = b"{\"log\":";
    serde_json::from_slice(line).ok().or_else(|| {
        let (at, _) = line.windows(BEGIN.len()).enumerate().skip(1).rfind(|(_, part)| *part == BEGIN)?;
        serde_json::from_slice(line.get(at..)?).ok()
    })
}

/// Go's `url.QueryEscape`.
fn escape(text: &str, out: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            // A String takes everything.
            _ => write!(out, "%{byte:02X}").unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(query: LogQuery, lines: &[&str]) -> Vec<(u8, String)> {
        let mut format = Format::new(LogQuery { stdout: true, stderr: true, ..query });
        let mut all = Vec::new();
        for line in lines {
            let verdict = format.line(line.as_bytes());
            all.extend(verdict.output.map(|o| (o.stream, String::from_utf8(o.data.to_vec()).unwrap())));
            if !verdict.more {
                break;
            }
        }
        all
    }

    const LINES: [&str; 5] = [
        r#"{"log":"a\u003c\n","stream":"stdout","time":"2024-01-02T03:04:05Z"}"#,
        r#"{"log":"par","stream":"stderr","attrs":{"k y":"v/1","b":"c"},"time":"2024-01-02T03:04:05.5Z"}"#,
        r#"{"log":"tial\n","stream":"stderr","attrs":{"k y":"v/1","b":"c"},"time":"2024-01-02T03:04:05.6Z"}"#,
        r#"{"log":"torn{"log":"whole\n","stream":"stdout","time":"2024-01-02T03:04:06.000000001Z"}"#,
        "\0\0\0{\"lo",
    ];

    #[test]
    fn a_torn_record_costs_only_itself() {
        let texts: Vec<_> = run(LogQuery::default(), &LINES).into_iter().map(|(_, text)| text).collect();
        assert_eq!(texts, ["a<\n", "par", "tial\n", "whole\n"]);
    }

    #[test]
    fn time_and_attributes_come_once_a_line() {
        let query = LogQuery { timestamps: true, details: true, ..LogQuery::default() };
        let texts: Vec<_> = run(query, &LINES).into_iter().map(|(_, text)| text).collect();
        let expected = [
            "2024-01-02T03:04:05.000000000Z  a<\n",
            "2024-01-02T03:04:05.500000000Z b=c,k+y=v%2F1 par",
            "tial\n",
            "2024-01-02T03:04:06.000000001Z  whole\n",
        ];
        assert_eq!(texts, expected);
    }

    #[test]
    fn since_and_until_include_their_moment() {
        let second = 1_704_164_645_000_000_000;
        let query = LogQuery {
            since: Some(second + 500_000_000),
            until: Some(second + 600_000_000),
            ..LogQuery::default()
        };
        assert_eq!(run(query, &LINES), [(2, "par".to_owned()), (2, "tial\n".to_owned())]);
    }
}
