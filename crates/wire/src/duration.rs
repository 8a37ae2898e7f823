//! Go's durations (`1m30s`) and docker's spoken ones (`About a minute`).

use crate::Malformed;

const UNITS: [(&str, i128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Reads Go's notation (`time.ParseDuration`): `1h30m`, `1.5s`, `-10ms`, `0`. Nanoseconds.
///
/// # Errors
/// Go's sentences: `time: invalid duration "x"`.
pub fn parse(text: &str) -> Result<i64, Malformed> {
    let bad = || Malformed(format!("time: invalid duration {text:?}"));
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, text.get(1..).unwrap_or("")),
        Some(b'+') => (false, text.get(1..).unwrap_or("")),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(bad());
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (whole, after) = rest.split_at(digits);
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => after.split_at(after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len())),
            None => ("", after),
        };
        if whole.is_empty() && fraction.is_empty() {
            return Err(bad());
        }
        let end = after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        if unit.is_empty() {
            return Err(Malformed(format!("time: missing unit in duration {text:?}")));
        }
        let Some((_, nanos)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(Malformed(format!("time: unknown unit {unit:?} in duration {text:?}")));
        };
        if whole.len() > 19 {
            return Err(bad());
        }
        total += if whole.is_empty() { 0 } else { whole.parse::<i128>().map_err(|_| bad())? } * nanos;
        let fraction = fraction.get(..fraction.len().min(18)).unwrap_or("");
        if !fraction.is_empty() {
            let scale = 10_i128.pow(u32::try_from(fraction.len()).map_err(|_| bad())?);
            total += fraction.parse::<i128>().map_err(|_| bad())? * nanos / scale;
        }
        rest = after;
    }
    i64::try_from(if negative { -total } else { total }).map_err(|_| bad())
}

/// Prints as Go's `Duration.String`: `1h30m0s`, `1.5s`, `100ms`, `0s`.
#[must_use]
pub fn format(nanos: i64) -> String {
    if nanos == 0 {
        return "0s".to_owned();
    }
    let sign = if nanos < 0 { "-" } else { "" };
    let n = nanos.unsigned_abs();
    let decimal = |n: u64, unit: u64| {
        let mut text = (n / unit).to_string();
        let width = unit.ilog10() as usize;
        let fraction = if width == 0 { String::new() } else { format!("{:0width$}", n % unit) };
        let fraction = fraction.trim_end_matches('0');
        if !fraction.is_empty() {
            text.push('.');
            text.push_str(fraction);
        }
        text
    };
    if n < 1_000_000_000 {
        let (unit, name) = match n {
            0..1_000 => (1, "ns"),
            1_000..1_000_000 => (1_000, "µs"),
            _ => (1_000_000, "ms"),
        };
        return format!("{sign}{}{name}", decimal(n, unit));
    }
    let (hours, minutes) = (n / 3_600_000_000_000, n / 60_000_000_000 % 60);
    let seconds = decimal(n % 60_000_000_000, 1_000_000_000);
    match (hours, minutes) {
        (0, 0) => format!("{sign}{seconds}s"),
        (0, m) => format!("{sign}{m}m{seconds}s"),
        (h, m) => format!("{sign}{h}h{m}m{seconds}s"),
    }
}

/// docker's words for a span: `Less than a second`, `5 minutes`, `About an hour`, `3 weeks`.
#[must_use]
pub fn spoken(seconds: i64) -> String {
    let (minutes, hours) = (seconds / 60, (seconds + 1800) / 3600);
    match seconds {
        i64::MIN..1 => "Less than a second".to_owned(),
        1 => "1 second".to_owned(),
        2..60 => format!("{seconds} seconds"),
        _ if minutes == 1 => "About a minute".to_owned(),
        _ if minutes < 60 => format!("{minutes} minutes"),
        _ if hours == 1 => "About an hour".to_owned(),
        _ if hours < 48 => format!("{hours} hours"),
        _ if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        _ if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        _ if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", seconds / 3600 / 24 / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_durations_read() {
        for (text, nanos) in [
            ("0", 0),
            ("5s", 5_000_000_000),
            ("-5s", -5_000_000_000),
            ("1h15m30.918273645s", 4_530_918_273_645),
            ("1.5s", 1_500_000_000),
            (".5s", 500_000_000),
            ("1.s", 1_000_000_000),
            ("11us", 11_000),
            ("39h9m14.425s", 140_954_425_000_000),
        ] {
            assert_eq!(parse(text), Ok(nanos), "{text}");
        }
        assert_eq!(parse("3"), Err(Malformed("time: missing unit in duration \"3\"".into())));
        assert_eq!(parse("1d"), Err(Malformed("time: unknown unit \"d\" in duration \"1d\"".into())));
        for bad in ["", "-", "s", ".", "-.s", "9999999999999h", "99999999999999999999h"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn go_durations_print_and_return() {
        for (nanos, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_100, "1.1µs"),
            (2_200_000, "2.2ms"),
            (90_000_000_000, "1m30s"),
            (3_600_000_000_000, "1h0m0s"),
            (4_530_918_273_645, "1h15m30.918273645s"),
            (-1_500_000_000, "-1.5s"),
        ] {
            assert_eq!(format(nanos), text);
            assert_eq!(parse(text), Ok(nanos));
        }
    }

    #[test]
    fn spans_are_spoken_as_docker_does() {
        let hour = 3600;
        for (seconds, text) in [
            (0, "Less than a second"),
            (1, "1 second"),
            (47, "47 seconds"),
            (60, "About a minute"),
            (119, "About a minute"),
            (120, "2 minutes"),
            (hour, "About an hour"),
            (2 * hour + 1740, "2 hours"),
            (47 * hour, "47 hours"),
            (48 * hour, "2 days"),
            (14 * 24 * hour, "2 weeks"),
            (60 * 24 * hour, "2 months"),
            (3 * 365 * 24 * hour, "3 years"),
        ] {
            assert_eq!(spoken(seconds), text);
        }
    }
}
