//! Now, and now as Go prints it.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds since the epoch.
pub(super) fn now() -> i64 {
    let time = clock_gettime(ClockId::Realtime);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

/// Appends `nanos` as RFC 3339 in UTC with the fraction as Go's RFC3339Nano has it: no trailing zeros, none at all for a whole second.
pub(super) fn rfc3339(nanos: i64, out: &mut Vec<u8>) {
    let (seconds, fraction) = (nanos.div_euclid(1_000_000_000), nanos.rem_euclid(1_000_000_000));
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Howard Hinnant's civil_from_days: years begin in March.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    for (value, width, after) in [
        (year, 4, b'-'),
        (month, 2, b'-'),
        (day, 2, b'T'),
        (second / 3600, 2, b':'),
        (second / 60 % 60, 2, b':'),
        (second % 60, 2, b'.'),
    ] {
        digits(value, width, out);
        out.push(after);
    }
    digits(fraction, 9, out);
    while let Some(b'0' | b'.') = out.last() {
        if out.pop() == Some(b'.') {
            break;
        }
    }
    out.push(b'Z');
}

fn digits(mut value: i64, width: usize, out: &mut Vec<u8>) {
    let mut text = [b'0'; 9];
    for digit in text.iter_mut().take(width).rev() {
        *digit = b'0' + u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
    }
    out.extend_from_slice(text.get(..width).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_look_as_go_prints_them() {
        for (nanos, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_704_164_645_123_456_789, "2024-01-02T03:04:05.123456789Z"),
            (1_709_164_800_000_000_000, "2024-02-29T00:00:00Z"),
            (1_735_689_599_120_000_000, "2024-12-31T23:59:59.12Z"),
            (951_868_800_000_000_001, "2000-03-01T00:00:00.000000001Z"),
            (951_868_810_000_000_000, "2000-03-01T00:00:10Z"),
            (4_107_542_399_999_999_999, "2100-02-28T23:59:59.999999999Z"),
        ] {
            let mut out = Vec::new();
            rfc3339(nanos, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }
}
