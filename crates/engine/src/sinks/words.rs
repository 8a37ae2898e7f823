//! Values of options as Go reads them, refused in Go's words.

use std::time::Duration;

/// `net.SplitHostPort`.
pub(super) fn split_host_port(address: &str) -> Result<(String, String), Wrong> {
    let wrong =
        |missing_port: bool, what: &str| Wrong { missing_port, text: format!("address {address}: {what}") };
    let Some((host, port)) = address.rsplit_once(':') else {
        return Err(wrong(true, "missing port in address"));
    };
    if let Some(inside) = host.strip_prefix('[') {
        let Some(host) = inside.strip_suffix(']') else { return Err(wrong(true, "missing port in address")) };
        return Ok((host.to_owned(), port.to_owned()));
    }
    if host.contains(':') {
        return Err(wrong(false, "too many colons in address"));
    }
    Ok((host.to_owned(), port.to_owned()))
}

/// Why an address is none.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) missing_port: bool,
    pub(super) text: String,
}

/// Scheme and the rest of what docker calls a transport URL.
pub(super) fn transport(address: &str) -> Option<(&str, &str)> {
    address
        .split_once("://")
        .filter(|(scheme, _)| matches!(*scheme, "tcp" | "tcp+tls" | "udp" | "unix" | "unixgram"))
}

/// The host of a URL, as far as `url.Parse` looks at it.
pub(super) fn url_host(address: &str) -> Result<&str, String> {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let port = match host.rsplit_once(']') {
        Some((_, after)) => after,
        None => host.find(':').and_then(|at| host.get(at..)).unwrap_or_default(),
    };
    if port.strip_prefix(':').unwrap_or(port).bytes().all(|b| b.is_ascii_digit()) {
        return Ok(host);
    }
    let port = host.rfind(':').and_then(|at| host.get(at..)).unwrap_or(port);
    Err(format!("parse \"{address}\": invalid port \"{port}\" after host"))
}

/// `strconv.ParseBool`.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// `time.ParseDuration`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let (mut rest, mut seconds) = (text.strip_prefix('+').unwrap_or(text), 0.0);
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(end);
        let unit_end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_end);
        let scale = match unit {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        seconds += number.parse::<f64>().ok()? * scale;
        rest = next;
    }
    Duration::try_from_secs_f64(seconds).ok()
}

/// `units.RAMInBytes`: `10m`, `1g`, `512k`, `100`.
pub(crate) fn bytes(text: &str) -> Option<u64> {
    let lower = text.trim().to_ascii_lowercase();
    let bare = lower.trim_end_matches('b').trim_end_matches('i');
    let (digits, shift) = match bare.as_bytes().last()? {
        b'k' => (bare.get(..bare.len() - 1)?, 10),
        b'm' => (bare.get(..bare.len() - 1)?, 20),
        b'g' => (bare.get(..bare.len() - 1)?, 30),
        b't' => (bare.get(..bare.len() - 1)?, 40),
        _ => (bare, 0),
    };
    let number: f64 = digits.trim().parse().ok().filter(|n: &f64| *n > 0.0 && n.is_finite())?;
    Some((number * (1u64 << shift) as f64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_split_as_go_does() {
        let pair = |host: &str, port: &str| Ok((host.to_owned(), port.to_owned()));
        assert_eq!(split_host_port("a:1"), pair("a", "1"));
        assert_eq!(split_host_port("[::1]:5"), pair("::1", "5"));
        assert!(split_host_port("a").unwrap_err().missing_port);
        assert_eq!(split_host_port("a:b:c").unwrap_err().text, "address a:b:c: too many colons in address");
        assert_eq!(transport("udp://a:1"), Some(("udp", "a:1")));
        assert_eq!(transport("http://a"), None);
        assert_eq!(url_host("tcp://[::1]:7/x"), Ok("[::1]:7"));
        assert_eq!(url_host("tcp://a:x").unwrap_err(), "parse \"tcp://a:x\": invalid port \":x\" after host");
        assert_eq!(
            url_host("tcp://a:b:c").unwrap_err(),
            "parse \"tcp://a:b:c\": invalid port \":c\" after host"
        );
    }

    #[test]
    fn values_are_gos() {
        assert_eq!(duration("1m30s"), Some(Duration::from_secs(90)));
        assert_eq!(duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!((duration("x"), duration("5"), duration("")), (None, None, None));
        assert_eq!((boolean("T"), boolean("x")), (Some(true), None));
        assert_eq!((bytes("1.5k"), bytes("10MB"), bytes("ten")), (Some(1536), Some(10 << 20), None));
    }
}
