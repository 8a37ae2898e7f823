//! Top-level networks, volumes, secrets and configs.

use std::path::Path;

use super::Context;
use crate::{
    error::Error,
    model::{FileObject, Ipam, IpamPool, Network, Volume},
    yaml::{Cursor, Fields},
};

/// The name an object has in the engine, and whether somebody else made it.
fn naming(fields: &Fields<'_>, project: &str, key: &str) -> Result<(String, bool), Error> {
    let external = fields.or_default("external", Cursor::boolean)?;
    let name = fields.read("name", Cursor::string)?;
    let default = || if external { key.to_owned() } else { format!("{project}_{key}") };
    Ok((name.unwrap_or_else(default), external))
}

fn alone(cursor: &Cursor<'_>, fields: &Fields<'_>, others: &[&str]) -> Result<(), Error> {
    match others.iter().find(|key| fields.get(key).is_some()) {
        Some(key) => Err(cursor.fail(format!("is external, so \"{key}\" cannot be set here"))),
        None => Ok(()),
    }
}

pub(super) fn network(cursor: &Cursor<'_>, project: &str, key: &str) -> Result<Network, Error> {
    if cursor.node.is_null() {
        return Ok(Network { name: format!("{project}_{key}"), ..Network::default() });
    }
    let known = [
        "name",
        "driver",
        "driver_opts",
        "ipam",
        "external",
        "internal",
        "enable_ipv4",
        "enable_ipv6",
        "attachable",
        "labels",
    ];
    let fields = cursor.fields(&known)?;
    let (name, external) = naming(&fields, project, key)?;
    if external {
        alone(
            cursor,
            &fields,
            &["driver", "driver_opts", "ipam", "internal", "enable_ipv6", "attachable", "labels"],
        )?;
    }
    Ok(Network {
        name,
        external,
        driver: fields.read("driver", Cursor::string)?,
        driver_opts: fields.or_default("driver_opts", Cursor::labels)?,
        internal: fields.or_default("internal", Cursor::boolean)?,
        attachable: fields.or_default("attachable", Cursor::boolean)?,
        enable_ipv4: fields.read("enable_ipv4", Cursor::boolean)?,
        enable_ipv6: fields.read("enable_ipv6", Cursor::boolean)?,
        ipam: fields.read("ipam", ipam)?,
        labels: fields.or_default("labels", Cursor::labels)?,
    })
}

fn ipam(cursor: &Cursor<'_>) -> Result<Ipam, Error> {
    let fields = cursor.fields(&["driver", "config", "options"])?;
    let pool = |cursor: &Cursor<'_>| -> Result<IpamPool, Error> {
        let fields = cursor.fields(&["subnet", "ip_range", "gateway", "aux_addresses"])?;
        Ok(IpamPool {
            subnet: fields.read("subnet", Cursor::string)?,
            ip_range: fields.read("ip_range", Cursor::string)?,
            gateway: fields.read("gateway", Cursor::string)?,
            aux_addresses: fields.or_default("aux_addresses", Cursor::labels)?,
        })
    };
    Ok(Ipam {
        driver: fields.read("driver", Cursor::string)?,
        config: fields.or_default("config", |c| c.list()?.iter().map(pool).collect())?,
        options: fields.or_default("options", Cursor::labels)?,
    })
}

pub(super) fn volume(cursor: &Cursor<'_>, project: &str, key: &str) -> Result<Volume, Error> {
    if cursor.node.is_null() {
        return Ok(Volume { name: format!("{project}_{key}"), ..Volume::default() });
    }
    let fields = cursor.fields(&["name", "driver", "driver_opts", "external", "labels"])?;
    let (name, external) = naming(&fields, project, key)?;
    if external {
        alone(cursor, &fields, &["driver", "driver_opts", "labels"])?;
    }
    Ok(Volume {
        name,
        external,
        driver: fields.read("driver", Cursor::string)?,
        driver_opts: fields.or_default("driver_opts", Cursor::labels)?,
        labels: fields.or_default("labels", Cursor::labels)?,
    })
}

pub(super) fn file_object(
    cursor: &Cursor<'_>,
    project: &str,
    key: &str,
    context: &Context<'_>,
) -> Result<FileObject, Error> {
    let fields = cursor.fields(&[
        "name",
        "file",
        "environment",
        "content",
        "external",
        "labels",
        "driver",
        "driver_opts",
        "template_driver",
    ])?;
    for key in ["driver", "driver_opts", "template_driver"] {
        if let Some(cursor) = fields.get(key) {
            return Err(cursor.fail("drivers of secrets and configs exist in swarm only"));
        }
    }
    let (name, external) = naming(&fields, project, key)?;
    let mut object = FileObject {
        name,
        external,
        file: fields.read("file", Cursor::string)?,
        environment: fields.read("environment", Cursor::string)?,
        content: fields.read("content", Cursor::string)?,
        labels: fields.or_default("labels", Cursor::labels)?,
        bytes: None,
    };
    let sources = usize::from(object.file.is_some())
        + usize::from(object.environment.is_some())
        + usize::from(object.content.is_some())
        + usize::from(external);
    if sources != 1 {
        return Err(
            cursor.fail("needs exactly one of \"file\", \"environment\", \"content\" and \"external\"")
        );
    }
    if let Some(file) = &object.file {
        let path = context.absolute(file);
        if !Path::new(&path).exists() {
            let at = fields.get("file").unwrap_or_else(|| cursor.clone());
            return Err(at.fail(format!("file {path} does not exist")));
        }
        object.file = Some(path);
    }
    if let Some(variable) = &object.environment {
        let Some(value) = context.env.get(variable) else {
            let at = fields.get("environment").unwrap_or_else(|| cursor.clone());
            return Err(at.fail(format!("environment variable \"{variable}\" is not set")));
        };
        object.bytes = Some(value.clone());
    }
    if object.content.is_some() {
        object.bytes.clone_from(&object.content);
    }
    Ok(object)
}
