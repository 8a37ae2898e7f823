//! docker's filters: key → values, and how each kind of object matches them.

use crate::{Error, Kind, Result, events::Time};
use std::collections::BTreeMap;

/// Parsed `filters=` of a request. Values of one key are alternatives (labels: all must hold).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filters(pub BTreeMap<String, Vec<String>>);

impl Filters {
    /// Refuses keys outside `known` with docker's `invalid filter 'x'`.
    ///
    /// # Errors
    /// `Invalid`.
    pub fn only(&self, known: &[&str]) -> Result<()> {
        match self.0.keys().find(|key| !known.contains(&key.as_str())) {
            Some(key) => Err(Error::new(Kind::Invalid, format!("invalid filter '{key}'"))),
            None => Ok(()),
        }
    }

    /// The values of a key.
    #[must_use]
    pub fn all(&self, key: &str) -> &[String] {
        self.0.get(key).map_or(&[], Vec::as_slice)
    }

    /// Whether labels satisfy `label` (`k`, `k=v`; all) and `label!`.
    #[must_use]
    pub fn labels(&self, labels: &BTreeMap<String, String>) -> bool {
        let has = |wanted: &String| match wanted.split_once('=') {
            Some((key, value)) => labels.get(key).is_some_and(|v| v == value),
            None => labels.contains_key(wanted),
        };
        self.all("label").iter().all(has) && !self.all("label!").iter().any(has)
    }

    /// Whether any value of the key passes, or there is none.
    pub(crate) fn any(&self, key: &str, test: impl FnMut(&String) -> bool) -> bool {
        let wanted = self.all(key);
        wanted.is_empty() || wanted.iter().any(test)
    }

    /// The one truth value of a key (`dangling=true`).
    pub(crate) fn flag(&self, key: &str) -> Result<Option<bool>> {
        let mut found = None;
        for value in self.all(key) {
            let value = match value.as_str() {
                "true" | "1" | "True" | "TRUE" | "t" | "T" => true,
                "false" | "0" | "False" | "FALSE" | "f" | "F" => false,
                other => return Err(Error::new(Kind::Invalid, format!("invalid filter '{key}=[{other}]'"))),
            };
            if found.is_some_and(|old| old != value) {
                return Err(Error::new(
                    Kind::Invalid,
                    format!("invalid filter '{key}': both true and false"),
                ));
            }
            found = Some(value);
        }
        Ok(found)
    }

    /// The moment of `until`: seconds since the epoch, RFC 3339, or a duration before now (`24h`, `10m`).
    pub(crate) fn until(&self) -> Result<Option<Time>> {
        match self.all("until") {
            [] => Ok(None),
            [one] => moment(one)
                .map(Some)
                .ok_or_else(|| Error::new(Kind::Invalid, format!("invalid filter 'until={one}'"))),
            _ => Err(Error::new(Kind::Invalid, "more than one until filter specified")),
        }
    }
}

/// A moment as docker's filters have it.
fn moment(text: &str) -> Option<Time> {
    if let Some(span) = duration(text) {
        return Some(Time(Time::now().0.saturating_sub(span)));
    }
    if let Ok(seconds) = text.parse::<f64>() {
        return Some(Time((seconds * 1e9) as i64));
    }
    let stamp: jiff::Timestamp = text.parse().ok().or_else(|| {
        let civil: jiff::civil::DateTime = text.parse().ok()?;
        civil.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
    })?;
    i64::try_from(stamp.as_nanosecond()).ok().map(Time)
}

/// Go's `1h30m`, in nanoseconds.
fn duration(text: &str) -> Option<i64> {
    let (mut total, mut rest) = (0f64, text);
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let (unit, scale) = [("ns", 1.0), ("us", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 6e10), ("h", 3.6e12)]
            .into_iter()
            .find(|(unit, _)| rest.starts_with(unit) && !(*unit == "m" && rest.starts_with("ms")))?;
        total += number * scale;
        rest = &rest[unit.len()..];
    }
    Some(total as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_all_must_hold() {
        let labels = BTreeMap::from([("a".to_owned(), "1".to_owned()), ("b".to_owned(), String::new())]);
        let with = |key: &str, values: &[&str]| {
            Filters(BTreeMap::from([(key.to_owned(), values.iter().map(|s| (*s).to_owned()).collect())]))
        };
        assert!(with("label", &["a", "a=1", "b"]).labels(&labels));
        assert!(!with("label", &["a", "c"]).labels(&labels));
        assert!(!with("label!", &["a=1"]).labels(&labels));
        assert!(with("label!", &["a=2"]).labels(&labels));
    }

    #[test]
    fn moments_and_durations() {
        assert_eq!(duration("1h30m"), Some(5_400_000_000_000));
        assert_eq!(duration("10ms"), Some(10_000_000));
        assert_eq!(duration("10"), None);
        assert_eq!(moment("1700000000"), Some(Time(1_700_000_000_000_000_000)));
        assert_eq!(moment("2023-11-14T22:13:20Z"), Some(Time(1_700_000_000_000_000_000)));
        assert_eq!(moment("2023-11-14T22:13:20"), Some(Time(1_700_000_000_000_000_000)));
        assert!(moment("soon").is_none());
    }
}
