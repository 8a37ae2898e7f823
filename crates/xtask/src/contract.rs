//! `cargo xtask contract FILE`: what moby's `api/swagger.yaml` asks of answers, without its prose, as the JSON that
//! `dhow_testkit::contract` reads. Run it when a newer file is taken over.

use crate::shell;
use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use std::{fs, path::Path};

/// What the contract keeps of a schema.
const KEPT: &[&str] = &[
    "$ref",
    "type",
    "properties",
    "required",
    "items",
    "additionalProperties",
    "allOf",
    "enum",
    "x-nullable",
];

pub(crate) fn run(file: &str) -> Result<()> {
    let text = fs::read_to_string(file).with_context(|| format!("reading {file}"))?;
    let yaml: Value = serde_saphyr::from_str(&text).with_context(|| format!("reading {file}"))?;
    let version = yaml["info"]["version"].as_str().context("the file has no info.version")?;
    let mut paths = Map::new();
    for (path, methods) in yaml["paths"].as_object().context("the file has no paths")? {
        let methods = methods.as_object().into_iter().flatten().filter(|(name, _)| *name != "parameters");
        let answers = methods.map(|(method, operation)| (method.clone(), answers(operation)));
        paths.insert(path.clone(), answers.collect());
    }
    let definitions = yaml["definitions"].as_object().context("the file has no definitions")?;
    let definitions: Map<String, Value> =
        definitions.iter().map(|(name, definition)| (name.clone(), schema(definition))).collect();
    let contract = json!({
        "source": format!("github.com/moby/moby api/swagger.yaml of API {version} (Apache-2.0), without descriptions and examples"),
        "version": version,
        "paths": paths,
        "definitions": definitions,
    });
    let into = Path::new("crates/testkit/contract/engine.json");
    fs::write(into, format!("{contract:#}\n")).with_context(|| format!("writing {}", into.display()))?;
    shell::say(&format!("{}: API {version}", into.display()));
    Ok(())
}

/// Status → schema, `null` for an answer without one.
fn answers(operation: &Value) -> Value {
    let all = operation["responses"].as_object().into_iter().flatten();
    all.map(|(status, answer)| (status.clone(), answer.get("schema").map_or(Value::Null, schema))).collect()
}

fn schema(full: &Value) -> Value {
    let Some(full) = full.as_object() else { return full.clone() };
    let kept = full.iter().filter(|(key, _)| KEPT.contains(&key.as_str()));
    let compact = kept.map(|(key, value)| {
        let value = match (key.as_str(), value) {
            ("properties", Value::Object(fields)) => {
                fields.iter().map(|(name, field)| (name.clone(), schema(field))).collect()
            }
            ("allOf", Value::Array(all)) => all.iter().map(schema).collect(),
            ("items" | "additionalProperties", inner) => schema(inner),
            _ => value.clone(),
        };
        (key.clone(), value)
    });
    compact.collect()
}
