//! Ports, mounts, networks of a service, secrets and configs as it uses them.

use std::collections::BTreeMap;

use super::Context;
use crate::{
    error::Error,
    model::{Attachment, Condition, Dependency, EnvFile, FileMount, Mount, MountKind, Port},
    yaml::Cursor,
};

pub(super) fn port(cursor: &Cursor<'_>) -> Result<Port, Error> {
    let fields =
        cursor.fields(&["name", "mode", "host_ip", "target", "published", "protocol", "app_protocol"])?;
    let target = fields.read("target", Cursor::integer::<u16>)?.filter(|port| *port > 0);
    let published = fields.read("published", Cursor::string)?.filter(|text| !text.is_empty() && text != "0");
    if let Some(text) = &published {
        let good = text.split('-').all(|part| part.parse::<u16>().is_ok()) && text.split('-').count() <= 2;
        if !good {
            let at = fields.get("published").unwrap_or_else(|| cursor.clone());
            return Err(at.fail(format!("\"{text}\" is neither a port nor a range of ports")));
        }
    }
    Ok(Port {
        target: target.ok_or_else(|| cursor.fail("needs \"target\", a port from 1 to 65535"))?,
        published,
        mode: fields.read("mode", Cursor::string)?.unwrap_or_else(|| "ingress".into()),
        host_ip: fields.read("host_ip", Cursor::string)?,
        protocol: fields
            .read("protocol", |c| c.word(&["tcp", "udp", "sctp"]))?
            .unwrap_or_else(|| "tcp".into()),
        name: fields.read("name", Cursor::string)?,
        app_protocol: fields.read("app_protocol", Cursor::string)?,
    })
}

pub(super) fn mount(cursor: &Cursor<'_>, context: &Context<'_>) -> Result<Mount, Error> {
    let fields = cursor.fields(&[
        "type",
        "source",
        "target",
        "read_only",
        "consistency",
        "bind",
        "volume",
        "tmpfs",
        "image",
    ])?;
    let kind = match fields.read("type", Cursor::string)?.as_deref() {
        Some("bind") => MountKind::Bind,
        Some("volume") => MountKind::Volume,
        Some("tmpfs") => MountKind::Tmpfs,
        Some("image") => MountKind::Image,
        Some(other @ ("cluster" | "npipe")) => {
            return Err(cursor.fail(format!("mounts of type {other} are not supported")));
        }
        Some(other) => {
            return Err(cursor.fail(format!("unknown mount type \"{other}\": bind, volume, tmpfs or image")));
        }
        None => return Err(cursor.fail("needs \"type\"")),
    };
    let target = fields.read("target", Cursor::string)?.ok_or_else(|| cursor.fail("needs \"target\""))?;
    let mut source = fields.read("source", Cursor::string)?;
    match (kind, &source) {
        (MountKind::Bind, Some(path)) => source = Some(context.absolute(path)),
        (MountKind::Bind | MountKind::Image, None) => return Err(cursor.fail("needs \"source\"")),
        (MountKind::Tmpfs, Some(_)) => return Err(cursor.fail("a tmpfs has no \"source\"")),
        _ => {}
    }
    let mut mount = Mount {
        kind,
        source,
        target,
        read_only: fields.or_default("read_only", Cursor::boolean)?,
        consistency: fields.read("consistency", Cursor::string)?,
        create_host_path: kind == MountKind::Bind,
        propagation: None,
        selinux: None,
        recursive: None,
        nocopy: false,
        subpath: None,
        size: None,
        mode: None,
        labels: BTreeMap::new(),
    };
    if let Some(bind) = fields.get("bind") {
        let fields = bind.fields(&["propagation", "create_host_path", "recursive", "selinux"])?;
        mount.propagation = fields.read("propagation", Cursor::string)?;
        mount.create_host_path =
            fields.read("create_host_path", Cursor::boolean)?.unwrap_or(true) && kind == MountKind::Bind;
        mount.recursive =
            fields.read("recursive", |c| c.word(&["enabled", "disabled", "writable", "readonly"]))?;
        mount.selinux = fields.read("selinux", |c| c.word(&["z", "Z"]))?;
    }
    if let Some(volume) = fields.get("volume") {
        let fields = volume.fields(&["nocopy", "subpath", "labels"])?;
        mount.nocopy = fields.or_default("nocopy", Cursor::boolean)?;
        mount.subpath = fields.read("subpath", Cursor::string)?;
        mount.labels = fields.or_default("labels", Cursor::labels)?;
    }
    if let Some(tmpfs) = fields.get("tmpfs") {
        let fields = tmpfs.fields(&["size", "mode"])?;
        mount.size = fields.read("size", Cursor::bytes)?;
        mount.mode = fields.read("mode", Cursor::mode)?;
    }
    if let Some(image) = fields.get("image") {
        mount.subpath = image.fields(&["subpath"])?.read("subpath", Cursor::string)?;
    }
    Ok(mount)
}

