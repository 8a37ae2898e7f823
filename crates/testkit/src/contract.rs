//! Docker's OpenAPI file as a judge: whether an answer is one that the file describes. `contract/engine.json` is that file
//! without its prose (`cargo xtask contract`).

use crate::http::Answer;
use serde_json::{Map, Value};
use std::{collections::BTreeSet, sync::LazyLock};

static FILE: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../contract/engine.json")).unwrap());

/// Fields that are `null` in docker's own answers although the file says nothing of it: Go prints an empty list or map so. Clients
/// know; what is not here must not be `null`. How the place ends.
const NULL_IN_DOCKER: &[&str] = &[
    ".Config.Entrypoint",
    ".Config.Volumes",
    ".HostConfig.Binds",
    ".HostConfig.CapAdd",
    ".HostConfig.CapDrop",
    ".HostConfig.DeviceCgroupRules",
    ".HostConfig.DeviceRequests",
    ".HostConfig.ExtraHosts",
    ".HostConfig.GroupAdd",
    ".HostConfig.Links",
    ".HostConfig.MemorySwappiness",
    ".HostConfig.OomKillDisable",
    ".HostConfig.SecurityOpt",
    ".HostConfig.VolumesFrom",
    ".Networks.*.Aliases",
    ".Networks.*.DNSNames",
    ".Networks.*.Links",
    ".IPAM.Options",
    ".Plugins.Authorization",
    "GET /info 200.GenericResources",
    "GET /info 200.Warnings",
    "GET /containers/{id}/changes 200",
    "GET /exec/{id}/json 200.ExitCode",
    "GET /images/json 200[].Labels",
    "GET /images/{name}/history 200[].Tags",
    "GET /volumes 200.Volumes[].Labels",
    "GET /volumes 200.Volumes[].Options",
    "GET /volumes/{name} 200.Labels",
    "GET /volumes/{name} 200.Options",
    "POST /volumes/create 201.Labels",
    "POST /volumes/create 201.Options",
];

/// Answers of any number of JSON values.
const STREAMS: &[&str] = &["/events"];

/// What is wrong with an answer; nothing for a right one.
///
/// `path` is without query and version: `/containers/abc/json`.
#[must_use]
pub fn violations(method: &str, path: &str, answer: &Answer) -> Vec<String> {
    let Some((pattern, operation)) = operation(method, path) else {
        return vec![format!("{method} {path}: the contract knows no such path")];
    };
    let at = format!("{method} {pattern} {}", answer.status);
    let Some(schema) = operation.get(&answer.status.to_string()) else {
        // The default that every operation has: an error with a sentence.
        if answer.status >= 400 {
            return error(&at, answer);
        }
        return vec![format!("{at}: the contract knows no such status")];
    };
    if answer.status == 101 || schema.is_null() {
        return Vec::new();
    }
    if answer.status >= 400 {
        return error(&at, answer);
    }
    if schema["type"] == "string" || method == "HEAD" {
        return Vec::new();
    }
    let documents = answer.documents();
    // A stream may have nothing to tell.
    if documents.is_empty() && answer.body.is_empty() && STREAMS.contains(&pattern) {
        return Vec::new();
    }
    if documents.is_empty() {
        return vec![format!("{at}: no JSON in {:?}", answer.text())];
    }
    let mut found = BTreeSet::new();
    for document in &documents {
        check(schema, document, &at, &mut found);
    }
    found.into_iter().collect()
}

fn error(at: &str, answer: &Answer) -> Vec<String> {
    let document = answer.json();
    let right = document.as_object().is_some_and(|fields| {
        fields.len() == 1
            && fields.get("message").and_then(Value::as_str).is_some_and(|text| !text.is_empty())
    });
    if right {
        Vec::new()
    } else {
        vec![format!("{at}: an error must be {{\"message\": …}}: {:?}", answer.text())]
    }
}

/// The operation whose pattern fits best: one with fewer `{name}`s goes first; a name may contain slashes.
fn operation(method: &str, path: &str) -> Option<(&'static str, &'static Map<String, Value>)> {
    let paths = FILE["paths"].as_object()?;
    let fitting = paths.iter().filter(|(pattern, methods)| {
        methods.get(method.to_ascii_lowercase()).is_some() && fits(pattern, path)
    });
    let (pattern, methods) = fitting.min_by_key(|(pattern, _)| pattern.matches('{').count())?;
    Some((pattern, methods[&method.to_ascii_lowercase()].as_object()?))
}

fn fits(pattern: &str, path: &str) -> bool {
    let Some((before, rest)) = pattern.split_once('{') else { return pattern == path };
    let after = rest.split_once('}').map_or("", |(_, after)| after);
    path.strip_prefix(before)
        .and_then(|rest| rest.strip_suffix(after))
        .is_some_and(|name| !name.is_empty() && !after.contains('{'))
}

