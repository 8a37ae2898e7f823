//! Images on the move: pull, import, load, save.

use crate::{
    body::Body,
    call::Call,
    failure::Failure,
    images,
    reply::{Reply, json as answer, stream},
    server::App,
};
use base64::{
    Engine as _,
    alphabet::URL_SAFE,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;
use dhow_engine::{
    images::{Credentials, Progress, Pushed},
    oci::{Digest, Platform, Reference},
};
use dhow_wire::{messages, object::Object, record::Record};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Go's URL alphabet; with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// `POST /images/create`: a pull (`fromImage`) or an import (`fromSrc`).
pub(crate) async fn create(call: Call) -> Reply {
    let platform = platform(&call)?;
    if call.query.text("fromSrc").is_empty() {
        pull(call, platform).await
    } else {
        import(call, platform).await
    }
}

fn platform(call: &Call) -> Result<Option<Platform>, Failure> {
    let text = call.query.text("platform");
    (!text.is_empty()).then(|| text.parse().map_err(Failure::bad)).transpose()
}

async fn pull(call: Call, platform: Option<Platform>) -> Reply {
    let (name, tag) = (call.query.text("fromImage"), call.query.text("tag"));
    if name.is_empty() {
        return Err(Failure::bad("missing fromImage or fromSrc"));
    }
    let reference: Reference = name.parse()?;
    let reference = match tag {
        "" if reference.digest().is_some() => reference,
        "" => reference.with_default_tag(),
        tag => match tag.parse::<Digest>() {
            Ok(digest) => reference.with_digest(digest),
            Err(_) => reference.with_tag(tag)?,
        },
    };
    let credentials = credentials(call.header("x-registry-auth"))?;
    let (progress, seen) = mpsc::channel(64);
    let app = Arc::clone(&call.app);
    let work = async move {
        app.engine
            .images()
            .pull(&reference, platform.as_ref(), credentials.as_ref(), progress)
            .await
            .map(|_| Vec::new())
    };
    progress_stream(work, seen).await
}

pub(crate) async fn push(call: Call) -> Reply {
    let reference: Reference = call.name().parse()?;
    let reference = match call.query.text("tag") {
        "" => reference,
        tag => reference.with_tag(tag)?,
    };
    let credentials = credentials(call.header("x-registry-auth"))?;
    let (progress, seen) = mpsc::channel(64);
    let app = Arc::clone(&call.app);
    let work = async move {
        let pushed = app.engine.images().push(&reference, credentials.as_ref(), progress).await?;
        let aux = |(name, pushed): (Reference, Pushed)| {
            let what = json!({ "Tag": name.tag(), "Digest": pushed.digest, "Size": pushed.size });
            json!({ "progressDetail": {}, "aux": what })
        };
        Ok(pushed.into_iter().map(aux).collect())
    };
    progress_stream(work, seen).await
}

/// How work begins: with the first thing it tells, or, if it ends without a word, with its result; then a failure is an error of its own.
pub(crate) async fn opening<P, T>(
    work: &mut (impl Future<Output = dhow_engine::Result<T>> + Unpin),
    seen: &mut mpsc::Receiver<P>,
) -> dhow_engine::Result<(Option<P>, Option<dhow_engine::Result<T>>)> {
    let mut ended = None;
    let first = tokio::select! {
        biased;
        first = seen.recv() => first,
        result = &mut *work => { ended = Some(result); seen.try_recv().ok() }
    };
    if first.is_some() {
        return Ok((first, ended));
    }
    let result = match ended {
        Some(result) => result,
        None => work.await,
    };
    Ok((None, Some(Ok(result?))))
}

/// Runs the work and tells its progress. While nothing was told, a failure is a status of its own (clients tell 404 from others);
/// later it is the stream's last message, as are the messages that the work ends with. A client that goes away stops the work.
async fn progress_stream(
    work: impl Future<Output = dhow_engine::Result<Vec<Value>>> + Send + 'static,
    mut seen: mpsc::Receiver<Progress>,
) -> Reply {
    let mut work = Box::pin(work);
    let (first, mut ended) = opening(&mut work, &mut seen).await?;
    if first.is_none() {
        return stream("application/json", Body::empty());
    }
    let (sender, receiver) = mpsc::channel(64);
    tokio::spawn(async move {
        if let Some(first) = first
            && sender.send(line(&first)).await.is_err()
        {
            return;
        }
        loop {
            tokio::select! {
                biased;
                () = sender.closed() => return,
                progress = seen.recv() => match progress {
                    Some(progress) => if sender.send(line(&progress)).await.is_err() { return },
                    None => break,
                },
                result = &mut work, if ended.is_none() => ended = Some(result),
            }
        }
        let result = match ended {
            Some(result) => result,
            None => tokio::select! {
                () = sender.closed() => return,
                result = &mut work => result,
            },
        };
        let last = result.unwrap_or_else(|error| vec![messages::failure(None, &error.message)]);
        for message in last {
            if sender.send(messages::encode(&message).into()).await.is_err() {
                tracing::debug!("client went away before it heard of the end");
                return;
            }
        }
    });
    stream("application/json", Body::pieces(receiver))
}

pub(crate) fn line(progress: &Progress) -> Bytes {
    messages::encode(&messages::status(&progress.id, &progress.status, progress.bytes)).into()
}

async fn import(call: Call, platform: Option<Platform>) -> Reply {
    let query = call.query.clone();
    if query.text("fromSrc") != "-" {
        return Err(Failure::absent(
            "importing from a URL is not supported: download it and use docker import -",
        ));
    }
    let name = match query.text("repo") {
        "" => None,
        repo => Some(images::name(repo, query.text("tag"))?),
    };
    let changes = query.all("changes").flat_map(str::lines).map(str::to_owned).collect();
    let (app, message) = (Arc::clone(&call.app), query.text("message").to_owned());
    // In a task of its own: an import that has begun ends.
    let work = tokio::spawn(async move {
        app.engine.images().import(call.upload(), name, message, changes, platform.as_ref()).await
    });
    let image = work.await.map_err(|error| Failure::bad(format!("the import failed: {error}")))??;
    one(&json!({ "status": image.id }))
}

fn one(message: &Value) -> Reply {
    stream("application/json", Body::messages(messages::encode(message)))
}

pub(crate) async fn load(call: Call) -> Reply {
    let platform = platform(&call)?;
    let app = Arc::clone(&call.app);
    let mut text = Vec::new();
    // docker has answered when it reads the archive: what is wrong with it is said in the stream.
    let names = match app.engine.images().load(call.upload(), platform.as_ref()).await {
        Ok(names) => names,
        Err(error) => {
            text.extend(messages::encode(&messages::failure(None, &error.message)));
            Vec::new()
        }
    };
    for name in names {
        // docker's words: an archive without names tells the id.
        let words = if name.starts_with("sha256:") { "Loaded image ID" } else { "Loaded image" };
        text.extend(messages::encode(&json!({ "stream": format!("{words}: {name}\n") })));
    }
    stream("application/json", Body::messages(text))
}

pub(crate) async fn save(call: Call) -> Reply {
    let names: Vec<String> =
        call.query.all("names").flat_map(|list| list.split(',')).map(str::to_owned).collect();
    give(&call.app, names).await
}

pub(crate) async fn save_one(call: Call) -> Reply {
    give(&call.app, vec![call.name().to_owned()]).await
}

async fn give(app: &App, names: Vec<String>) -> Reply {
    if names.is_empty() {
        return Err(Failure::bad("no images given to save"));
    }
    stream("application/x-tar", Body::channel(app.engine.images().save(names).await?))
}

/// What a registry has under a name.
pub(crate) async fn distribution(call: Call) -> Reply {
    let reference: Reference = call.name().parse()?;
    let credentials = credentials(call.header("x-registry-auth"))?;
    let about = call.app.engine.images().about(&reference, credentials.as_ref()).await?;
    let descriptor = Record::new()
        .put("mediaType", &about.media_type)
        .put("digest", &about.digest)
        .put("size", about.size);
    answer(Record::new().put("Descriptor", descriptor.end()).put("Platforms", &about.platforms).end())
}

/// `X-Registry-Auth`: base64 of docker's AuthConfig. Absent, empty or `{}` is nobody.
pub(crate) fn credentials(header: &str) -> Result<Option<Credentials>, Failure> {
    if header.is_empty() || header == "null" {
        return Ok(None);
    }
    let bad = |why: &dyn std::fmt::Display| Failure::bad(format!("invalid X-Registry-Auth header: {why}"));
    // Some clients use the other alphabet.
    let bytes = BASE64.decode(header.replace('+', "-").replace('/', "_")).map_err(|error| bad(&error))?;
    let value: Value = serde_json::from_slice(&bytes).map_err(|error| bad(&error))?;
    account(&value)
}

/// docker's AuthConfig.
pub(crate) fn account(value: &Value) -> Result<Option<Credentials>, Failure> {
    let body = Object::new(value)?;
    let mut account = Credentials {
        username: body.text("username")?,
        password: body.text("password")?,
        identity_token: body.text("identitytoken")?,
        registry_token: body.text("registrytoken")?,
    };
    // `auth` is base64 of name:password, as in the client's file.
    let joined = body.text("auth")?;
    if account.username.is_empty()
        && let Some((name, password)) = decode_pair(&joined)
    {
        (account.username, account.password) = (name, password);
    }
    let nobody =
        account.username.is_empty() && account.identity_token.is_empty() && account.registry_token.is_empty();
    Ok((!nobody).then_some(account))
}

fn decode_pair(text: &str) -> Option<(String, String)> {
    let bytes = BASE64.decode(text.replace('+', "-").replace('/', "_")).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (name, password) = text.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_come_in_both_alphabets_and_as_nobody() {
        let json = r#"{"username":"a","password":"?>~","serveraddress":"x"}"#;
        let url = BASE64.encode(json);
        let standard = base64::engine::general_purpose::STANDARD.encode(json);
        for header in [url.as_str(), url.trim_end_matches('='), standard.as_str()] {
            let account = credentials(header).unwrap().unwrap();
            assert_eq!((account.username.as_str(), account.password.as_str()), ("a", "?>~"));
        }
        assert!(credentials("").unwrap().is_none());
        assert!(credentials("e30=").unwrap().is_none());
        assert!(credentials("!").is_err());
    }

    #[tokio::test]
    async fn a_failure_before_any_progress_is_a_status() {
        let (sender, seen) = mpsc::channel(1);
        let work = async move {
            drop(sender);
            tokio::task::yield_now().await;
            Err(dhow_engine::Error::new(dhow_engine::Kind::NotFound, "manifest unknown"))
        };
        // The channel closes without a word: the work is asked for its result.
        let failure = progress_stream(work, seen).await;
        assert!(failure.is_err_and(|failure| failure.status == http::StatusCode::NOT_FOUND));
    }
}
