//! Building images: the context as a tar stream, `POST /build`, and its progress.

pub mod context;
mod ignore;

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bollard::{
    Docker, body_try_stream,
    query_parameters::{BuildImageOptions, TagImageOptions},
};
use futures_util::StreamExt;

pub use ignore::Patterns;

use crate::{
    apply::Session,
    error::Error,
    model::{Build, Project, Service},
};

/// Options of `build` that go beyond the compose file.
#[derive(Debug, Clone, Default)]
pub struct BuildOptions {
    /// `--no-cache`.
    pub no_cache: bool,
    /// `--pull`.
    pub pull: bool,
    /// `--build-arg`.
    pub args: BTreeMap<String, String>,
    /// `--quiet`.
    pub quiet: bool,
    /// `--memory`.
    pub memory: Option<i64>,
}

/// The header in which our own engine takes build secrets.
const SECRETS: &str = "x-dhow-build-secrets";

/// Builds the image of a service and gives it its names.
pub(crate) async fn service(session: &Session<'_>, name: &str) -> Result<(), Error> {
    let project = session.project.ok_or_else(|| Error::invalid("a build needs a compose file"))?;
    let service = project.service(name)?;
    let build = service
        .build
        .as_ref()
        .ok_or_else(|| Error::invalid(format!("service {name} has nothing to build")))?;
    let image = service.image_name(&project.name);
    let what = format!("build image {image}");
    let docker = with_secrets(session.docker, project, build, name).await?;
    let (body, dockerfile) = if build.context.contains("://") || build.context.starts_with("git@") {
        (None, build.dockerfile.clone().unwrap_or_else(|| "Dockerfile".into()))
    } else {
        let context = context::Context::open(
            Path::new(&build.context),
            build.dockerfile.as_deref(),
            build.dockerfile_inline.as_deref(),
        )?;
        let dockerfile = context.dockerfile.clone();
        (Some(context.stream()), dockerfile)
    };
    let options = options(project, service, build, &image, dockerfile, body.is_none(), &session.build)?;
    let body = body.map_or_else(|| bollard::body_full(bytes::Bytes::new()), body_try_stream);
    let mut stream = std::pin::pin!(docker.build_image(options, None, Some(body)));
    while let Some(info) = stream.next().await {
        let info = info.map_err(Error::engine(what.clone()))?;
        if let Some(message) = info.error_detail.and_then(|detail| detail.message) {
            return Err(Error::invalid(format!("{what}: {message}")));
        }
        if let (Some(text), false) = (info.stream, session.build.quiet) {
            session.reporter.build_output(name, &text);
        }
    }
    for tag in &build.tags {
        let (repo, tag_name) =
            tag.rsplit_once(':').filter(|(_, name)| !name.contains('/')).unwrap_or((tag, "latest"));
        let options = TagImageOptions { repo: Some(repo.to_owned()), tag: Some(tag_name.to_owned()) };
        docker
            .tag_image(&image, Some(options))
            .await
            .map_err(Error::engine(format!("tag image {image} as {tag}")))?;
    }
    Ok(())
}

fn options(
    project: &Project,
    service: &Service,
    build: &Build,
    image: &str,
    dockerfile: String,
    remote: bool,
    flags: &BuildOptions,
) -> Result<BuildImageOptions, Error> {
    let mut args: HashMap<String, String> =
        build.args.iter().filter_map(|(key, value)| Some((key.clone(), value.clone()?))).collect();
    args.extend(flags.args.clone());
    let mut labels: HashMap<String, String> = build.labels.clone().into_iter().collect();
    labels.insert(crate::labels::PROJECT.into(), project.name.clone());
    labels.insert(crate::labels::SERVICE.into(), service.name.clone());
    labels.insert(crate::labels::VERSION.into(), crate::labels::SCHEME.into());
    if build.platforms.len() > 1 {
        return Err(Error::invalid(format!(
            "service {}: an image for several platforms at once is not supported",
            service.name
        )));
    }
    if !build.ulimits.is_empty() {
        return Err(Error::invalid(format!("service {}: build.ulimits is not supported", service.name)));
    }
    let narrow = |size: i64, what: &str| {
        i32::try_from(size)
            .map_err(|_| Error::invalid(format!("service {}: {what} must be below 2 GiB", service.name)))
    };
    let hosts: Vec<String> = build
        .extra_hosts
        .iter()
        .flat_map(|(name, ips)| ips.iter().map(move |ip| format!("{name}:{ip}")))
        .collect();
    Ok(BuildImageOptions {
        dockerfile,
        t: Some(image.to_owned()),
        extrahosts: (!hosts.is_empty()).then(|| hosts.join(",")),
        remote: remote.then(|| build.context.clone()),
        q: false,
        nocache: flags.no_cache || build.no_cache,
        cachefrom: (!build.cache_from.is_empty()).then(|| build.cache_from.clone()),
        pull: (flags.pull || build.pull).then(|| "true".to_owned()),
        rm: true,
        forcerm: true,
        memory: flags.memory.map(|memory| narrow(memory, "--memory")).transpose()?,
        buildargs: (!args.is_empty()).then_some(args),
        shmsize: build.shm_size.map(|size| narrow(size, "build.shm_size")).transpose()?,
        labels: Some(labels),
        networkmode: build.network.clone(),
        platform: build.platforms.first().or(service.platform.as_ref()).cloned().unwrap_or_default(),
        target: build.target.clone().unwrap_or_default(),
        ..BuildImageOptions::default()
    })
}

/// Adds the header with the build's secrets, which only our own engine understands.
async fn with_secrets(
    docker: &Docker,
    project: &Project,
    build: &Build,
    name: &str,
) -> Result<Docker, Error> {
    if build.secrets.is_empty() {
        return Ok(docker.clone());
    }
    let version = docker.version().await.map_err(Error::engine("ask for the engine's version"))?;
    let ours = |text: &str| text.to_ascii_lowercase().contains("dhow");
    let platform = version.platform.is_some_and(|platform| ours(&platform.name));
    let component = version.components.unwrap_or_default().iter().any(|component| ours(&component.name));
    if !platform && !component {
        return Err(Error::invalid(format!("service {name}: build.secrets is not supported by this engine")));
    }
    let mut secrets = BTreeMap::new();
    for secret in &build.secrets {
        let object = project
            .secrets
            .get(&secret.source)
            .ok_or_else(|| Error::invalid(format!("no secret \"{}\" in the project", secret.source)))?;
        let bytes = match (&object.bytes, &object.file) {
            (Some(text), _) => text.clone().into_bytes(),
            (None, Some(file)) => std::fs::read(file).map_err(Error::io(file))?,
            (None, None) => {
                return Err(Error::invalid(format!("secret \"{}\" has no content", secret.source)));
            }
        };
        secrets.insert(secret.id.clone(), STANDARD.encode(bytes));
    }
    let json = serde_json::to_string(&secrets)
        .map_err(|error| Error::invalid(format!("secrets of {name}: {error}")))?;
    let header = STANDARD.encode(json);
    Ok(docker.clone().with_request_modifier(move |mut request| {
        // Base64 is always a legal header value.
        if let Ok(value) = header.parse() {
            request.headers_mut().insert(SECRETS, value);
        }
        request
    }))
}
