//! Images out, and the layers and documents that nothing else needs.
//!
//! Roots: images, live snapshots, and what the caller keeps. Records go first and wait for the disk; then folders are
//! renamed into `tmp/` and removed in the background. Readers never wait for either.

use super::put::{image_key, name_key};
use crate::{Error, Layer, Result, Store, Ticket, catalog::Catalog, store::Inner};
use dhow_oci::{Digest, Reference};
use std::collections::HashSet;

/// What is to go: a pure decision over the catalog.
#[derive(Debug, Default, PartialEq, Eq)]
struct Plan {
    names: Vec<Reference>,
    layers: Vec<Digest>,
    documents: Vec<Digest>,
}

/// What goes with image `id`.
fn plan(catalog: &Catalog, id: &Digest, keep: &[Digest]) -> Option<Plan> {
    let gone = catalog.images.get(id)?;
    let names = catalog.names.iter().filter(|(_, of)| *of == id).map(|(name, _)| name.clone()).collect();
    let mut needed: HashSet<&Digest> = keep.iter().chain(catalog.snapshots.values().flatten()).collect();
    let mut documents: HashSet<&Digest> = HashSet::new();
    for (other, stored) in catalog.images.iter().filter(|(other, _)| *other != id) {
        needed.extend(&stored.config.rootfs.diff_ids);
        documents.extend(stored.documents(other));
    }
    let mut seen = HashSet::new();
    let mut unneeded =
        |digest: &Digest, needed: &HashSet<&Digest>| !needed.contains(digest) && seen.insert(digest.clone());
    let layers = gone.config.rootfs.diff_ids.iter().filter(|d| unneeded(d, &needed)).cloned().collect();
    let documents = gone.documents(id).into_iter().filter(|d| unneeded(d, &documents)).cloned().collect();
    Some(Plan { names, layers, documents })
}

impl Store {
    /// Forgets an image and removes every layer and blob that nothing else needs. `keep` are diff ids in use by containers and the build cache.
    /// Returns the layers removed.
    ///
    /// # Errors
    /// `NotFound`; disk.
    pub fn delete_image(&self, id: &Digest, keep: &[Digest]) -> Result<Vec<Layer>> {
        let inner = &*self.0;
        let _changing = inner.change();
        let mut tickets = Vec::new();
        let (plan, held) = {
            let mut catalog = inner.write();
            let plan = plan(&catalog, id, keep).ok_or_else(|| Error::absent("remove image", id.as_str()))?;
            for name in &plan.names {
                catalog.names.remove(name);
                tickets.push(inner.journal.put(&name_key(name), None));
            }
            catalog.images.remove(id);
            tickets.push(inner.journal.put(&image_key(id), None));
            let held = inner.forget_layers(&mut catalog, &plan.layers, &mut tickets);
            catalog.publish();
            (plan, held)
        };
        tickets.into_iter().try_for_each(Ticket::wait)?;
        let layers = inner.discard_layers(held)?;
        for document in &plan.documents {
            inner.remove_blob(document)?;
        }
        Ok(layers)
    }

    /// Removes those of `layers` that no image, live snapshot or `keep` needs: what the last container of a deleted image
    /// held.
    ///
    /// # Errors
    /// Disk.
    pub fn release_layers(&self, layers: &[Digest], keep: &[Digest]) -> Result<Vec<Layer>> {
        let inner = &*self.0;
        let _changing = inner.change();
        let mut tickets = Vec::new();
        let held = {
            let mut catalog = inner.write();
            let needed = catalog.needed_layers();
            let gone: Vec<Digest> =
                layers.iter().filter(|d| !needed.contains(d) && !keep.contains(d)).cloned().collect();
            inner.forget_layers(&mut catalog, &gone, &mut tickets)
        };
        tickets.into_iter().try_for_each(Ticket::wait)?;
        inner.discard_layers(held)
    }

    /// Removes every layer that no image, live snapshot or `keep` needs: what interrupted pulls and an emptied build
    /// cache left. Not while something is being pulled, loaded or built.
    ///
    /// # Errors
    /// Disk.
    pub fn sweep(&self, keep: &[Digest]) -> Result<Vec<Layer>> {
        let inner = &*self.0;
        let _changing = inner.change();
        let mut tickets = Vec::new();
        let held = {
            let mut catalog = inner.write();
            let needed = catalog.needed_layers();
            let gone: Vec<Digest> =
                catalog.layers.keys().filter(|d| !needed.contains(d) && !keep.contains(d)).cloned().collect();
            inner.forget_layers(&mut catalog, &gone, &mut tickets)
        };
        tickets.into_iter().try_for_each(Ticket::wait)?;
        inner.discard_layers(held)
    }
}

impl Inner {
    fn forget_layers(
        &self,
        catalog: &mut Catalog,
        gone: &[Digest],
        tickets: &mut Vec<Ticket>,
    ) -> Vec<(String, Layer)> {
        let mut all = Vec::new();
        for diff_id in gone {
            if let Some((held, ticket)) = self.forget_layer(catalog, diff_id) {
                tickets.push(ticket);
                all.push((held.short, held.layer));
            }
        }
        all
    }

    fn discard_layers(&self, held: Vec<(String, Layer)>) -> Result<Vec<Layer>> {
        let mut layers = Vec::new();
        for (short, layer) in held {
            self.reaper.discard(&self.layer_folder(&short))?;
            layers.push(layer);
        }
        Ok(layers)
    }
}
