//! `--property name=value` of the console clients.

use anyhow::bail;
use std::collections::BTreeMap;

/// What was given, less what was read.
#[derive(Debug)]
pub(super) struct Properties(BTreeMap<String, String>);

impl Properties {
    pub(super) fn parse(given: &[String]) -> anyhow::Result<Self> {
        Ok(Self(given.iter().map(|text| super::pair(text)).collect::<anyhow::Result<_>>()?))
    }

    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    /// With `\t` and `\n` for what a shell makes hard to type.
    pub(super) fn separator(&mut self, name: &str, default: &str) -> String {
        let given = self.0.remove(name).filter(|text| !text.is_empty());
        given.map_or_else(|| default.to_owned(), |text| text.replace("\\t", "\t").replace("\\n", "\n"))
    }

    pub(super) fn flag(&mut self, name: &str, default: bool) -> anyhow::Result<bool> {
        match self.0.remove(name).as_deref() {
            None => Ok(default),
            Some("true") => Ok(true),
            Some("false") => Ok(false),
            Some(other) => bail!("property {name}={other}: true or false"),
        }
    }

    /// What nobody read is not known.
    pub(super) fn end(self) -> anyhow::Result<()> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => bail!("unknown property {name}"),
        }
    }
}
