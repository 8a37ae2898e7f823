//! The labels by which Docker Compose and we recognise what belongs to a project.

use std::collections::HashMap;

use crate::model::{Project, Service};

/// The project.
pub const PROJECT: &str = "com.docker.compose.project";
/// The service.
pub const SERVICE: &str = "com.docker.compose.service";
/// The hash of what was wanted.
pub const CONFIG_HASH: &str = "com.docker.compose.config-hash";
/// Which of a service's containers.
pub const NUMBER: &str = "com.docker.compose.container-number";
/// A key of `volumes`.
pub const VOLUME: &str = "com.docker.compose.volume";
/// A key of `networks`.
pub const NETWORK: &str = "com.docker.compose.network";
/// The project's folder.
pub const WORKING_DIR: &str = "com.docker.compose.project.working_dir";
/// The compose files.
pub const CONFIG_FILES: &str = "com.docker.compose.project.config_files";
/// The files of `--env-file`.
pub const ENV_FILE: &str = "com.docker.compose.project.environment_file";
/// `True` for containers of `run`.
pub const ONEOFF: &str = "com.docker.compose.oneoff";
/// Tells containers of `run` apart.
pub const SLUG: &str = "com.docker.compose.slug";
/// The image's id when the container was made.
pub const IMAGE: &str = "com.docker.compose.image";
/// `service:condition:restart,…`.
pub const DEPENDS_ON: &str = "com.docker.compose.depends_on";
/// The version of the compose format that these labels follow.
pub const VERSION: &str = "com.docker.compose.version";
/// The container that this one replaces.
pub const REPLACE: &str = "com.docker.compose.replace";

/// What we write into [`VERSION`]: Docker Compose's label scheme of this release.
pub const SCHEME: &str = "2.24.7";

/// The labels of a container.
#[must_use]
pub fn container(
    project: &Project,
    service: &Service,
    number: u32,
    hash: &str,
    image_id: &str,
) -> HashMap<String, String> {
    let mut labels: HashMap<String, String> = service.labels.clone().into_iter().collect();
    let join = |paths: &[std::path::PathBuf]| {
        paths.iter().map(|path| path.to_string_lossy()).collect::<Vec<_>>().join(",")
    };
    let depends = service
        .depends_on
        .iter()
        .map(|(name, rule)| format!("{name}:{}:{}", rule.condition.as_str(), rule.restart));
    let mut set = |key: &str, value: String| labels.insert(key.to_owned(), value);
    set(PROJECT, project.name.clone());
    set(SERVICE, service.name.clone());
    set(NUMBER, number.to_string());
    set(ONEOFF, "False".into());
    set(CONFIG_HASH, hash.to_owned());
    set(WORKING_DIR, project.directory.to_string_lossy().into_owned());
    set(CONFIG_FILES, join(&project.files));
    if !project.env_files.is_empty() {
        set(ENV_FILE, join(&project.env_files));
    }
    set(DEPENDS_ON, depends.collect::<Vec<_>>().join(","));
    set(VERSION, SCHEME.into());
    set(IMAGE, image_id.to_owned());
    labels
}

/// The labels of a network or volume: `kind` is [`NETWORK`] or [`VOLUME`].
#[must_use]
pub fn shared(
    project: &str,
    kind: &str,
    key: &str,
    own: &std::collections::BTreeMap<String, String>,
) -> HashMap<String, String> {
    let mut labels: HashMap<String, String> = own.clone().into_iter().collect();
    labels.insert(PROJECT.into(), project.to_owned());
    labels.insert(kind.into(), key.to_owned());
    labels.insert(VERSION.into(), SCHEME.into());
    labels
}
