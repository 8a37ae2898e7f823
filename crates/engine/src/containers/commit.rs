//! `docker commit`: a container's changes as a new layer on its image.

use super::{Commit, Handle, Status, service::snapshot, task::Command};
use crate::{Error, Kind, Result, blocking, events::Time, shared::Shared};
use dhow_oci::{
    Digest,
    image::{ContainerConfig, Empty, History, ImageConfig},
};
use std::sync::Arc;

/// See the module.
pub(super) async fn commit(shared: &Arc<Shared>, handle: &Arc<Handle>, commit: Commit) -> Result<Digest> {
    shared.admit()?;
    let pause = commit.pause && handle.view().status == Status::Running;
    if pause {
        handle.ask(Command::Pause).await?;
    }
    let (below, view) = (shared.clone(), handle.view());
    let made = blocking::run(move || {
        let layer = below.store.commit_snapshot(&snapshot(&below, &view)?, false, None)?;
        let base = below.store.image(view.image.as_str()).map(|i| i.config.clone()).unwrap_or_default();
        let mut settings = commit.config.unwrap_or_else(|| self::settings(&view.spec));
        crate::images::apply_changes(&mut settings, &commit.changes)?;
        let mut config = ImageConfig {
            architecture: view.platform.architecture.clone(),
            os: view.platform.os.clone(),
            variant: view.platform.variant.clone(),
            created: Some(Time::now().rfc3339()),
            author: Some(commit.author.clone()).filter(|a| !a.is_empty()),
            config: settings,
            history: base.history,
            parent: Some(view.image.clone()),
            container: Some(view.id.clone()),
            container_config: Some(self::settings(&view.spec)),
            ..ImageConfig::default()
        };
        config.rootfs.diff_ids = below.containers.diff_ids(&view.id)?;
        config.rootfs.diff_ids.push(layer.diff_id.clone());
        let mut command = vec![view.path.clone()];
        command.extend(view.args.iter().cloned());
        config.history.push(History {
            created: config.created.clone(),
            created_by: Some(command.join(" ")),
            author: config.author.clone(),
            comment: Some(commit.comment.clone()).filter(|c| !c.is_empty()),
            empty_layer: false,
        });
        let names: Vec<_> = commit.name.into_iter().map(dhow_oci::Reference::with_default_tag).collect();
        Ok(below.store.assemble_image(&config, &names)?.id.clone())
    });
    let made = made.await;
    if pause
        && let Err(failure) = handle.ask(Command::Unpause).await
        && failure.kind != Kind::Conflict
    {
        return Err(Error::new(Kind::Internal, format!("thaw after commit: {}", failure.message)));
    }
    made
}

/// What containers of the new image start with: what this one started with.
fn settings(spec: &super::Spec) -> ContainerConfig {
    let set =
        |keys: &[String]| (!keys.is_empty()).then(|| keys.iter().map(|k| (k.clone(), Empty {})).collect());
    ContainerConfig {
        user: spec.user.clone(),
        exposed_ports: set(&spec.exposed_ports),
        env: Some(spec.env.clone()),
        entrypoint: spec.entrypoint.clone(),
        cmd: spec.cmd.clone(),
        healthcheck: spec.healthcheck.clone(),
        volumes: set(&spec.volumes),
        working_dir: spec.working_dir.clone(),
        labels: Some(spec.labels.clone()).filter(|l| !l.is_empty()),
        stop_signal: Some(spec.stop_signal.clone()).filter(|s| !s.is_empty()),
        stop_timeout: spec.stop_timeout,
        image: Some(spec.image.clone()),
        ..ContainerConfig::default()
    }
}