fn check(schema: &Value, value: &Value, at: &str, found: &mut BTreeSet<String>) {
    let schema = resolved(schema);
    let mut say = |text: String| {
        found.insert(format!("{at}: {text}"));
    };
    if value.is_null() {
        if !nullable(&schema) && !NULL_IN_DOCKER.iter().any(|place| at.ends_with(place)) {
            say("null".to_owned());
        }
        return;
    }
    if let Some(allowed) = schema.get("enum").and_then(Value::as_array)
        && !allowed.contains(value)
    {
        say(format!("{value} is none of {}", Value::from(allowed.clone())));
    }
    match (schema.get("type").and_then(Value::as_str), value) {
        (Some("object") | None, Value::Object(fields)) => object(&schema, fields, at, found),
        (Some("array"), Value::Array(items)) => {
            for item in items {
                check(&schema["items"], item, &format!("{at}[]"), found);
            }
        }
        (Some("string"), Value::String(_))
        | (Some("boolean"), Value::Bool(_))
        | (Some("number"), Value::Number(_)) => {}
        (Some("integer"), Value::Number(number)) if !number.is_f64() => {}
        (None, _) if schema.get("properties").is_none() => {}
        (wanted, _) => say(format!("{value} is no {}", wanted.unwrap_or("object"))),
    }
}

fn object(schema: &Map<String, Value>, fields: &Map<String, Value>, at: &str, found: &mut BTreeSet<String>) {
    let properties = schema.get("properties").and_then(Value::as_object);
    for name in
        schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    {
        if !fields.contains_key(name) {
            found.insert(format!("{at}: {name} is missing"));
        }
    }
    let other = schema.get("additionalProperties");
    for (name, value) in fields {
        if let Some(schema) = properties.and_then(|properties| properties.get(name)) {
            check(schema, value, &format!("{at}.{name}"), found);
        } else if let Some(schema) = other {
            check(schema, value, &format!("{at}.*"), found);
        } else if properties.is_some() {
            found.insert(format!("{at}.{name}: the contract knows no such field"));
        }
    }
}

/// With `$ref` followed and `allOf` made one.
fn resolved(schema: &Value) -> Map<String, Value> {
    let Some(schema) = schema.as_object() else { return Map::new() };
    let mut whole = schema.clone();
    let mut parts: Vec<Map<String, Value>> = Vec::new();
    if let Some(Value::String(reference)) = whole.remove("$ref") {
        let name = reference.trim_start_matches("#/definitions/");
        parts.push(resolved(&FILE["definitions"][name]));
    }
    if let Some(Value::Array(all)) = whole.remove("allOf") {
        parts.extend(all.iter().map(resolved));
    }
    for part in parts {
        merge(&mut whole, part);
    }
    whole
}

fn merge(whole: &mut Map<String, Value>, part: Map<String, Value>) {
    for (key, value) in part {
        match (whole.get_mut(&key), value) {
            (Some(Value::Object(have)), Value::Object(more)) => have.extend(more),
            (Some(Value::Array(have)), Value::Array(more)) => have.extend(more),
            (Some(_), _) => {}
            (None, value) => drop(whole.insert(key, value)),
        }
    }
}

fn nullable(schema: &Map<String, Value>) -> bool {
    schema.get("x-nullable").is_some_and(|flag| flag == true)
        || (!schema.contains_key("type") && !schema.contains_key("properties"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn judge(method: &str, path: &str, status: u16, body: &Value) -> Vec<String> {
        violations(method, path, &Answer { status, headers: Vec::new(), body: body.to_string().into_bytes() })
    }

    #[test]
    fn a_right_answer_is_right() {
        assert_eq!(judge("GET", "/_ping", 200, &json!("OK")), [""; 0]);
        assert_eq!(judge("POST", "/containers/create", 201, &json!({"Id": "a", "Warnings": []})), [""; 0]);
        assert_eq!(judge("GET", "/containers/x/json", 404, &json!({"message": "no"})), [""; 0]);
    }

    #[test]
    fn what_is_missing_null_unknown_or_of_another_type_is_named() {
        let found = judge("POST", "/containers/create", 201, &json!({"Id": 1, "Warnings": null, "More": 2}));
        assert_eq!(
            found,
            [
                "POST /containers/create 201.Id: 1 is no string",
                "POST /containers/create 201.More: the contract knows no such field",
                "POST /containers/create 201.Warnings: null",
            ]
        );
        assert_eq!(
            judge("POST", "/containers/create", 201, &json!({"Id": "a"})),
            ["POST /containers/create 201: Warnings is missing"]
        );
        assert!(!judge("GET", "/containers/x/json", 404, &json!({"error": "no"})).is_empty());
        assert!(!judge("GET", "/nowhere", 200, &json!({})).is_empty());
    }

    #[test]
    fn the_best_path_is_taken() {
        assert_eq!(operation("GET", "/images/json").unwrap().0, "/images/json");
        assert_eq!(operation("GET", "/images/a/b:1/history").unwrap().0, "/images/{name}/history");
        assert_eq!(operation("DELETE", "/containers/a").unwrap().0, "/containers/{id}");
    }
}
