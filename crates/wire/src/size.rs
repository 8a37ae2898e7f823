//! Sizes as docker/go-units writes and reads them.

use crate::Malformed;

/// Decimal, four significant digits: `1.984MB` (`docker ps -s`, pulls).
#[must_use]
pub fn human(bytes: u64) -> String {
    scaled(bytes, 1000.0, &["B", "kB", "MB", "GB", "TB", "PB", "EB"], 4)
}

/// Decimal, `precision` significant digits: docker's `HumanSizeWithPrecision` (image lists use 3).
#[must_use]
pub fn human_with_precision(bytes: u64, precision: usize) -> String {
    scaled(bytes, 1000.0, &["B", "kB", "MB", "GB", "TB", "PB", "EB"], precision)
}

/// Binary, four significant digits: `23.54GiB` (`docker info`, `docker stats`).
#[must_use]
pub fn binary(bytes: u64) -> String {
    scaled(bytes, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"], 4)
}

#[allow(clippy::cast_precision_loss, reason = "printed with four digits")]
fn scaled(bytes: u64, base: f64, units: &[&str], precision: usize) -> String {
    let mut size = bytes as f64;
    let mut unit = 0;
    while size >= base && unit + 1 < units.len() {
        size /= base;
        unit += 1;
    }
    format!("{}{}", significant(size, precision), units.get(unit).unwrap_or(&""))
}

/// Go's `%.<precision>g` for numbers that need no exponent.
fn significant(number: f64, precision: usize) -> String {
    let whole = if number < 10.0 {
        1
    } else if number < 100.0 {
        2
    } else if number < 1000.0 {
        3
    } else {
        4
    };
    let text = format!("{number:.*}", precision.saturating_sub(whole));
    if !text.contains('.') {
        return text;
    }
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Reads a memory size: `512m`, `1.5g`, `64kb`, `1GiB`, `1024`; units are binary (docker's `RAMInBytes`).
///
/// # Errors
/// docker's `invalid size: 'x'`.
pub fn ram(text: &str) -> Result<i64, Malformed> {
    read(text, 1024.0)
}

/// Reads a decimal size (docker's `FromHumanSize`): `10kB` is 10,000.
///
/// # Errors
/// docker's `invalid size: 'x'`.
pub fn decimal(text: &str) -> Result<i64, Malformed> {
    read(text, 1000.0)
}

#[allow(clippy::cast_possible_truncation, reason = "sizes past i64 are refused before")]
fn read(text: &str, base: f64) -> Result<i64, Malformed> {
    let bad = || Malformed(format!("invalid size: '{text}'"));
    let end = text.rfind(|c: char| c.is_ascii_digit()).map(|at| at + 1).ok_or_else(bad)?;
    let (number, suffix) = (text.get(..end).ok_or_else(bad)?, text.get(end..).ok_or_else(bad)?);
    if !number.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return Err(bad());
    }
    let number: f64 = number.parse().map_err(|_| bad())?;
    let suffix = suffix.trim_start().to_ascii_lowercase();
    let (unit, rest) = match suffix.chars().next() {
        None => return finite(number, bad),
        Some(first) => (first, suffix.get(1..).unwrap_or("")),
    };
    let power = match unit {
        'b' if rest.is_empty() => 0,
        'k' => 1,
        'm' => 2,
        'g' => 3,
        't' => 4,
        'p' => 5,
        _ => return Err(bad()),
    };
    if power > 0 && !matches!(rest, "" | "b" | "ib") {
        return Err(bad());
    }
    finite(number * base.powi(power), bad)
}

#[allow(clippy::cast_possible_truncation, reason = "checked against i64's range")]
fn finite(number: f64, bad: impl Fn() -> Malformed) -> Result<i64, Malformed> {
    if number.is_finite() && number < 9.2e18 { Ok(number as i64) } else { Err(bad()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_print_as_go_units() {
        for (bytes, text) in [
            (0, "0B"),
            (999, "999B"),
            (1000, "1kB"),
            (1024, "1.024kB"),
            (1_984_382, "1.984MB"),
            (131_804_791, "131.8MB"),
            (999_999_999, "1000MB"),
            (5_372_000_000, "5.372GB"),
        ] {
            assert_eq!(human(bytes), text);
        }
        assert_eq!(human_with_precision(131_804_791, 3), "132MB");
        assert_eq!(binary(25_276_502_016), "23.54GiB");
        assert_eq!(binary(1024), "1KiB");
        assert_eq!(binary(1_126_400), "1.074MiB");
    }

    #[test]
    fn sizes_read_as_go_units() {
        for (text, bytes) in [
            ("32", 32),
            ("32b", 32),
            ("32k", 32 << 10),
            ("32KB", 32 << 10),
            ("32KiB", 32 << 10),
            ("1.5g", 3 << 29),
            ("32 mb", 32 << 20),
            ("0", 0),
        ] {
            assert_eq!(ram(text), Ok(bytes), "{text}");
        }
        assert_eq!(decimal("10kB"), Ok(10_000));
        for bad in ["", "hello", "-32", "32.3.3", "32bm", "32 mbb", "b", "1e3"] {
            assert_eq!(ram(bad), Err(Malformed(format!("invalid size: '{bad}'"))), "{bad}");
        }
    }
}
