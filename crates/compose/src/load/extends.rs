//! `extends`: a service that begins as another one.

use std::path::{Path, PathBuf};

use super::{files::Reader, merge, paths};
use crate::{
    error::Error,
    yaml::{Cursor, Node},
};

/// Resolves `extends` in every service of a canonical file. `earlier` is what the files before it gave.
pub(super) fn resolve(
    root: &mut Node,
    folder: &Path,
    earlier: Option<&Node>,
    reader: &mut Reader<'_>,
) -> Result<(), Error> {
    let Some(names) =
        services(root).map(|map| map.entries.iter().map(|entry| entry.key.clone()).collect::<Vec<_>>())
    else {
        return Ok(());
    };
    for name in names {
        let whole = root.clone();
        let resolved = service(&whole, &name, folder, earlier, &mut Vec::new(), reader)?;
        if let Some(node) = root
            .as_map_mut()
            .and_then(|map| map.get_mut("services"))
            .and_then(Node::as_map_mut)
            .and_then(|map| map.get_mut(&name))
        {
            *node = resolved;
        }
    }
    Ok(())
}

fn services(root: &Node) -> Option<&crate::yaml::Map> {
    root.as_map()?.get("services")?.as_map()
}

type Trail = Vec<(PathBuf, String)>;

fn service(
    root: &Node,
    name: &str,
    folder: &Path,
    earlier: Option<&Node>,
    trail: &mut Trail,
    reader: &mut Reader<'_>,
) -> Result<Node, Error> {
    let Some(own) = services(root).and_then(|map| map.get(name)) else {
        return Err(Error::invalid(format!("no service \"{name}\" in the file that is extended")));
    };
    let Some(rule) = own.as_map().and_then(|map| map.get("extends")).filter(|node| !node.is_null()) else {
        return Ok(own.clone());
    };
    let cursor = Cursor { node: rule, path: format!("services.{name}.extends") };
    let fields = cursor.fields(&["service", "file"])?;
    let target = fields.read("service", Cursor::string)?.ok_or_else(|| cursor.fail("needs \"service\""))?;
    let file = fields.read("file", Cursor::string)?;
    let step = (file.as_ref().map_or_else(|| folder.to_path_buf(), |file| folder.join(file)), target.clone());
    if trail.contains(&step) || (file.is_none() && target == name) {
        return Err(cursor.fail("extends itself in a circle"));
    }
    trail.push(step);
    let mut base = match file {
        Some(file) => {
            reader.local(&cursor, &file)?;
            let path = folder.join(&file);
            let other = reader.canonical(&path, &file).map_err(|error| place(error, &cursor))?;
            let inner = path.parent().unwrap_or(folder).to_path_buf();
            if services(&other).is_none_or(|map| map.get(&target).is_none()) {
                return Err(cursor.fail(format!("no service \"{target}\" in {file}")));
            }
            let mut base = service(&other, &target, &inner, None, trail, reader)?;
            paths::service(&mut base, &inner);
            base
        }
        None => match (services(root).and_then(|map| map.get(&target)), earlier) {
            (Some(_), _) => service(root, &target, folder, earlier, trail, reader)?,
            (None, Some(before)) if services(before).is_some_and(|map| map.get(&target).is_some()) => {
                service(before, &target, folder, None, trail, reader)?
            }
            _ => return Err(cursor.fail(format!("no service \"{target}\" in this file"))),
        },
    };
    trail.pop();
    let mut own = own.clone();
    if let Some(map) = own.as_map_mut() {
        map.remove("extends");
    }
    merge::merge_service(&mut base, own);
    Ok(base)
}

/// A missing file is told where it is asked for.
fn place(error: Error, cursor: &Cursor<'_>) -> Error {
    match error {
        Error::Io { path, source } => cursor.fail(format!("{}: {source}", path.display())),
        other => other,
    }
}
