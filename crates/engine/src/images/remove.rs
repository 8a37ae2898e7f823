//! `docker rmi`: what is untagged, what is deleted, what is refused. Blocking.

use super::Deleted;
use crate::{Error, Kind, Result, containers::View, shared::Shared};
use dhow_oci::Reference;
use dhow_store::Image;
use std::sync::Arc;

fn conflict(message: String) -> Error {
    Error::new(Kind::Conflict, format!("conflict: {message}"))
}

/// See the module. `name` is what the user gave: a name of the image, or (part of) its id.
pub(super) fn remove(
    shared: &Shared,
    image: &Image,
    name: &str,
    force: bool,
    prune: bool,
) -> Result<Vec<Deleted>> {
    let users: Vec<Arc<View>> =
        shared.containers.views().into_iter().filter(|view| view.image == image.id).collect();
    let names: Vec<&Reference> = image.tags.iter().chain(&image.digests).collect();
    let given = name.parse::<Reference>().ok().map(Reference::with_default_tag);
    let hit = given.and_then(|given| names.iter().copied().find(|known| **known == given));
    let short = image.id.short().to_owned();
    let mut deleted = Vec::new();
    if let Some(hit) = hit {
        let last = !image.tags.iter().any(|tag| tag != hit);
        if last
            && !force
            && let Some(user) = users.first()
        {
            let id = user.id.get(..12).unwrap_or_default();
            return Err(conflict(format!(
                "unable to remove repository reference \"{name}\" (must force) - container {id} is using its \
                 referenced image {short}"
            )));
        }
        // by force also what a stopped container was made from: its layers stay with it
        if !last || users.iter().any(|user| user.status.is_up()) {
            untag(shared, image, hit, &mut deleted)?;
            return Ok(deleted);
        }
    } else {
        let mut repositories: Vec<String> = image.tags.iter().map(Reference::familiar_name).collect();
        repositories.dedup();
        if repositories.len() > 1 && !force {
            return Err(conflict(format!(
                "unable to delete {short} (must be forced) - image is referenced in multiple repositories"
            )));
        }
        check_users(&users, &short, force)?;
    }
    for known in names {
        untag(shared, image, known, &mut deleted)?;
    }
    delete(shared, image, prune, &mut deleted)?;
    Ok(deleted)
}

fn check_users(users: &[Arc<View>], short: &str, force: bool) -> Result<()> {
    let id = |view: &View| view.id.get(..12).unwrap_or_default().to_owned();
    if let Some(user) = users.iter().find(|view| view.status.is_up()) {
        return Err(conflict(format!(
            "unable to delete {short} (cannot be forced) - image is being used by running container {}",
            id(user)
        )));
    }
    match users.first() {
        Some(user) if !force => Err(conflict(format!(
            "unable to delete {short} (must be forced) - image is being used by stopped container {}",
            id(user)
        ))),
        _ => Ok(()),
    }
}

fn untag(shared: &Shared, image: &Image, name: &Reference, deleted: &mut Vec<Deleted>) -> Result<()> {
    match shared.store.untag(name) {
        Ok(()) => {}
        // a name by digest is no tag: it goes with the image
        Err(failure) if failure.kind == dhow_store::Kind::NotFound && name.tag().is_none() => {}
        Err(failure) => return Err(failure.into()),
    }
    let id = image.id.as_str();
    shared.events.note("image", "untag", id, [("name", id)]);
    deleted.push(Deleted::Untagged(name.familiar()));
    Ok(())
}

fn delete(shared: &Shared, image: &Image, prune: bool, deleted: &mut Vec<Deleted>) -> Result<()> {
    let mut keep = shared.containers.layers_in_use();
    keep.extend(shared.kept_layers());
    if !prune {
        keep.extend(image.config.rootfs.diff_ids.iter().cloned());
    }
    let layers = shared.store.delete_image(&image.id, &keep)?;
    let id = image.id.as_str();
    shared.events.note("image", "delete", id, [("name", id)]);
    deleted.push(Deleted::Deleted(image.id.to_string()));
    deleted.extend(layers.into_iter().map(|layer| Deleted::Deleted(layer.diff_id.to_string())));
    Ok(())
}
