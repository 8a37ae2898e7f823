//! `inspect` of containers, images, networks, volumes.

use super::{print, print_line, tell};
use crate::{
    client::{Client, Refused, escape},
    format,
};
use serde_json::Value;

// `dhow inspect`
#[derive(Debug, clap::Args)]
pub(crate) struct Inspect {
    /// Format output using a custom template: 'json', 'TEMPLATE'
    #[arg(short, long)]
    format: Option<String>,
    /// Display total file sizes if the type is container
    #[arg(short, long)]
    size: bool,
    /// Only inspect objects of the given type
    #[arg(long, value_parser = ["container", "image", "network", "volume"])]
    r#type: Option<String>,
    /// Names or ids
    #[arg(required = true, value_name = "NAME|ID")]
    names: Vec<String>,
}

// `dhow container inspect`
#[derive(Debug, clap::Args)]
pub(crate) struct InspectContainer {
    /// Format output using a custom template: 'json', 'TEMPLATE'
    #[arg(short, long)]
    format: Option<String>,
    /// Display total file sizes
    #[arg(short, long)]
    size: bool,
    /// Names or ids
    #[arg(required = true, value_name = "CONTAINER")]
    names: Vec<String>,
}

// `dhow image inspect`
#[derive(Debug, clap::Args)]
pub(crate) struct InspectImage {
    /// Format output using a custom template: 'json', 'TEMPLATE'
    #[arg(short, long)]
    format: Option<String>,
    /// Names or ids
    #[arg(required = true, value_name = "IMAGE")]
    names: Vec<String>,
}

impl Inspect {
    pub(crate) async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        let kinds: Vec<&str> = match self.r#type.as_deref() {
            Some(kind) => vec![kind],
            None => vec!["container", "image", "network", "volume"],
        };
        print_objects(client, &kinds, &self.names, self.format.as_deref(), self.size).await
    }
}

impl InspectContainer {
    pub(crate) async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        print_objects(client, &["container"], &self.names, self.format.as_deref(), self.size).await
    }
}

impl InspectImage {
    pub(crate) async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        print_objects(client, &["image"], &self.names, self.format.as_deref(), false).await
    }
}

fn path(kind: &str, name: &str, size: bool) -> String {
    let name = escape(name);
    match kind {
        "container" if size => format!("/containers/{name}/json?size=1"),
        "container" => format!("/containers/{name}/json"),
        "image" => format!("/images/{name}/json"),
        "network" => format!("/networks/{name}"),
        _ => format!("/volumes/{name}"),
    }
}

/// Prints what each name stands for: an array, or a line of the template each. Names that stand for nothing are told, with exit code 1.
pub(crate) async fn print_objects(
    client: &Client,
    kinds: &[&str],
    names: &[String],
    template: Option<&str>,
    size: bool,
) -> anyhow::Result<u8> {
    let mut found = Vec::new();
    let mut code = 0;
    for name in names {
        match find(client, kinds, name, size).await {
            Ok(value) => found.push(value),
            Err(error) => {
                tell(&format!("{error:#}"));
                code = 1;
            }
        }
    }
    match template {
        None => print(&format!("{}\n", indented(&Value::Array(found))?))?,
        Some(template) => {
            for value in &found {
                print_line(&format::render(template, value)?)?;
            }
        }
    }
    Ok(code)
}

async fn find(client: &Client, kinds: &[&str], name: &str, size: bool) -> anyhow::Result<Value> {
    for kind in kinds {
        match client.get(&path(kind, name, size)).await {
            Err(error) if error.downcast_ref::<Refused>().is_some_and(|r| r.status == 404) => {
                if kinds.len() == 1 {
                    return Err(error);
                }
            }
            other => return other,
        }
    }
    anyhow::bail!("Error: No such object: {name}")
}

/// JSON with docker's four blanks.
pub(crate) fn indented(value: &Value) -> anyhow::Result<String> {
    let mut out = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    serde::Serialize::serialize(value, &mut serde_json::Serializer::with_formatter(&mut out, formatter))?;
    Ok(String::from_utf8(out)?)
}
