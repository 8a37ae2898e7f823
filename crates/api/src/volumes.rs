//! Volumes.

use crate::{
    call::Call,
    reply::{Reply, created, json, no_content},
    show::Json,
};
use dhow_engine::Volume;
use dhow_wire::{object::Object, record::Record};

/// `usage`: how many containers use it, and its bytes (only `system df` counts them).
pub(crate) fn view(volume: &Volume, usage: Option<(i64, u64)>) -> Json {
    let usage = usage.map(|(count, size)| Record::new().put("RefCount", count).put("Size", size).end());
    Record::new()
        .put("CreatedAt", &volume.created)
        .put("Driver", &volume.driver)
        .put("Labels", dhow_wire::record::filled(&volume.labels))
        .put("Mountpoint", &volume.mountpoint)
        .put("Name", &volume.name)
        .put("Options", dhow_wire::record::filled(&volume.options))
        .put("Scope", "local")
        .some("UsageData", usage)
        .end()
}

pub(crate) async fn list(call: Call) -> Reply {
    let volumes = call.app.engine.volumes().list(&call.filters()?)?;
    let lines: Vec<_> = volumes.iter().map(|volume| view(volume, None)).collect();
    json(Record::new().put("Volumes", lines).put("Warnings", [(); 0]).end())
}

pub(crate) async fn inspect(call: Call) -> Reply {
    json(view(&*call.app.engine.volumes().get(call.name())?, None))
}

pub(crate) async fn create(mut call: Call) -> Reply {
    let body = call.json().await?;
    let body = Object::new(&body)?;
    if !body.object("ClusterVolumeSpec")?.is_empty() {
        return Err(crate::failure::Failure::absent("cluster volumes are not supported"));
    }
    let (name, driver) = (body.text("Name")?, body.text("Driver")?);
    let (labels, options) = (body.text_map("Labels")?, body.text_map("DriverOpts")?);
    created(view(&*call.app.engine.volumes().create(&name, &driver, labels, options).await?, None))
}

pub(crate) async fn remove(call: Call) -> Reply {
    call.app.engine.volumes().remove(call.name(), call.query.flag("force")).await?;
    no_content()
}

pub(crate) async fn prune(call: Call) -> Reply {
    let mut filters = call.filters()?;
    // Before 1.42 a prune took named volumes too.
    if !call.version.since(42) {
        filters.0.entry("all".to_owned()).or_insert_with(|| vec!["true".to_owned()]);
    }
    let pruned = call.app.engine.volumes().prune(&filters).await?;
    json(Record::new().put("VolumesDeleted", &pruned.deleted).put("SpaceReclaimed", pruned.space).end())
}