pub(super) fn attachment(cursor: &Cursor<'_>) -> Result<Attachment, Error> {
    if cursor.node.is_null() {
        return Ok(Attachment::default());
    }
    let known = [
        "aliases",
        "interface_name",
        "ipv4_address",
        "ipv6_address",
        "link_local_ips",
        "mac_address",
        "driver_opts",
        "priority",
        "gw_priority",
    ];
    let fields = cursor.fields(&known)?;
    if let Some(name) = fields.get("interface_name") {
        return Err(name.fail("naming interfaces is not supported"));
    }
    Ok(Attachment {
        aliases: fields.or_default("aliases", Cursor::strings)?,
        ipv4_address: fields.read("ipv4_address", Cursor::string)?,
        ipv6_address: fields.read("ipv6_address", Cursor::string)?,
        link_local_ips: fields.or_default("link_local_ips", Cursor::strings)?,
        mac_address: fields.read("mac_address", Cursor::string)?,
        driver_opts: fields.or_default("driver_opts", Cursor::labels)?,
        priority: fields.or_default("priority", Cursor::integer)?,
        gw_priority: fields.read("gw_priority", Cursor::integer)?,
    })
}

pub(super) fn dependency(cursor: &Cursor<'_>) -> Result<Dependency, Error> {
    let fields = cursor.fields(&["condition", "restart", "required"])?;
    let words = [Condition::Started, Condition::Healthy, Condition::Completed];
    let condition = |cursor: &Cursor<'_>| -> Result<Condition, Error> {
        let text = cursor.word(&words.map(Condition::as_str))?;
        words.into_iter().find(|word| word.as_str() == text).ok_or_else(|| cursor.fail("unknown condition"))
    };
    Ok(Dependency {
        condition: fields.read("condition", condition)?.unwrap_or(Condition::Started),
        restart: fields.or_default("restart", Cursor::boolean)?,
        required: fields.read("required", Cursor::boolean)?.unwrap_or(true),
    })
}

pub(super) fn file_mount(cursor: &Cursor<'_>, folder: &str) -> Result<FileMount, Error> {
    let fields = cursor.fields(&["source", "target", "uid", "gid", "mode"])?;
    let source = fields.read("source", Cursor::string)?.ok_or_else(|| cursor.fail("needs \"source\""))?;
    let target = fields.read("target", Cursor::string)?.unwrap_or_else(|| source.clone());
    Ok(FileMount {
        target: if target.starts_with('/') { target } else { format!("{folder}{target}") },
        source,
        uid: fields.read("uid", Cursor::string)?,
        gid: fields.read("gid", Cursor::string)?,
        mode: fields.read("mode", Cursor::mode)?,
    })
}

pub(super) fn env_file(cursor: &Cursor<'_>, context: &Context<'_>) -> Result<EnvFile, Error> {
    let fields = cursor.fields(&["path", "required", "format"])?;
    let path = fields.read("path", Cursor::string)?.ok_or_else(|| cursor.fail("needs \"path\""))?;
    Ok(EnvFile {
        path: context.absolute(&path),
        required: fields.read("required", Cursor::boolean)?.unwrap_or(true),
        raw: fields.read("format", |c| c.word(&["raw"]))?.is_some(),
    })
}
