//! Times as RFC 3339 in UTC.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Since the epoch.
pub(crate) fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Year, month, day of a number of days since 1970-01-01 (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let (day, month) =
        (of_year - (153 * shifted + 2) / 5 + 1, if shifted < 10 { shifted + 3 } else { shifted - 9 });
    (year + era * 400 + u64::from(month <= 2), month, day)
}

fn to_seconds(time: Duration) -> String {
    let (year, month, day) = date(time.as_secs() / 86_400);
    let second = time.as_secs() % 86_400;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
}

/// `2026-11-21T12:52:23Z`
pub(crate) fn seconds(time: Duration) -> String {
    to_seconds(time) + "Z"
}

/// `2026-11-21T12:52:23.024159171Z`, without trailing zeros as Go writes it.
pub(crate) fn nanoseconds(time: Duration) -> String {
    let fraction = format!(".{:09}", time.subsec_nanos());
    format!("{}{}Z", to_seconds(time), fraction.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments() {
        assert_eq!(seconds(Duration::ZERO), "1970-01-01T00:00:00Z");
        assert_eq!(seconds(Duration::from_secs(951_782_400)), "2000-02-29T00:00:00Z");
        assert_eq!(seconds(Duration::from_secs(1_795_265_543)), "2026-11-21T12:52:23Z");
        assert_eq!(nanoseconds(Duration::new(1_795_265_543, 24_159_000)), "2026-11-21T12:52:23.024159Z");
        assert_eq!(nanoseconds(Duration::from_secs(4_107_542_400)), "2100-03-01T00:00:00Z");
    }
}
