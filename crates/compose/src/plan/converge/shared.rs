//! Networks, volumes, and containers of services that are gone.

use std::collections::BTreeSet;

use super::Up;
use crate::{error::Error, labels, model::Service, observe::Container, plan::step::Action};

impl Up<'_> {
    /// The networks and volumes that the targets use.
    pub(super) fn used(&self, keys: impl Fn(&Service) -> Vec<String>) -> BTreeSet<String> {
        self.targets.iter().filter_map(|name| self.project.services.get(name)).flat_map(keys).collect()
    }

    pub(super) fn networks(&mut self) -> Result<(), Error> {
        for key in self.used(|service| service.networks.keys().cloned().collect()) {
            let Some(network) = self.project.networks.get(&key) else { continue };
            match self.seen.networks.get(&network.name) {
                Some(seen) => self.foreign("network", &network.name, network.external, &seen.labels),
                None if network.external => {
                    return Err(Error::invalid(format!(
                        "network {} declared as external, but could not be found",
                        network.name
                    )));
                }
                None => {
                    let step = self
                        .plan
                        .add(Action::CreateNetwork { key: key.clone(), name: network.name.clone() }, []);
                    self.shared.insert(network.name.clone(), step);
                }
            }
        }
        Ok(())
    }

    pub(super) fn volumes(&mut self) -> Result<(), Error> {
        for key in
            self.used(|service| service.volumes.iter().filter_map(|mount| mount.source.clone()).collect())
        {
            let Some(volume) = self.project.volumes.get(&key) else { continue };
            match self.seen.volumes.get(&volume.name) {
                Some(seen) => self.foreign("volume", &volume.name, volume.external, &seen.labels),
                None if volume.external => {
                    return Err(Error::invalid(format!(
                        "volume {} declared as external, but could not be found",
                        volume.name
                    )));
                }
                None => {
                    let step = self
                        .plan
                        .add(Action::CreateVolume { key: key.clone(), name: volume.name.clone() }, []);
                    self.shared.insert(volume.name.clone(), step);
                }
            }
        }
        Ok(())
    }

    /// Something of that name is there, but not as ours.
    pub(super) fn foreign(
        &mut self,
        kind: &str,
        name: &str,
        external: bool,
        seen: &std::collections::HashMap<String, String>,
    ) {
        if external || seen.get(labels::PROJECT) == Some(&self.project.name) {
            return;
        }
        let whose = seen.get(labels::PROJECT).map_or_else(
            || "was not created by compose".to_owned(),
            |other| format!("belongs to project {other}"),
        );
        self.plan.warnings.push(format!(
            "{kind} {name} exists but {whose}; use \"external: true\" to say that this is meant"
        ));
    }

    pub(super) fn orphans(&mut self) {
        let known = |service: &String| {
            self.project.services.contains_key(service) || self.project.disabled.contains_key(service)
        };
        let orphans: Vec<Container> = self
            .seen
            .containers
            .iter()
            .filter(|container| !container.oneoff && !known(&container.service))
            .cloned()
            .collect();
        if orphans.is_empty() {
            return;
        }
        if self.options.remove_orphans {
            for container in orphans {
                self.remove(&container, Vec::new());
            }
            return;
        }
        let names: Vec<&str> = orphans.iter().map(|container| container.name.as_str()).collect();
        self.plan.warnings.push(format!(
            "found orphan containers ({}) for this project; if a service was removed or renamed, --remove-orphans cleans them up",
            names.join(", ")
        ));
    }
}
