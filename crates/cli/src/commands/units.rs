//! Sizes and ages of JSON answers, in docker's words.

use serde_json::Value;

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bytes, printed with four digits")]
fn whole(bytes: f64) -> u64 {
    bytes.max(0.0) as u64
}

/// `1.235MB`.
pub(crate) fn size(bytes: f64) -> String {
    dhow_wire::size::human(whole(bytes))
}

/// `1.23MB`: lists have three digits.
pub(crate) fn size3(bytes: f64) -> String {
    dhow_wire::size::human_with_precision(whole(bytes), 3)
}

/// `1.205MiB`.
pub(crate) fn binary_size(bytes: f64) -> String {
    dhow_wire::size::binary(whole(bytes))
}

/// `5 minutes ago` of seconds since the epoch.
pub(crate) fn ago(seconds: i64) -> String {
    if seconds <= 0 {
        return "N/A".to_owned();
    }
    format!("{} ago", dhow_wire::duration::spoken(jiff::Timestamp::now().as_second() - seconds))
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
