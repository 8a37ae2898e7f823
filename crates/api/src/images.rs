//! Images: lists, names, deletion. What moves bytes is in `transfer`.

use crate::{
    call::Call,
    failure::Failure,
    image_show,
    reply::{Reply, empty, json},
    transfer::credentials,
};
use dhow_engine::{images::Deleted, oci::Reference};
use dhow_wire::{record::Record, time};
use http::StatusCode;
use serde_json::json as value;

pub(crate) async fn list(call: Call) -> Reply {
    let mut filters = call.filters()?;
    // Before 1.25 the name came as its own parameter.
    let pattern = call.query.text("filter");
    if !pattern.is_empty() {
        filters.0.entry("reference".to_owned()).or_default().push(pattern.to_owned());
    }
    let images = call.app.engine.images().list(call.query.flag("all"), &filters)?;
    // Who uses an image is counted in lists since 1.51.
    let users = |containers| if call.version.since(51) { containers } else { -1 };
    let lines = images
        .iter()
        .map(|listed| image_show::listed(&listed.image, users(listed.containers), -1, call.version));
    json(lines.collect::<Vec<_>>())
}

pub(crate) async fn search(call: Call) -> Reply {
    let limit = match call.query.int("limit")?.unwrap_or(0) {
        0 => 25,
        limit => u8::try_from(limit)
            .ok()
            .filter(|limit| (1..=100).contains(limit))
            .ok_or_else(|| Failure::bad(format!("limit {limit} is outside the range of [1, 100]")))?,
    };
    let account = credentials(call.header("x-registry-auth"))?;
    let (term, filters) = (call.query.text("term"), call.filters()?);
    json(call.app.engine.images().search(term, limit, &filters, account.as_ref()).await?)
}

pub(crate) async fn inspect(call: Call) -> Reply {
    let image = call.app.engine.images().get(call.name())?;
    json(image_show::inspect(&image, call.version))
}

pub(crate) async fn history(call: Call) -> Reply {
    let lines = call.app.engine.images().history(call.name())?;
    let show = |(entry, size, id, tags): &(dhow_engine::oci::image::History, u64, String, Vec<String>)| {
        let created = entry.created.as_deref().and_then(|text| time::parse(text).ok()).unwrap_or(0);
        Record::new()
            .put("Comment", entry.comment.as_deref().unwrap_or(""))
            .put("Created", created.div_euclid(1_000_000_000))
            .put("CreatedBy", entry.created_by.as_deref().unwrap_or(""))
            .put("Id", id)
            .put("Size", size)
            .put("Tags", dhow_wire::record::filled(tags))
            .end()
    };
    json(lines.iter().map(show).collect::<Vec<_>>())
}

pub(crate) async fn tag(call: Call) -> Reply {
    let name = name(call.query.text("repo"), call.query.text("tag"))?;
    call.app.engine.images().tag(call.name(), &name).await?;
    empty(StatusCode::CREATED)
}

/// `repo` and `tag` of a request as one name.
pub(crate) fn name(repo: &str, tag: &str) -> Result<Reference, Failure> {
    let repo: Reference = repo.parse()?;
    Ok(if tag.is_empty() {
        repo.with_default_tag()
    } else {
        repo.with_tag(tag).map_err(|_| Failure::bad("invalid tag format"))?
    })
}

pub(crate) async fn remove(call: Call) -> Reply {
    let (force, prune) = (call.query.flag("force"), !call.query.flag("noprune"));
    let done = call.app.engine.images().remove(call.name(), force, prune).await?;
    json(done.iter().map(line).collect::<Vec<_>>())
}

fn line(deleted: &Deleted) -> serde_json::Value {
    match deleted {
        Deleted::Untagged(name) => value!({ "Untagged": name }),
        Deleted::Deleted(id) => value!({ "Deleted": id }),
    }
}

pub(crate) async fn prune(call: Call) -> Reply {
    let (deleted, space) = call.app.engine.images().prune(&call.filters()?).await?;
    let lines: Vec<_> = deleted.iter().map(line).collect();
    json(Record::new().put("ImagesDeleted", lines).put("SpaceReclaimed", space).end())
}
