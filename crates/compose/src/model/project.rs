//! The project: its name, its services, and what they share.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use serde::Serialize;

use super::service::Service;
use crate::error::Error;

/// A loaded project.
#[derive(Debug, Clone, PartialEq, Serialize, Default)]
pub struct Project {
    /// Its name, which prefixes everything it makes.
    pub name: String,
    /// What relative paths are relative to.
    #[serde(skip)]
    pub directory: PathBuf,
    /// The compose files, absolute.
    #[serde(skip)]
    pub files: Vec<PathBuf>,
    /// The environment files given with `--env-file`, absolute.
    #[serde(skip)]
    pub env_files: Vec<PathBuf>,
    /// Services whose profiles are on.
    pub services: BTreeMap<String, Service>,
    /// Services whose profiles are off.
    #[serde(skip)]
    pub disabled: BTreeMap<String, Service>,
    /// Networks that services use.
    pub networks: BTreeMap<String, Network>,
    /// Volumes that services use.
    pub volumes: BTreeMap<String, Volume>,
    /// Secrets.
    pub secrets: BTreeMap<String, FileObject>,
    /// Configs.
    pub configs: BTreeMap<String, FileObject>,
}

/// A network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct Network {
    /// Its name in the engine.
    pub name: String,
    /// `bridge` when nothing is said.
    pub driver: Option<String>,
    /// Driver options.
    pub driver_opts: BTreeMap<String, String>,
    /// Made by someone else.
    pub external: bool,
    /// No way out.
    pub internal: bool,
    /// Containers may join by hand.
    pub attachable: bool,
    /// Whether it has IPv4.
    pub enable_ipv4: Option<bool>,
    /// Whether it has IPv6.
    pub enable_ipv6: Option<bool>,
    /// Address pools.
    pub ipam: Option<Ipam>,
    /// Labels of the user.
    pub labels: BTreeMap<String, String>,
}

/// Address management of a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct Ipam {
    /// The driver.
    pub driver: Option<String>,
    /// The pools.
    pub config: Vec<IpamPool>,
    /// Driver options.
    pub options: BTreeMap<String, String>,
}

/// One address pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct IpamPool {
    /// CIDR.
    pub subnet: Option<String>,
    /// Part of it for containers.
    pub ip_range: Option<String>,
    /// The router.
    pub gateway: Option<String>,
    /// Addresses that are taken.
    pub aux_addresses: BTreeMap<String, String>,
}

/// A named volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct Volume {
    /// Its name in the engine.
    pub name: String,
    /// `local` when nothing is said.
    pub driver: Option<String>,
    /// Driver options.
    pub driver_opts: BTreeMap<String, String>,
    /// Made by someone else.
    pub external: bool,
    /// Labels of the user.
    pub labels: BTreeMap<String, String>,
}

/// A secret or a config: bytes for a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct FileObject {
    /// Its name.
    pub name: String,
    /// From this file of the host, absolute.
    pub file: Option<String>,
    /// From this variable.
    pub environment: Option<String>,
    /// From the compose file itself.
    pub content: Option<String>,
    /// Held by the engine: swarm only.
    pub external: bool,
    /// Labels of the user.
    pub labels: BTreeMap<String, String>,
    /// The bytes of `environment` or `content`.
    #[serde(skip)]
    pub bytes: Option<String>,
}

impl Project {
    /// A service by name.
    ///
    /// # Errors
    /// There is none; with the profiles that would bring it.
    pub fn service(&self, name: &str) -> Result<&Service, Error> {
        if let Some(service) = self.services.get(name) {
            return Ok(service);
        }
        Err(match self.disabled.get(name) {
            Some(service) => Error::invalid(format!(
                "service \"{name}\" has profiles ({}) that are not enabled",
                service.profiles.join(", ")
            )),
            None => Error::invalid(format!("no such service: {name}")),
        })
    }

    /// Services in an order in which each comes after those it depends on.
    ///
    /// # Errors
    /// A circle.
    pub fn in_order(&self) -> Result<Vec<&str>, Error> {
        let mut order = Vec::new();
        let mut done = BTreeSet::new();
        for name in self.services.keys() {
            self.visit(name, &mut done, &mut Vec::new(), &mut order)?;
        }
        Ok(order)
    }

    fn visit<'a>(
        &'a self,
        name: &'a str,
        done: &mut BTreeSet<&'a str>,
        trail: &mut Vec<&'a str>,
        order: &mut Vec<&'a str>,
    ) -> Result<(), Error> {
        if done.contains(name) {
            return Ok(());
        }
        if let Some(start) = trail.iter().position(|seen| *seen == name) {
            let circle = [&trail[start..], &[name]].concat().join(" -> ");
            return Err(Error::invalid(format!("services depend on each other in a circle: {circle}")));
        }
        let Some((name, service)) = self.services.get_key_value(name) else { return Ok(()) };
        trail.push(name);
        for dependency in service.dependencies() {
            if let Some((dependency, _)) = self.services.get_key_value(&dependency) {
                self.visit(dependency, done, trail, order)?;
            }
        }
        trail.pop();
        done.insert(name);
        order.push(name);
        Ok(())
    }

    /// The named services and all that they depend on.
    ///
    /// # Errors
    /// A name that is not a service.
    pub fn with_dependencies(&self, names: &[String]) -> Result<BTreeSet<String>, Error> {
        let mut found = BTreeSet::new();
        let mut open = names.to_vec();
        while let Some(name) = open.pop() {
            if found.insert(name.clone()) {
                open.extend(
                    self.service(&name)?
                        .dependencies()
                        .into_iter()
                        .filter(|dependency| self.services.contains_key(dependency)),
                );
            }
        }
        Ok(found)
    }

    /// Services that depend on this one directly.
    #[must_use]
    pub fn dependents(&self, name: &str) -> Vec<&str> {
        let on = |service: &&Service| service.dependencies().contains(name);
        self.services.values().filter(on).map(|service| service.name.as_str()).collect()
    }
}
