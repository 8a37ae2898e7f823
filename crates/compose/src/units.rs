//! Sizes and durations as Docker writes them.

use std::{fmt, time::Duration};

use serde::{Serialize, Serializer};

/// A duration in nanoseconds, the engine's unit; printed as Go prints it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Nanoseconds(pub i64);

impl Nanoseconds {
    /// Whole seconds, rounded up: the engine counts stop timeouts in seconds.
    #[must_use]
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000_000) + i64::from(self.0.rem_euclid(1_000_000_000) > 0)
    }

    /// As the standard library's type; a negative one is zero.
    #[must_use]
    pub fn duration(self) -> Duration {
        Duration::from_nanos(u64::try_from(self.0).unwrap_or(0))
    }
}

impl fmt::Display for Nanoseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0;
        if nanos == 0 {
            return f.write_str("0s");
        }
        if nanos.abs() < 1_000_000_000 {
            let (unit, name) = match nanos.abs() {
                n if n < 1_000 => (1, "ns"),
                n if n < 1_000_000 => (1_000, "µs"),
                _ => (1_000_000, "ms"),
            };
            return write!(f, "{}{name}", decimal(nanos, unit));
        }
        let (hours, rest) = (nanos / 3_600_000_000_000, nanos % 3_600_000_000_000);
        let (minutes, rest) = (rest / 60_000_000_000, rest % 60_000_000_000);
        if hours != 0 {
            write!(f, "{hours}h")?;
        }
        if hours != 0 || minutes != 0 {
            write!(f, "{minutes}m")?;
        }
        write!(f, "{}s", decimal(rest, 1_000_000_000))
    }
}

fn decimal(value: i64, unit: i64) -> String {
    let (whole, rest) = (value / unit, (value % unit).abs());
    if rest == 0 {
        return whole.to_string();
    }
    let width = unit.to_string().len() - 1;
    format!("{whole}.{}", format!("{rest:0width$}").trim_end_matches('0'))
}

impl Serialize for Nanoseconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// `1m30s`, `1.5h`, `100ms`, `2d`, `1w`; a bare number counts seconds in no version of Compose, so it is refused except 0.
#[must_use]
pub fn duration(text: &str) -> Option<Nanoseconds> {
    if text == "0" {
        return Some(Nanoseconds(0));
    }
    let (mut rest, mut total) = (text, 0f64);
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let value: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            "d" => 86_400e9,
            "w" => 604_800e9,
            _ => return None,
        };
        total += value * unit;
        rest = &rest[end..];
    }
    to_integer(total).map(Nanoseconds)
}

/// `64m`, `1.5gb`, `10 MiB`, `512`; the letters count in 1024s, as `docker run -m` does. -1 stays -1 (no limit).
#[must_use]
pub fn bytes(text: &str) -> Option<i64> {
    let text = text.trim();
    if text == "-1" {
        return Some(-1);
    }
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let value: f64 = text[..split].parse().ok()?;
    let suffix = text[split..].trim_start().to_ascii_lowercase();
    let letter = suffix.strip_suffix("ib").or_else(|| suffix.strip_suffix('b')).unwrap_or(&suffix);
    let power = match letter {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return None,
    };
    to_integer(value * 1024f64.powi(power))
}

fn to_integer(value: f64) -> Option<i64> {
    // 2^63: the first value that does not fit.
    (0.0..9_223_372_036_854_775_808.0).contains(&value).then_some(value as i64)
}

/// A size for people, in 1000s as Docker prints image sizes.
#[must_use]
pub fn human_size(bytes: i64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "kB", "MB", "GB", "TB"] {
        if value < 1000.0 {
            let digits = match value {
                v if v >= 100.0 || unit == "B" => 0,
                v if v >= 10.0 => 1,
                _ => 2,
            };
            return format!("{value:.digits$}{unit}");
        }
        value /= 1000.0;
    }
    format!("{value:.0}PB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_parse_and_print_as_go_does() {
        for (text, nanos, printed) in [
            ("10s", 10_000_000_000, "10s"),
            ("1m30s", 90_000_000_000, "1m30s"),
            ("1h", 3_600_000_000_000, "1h0m0s"),
            ("1.5s", 1_500_000_000, "1.5s"),
            ("100ms", 100_000_000, "100ms"),
            ("2d", 172_800_000_000_000, "48h0m0s"),
            ("0", 0, "0s"),
            ("0s", 0, "0s"),
        ] {
            let value = duration(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((value.0, value.to_string().as_str()), (nanos, printed), "{text}");
        }
        for bad in ["", "10", "s", "1x", "-1s", "1..2s"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn sizes_count_in_1024s() {
        for (text, value) in [
            ("512", 512),
            ("64m", 67_108_864),
            ("1.5gb", 1_610_612_736),
            ("10 MiB", 10_485_760),
            ("1K", 1024),
            ("-1", -1),
        ] {
            assert_eq!(bytes(text), Some(value), "{text}");
        }
        for bad in ["", "m", "1x", "1mm", "-5", "9999999p"] {
            assert_eq!(bytes(bad), None, "{bad}");
        }
    }
}
