//! `filters=` of list, prune and events requests, in both forms clients send.

use crate::Malformed;
use serde_json::Value;
use std::collections::BTreeMap;

/// Decodes `{"k":["v"]}` (docs, docker-py) and `{"k":{"v":true}}` (docker CLI). Empty text is no filter; a key with `false` values
/// only keeps those that are true.
///
/// # Errors
/// docker's `invalid filter` when the text is neither.
pub fn parse(text: &str) -> Result<BTreeMap<String, Vec<String>>, Malformed> {
    if text.is_empty() {
        return Ok(BTreeMap::new());
    }
    let bad = || Malformed(format!("invalid filter: {text:?} is not a map of lists"));
    let Value::Object(keys) = serde_json::from_str(text).map_err(|_| bad())? else {
        return Err(bad());
    };
    let mut filters = BTreeMap::new();
    for (key, value) in keys {
        let values = match value {
            Value::Array(values) => {
                values.into_iter().map(scalar).collect::<Option<Vec<_>>>().ok_or_else(bad)?
            }
            Value::Object(values) => values
                .into_iter()
                .filter(|(_, on)| *on != Value::Bool(false))
                .map(|(value, _)| value)
                .collect(),
            Value::Null => Vec::new(),
            single => vec![scalar(single).ok_or_else(bad)?],
        };
        filters.insert(key, values);
    }
    Ok(filters)
}

fn scalar(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The form that docker's CLI sends.
#[must_use]
pub fn encode(filters: &BTreeMap<String, Vec<String>>) -> String {
    let map: BTreeMap<&str, BTreeMap<&str, bool>> = filters
        .iter()
        .map(|(key, values)| (key.as_str(), values.iter().map(|value| (value.as_str(), true)).collect()))
        .collect();
    serde_json::json!(map).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_mean_the_same() {
        let list = parse(r#"{"label":["a=b","c"],"dangling":[true]}"#).unwrap();
        let map = parse(r#"{"label":{"a=b":true,"c":true,"no":false},"dangling":{"true":true}}"#).unwrap();
        assert_eq!(list, map);
        assert_eq!(parse(&encode(&list)).unwrap(), list);
        assert_eq!(parse("").unwrap(), BTreeMap::new());
    }

    #[test]
    fn neither_form_is_refused() {
        for bad in ["[]", "x", r#"{"a":[{}]}"#, r#"{"a":[["b"]]}"#] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
