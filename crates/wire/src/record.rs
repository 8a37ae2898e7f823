//! JSON objects whose fields come out in the order they were put in: docker's answers have an order that people read
//! (`docker inspect` prints them as they come), and every field that Go always prints.

use serde::Serialize;
use serde_json::value::RawValue;

/// A JSON object being written.
#[derive(Debug, Clone)]
pub struct Record(String);

impl Default for Record {
    fn default() -> Self {
        Self::new()
    }
}

impl Record {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self(String::from("{"))
    }

    /// Adds a field; `None` is `null`.
    ///
    /// # Panics
    /// If the value cannot be JSON (a map whose keys are no strings): a mistake of the program.
    #[must_use]
    pub fn put(mut self, key: &str, value: impl Serialize) -> Self {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        for part in [serde_json::to_string(key), Ok(":".to_owned()), serde_json::to_string(&value)] {
            self.0
                .push_str(&part.expect("answers are made of texts, numbers, lists and maps with text keys"));
        }
        self
    }

    /// Adds a field if there is a value (Go's `omitempty`).
    #[must_use]
    pub fn some(self, key: &str, value: Option<impl Serialize>) -> Self {
        match value {
            Some(value) => self.put(key, value),
            None => self,
        }
    }

    /// Adds a field if the condition holds: fields that only some API versions have.
    #[must_use]
    pub fn when(self, condition: bool, key: &str, value: impl Serialize) -> Self {
        if condition { self.put(key, value) } else { self }
    }

    /// The object, usable as a value in another.
    ///
    /// # Panics
    /// Never: only [`Record::put`] adds text.
    #[must_use]
    pub fn end(mut self) -> Box<RawValue> {
        self.0.push('}');
        RawValue::from_string(self.0).expect("fields are JSON")
    }
}

/// `None` for an empty list or map: Go's nil slice prints as `null`.
#[must_use]
pub fn filled<T>(value: &T) -> Option<&T>
where
    for<'a> &'a T: IntoIterator,
{
    value.into_iter().next().is_some().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_their_order() {
        let inner = Record::new().put("b", 1).put("a", "x\"").end();
        let text = Record::new()
            .put("z", &inner)
            .some("none", None::<u8>)
            .put("null", None::<u8>)
            .when(false, "old", 1)
            .put("list", [inner.clone()])
            .end();
        assert_eq!(text.get(), r#"{"z":{"b":1,"a":"x\""},"null":null,"list":[{"b":1,"a":"x\""}]}"#);
        assert_eq!(Record::new().end().get(), "{}");
    }

    #[test]
    fn empty_lists_can_be_null() {
        let list: Vec<u8> = Vec::new();
        assert_eq!(filled(&list), None);
        assert_eq!(filled(&vec![1]), Some(&vec![1]));
    }
}
