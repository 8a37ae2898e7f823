//! An image as `inspect`, `images` and `system df` print it.

use crate::show::{self, Json, healthcheck};
use dhow_engine::{
    Image,
    oci::{Reference, image::ContainerConfig},
};
use dhow_wire::{
    record::{Record, filled},
    time,
    version::ApiVersion,
};
use serde_json::json;

fn familiar(names: &[Reference]) -> Vec<String> {
    names.iter().map(Reference::familiar).collect()
}

/// Seconds since the epoch; 0 when the image does not say.
pub(crate) fn created(image: &Image) -> i64 {
    let nanos = image.config.created.as_deref().and_then(|text| time::parse(text).ok()).unwrap_or(0);
    show::seconds(nanos)
}

/// One line of `GET /images/json`. Unknown numbers are -1.
pub(crate) fn listed(image: &Image, containers: i64, shared: i64, version: ApiVersion) -> Json {
    let (mut tags, mut digests) = (familiar(&image.tags), familiar(&image.digests));
    if tags.is_empty() && digests.is_empty() && !version.since(43) {
        tags.push("<none>:<none>".to_owned());
        digests.push("<none>@<none>".to_owned());
    }
    let labels = image.config.config.labels.as_ref().filter(|map| !map.is_empty());
    Record::new()
        .put("Containers", containers)
        .put("Created", created(image))
        .put("Id", &image.id)
        .put("Labels", labels)
        .put("ParentId", parent(image))
        .put("RepoDigests", digests)
        .put("RepoTags", tags)
        .put("SharedSize", shared)
        .put("Size", image.size)
        .when(!version.since(44), "VirtualSize", image.size)
        .end()
}

/// `GET /images/{}/json`.
pub(crate) fn inspect(image: &Image, version: ApiVersion) -> Json {
    let config = &image.config;
    let defaults = ContainerConfig::default();
    let container = &config.config;
    let comment = config.history.last().and_then(|entry| entry.comment.clone()).unwrap_or_default();
    let driver = Record::new().put("Data", json!({})).put("Name", "overlay2");
    let root = Record::new().put("Type", &config.rootfs.kind).put("Layers", &config.rootfs.diff_ids);
    Record::new()
        .put("Id", &image.id)
        .put("RepoTags", familiar(&image.tags))
        .put("RepoDigests", familiar(&image.digests))
        .when(!version.since(52), "Parent", parent(image))
        .put("Comment", comment)
        .put("Created", config.created.as_deref().unwrap_or(time::ZERO))
        // API 1.45 knows them no more; what a commit noted is shown until 1.52.
        .when(
            !version.since(45) || (config.container.is_some() && !version.since(52)),
            "Container",
            config.container.as_deref().unwrap_or(""),
        )
        .when(
            !version.since(45) || (config.container_config.is_some() && !version.since(52)),
            "ContainerConfig",
            legacy_config(config.container_config.as_ref().unwrap_or(&defaults)),
        )
        .when(!version.since(52), "DockerVersion", "")
        .put("Author", config.author.as_deref().unwrap_or(""))
        .put("Config", if version.since(50) { image_config(container) } else { legacy_config(container) })
        .put("Architecture", &config.architecture)
        .some("Variant", config.variant.as_ref())
        .put("Os", &config.os)
        .put("Size", image.size)
        .when(!version.since(44), "VirtualSize", image.size)
        .put("GraphDriver", driver.end())
        .put("RootFS", root.end())
        .put("Metadata", json!({ "LastTagTime": time::ZERO }))
        .when(version.since(48), "Descriptor", descriptor(image))
        .end()
}

/// The image that a committed one was made on.
fn parent(image: &Image) -> &str {
    image.config.parent.as_ref().map_or("", |id| id.as_str())
}

fn descriptor(image: &Image) -> Json {
    let kind = image.manifest.media_type.as_deref().unwrap_or(dhow_engine::oci::image::media::OCI_MANIFEST);
    let size = serde_json::to_vec(&image.manifest).map_or(0, |bytes| bytes.len());
    // The size of an index is not known here: only the manifest's own descriptor is given.
    Record::new().put("mediaType", kind).put("digest", &image.manifest_digest).put("size", size).end()
}

/// The OCI fields, empty ones left out: what API 1.50 shows.
fn image_config(config: &ContainerConfig) -> Json {
    let text = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    Record::new()
        .some("User", text(&config.user))
        .some("ExposedPorts", config.exposed_ports.as_ref())
        .some("Env", config.env.as_ref())
        .some("Entrypoint", config.entrypoint.as_ref())
        .some("Cmd", config.cmd.as_ref())
        .some("Volumes", config.volumes.as_ref())
        .some("WorkingDir", text(&config.working_dir))
        .some("Labels", config.labels.as_ref())
        .some("StopSignal", config.stop_signal.as_ref())
        .some("ArgsEscaped", config.args_escaped.then_some(true))
        .some("Healthcheck", config.healthcheck.as_ref().map(healthcheck))
        .some("OnBuild", config.on_build.as_ref().and_then(|list| filled(list)))
        .some("Shell", config.shell.as_ref().and_then(|list| filled(list)))
        .end()
}

/// docker's whole Config: what older versions show.
fn legacy_config(config: &ContainerConfig) -> Json {
    Record::new()
        .put("Hostname", "")
        .put("Domainname", "")
        .put("User", &config.user)
        .put("AttachStdin", false)
        .put("AttachStdout", false)
        .put("AttachStderr", false)
        .some("ExposedPorts", config.exposed_ports.as_ref())
        .put("Tty", false)
        .put("OpenStdin", false)
        .put("StdinOnce", false)
        .put("Env", &config.env)
        .put("Cmd", &config.cmd)
        .some("Healthcheck", config.healthcheck.as_ref().map(healthcheck))
        .some("ArgsEscaped", config.args_escaped.then_some(true))
        .put("Image", config.image.as_deref().unwrap_or(""))
        .put("Volumes", &config.volumes)
        .put("WorkingDir", &config.working_dir)
        .put("Entrypoint", &config.entrypoint)
        .put("OnBuild", &config.on_build)
        .put("Labels", &config.labels)
        .some("StopSignal", config.stop_signal.as_ref())
        .some("StopTimeout", config.stop_timeout)
        .some("Shell", config.shell.as_ref())
        .end()
}
