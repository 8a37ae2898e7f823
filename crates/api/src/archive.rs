//! `docker cp` and `docker export`: tar streams from and into containers.

use crate::{
    body::Body,
    call::Call,
    failure::Failure,
    reply::{Reply, empty, stream},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use dhow_engine::containers::PathStat;
use dhow_wire::{mode, record::Record, time};
use http::{HeaderName, HeaderValue, Response, StatusCode};

const TAR: &str = "application/x-tar";
const STAT: HeaderName = HeaderName::from_static("x-docker-container-path-stat");

fn path(call: &Call) -> Result<&str, Failure> {
    match call.query.text("path") {
        "" => Err(Failure::bad("bad parameter: path cannot be empty")),
        path => Ok(path),
    }
}

pub(crate) async fn stat(call: Call) -> Reply {
    let stat = call.app.engine.containers().stat_path(call.name(), path(&call)?).await?;
    let mut answer = empty(StatusCode::OK)?;
    say(&mut answer, &stat)?;
    Ok(answer)
}

pub(crate) async fn get(call: Call) -> Reply {
    let (stat, tar) = call.app.engine.containers().get_archive(call.name(), path(&call)?).await?;
    let mut answer = stream(TAR, Body::channel(tar))?;
    say(&mut answer, &stat)?;
    Ok(answer)
}

pub(crate) async fn put(call: Call) -> Reply {
    let path = path(&call)?.to_owned();
    let keep_kind = call.query.flag("noOverwriteDirNonDir");
    let (app, name) = (call.app.clone(), call.name().to_owned());
    app.engine.containers().put_archive(&name, &path, keep_kind, call.upload()).await?;
    empty(StatusCode::OK)
}

pub(crate) async fn export(call: Call) -> Reply {
    let tar = call.app.engine.containers().export(call.name()).await?;
    stream("application/octet-stream", Body::channel(tar))
}

fn say(answer: &mut Response<Body>, stat: &PathStat) -> Result<(), Failure> {
    let value = HeaderValue::from_str(&encode(stat)).map_err(|error| {
        Failure::new(StatusCode::INTERNAL_SERVER_ERROR, format!("cannot encode the stat: {error}"))
    })?;
    answer.headers_mut().insert(STAT, value);
    Ok(())
}

/// Base64 of docker's JSON, mode in Go's bits.
fn encode(stat: &PathStat) -> String {
    let (seconds, nanos) = stat.mtime;
    let record = Record::new()
        .put("name", &stat.name)
        .put("size", stat.size)
        .put("mode", mode::to_go(stat.mode))
        .put("mtime", time::format(seconds.saturating_mul(1_000_000_000).saturating_add(i64::from(nanos))))
        .put("linkTarget", &stat.link_target);
    STANDARD.encode(record.end().get())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_is_encoded_as_dockers() {
        let stat = PathStat {
            name: "passwd".into(),
            size: 340,
            mode: 0o100_644,
            mtime: (1_735_689_600, 0),
            link_target: String::new(),
        };
        // Word for word what dockerd 20.10 answered.
        let golden = "eyJuYW1lIjoicGFzc3dkIiwic2l6ZSI6MzQwLCJtb2RlIjo0MjAsIm10aW1lIjoiMjAyNS0wMS0wMVQwMDowMDowMFoiLCJsaW5rVGFyZ2V0IjoiIn0=";
        assert_eq!(encode(&stat), golden);
    }
}
