//! `include`: another project's file, whole, with its own folder and environment.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{dotenv, files::Reader, paths};
use crate::{
    error::{Diagnostic, Error},
    yaml::{Cursor, Map, Node, Value},
};

const SECTIONS: [&str; 5] = ["services", "networks", "volumes", "secrets", "configs"];

/// Takes `include` out of a file and brings in what it names.
pub(super) fn resolve(
    root: &mut Node,
    folder: &Path,
    trail: &mut Vec<PathBuf>,
    reader: &mut Reader<'_>,
) -> Result<(), Error> {
    let Some(entry) = root.as_map_mut().and_then(|map| map.remove("include")) else { return Ok(()) };
    let cursor = Cursor { node: &entry.node, path: "include".into() };
    if entry.node.is_null() {
        return Ok(());
    }
    for item in cursor.list()? {
        let included = one(&item, folder, trail, reader)?;
        import(root, included)?;
    }
    Ok(())
}

fn one(
    cursor: &Cursor<'_>,
    folder: &Path,
    trail: &mut Vec<PathBuf>,
    reader: &mut Reader<'_>,
) -> Result<Node, Error> {
    let (files, directory, env_files) = match &cursor.node.value {
        Value::Scalar { text, .. } => (vec![text.clone()], None, None),
        _ => {
            let fields = cursor.fields(&["path", "project_directory", "env_file"])?;
            let files = fields.read("path", Cursor::strings)?.ok_or_else(|| cursor.fail("needs \"path\""))?;
            (
                files,
                fields.read("project_directory", Cursor::string)?,
                fields.read("env_file", Cursor::strings)?,
            )
        }
    };
    let first = files.first().ok_or_else(|| cursor.fail("needs at least one path"))?;
    let home = folder.join(first).parent().map_or_else(|| folder.to_path_buf(), Path::to_path_buf);
    let directory = directory.map_or(home, |directory| folder.join(directory));
    let env = environment(cursor, folder, &directory, env_files, reader.env)?;
    let mut merged: Option<Node> = None;
    for file in &files {
        reader.local(cursor, file)?;
        let path = folder.join(file);
        if trail.contains(&path) {
            return Err(cursor.fail(format!("{file} includes itself in a circle")));
        }
        trail.push(path.clone());
        let mut inner = Reader { env: &env, unset: reader.unset };
        let result = inner.whole(&path, file, &directory, merged.as_ref(), trail);
        trail.pop();
        let node = result.map_err(|error| match error {
            Error::Io { path, source } => cursor.fail(format!("{}: {source}", path.display())),
            other => other,
        })?;
        match &mut merged {
            None => merged = Some(node),
            Some(base) => super::merge::merge(base, node),
        }
    }
    let mut merged = merged.ok_or_else(|| cursor.fail("needs at least one path"))?;
    paths::absolute(&mut merged, &directory);
    Ok(merged)
}

/// The included project's own `.env`; what the including one knows wins.
fn environment(
    cursor: &Cursor<'_>,
    folder: &Path,
    directory: &Path,
    files: Option<Vec<String>>,
    outer: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, Error> {
    let mut env = BTreeMap::new();
    let named = files.is_some();
    let paths = files.map_or_else(
        || vec![directory.join(".env")],
        |files| files.iter().map(|file| folder.join(file)).collect(),
    );
    for path in paths {
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                let values = dotenv::parse(&text, outer)
                    .map_err(|message| cursor.fail(format!("{}: {message}", path.display())))?;
                env.extend(values);
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !named => {}
            Err(error) => return Err(cursor.fail(format!("{}: {error}", path.display()))),
        }
    }
    env.extend(outer.iter().map(|(key, value)| (key.clone(), value.clone())));
    Ok(env)
}

/// Adds what an included file defines; the same name twice with another meaning is an error.
fn import(root: &mut Node, included: Node) -> Result<(), Error> {
    if root.is_null() {
        root.value = Value::Map(Map::default());
    }
    let (Some(target), Value::Map(mut source)) = (root.as_map_mut(), included.value) else { return Ok(()) };
    for section in SECTIONS {
        let Some(entry) = source.remove(section) else { continue };
        let Value::Map(items) = entry.node.value else { continue };
        if target.get(section).is_none_or(Node::is_null) {
            target.set(section, entry.at.clone(), Node::new(&entry.node.at, Value::Map(Map::default())));
        }
        let Some(known) = target.get_mut(section).and_then(Node::as_map_mut) else { continue };
        for item in items.entries {
            match known.entries.iter().find(|known| known.key == item.key) {
                None => known.entries.push(item),
                Some(other) if same(&other.node, &item.node) => {}
                Some(other) => {
                    let message = format!("conflicts with the one included from {}", item.at);
                    return Err(Diagnostic {
                        at: other.at.clone(),
                        path: format!("{section}.{}", item.key),
                        message,
                    }
                    .into());
                }
            }
        }
    }
    Ok(())
}

fn same(a: &Node, b: &Node) -> bool {
    match (&a.value, &b.value) {
        (Value::Map(x), Value::Map(y)) => {
            x.entries.len() == y.entries.len()
                && x.entries.iter().all(|e| y.get(&e.key).is_some_and(|node| same(&e.node, node)))
        }
        (Value::List(x), Value::List(y)) => x.len() == y.len() && x.iter().zip(y).all(|(x, y)| same(x, y)),
        (Value::Scalar { text: x, .. }, Value::Scalar { text: y, .. }) => x == y,
        (x, y) => x == y,
    }
}
