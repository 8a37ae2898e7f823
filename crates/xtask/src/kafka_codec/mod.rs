//! `cargo xtask kafka-codec`: `crates/kafka/schema/*.txt` → `crates/kafka/src/messages/*.rs`, which is committed.

mod rust;
mod schema;
#[cfg(test)]
mod tests;

use crate::shell::{root, say};
use anyhow::{Context as _, bail};
use schema::Message;
use std::{
    collections::BTreeMap,
    io::Write as _,
    path::PathBuf,
    process::{Command, Stdio},
};

/// Writes the files.
pub(crate) fn run() -> anyhow::Result<()> {
    let folder = folder();
    if folder.exists() {
        std::fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
    }
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let files = files(&schema()?)?;
    for (name, text) in &files {
        let path = folder.join(name);
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    say(&format!("{} files in {}", files.len(), folder.display()));
    Ok(())
}

fn folder() -> PathBuf {
    root().join("crates/kafka/src/messages")
}

fn schema() -> anyhow::Result<Vec<Message>> {
    let folder = root().join("crates/kafka/schema");
    let mut paths = std::fs::read_dir(&folder)
        .with_context(|| format!("reading {}", folder.display()))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()?;
    paths.sort();
    let mut messages = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        messages.extend(schema::parse(&text).with_context(|| format!("in {}", path.display()))?);
    }
    Ok(messages)
}

/// What is to be in the folder, by name.
fn files(messages: &[Message]) -> anyhow::Result<BTreeMap<String, String>> {
    let mut modules: BTreeMap<String, Vec<&Message>> = BTreeMap::new();
    for message in messages {
        modules.entry(rust::module_name(message)).or_default().push(message);
    }
    let mut files = BTreeMap::from([("mod.rs".to_owned(), format(&rust::index(messages)?)?)]);
    for (name, messages) in modules {
        files.insert(format!("{name}.rs"), format(&rust::module(&messages)?)?);
    }
    Ok(files)
}

/// As rustfmt writes it.
fn format(text: &str) -> anyhow::Result<String> {
    let mut rustfmt = Command::new("rustfmt");
    rustfmt.args(["--edition", "2024", "--config-path"]).arg(root());
    let mut child = rustfmt
        .args(["--config", "skip_children=true"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting rustfmt")?;
    let mut input = child.stdin.take().context("rustfmt without an input")?;
    let text = text.to_owned();
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = child.wait_with_output().context("waiting for rustfmt")?;
    writer.join().ok().context("the thread that feeds rustfmt")?.context("feeding rustfmt")?;
    if !output.status.success() {
        bail!("rustfmt refuses what was made");
    }
    String::from_utf8(output.stdout).context("reading what rustfmt wrote")
}
