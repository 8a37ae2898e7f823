//! Sizes and ages as docker words them (go-units).

use serde_json::Value;

/// `1.23MB`: decimal units, four significant digits.
pub(crate) fn size(bytes: f64) -> String {
    scaled(bytes, 1000.0, &["B", "kB", "MB", "GB", "TB", "PB"], 4)
}

/// `1.23MB` with three significant digits, as `docker images` has it.
pub(crate) fn size3(bytes: f64) -> String {
    scaled(bytes, 1000.0, &["B", "kB", "MB", "GB", "TB", "PB"], 3)
}

/// `1.205MiB`: binary units.
pub(crate) fn binary_size(bytes: f64) -> String {
    scaled(bytes, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB", "PiB"], 4)
}

fn scaled(mut value: f64, base: f64, units: &[&str], precision: usize) -> String {
    let mut at = 0;
    while value >= base && at + 1 < units.len() {
        value /= base;
        at += 1;
    }
    format!("{}{}", significant(value, precision), units.get(at).copied().unwrap_or_default())
}

/// Go's `%.{n}g` for values below 10 000.
fn significant(value: f64, digits: usize) -> String {
    let whole = if value >= 1000.0 {
        4
    } else if value >= 100.0 {
        3
    } else if value >= 10.0 {
        2
    } else {
        1
    };
    let text = format!("{value:.*}", digits.saturating_sub(whole));
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// `5 minutes`: go-units' HumanDuration.
pub(crate) fn human_duration(seconds: i64) -> String {
    let minutes = seconds / 60;
    let hours = (seconds + 1800) / 3600;
    match seconds {
        ..1 => "Less than a second".to_owned(),
        1 => "1 second".to_owned(),
        2..60 => format!("{seconds} seconds"),
        _ if minutes == 1 => "About a minute".to_owned(),
        _ if minutes < 60 => format!("{minutes} minutes"),
        _ if hours == 1 => "About an hour".to_owned(),
        _ if hours < 48 => format!("{hours} hours"),
        _ if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        _ if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        _ if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", hours / 24 / 365),
    }
}

/// `5 minutes ago` of seconds since the epoch.
pub(crate) fn ago(seconds: i64) -> String {
    if seconds <= 0 {
        return "N/A".to_owned();
    }
    format!("{} ago", human_duration(jiff::Timestamp::now().as_second() - seconds))
}

/// Seconds since the epoch as docker lists it: `2026-01-02 03:04:05 +0000 UTC`.
pub(crate) fn created_at(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds)
        .map(|time| {
            time.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S %z %Z").to_string()
        })
        .unwrap_or_default()
}

/// A JSON number of bytes.
#[allow(clippy::cast_precision_loss, reason = "printed with four digits")]
pub(crate) fn bytes(value: &Value) -> f64 {
    value.as_f64().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_worded_as_dockers() {
        for (bytes, text) in [
            (0.0, "0B"),
            (999.0, "999B"),
            (1000.0, "1kB"),
            (1_234_567.0, "1.235MB"),
            (131_000_000.0, "131MB"),
            (2_150_400.0, "2.15MB"),
        ] {
            assert_eq!(size(bytes), text);
        }
        assert_eq!(size3(1_234_567.0), "1.23MB");
        assert_eq!(binary_size(1_263_534.0), "1.205MiB");
    }

    #[test]
    fn ages_are_worded_as_dockers() {
        for (seconds, text) in [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (150, "2 minutes"),
            (3600, "About an hour"),
            (5400, "2 hours"),
            (49 * 3600, "2 days"),
            (15 * 86400, "2 weeks"),
            (61 * 86400, "2 months"),
        ] {
            assert_eq!(human_duration(seconds), text, "{seconds}");
        }
    }
}
