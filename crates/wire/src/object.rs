//! Reading JSON bodies the way Go's decoder does: keys in any case, `null` as absent, unknown keys ignored; and a wrong type is
//! an error that names the place.

use crate::Malformed;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// One JSON object of a request, with its place in the body for errors.
#[derive(Debug, Clone, Copy)]
pub struct Object<'a> {
    map: Option<&'a Map<String, Value>>,
    place: &'a str,
}

impl<'a> Object<'a> {
    /// The body itself; `null` is an empty object.
    ///
    /// # Errors
    /// If it is no object.
    pub fn new(value: &'a Value) -> Result<Self, Malformed> {
        Self::at(value, "")
    }

    fn at(value: &'a Value, place: &'a str) -> Result<Self, Malformed> {
        match value {
            Value::Null => Ok(Self { map: None, place }),
            Value::Object(map) => Ok(Self { map: Some(map), place }),
            other => Err(mismatch(place, "an object", other)),
        }
    }

    /// The value of a key as it is; `None` if absent or `null`.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&'a Value> {
        let map = self.map?;
        let exact = map.get(key);
        exact
            .or_else(|| map.iter().find(|(k, _)| k.eq_ignore_ascii_case(key)).map(|(_, value)| value))
            .filter(|value| !value.is_null())
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.map.is_none_or(Map::is_empty)
    }

    fn read<T>(
        &self,
        key: &str,
        kind: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, Malformed> {
        let Some(value) = self.value(key) else { return Ok(None) };
        match read(value) {
            Some(read) => Ok(Some(read)),
            None => Err(mismatch(&self.name(key), kind, value)),
        }
    }

    fn name(&self, key: &str) -> String {
        if self.place.is_empty() { key.to_owned() } else { format!("{}.{key}", self.place) }
    }

    /// Text; empty if absent.
    ///
    /// # Errors
    /// Another type.
    pub fn text(&self, key: &str) -> Result<String, Malformed> {
        Ok(self.read(key, "a string", Value::as_str)?.unwrap_or_default().to_owned())
    }

    /// Text or a number as text (ports); empty if absent.
    ///
    /// # Errors
    /// Another type.
    pub fn loose_text(&self, key: &str) -> Result<String, Malformed> {
        let read = |value: &Value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        Ok(self.read(key, "a string", read)?.unwrap_or_default())
    }

    /// A flag, if present.
    ///
    /// # Errors
    /// Another type.
    pub fn opt_flag(&self, key: &str) -> Result<Option<bool>, Malformed> {
        self.read(key, "a boolean", Value::as_bool)
    }

    /// A flag; false if absent.
    ///
    /// # Errors
    /// Another type.
    pub fn flag(&self, key: &str) -> Result<bool, Malformed> {
        Ok(self.opt_flag(key)?.unwrap_or(false))
    }

    /// An integer, if present. A float without a fraction counts (some clients compute sizes).
    ///
    /// # Errors
    /// Another type, or outside 64 bits.
    pub fn opt_int(&self, key: &str) -> Result<Option<i64>, Malformed> {
        self.read(key, "an integer", |value| value.as_i64().or_else(|| whole(value.as_f64()?)))
    }

    /// An integer; 0 if absent.
    ///
    /// # Errors
    /// As [`Object::opt_int`].
    pub fn int(&self, key: &str) -> Result<i64, Malformed> {
        Ok(self.opt_int(key)?.unwrap_or(0))
    }

    /// An integer that fits a smaller type; the default if absent.
    ///
    /// # Errors
    /// As [`Object::opt_int`]; outside the type.
    pub fn small<T: TryFrom<i64> + Default>(&self, key: &str) -> Result<T, Malformed> {
        let number = self.int(key)?;
        T::try_from(number).map_err(|_| Malformed(format!("{}: {number} is out of range", self.name(key))))
    }

    /// A list of texts, or one text (`"Cmd": "sh"`), if present.
    ///
    /// # Errors
    /// Another type.
    pub fn opt_texts(&self, key: &str) -> Result<Option<Vec<String>>, Malformed> {
        let read = |value: &Value| match value {
            Value::String(text) => Some(vec![text.clone()]),
            Value::Array(list) => list.iter().map(|item| item.as_str().map(str::to_owned)).collect(),
            _ => None,
        };
        self.read(key, "a list of strings", read)
    }

    /// A list of texts; empty if absent.
    ///
    /// # Errors
    /// Another type.
    pub fn texts(&self, key: &str) -> Result<Vec<String>, Malformed> {
        Ok(self.opt_texts(key)?.unwrap_or_default())
    }

    /// A map of texts; empty if absent. `null` values are empty.
    ///
    /// # Errors
    /// Another type.
    pub fn text_map(&self, key: &str) -> Result<BTreeMap<String, String>, Malformed> {
        let read = |value: &Value| {
            let one = |value: &Value| match value {
                Value::Null => Some(String::new()),
                Value::String(text) => Some(text.clone()),
                _ => None,
            };
            value.as_object()?.iter().map(|(k, v)| Some((k.clone(), one(v)?))).collect()
        };
        Ok(self.read(key, "a map of strings", read)?.unwrap_or_default())
    }

    /// The keys of a map that serves as a set (`{"80/tcp":{}}`); a list of texts will do.
    ///
    /// # Errors
    /// Another type.
    pub fn set(&self, key: &str) -> Result<Vec<String>, Malformed> {
        let read = |value: &Value| match value {
            Value::Object(map) => Some(map.keys().cloned().collect()),
            Value::Array(list) => list.iter().map(|item| item.as_str().map(str::to_owned)).collect(),
            _ => None,
        };
        Ok(self.read(key, "a map", read)?.unwrap_or_default())
    }

    /// An object; an empty one if absent.
    ///
    /// # Errors
    /// Another type.
    pub fn object(&self, key: &'a str) -> Result<Object<'a>, Malformed> {
        self.value(key).map_or(Ok(Object { map: None, place: key }), |value| Self::at(value, key))
    }

    /// A list of objects; empty if absent.
    ///
    /// # Errors
    /// Another type.
    pub fn objects(&self, key: &'a str) -> Result<Vec<Object<'a>>, Malformed> {
        let Some(value) = self.value(key) else { return Ok(Vec::new()) };
        let Value::Array(list) = value else { return Err(mismatch(key, "a list", value)) };
        list.iter().map(|item| Self::at(item, key)).collect()
    }

    /// Every entry of the object, as it is, sorted by key.
    pub fn entries(&self) -> impl Iterator<Item = (&'a str, &'a Value)> {
        self.map.into_iter().flatten().map(|(key, value)| (key.as_str(), value))
    }
}

#[allow(clippy::cast_possible_truncation, reason = "checked: no fraction, and inside i64's exact range")]
fn whole(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() < 9e15).then_some(number as i64)
}

fn mismatch(place: &str, wanted: &str, found: &Value) -> Malformed {
    let found = match found {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    let place = if place.is_empty() { "body" } else { place };
    Malformed(format!("invalid JSON: {place}: expected {wanted}, found {found}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_match_in_any_case_exact_first() {
        let body =
            json!({"image": "a", "TTY": true, "Env": null, "labels": {"x": "1"}, "Labels": {"y": "2"}});
        let object = Object::new(&body).unwrap();
        assert_eq!(object.text("Image").unwrap(), "a");
        assert!(object.flag("Tty").unwrap());
        assert_eq!(object.texts("Env").unwrap(), Vec::<String>::new());
        assert_eq!(object.text_map("Labels").unwrap(), BTreeMap::from([("y".into(), "2".into())]));
    }

    #[test]
    fn a_wrong_type_names_the_place() {
        let body = json!({"HostConfig": {"Memory": "1g"}});
        let host = Object::new(&body).unwrap().object("HostConfig").unwrap();
        assert_eq!(
            host.int("Memory").unwrap_err().0,
            "invalid JSON: HostConfig.Memory: expected an integer, found a string"
        );
        assert!(Object::new(&json!([])).is_err());
        assert!(host.text("Absent").unwrap().is_empty());
    }

    #[test]
    fn numbers_may_come_as_floats_and_ports_as_numbers() {
        let body = json!({"a": 3.0, "b": 3.5, "port": 80, "small": 70000});
        let object = Object::new(&body).unwrap();
        assert_eq!(object.int("a").unwrap(), 3);
        assert!(object.int("b").is_err());
        assert_eq!(object.loose_text("port").unwrap(), "80");
        assert!(object.small::<u16>("small").is_err());
    }

    #[test]
    fn one_text_is_a_list_of_one() {
        let body = json!({"Cmd": "echo hi", "Entrypoint": ["a", "b"]});
        let object = Object::new(&body).unwrap();
        assert_eq!(object.texts("Cmd").unwrap(), ["echo hi"]);
        assert_eq!(object.opt_texts("Entrypoint").unwrap(), Some(vec!["a".into(), "b".into()]));
        assert_eq!(object.opt_texts("Shell").unwrap(), None);
    }
}
