//! Which OCI runtimes there are, by name: our own, and programs that the user named.

use crate::{Error, Kind, Result, error::io};
use dhow_oci::runtime as oci;
use dhow_shim::Outside;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// A program with runc's command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// A name to be looked up in PATH, or a path.
    pub path: PathBuf,
    /// Before the engine's own words.
    pub args: Vec<String>,
}

/// `--add-runtime` and `--default-runtime`.
#[derive(Debug, Clone, Default)]
pub struct Runtimes {
    /// By the name that containers ask for.
    pub programs: BTreeMap<String, Program>,
    /// Of containers that name none; empty: our own.
    pub default: String,
}

impl Runtimes {
    /// What our own is called: as docker's clients expect it, unless the user has a runc.
    #[must_use]
    pub fn own(&self) -> &'static str {
        if self.programs.contains_key("runc") { "dhow" } else { "runc" }
    }

    /// The name of the default one.
    #[must_use]
    pub fn default_name(&self) -> &str {
        if self.default.is_empty() { self.own() } else { &self.default }
    }

    /// The program behind a name; `None` is our own runtime.
    pub(crate) fn find(&self, name: &str) -> Result<Option<&Program>> {
        let name = if name.is_empty() { self.default_name() } else { name };
        match self.programs.get(name) {
            Some(program) => Ok(Some(program)),
            None if matches!(name, "runc" | "dhow" | "io.containerd.runc.v2") => Ok(None),
            None => Err(Error::new(Kind::Invalid, format!("unknown or invalid runtime name: {name}"))),
        }
    }
}

impl Program {
    /// The program as a path. As a shell does: a word without a slash is looked up in PATH.
    ///
    /// # Errors
    /// docker's words when there is none.
    pub fn locate(&self) -> Result<PathBuf> {
        let is_file = |path: &Path| path.is_file();
        let name = self.path.display();
        if self.path.components().count() > 1 {
            return std::path::absolute(&self.path).map_err(|e| io("find", name, e));
        }
        let paths = std::env::var_os("PATH").unwrap_or_default();
        let found =
            std::env::split_paths(&paths).map(|folder| folder.join(&self.path)).find(|path| is_file(path));
        found.ok_or_else(|| {
            Error::new(Kind::Invalid, format!("exec: \"{name}\": executable file not found in $PATH"))
        })
    }

    /// What a shim needs to have it make a container.
    pub(crate) fn outside(&self, id: &str, config: &oci::Spec) -> Result<Outside> {
        let (program, args) = (self.locate()?, self.args.clone());
        Ok(Outside { program, args, id: id.to_owned(), config: json(config)? })
    }
}

/// JSON as other programs read it: what is not there is left out.
pub(crate) fn json(value: &impl serde::Serialize) -> Result<Vec<u8>> {
    let fail = |e: serde_json::Error| Error::new(Kind::Internal, format!("write an OCI document: {e}"));
    let mut value = serde_json::to_value(value).map_err(fail)?;
    prune(&mut value);
    serde_json::to_vec(&value).map_err(fail)
}

/// Takes out nulls and what is empty. Capabilities stay: none are not the absence of a word about them.
fn prune(value: &mut Value) {
    let says_something = |key: &str, value: &Value| match value {
        Value::Null => false,
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty() || key == "capabilities",
        _ => true,
    };
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(prune);
            fields.retain(|key, value| says_something(key, value));
        }
        Value::Array(items) => items.iter_mut().for_each(prune),
        _ => {}
    }
}

/// The reason in what a runtime logged: the message of its last error, or the text as it is.
pub(crate) fn reason(logged: &str) -> String {
    let message = |line: &str| {
        let entry: Value = serde_json::from_str(line).ok()?;
        let is_error = entry.get("level")?.as_str()? == "error";
        entry.get("msg")?.as_str().filter(|_| is_error).map(|text| text.trim().to_owned())
    };
    logged.lines().rev().find_map(message).unwrap_or_else(|| logged.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runtimes(default: &str) -> Runtimes {
        let crun = Program { path: "crun".into(), args: Vec::new() };
        Runtimes { programs: BTreeMap::from([("crun".to_owned(), crun)]), default: default.to_owned() }
    }

    #[test]
    fn names() {
        let all = runtimes("");
        assert!(all.find("").unwrap().is_none() && all.find("runc").unwrap().is_none());
        assert!(all.find("crun").unwrap().is_some() && runtimes("crun").find("").unwrap().is_some());
        assert_eq!((all.default_name(), runtimes("crun").default_name()), ("runc", "crun"));
        assert_eq!(all.find("kata").unwrap_err().message, "unknown or invalid runtime name: kata");
    }

    #[test]
    fn documents_have_no_nulls() {
        let text = String::from_utf8(json(&oci::Process::default()).unwrap()).unwrap();
        assert!(!text.contains("null") && !text.contains("[]") && !text.contains("{}"), "{text}");
        let none = oci::Process { capabilities: Some(oci::Capabilities::default()), ..Default::default() };
        assert!(String::from_utf8(json(&none).unwrap()).unwrap().contains("\"capabilities\":{}"));
    }

    #[test]
    fn the_last_error_is_the_reason() {
        let log =
            "{\"level\":\"warning\",\"msg\":\"w\"}\n{\"level\":\"error\",\"msg\":\"no such file\\n\"}\n";
        assert_eq!(reason(log), "no such file");
        assert_eq!(reason("plain\n"), "plain");
    }
}
