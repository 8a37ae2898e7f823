//! Points in time as requests and answers write them.

use crate::{Malformed, duration};
use jiff::{Timestamp, civil, tz::TimeZone};

/// What docker prints for "never".
pub const ZERO: &str = "0001-01-01T00:00:00Z";

const BILLION: i64 = 1_000_000_000;

/// RFC 3339 as Go prints it: UTC, nanoseconds without trailing zeros. 0 is [`ZERO`].
#[must_use]
pub fn format(nanos: i64) -> String {
    if nanos == 0 {
        return ZERO.to_owned();
    }
    Timestamp::from_nanosecond(i128::from(nanos)).map_or_else(|_| ZERO.to_owned(), |time| time.to_string())
}

/// RFC 3339 → nanoseconds since the epoch; [`ZERO`] is 0.
///
/// # Errors
/// If it is no such time or beyond the years 1678–2262.
pub fn parse(text: &str) -> Result<i64, Malformed> {
    if text.starts_with("0001-01-01T00:00:00") {
        return Ok(0);
    }
    let bad = || Malformed(format!("invalid time {text:?}"));
    let time: Timestamp = text.parse().map_err(|_| bad())?;
    i64::try_from(time.as_nanosecond()).map_err(|_| bad())
}

/// `since` and `until` of logs, events and filters: Unix seconds with a fraction (`1136073600.000000001`), RFC 3339, a local date or
/// time (`2006-01-02T15:04:05`), or a Go duration before now. `None` for empty and `0`.
///
/// # Errors
/// If it is none of these.
pub fn query(text: &str, now: i64) -> Result<Option<i64>, Malformed> {
    if text.is_empty() || text == "0" {
        return Ok(None);
    }
    if let Some(nanos) = unix(text) {
        return Ok(Some(nanos));
    }
    if let Ok(before) = duration::parse(text) {
        return Ok(Some(now.saturating_sub(before)));
    }
    if let Ok(nanos) = parse(text) {
        return Ok(Some(nanos));
    }
    let local = text
        .parse::<civil::DateTime>()
        .or_else(|_| text.trim_end_matches('Z').parse::<civil::Date>().map(|date| date.at(0, 0, 0, 0)))
        .map_err(|_| Malformed(format!("failed to parse value as time or duration: {text:?}")))?;
    let zone = if text.ends_with('Z') { TimeZone::UTC } else { TimeZone::system() };
    let nanos = local.to_zoned(zone).map(|zoned| zoned.timestamp().as_nanosecond());
    nanos
        .ok()
        .and_then(|nanos| i64::try_from(nanos).ok())
        .map(Some)
        .ok_or_else(|| Malformed(format!("invalid time {text:?}")))
}

/// `seconds[.fraction]`.
fn unix(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let whole: i64 = whole.parse().ok()?;
    let digits: String = fraction.chars().chain(std::iter::repeat('0')).take(9).collect();
    let fraction: i64 = digits.parse().ok()?;
    whole.checked_mul(BILLION)?.checked_add(if whole < 0 { -fraction } else { fraction })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_print_as_gos() {
        assert_eq!(format(0), ZERO);
        assert_eq!(format(1_795_255_440_154_884_404), "2026-11-21T10:04:00.154884404Z");
        assert_eq!(format(1_735_689_600_000_000_000), "2025-01-01T00:00:00Z");
        assert_eq!(format(1_735_689_600_450_000_000), "2025-01-01T00:00:00.45Z");
        assert_eq!(parse(&format(1_795_255_440_154_884_404)), Ok(1_795_255_440_154_884_404));
        assert_eq!(parse(ZERO), Ok(0));
    }

    #[test]
    fn since_takes_every_form() {
        let now = 1_795_255_440 * BILLION;
        assert_eq!(query("", now), Ok(None));
        assert_eq!(query("0", now), Ok(None));
        assert_eq!(query("1136073600", now), Ok(Some(1_136_073_600 * BILLION)));
        assert_eq!(query("1136073600.000000001", now), Ok(Some(1_136_073_600 * BILLION + 1)));
        assert_eq!(query("1136073600.5", now), Ok(Some(1_136_073_600 * BILLION + BILLION / 2)));
        assert_eq!(query("1m30s", now), Ok(Some(now - 90 * BILLION)));
        assert_eq!(query("2025-01-01T00:00:00Z", now), Ok(Some(1_735_689_600 * BILLION)));
        assert_eq!(query("2025-01-01T01:00:00+01:00", now), Ok(Some(1_735_689_600 * BILLION)));
        assert_eq!(query("2025-01-01Z", now), Ok(Some(1_735_689_600 * BILLION)));
        assert!(query("2025-01-01T00:00:00", now).is_ok_and(|time| time.is_some()));
        assert!(query("yesterday", now).is_err());
    }
}
