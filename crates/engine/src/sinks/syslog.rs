//! Syslog messages as docker's driver writes them, in its four shapes. The time is the record's, so that it is right when a sink catches up.

use super::{identity::Identity, message::Message};
use jiff::{Timestamp, tz::TimeZone};

const ERROR: u32 = 3;
const INFORMATION: u32 = 6;

/// How this container's messages look.
#[derive(Debug, Clone)]
pub(super) struct Syslog {
    pub(super) facility: u32,
    pub(super) shape: Shape,
    /// RFC 5425: each message behind its length.
    pub(super) counted: bool,
}

/// `syslog-format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// As for the machine's own syslog: without a host.
    Unix,
    Rfc3164,
    Rfc5424,
    Rfc5424Micro,
}

impl Shape {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "" => Ok(Self::Unix),
            "rfc3164" => Ok(Self::Rfc3164),
            "rfc5424" => Ok(Self::Rfc5424),
            "rfc5424micro" => Ok(Self::Rfc5424Micro),
            _ => Err("Invalid syslog format".to_owned()),
        }
    }

    pub(super) fn is_rfc5424(self) -> bool {
        matches!(self, Self::Rfc5424 | Self::Rfc5424Micro)
    }
}

/// `syslog-facility`: a name or a number; `daemon` where nothing is said.
pub(super) fn facility(text: &str) -> Result<u32, String> {
    const NAMES: [&str; 24] = [
        "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
        "", "", "", "", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
    ];
    if text.is_empty() {
        return Ok(3);
    }
    let named = NAMES.iter().position(|name| *name == text).and_then(|at| u32::try_from(at).ok());
    named
        .or_else(|| text.parse().ok().filter(|n| *n <= 23))
        .ok_or_else(|| "invalid syslog facility".to_owned())
}

impl Syslog {
    /// The bytes of a message; empty lines are not sent, as with docker.
    pub(super) fn encode(&self, of: &Identity, message: &Message) -> Option<Vec<u8>> {
        if message.text.is_empty() {
            return None;
        }
        let priority = self.facility * 8 + if message.stderr { ERROR } else { INFORMATION };
        let (host, tag, pid, text) = (&of.hostname, &of.tag, of.pid, &message.text);
        let line = match self.shape {
            Shape::Unix => format!("<{priority}>{} {tag}[{pid}]: {text}\n", stamp(message.time)),
            Shape::Rfc3164 => format!("<{priority}>{} {host} {tag}[{pid}]: {text}\n", stamp(message.time)),
            Shape::Rfc5424 | Shape::Rfc5424Micro => {
                let micros = self.shape == Shape::Rfc5424Micro;
                let time = rfc3339(message.time, micros);
                format!("<{priority}>1 {time} {host} {tag} {pid} {tag} - {text}\n")
            }
        };
        Some(if self.counted { format!("{} {line}", line.len()).into_bytes() } else { line.into_bytes() })
    }
}

/// Go's `time.Stamp`.
fn stamp(time: Timestamp) -> String {
    time.to_zoned(TimeZone::system()).strftime("%b %e %H:%M:%S").to_string()
}

fn rfc3339(time: Timestamp, micros: bool) -> String {
    let local = time.to_zoned(TimeZone::system());
    let format = if micros { "%Y-%m-%dT%H:%M:%S.%6f" } else { "%Y-%m-%dT%H:%M:%S" };
    let zone = if local.offset().seconds() == 0 { "Z".to_owned() } else { local.strftime("%:z").to_string() };
    format!("{}{zone}", local.strftime(format))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(shape: &str, counted: bool, stderr: bool, text: &str) -> Option<String> {
        let of =
            Identity { hostname: "vm".into(), tag: "a14ee788cd3a".into(), pid: 6275, ..Identity::default() };
        let time = "2026-11-02T15:54:11.411489Z".parse().unwrap();
        let message = Message { time, stderr, text: text.into(), piece: None };
        let syslog = Syslog { facility: facility("").unwrap(), shape: Shape::parse(shape).unwrap(), counted };
        syslog.encode(&of, &message).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    /// What dockerd 20.10.24 sends.
    #[test]
    fn messages_are_dockers() {
        for (shape, stderr, expected) in [
            ("", false, "<30>Nov  2 15:54:11 a14ee788cd3a[6275]: hello <w>\n"),
            ("rfc3164", true, "<27>Nov  2 15:54:11 vm a14ee788cd3a[6275]: hello <w>\n"),
            ("rfc5424", true, "<27>1 2026-11-02T15:54:11Z vm a14ee788cd3a 6275 a14ee788cd3a - hello <w>\n"),
            (
                "rfc5424micro",
                false,
                "<30>1 2026-11-02T15:54:11.411489Z vm a14ee788cd3a 6275 a14ee788cd3a - hello <w>\n",
            ),
        ] {
            assert_eq!(encoded(shape, false, stderr, "hello <w>").unwrap(), expected);
        }
        let counted = encoded("rfc5424", true, false, "x").unwrap();
        let (count, rest) = counted.split_once(' ').unwrap();
        assert_eq!(count.parse::<usize>().unwrap(), rest.len());
        assert_eq!(encoded("", false, false, ""), None);
        assert_eq!((facility("local3"), facility("23"), facility("").unwrap()), (Ok(19), Ok(23), 3));
    }
}
