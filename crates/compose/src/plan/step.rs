//! Steps: each is one call to the engine, or one wait.

use std::fmt;

use crate::model::Condition;

/// A container of the engine, or one that an earlier step makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its id, when it exists already.
    pub id: Option<String>,
    /// Its name when the plan is done.
    pub name: String,
}

impl Target {
    /// What to call it towards the engine.
    #[must_use]
    pub fn reference(&self) -> &str {
        self.id.as_deref().unwrap_or(&self.name)
    }
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are what the variant's sentence names")]
pub enum Action {
    /// Pull the image of a service.
    Pull { service: String, image: String, policy_missing_ok: bool },
    /// Build the image of a service.
    Build { service: String, image: String },
    /// Make a network.
    CreateNetwork { key: String, name: String },
    /// Remove a network.
    RemoveNetwork { name: String, id: String },
    /// Make a volume.
    CreateVolume { key: String, name: String },
    /// Remove a volume.
    RemoveVolume { name: String },
    /// Make a container; `replaces` is the id of the one whose anonymous volumes it takes over.
    Create { service: String, number: u32, name: String, replaces: Option<String>, keep_volumes: bool },
    /// Give a container its final name.
    Rename { from: Target, to: String },
    /// Start a container.
    Start { service: String, target: Target },
    /// Go on with a frozen container.
    Unpause { target: Target },
    /// Stop a container. `timeout` in seconds; none is the container's own.
    Stop { target: Target, timeout: Option<i32> },
    /// Remove a container, with its anonymous volumes or without.
    Remove { target: Target, volumes: bool, force: bool },
    /// Remove an image.
    RemoveImage { image: String },
    /// Wait until a service that others depend on is as they need it.
    Wait { service: String, condition: Condition, targets: Vec<Target>, required: bool },
    /// Wait until a service runs, and is healthy if it can say so.
    WaitReady { service: String, targets: Vec<Target> },
}

/// An action, and the steps that must be done before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What to do.
    pub action: Action,
    /// Indexes of earlier steps.
    pub after: Vec<usize>,
}

/// Steps in an order in which they could be run one by one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// The steps.
    pub steps: Vec<Step>,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// Containers that are right as they are: name and whether they run.
    pub unchanged: Vec<(String, bool)>,
}

impl Plan {
    /// Adds a step and gives its index.
    pub(crate) fn add(&mut self, action: Action, after: impl IntoIterator<Item = usize>) -> usize {
        let mut after: Vec<usize> = after.into_iter().collect();
        after.sort_unstable();
        after.dedup();
        self.steps.push(Step { action, after });
        self.steps.len() - 1
    }

    /// Nothing to do?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pull { image, .. } => write!(f, "pull image {image}"),
            Self::Build { service, image } => write!(f, "build image {image} for {service}"),
            Self::CreateNetwork { name, .. } => write!(f, "create network {name}"),
            Self::RemoveNetwork { name, .. } => write!(f, "remove network {name}"),
            Self::CreateVolume { name, .. } => write!(f, "create volume {name}"),
            Self::RemoveVolume { name } => write!(f, "remove volume {name}"),
            Self::Create { name, replaces: Some(_), .. } => {
                write!(f, "create container {name} as replacement")
            }
            Self::Create { name, .. } => write!(f, "create container {name}"),
            Self::Rename { from, to } => write!(f, "rename container {} to {to}", from.name),
            Self::Start { target, .. } => write!(f, "start container {}", target.name),
            Self::Unpause { target } => write!(f, "unpause container {}", target.name),
            Self::Stop { target, .. } => write!(f, "stop container {}", target.name),
            Self::Remove { target, volumes: true, .. } => {
                write!(f, "remove container {} and its anonymous volumes", target.name)
            }
            Self::Remove { target, .. } => write!(f, "remove container {}", target.name),
            Self::RemoveImage { image } => write!(f, "remove image {image}"),
            Self::Wait { service, condition, .. } => write!(f, "wait for {service}: {}", condition.as_str()),
            Self::WaitReady { service, .. } => write!(f, "wait for {service}: running or healthy"),
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.steps.iter().enumerate() {
            write!(f, "{:>3} {}", i + 1, step.action)?;
            if !step.after.is_empty() {
                let after: Vec<String> = step.after.iter().map(|i| (i + 1).to_string()).collect();
                write!(f, " (after {})", after.join(", "))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
