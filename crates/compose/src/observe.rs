//! What the engine has of a project. Decides nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bollard::{
    Docker,
    models::{ContainerSummary, ContainerSummaryStateEnum, EndpointSettings, PortSummary},
    query_parameters::{ListContainersOptionsBuilder, ListNetworksOptions, ListVolumesOptions},
};
use futures_util::future::{join_all, try_join3};

use crate::{
    error::{Error, status},
    labels,
    model::Project,
};

/// The state of a container, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
    /// Made, never started.
    #[default]
    Created,
    /// Running.
    Running,
    /// Frozen.
    Paused,
    /// Between two starts.
    Restarting,
    /// Ended.
    Exited,
    /// Being removed, or half removed.
    Removing,
}

impl State {
    /// Docker's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Exited => "exited",
            Self::Removing => "removing",
        }
    }

    /// Is there a process?
    #[must_use]
    pub fn is_up(self) -> bool {
        matches!(self, Self::Running | Self::Paused | Self::Restarting)
    }
}

/// A container.
#[derive(Debug, Clone, Default)]
pub struct Container {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The service it belongs to.
    pub service: String,
    /// Which of the service's containers.
    pub number: u32,
    /// Made by `run`.
    pub oneoff: bool,
    /// Its state.
    pub state: State,
    /// The state in Docker's words: `Up 2 minutes (healthy)`.
    pub status: String,
    /// The image as it was asked for.
    pub image: String,
    /// The id of the image.
    pub image_id: String,
    /// Seconds since 1970.
    pub created: i64,
    /// What it runs.
    pub command: String,
    /// Its ports.
    pub ports: Vec<PortSummary>,
    /// All its labels.
    pub labels: HashMap<String, String>,
    /// Name of a network → id, where the engine says so.
    pub networks: BTreeMap<String, String>,
    /// `bridge`, `container:…`.
    pub network_mode: String,
}

/// A network or a volume.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shared {
    /// Its id; a volume's is its name.
    pub id: String,
    /// Its labels.
    pub labels: HashMap<String, String>,
}

/// What there is.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// Containers of the project, by number.
    pub containers: Vec<Container>,
    /// Networks by name: those of the project and those it refers to.
    pub networks: BTreeMap<String, Shared>,
    /// Volumes by name.
    pub volumes: BTreeMap<String, Shared>,
    /// Image name → id, for those that are present.
    pub images: BTreeMap<String, String>,
}

impl Observed {
    /// Containers of a service, those of `run` left out.
    pub fn of<'a>(&'a self, service: &'a str) -> impl Iterator<Item = &'a Container> {
        self.containers.iter().filter(move |container| container.service == service && !container.oneoff)
    }
}

/// Lists the project's containers.
///
/// # Errors
/// The engine's.
pub async fn containers(docker: &Docker, project: &str) -> Result<Vec<Container>, Error> {
    let filters = HashMap::from([("label".to_owned(), vec![format!("{}={project}", labels::PROJECT)])]);
    let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
    let list = docker.list_containers(Some(options)).await.map_err(Error::engine("list containers"))?;
    let mut containers: Vec<Container> = list.into_iter().filter_map(container).collect();
    containers.sort_by(|a, b| (&a.service, a.number, &a.name).cmp(&(&b.service, b.number, &b.name)));
    Ok(containers)
}

/// Everything: containers, networks, volumes, and the images of these names.
///
/// # Errors
/// The engine's.
pub async fn all(docker: &Docker, project: &str, images: &BTreeSet<String>) -> Result<Observed, Error> {
    let networks = async {
        docker.list_networks(None::<ListNetworksOptions>).await.map_err(Error::engine("list networks"))
    };
    let volumes = async {
        docker.list_volumes(None::<ListVolumesOptions>).await.map_err(Error::engine("list volumes"))
    };
    let (containers, networks, volumes) = try_join3(containers(docker, project), networks, volumes).await?;
    let named = networks.into_iter().filter_map(|network| {
        Some((
            network.name?,
            Shared { id: network.id.unwrap_or_default(), labels: network.labels.unwrap_or_default() },
        ))
    });
    let volumes = volumes.volumes.unwrap_or_default().into_iter();
    let volumes =
        volumes.map(|volume| (volume.name.clone(), Shared { id: volume.name, labels: volume.labels }));
    Ok(Observed {
        containers,
        networks: named.collect(),
        volumes: volumes.collect(),
        images: image_ids(docker, images).await?,
    })
}

/// The ids of those images that are present.
///
/// # Errors
/// The engine's.
pub async fn image_ids(docker: &Docker, names: &BTreeSet<String>) -> Result<BTreeMap<String, String>, Error> {
    let one = async |name: &String| match docker.inspect_image(name).await {
        Ok(image) => Ok(Some((name.clone(), image.id.unwrap_or_default()))),
        Err(error) if status(&error) == Some(404) => Ok(None),
        Err(error) => Err(Error::engine(format!("inspect image {name}"))(error)),
    };
    let found: Result<Vec<_>, Error> = join_all(names.iter().map(one)).await.into_iter().collect();
    Ok(found?.into_iter().flatten().collect())
}

/// The images that a project's services run.
#[must_use]
pub fn image_names(project: &Project) -> BTreeSet<String> {
    project.services.values().map(|service| service.image_name(&project.name)).collect()
}

fn container(summary: ContainerSummary) -> Option<Container> {
    let labels = summary.labels.unwrap_or_default();
    let state = match summary.state {
        Some(ContainerSummaryStateEnum::RUNNING) => State::Running,
        Some(ContainerSummaryStateEnum::PAUSED) => State::Paused,
        Some(ContainerSummaryStateEnum::RESTARTING) => State::Restarting,
        Some(ContainerSummaryStateEnum::CREATED) => State::Created,
        Some(ContainerSummaryStateEnum::REMOVING) => State::Removing,
        _ => State::Exited,
    };
    let endpoints: HashMap<String, EndpointSettings> =
        summary.network_settings.and_then(|s| s.networks).unwrap_or_default();
    let networks =
        endpoints.into_iter().map(|(name, endpoint)| (name, endpoint.network_id.unwrap_or_default()));
    Some(Container {
        id: summary.id?,
        name: own_name(summary.names.unwrap_or_default()),
        service: labels.get(labels::SERVICE)?.clone(),
        number: labels.get(labels::NUMBER).and_then(|text| text.parse().ok()).unwrap_or(0),
        oneoff: labels.get(labels::ONEOFF).is_some_and(|text| text.eq_ignore_ascii_case("true")),
        state,
        status: summary.status.unwrap_or_default(),
        image: summary.image.unwrap_or_default(),
        image_id: summary.image_id.unwrap_or_default(),
        created: summary.created.unwrap_or_default(),
        command: summary.command.unwrap_or_default(),
        ports: summary.ports.unwrap_or_default(),
        networks: networks.collect(),
        network_mode: summary.host_config.and_then(|config| config.network_mode).unwrap_or_default(),
        labels,
    })
}

/// A container's own name among those that links gave it.
fn own_name(names: Vec<String>) -> String {
    let own = names.iter().find(|name| !name[1.min(name.len())..].contains('/')).or(names.first());
    own.map(|name| name.trim_start_matches('/').to_owned()).unwrap_or_default()
}
