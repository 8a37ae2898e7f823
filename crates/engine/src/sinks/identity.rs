//! What a container tells a sink about itself with every record: names, its tag, and the labels and variables that the user asked for.

use crate::{
    Error, Kind, Result,
    containers::{Record, Spec},
};
use gotmpl::{MissingKey, Template};
use regex_lite::Regex;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) hostname: String,
    pub(super) tag: String,
    pub(super) pid: u32,
    pub(super) image_id: String,
    pub(super) image_name: String,
    pub(super) command: String,
    pub(super) created: String,
    pub(super) extra: BTreeMap<String, String>,
}

impl Identity {
    /// Of a container as it is called now.
    pub(crate) fn of(record: &Record) -> Result<Self> {
        let words: Vec<&str> =
            std::iter::once(&record.path).chain(&record.args).map(String::as_str).collect();
        let mut identity = Self {
            id: record.id.clone(),
            name: record.name.clone(),
            hostname: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            tag: String::new(),
            pid: std::process::id(),
            image_id: record.image.to_string(),
            image_name: record.spec.image.clone(),
            command: words.join(" "),
            created: record.created.rfc3339(),
            extra: extra(&record.spec)?,
        };
        identity.tag = identity.expand(option(&record.spec, "tag").unwrap_or("{{.ID}}"))?;
        Ok(identity)
    }

    pub(super) fn short(&self) -> &str {
        short(&self.id)
    }

    /// A `tag` with its `{{…}}` filled in.
    fn expand(&self, template: &str) -> Result<String> {
        let invalid = |error: &dyn std::fmt::Display| {
            Error::new(
                Kind::Invalid,
                format!("failed to initialize logging driver: template: log-tag: {error}"),
            )
        };
        let template = Template::new("log-tag")
            .missing_key(MissingKey::Error)
            .parse(template)
            .map_err(|error| invalid(&error))?;
        let data = gotmpl::to_value(&self.words()).map_err(|error| invalid(&error))?;
        template.execute_to_string(&data).map_err(|error| invalid(&error))
    }

    /// docker's words for a tag; a short image id is cut from the whole text there, algorithm and all.
    fn words(&self) -> Value {
        json!({
            "ID": self.short(), "FullID": self.id, "ContainerID": self.id,
            "Name": self.name, "ContainerName": format!("/{}", self.name),
            "ImageID": short(&self.image_id), "ImageFullID": self.image_id, "ContainerImageID": self.image_id,
            "ImageName": self.image_name, "ContainerImageName": self.image_name,
            "Command": self.command, "Hostname": self.hostname, "DaemonName": "docker",
        })
    }
}

/// The tag of a container whose driver adds one only where it was asked for.
pub(crate) fn tag(record: &Record) -> Result<Option<String>> {
    match option(&record.spec, "tag") {
        Some(_) => Identity::of(record).map(|identity| Some(identity.tag)),
        None => Ok(None),
    }
}

/// Whether a template and patterns can be read, before there is a container.
pub(crate) fn check(options: &BTreeMap<String, String>) -> Result<()> {
    for key in ["labels-regex", "env-regex"] {
        options.get(key).map_or(Ok(()), |text| pattern(text).map(drop))?;
    }
    if let Some(tag) = options.get("tag") {
        Identity::default().expand(tag)?;
    }
    Ok(())
}

/// The labels and variables that `labels`, `labels-regex`, `env`, `env-regex` name.
pub(crate) fn extra(spec: &Spec) -> Result<BTreeMap<String, String>> {
    let labels: BTreeMap<&str, &str> =
        spec.labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let variables = spec.env.iter().filter_map(|text| text.split_once('=')).collect();
    let mut all = BTreeMap::new();
    pick(&labels, option(spec, "labels"), option(spec, "labels-regex"), &mut all)?;
    pick(&variables, option(spec, "env"), option(spec, "env-regex"), &mut all)?;
    Ok(all)
}

fn pick(
    from: &BTreeMap<&str, &str>,
    names: Option<&str>,
    pattern_text: Option<&str>,
    into: &mut BTreeMap<String, String>,
) -> Result<()> {
    for name in names.into_iter().flat_map(|names| names.split(',')) {
        into.extend(from.get(name).map(|value| (name.to_owned(), (*value).to_owned())));
    }
    if let Some(text) = pattern_text {
        let pattern = pattern(text)?;
        let fitting = from.iter().filter(|(name, _)| pattern.is_match(name));
        into.extend(fitting.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    }
    Ok(())
}

fn pattern(text: &str) -> Result<Regex> {
    Regex::new(text)
        .map_err(|error| Error::new(Kind::Invalid, format!("error parsing regexp `{text}`: {error}")))
}

fn option<'a>(spec: &'a Spec, key: &str) -> Option<&'a str> {
    spec.host.log.options.get(key).map(String::as_str).filter(|text| !text.is_empty())
}

fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_filled_in() {
        let identity = Identity {
            id: "2df132dc47c107829ccd".into(),
            name: "n1".into(),
            hostname: "vm".into(),
            image_id: "sha256:f04012e93497".into(),
            image_name: "busybox".into(),
            command: "sh -c echo hi".into(),
            ..Identity::default()
        };
        let template = "{{.ImageName}}/{{.Name}}/{{.ID}}/{{.FullID}}/{{.ImageID}}/{{.ImageFullID}}/{{.DaemonName}}/{{.Command}}/{{.Hostname}}/{{.ContainerName}}";
        assert_eq!(
            identity.expand(template).unwrap(),
            "busybox/n1/2df132dc47c1/2df132dc47c107829ccd/sha256:f0401/sha256:f04012e93497/docker/sh -c echo hi/vm//n1"
        );
        assert_eq!(identity.expand("{{if eq .Name \"n1\"}}yes{{end}}").unwrap(), "yes");
        for bad in ["{{.Nope}}", "{{"] {
            assert!(identity.expand(bad).unwrap_err().message.contains("log-tag"), "{bad}");
        }
    }

    #[test]
    fn labels_and_variables_are_picked() {
        let mut spec = Spec::default();
        let pairs = [("lab", "x"), ("lab2", "y"), ("other", "z")];
        spec.labels = pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        spec.env = ["A=b", "B=c=d", "C"].map(str::to_owned).into();
        let options = [("labels", "lab,none"), ("labels-regex", "2$"), ("env", "A,Z"), ("env-regex", "^B")];
        spec.host.log.options = options.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let picked = extra(&spec).unwrap();
        let picked: Vec<_> = picked.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(picked, [("A", "b"), ("B", "c=d"), ("lab", "x"), ("lab2", "y")]);
        spec.host.log.options.insert("env-regex".into(), "(".into());
        assert!(extra(&spec).unwrap_err().message.contains("error parsing regexp"));
    }
}
