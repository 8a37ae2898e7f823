//! Secrets and configs whose bytes come from the environment or the compose file: copied in as read-only files.

use bollard::{body_full, query_parameters::UploadToContainerOptions};

use super::Session;
use crate::{
    error::Error,
    model::{FileMount, Project, Service},
};

/// Copies them into a container that has not been started.
pub(super) async fn copy_in(
    session: &Session<'_>,
    project: &Project,
    service: &Service,
    id: &str,
    name: &str,
) -> Result<(), Error> {
    let secrets = service.secrets.iter().map(|mount| (mount, &project.secrets));
    let configs = service.configs.iter().map(|mount| (mount, &project.configs));
    let mut files = Vec::new();
    for (mount, objects) in secrets.chain(configs) {
        let Some(object) = objects.get(&mount.source) else { continue };
        match &object.bytes {
            Some(bytes) => files.push((mount, bytes.as_str())),
            None if mount.uid.is_some() || mount.gid.is_some() || mount.mode.is_some() => session.reporter.warn(&format!(
                "{} of service {}: uid, gid and mode of a file of the host cannot be changed and are ignored",
                mount.source, service.name
            )),
            None => {}
        }
    }
    if files.is_empty() {
        return Ok(());
    }
    let archive = archive(&files).map_err(|error| Error::invalid(format!("container {name}: {error}")))?;
    let options = UploadToContainerOptions { path: "/".into(), ..UploadToContainerOptions::default() };
    let upload = session.docker.upload_to_container(id, Some(options), body_full(archive.into())).await;
    upload.map_err(Error::engine(format!("copy secrets and configs into container {name}")))
}

fn archive(files: &[(&FileMount, &str)]) -> std::io::Result<Vec<u8>> {
    let number = |text: &Option<String>, what: &str| match text.as_deref().map(str::parse::<u64>) {
        None => Ok(0),
        Some(Ok(number)) => Ok(number),
        Some(Err(_)) => Err(std::io::Error::other(format!("{what} must be a number"))),
    };
    let mut builder = tar::Builder::new(Vec::new());
    for (mount, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(mount.mode.unwrap_or(0o444));
        header.set_uid(number(&mount.uid, "uid")?);
        header.set_gid(number(&mount.gid, "gid")?);
        builder.append_data(&mut header, mount.target.trim_start_matches('/'), text.as_bytes())?;
    }
    builder.into_inner()
}
