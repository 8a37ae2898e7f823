//! `build`.

use std::collections::BTreeMap;

use super::{Context, deploy};
use crate::{
    error::Error,
    model::{Build, BuildSecret},
    yaml::Cursor,
};

const KNOWN: &[&str] = &[
    "context",
    "dockerfile",
    "dockerfile_inline",
    "args",
    "ssh",
    "labels",
    "cache_from",
    "cache_to",
    "no_cache",
    "no_cache_filter",
    "additional_contexts",
    "network",
    "provenance",
    "sbom",
    "pull",
    "target",
    "shm_size",
    "extra_hosts",
    "isolation",
    "privileged",
    "secrets",
    "tags",
    "ulimits",
    "platforms",
    "entitlements",
];

/// Known to the schema, but nothing that `POST /build` can do.
const UNSUPPORTED: &[&str] = &[
    "additional_contexts",
    "ssh",
    "cache_to",
    "no_cache_filter",
    "privileged",
    "entitlements",
    "provenance",
    "sbom",
    "isolation",
];

pub(super) fn build(cursor: &Cursor<'_>, context: &Context<'_>) -> Result<Build, Error> {
    let fields = cursor.fields(KNOWN)?;
    for key in UNSUPPORTED {
        if let Some(cursor) = fields.get(key) {
            let off =
                matches!(*key, "provenance" | "sbom" | "privileged") && matches!(cursor.text(), Ok("false"));
            if !off {
                return Err(cursor.fail("not supported by this builder"));
            }
        }
    }
    let where_ = fields.read("context", Cursor::string)?.unwrap_or_else(|| ".".into());
    let remote = is_remote(&where_);
    let dockerfile_inline = fields.read("dockerfile_inline", Cursor::string)?;
    if let (Some(dockerfile), true) = (fields.get("dockerfile"), dockerfile_inline.is_some()) {
        return Err(dockerfile.fail("cannot be combined with \"dockerfile_inline\""));
    }
    let args = fields.or_default("args", Cursor::pairs)?;
    Ok(Build {
        context: if remote { where_ } else { context.absolute(&where_) },
        dockerfile: fields.read("dockerfile", Cursor::string)?,
        dockerfile_inline,
        args: args.into_iter().map(|(key, value)| resolve(key, value, context)).collect(),
        target: fields.read("target", Cursor::string)?,
        labels: fields.or_default("labels", Cursor::labels)?,
        cache_from: fields.or_default("cache_from", Cursor::strings)?,
        network: fields.read("network", Cursor::string)?,
        shm_size: fields.read("shm_size", Cursor::bytes)?,
        platforms: fields.or_default("platforms", Cursor::strings)?,
        tags: fields.or_default("tags", Cursor::strings)?,
        extra_hosts: fields.or_default("extra_hosts", hosts)?,
        no_cache: fields.or_default("no_cache", Cursor::boolean)?,
        pull: fields.or_default("pull", Cursor::boolean)?,
        ulimits: fields.or_default("ulimits", deploy::ulimits)?,
        isolation: None,
        secrets: fields.or_default("secrets", |c| c.list()?.iter().map(secret).collect())?,
    })
}

/// `KEY` without a value takes it from the environment.
pub(super) fn resolve(key: String, value: Option<String>, context: &Context<'_>) -> (String, Option<String>) {
    let value = value.or_else(|| context.env.get(&key).cloned());
    (key, value)
}

/// `host → addresses`.
pub(super) fn hosts(cursor: &Cursor<'_>) -> Result<BTreeMap<String, Vec<String>>, Error> {
    cursor.entries()?.into_iter().map(|(name, cursor)| Ok((name.to_owned(), cursor.strings()?))).collect()
}

fn secret(cursor: &Cursor<'_>) -> Result<BuildSecret, Error> {
    let fields = cursor.fields(&["source", "target", "uid", "gid", "mode"])?;
    let source = fields.read("source", Cursor::string)?.ok_or_else(|| cursor.fail("needs \"source\""))?;
    let id = fields.read("target", Cursor::string)?.unwrap_or_else(|| source.clone());
    Ok(BuildSecret { source, id })
}

/// A context that the engine fetches itself.
fn is_remote(context: &str) -> bool {
    ["http://", "https://", "git://", "ssh://", "git@", "github.com/"]
        .iter()
        .any(|prefix| context.starts_with(prefix))
}
