//! The query and headers of `POST /build` → a build. What cannot be given is refused by name.

use crate::{call::Call, failure::Failure, transfer};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use dhow_build::Request;
use dhow_engine::{containers::Resources, images::Credentials, oci::Reference};
use dhow_wire::query::Query;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::{collections::BTreeMap, path::PathBuf};

/// Our CLI's secrets: base64 of a JSON object, id → base64 of the bytes. docker's API has no place for them but a session.
const SECRETS: &str = "x-dhow-build-secrets";
/// docker's credentials of all registries: base64 of a JSON object, host → AuthConfig.
const REGISTRIES: &str = "x-registry-config";

pub(super) fn read(call: &Call) -> Result<Request, Failure> {
    let query = &call.query;
    refuse(query)?;
    let dockerfile = query.text("dockerfile");
    let platform = query.text("platform");
    Ok(Request {
        context: PathBuf::new(),
        dockerfile: if dockerfile.is_empty() { "Dockerfile" } else { dockerfile }.to_owned(),
        tags: tags(query)?,
        target: query.text("target").to_owned(),
        args: json(query, "buildargs")?,
        labels: json(query, "labels")?,
        no_cache: query.flag("nocache"),
        pull: query.flag("pull"),
        platform: (!platform.is_empty()).then(|| platform.parse().map_err(Failure::bad)).transpose()?,
        network: network(query),
        extra_hosts: query
            .all("extrahosts")
            .flat_map(|list| list.split(','))
            .filter(|host| !host.is_empty())
            .map(str::to_owned)
            .collect(),
        shm_size: query.int("shmsize")?.unwrap_or(0),
        resources: resources(query)?,
        secrets: secrets(call.header(SECRETS))?,
        credentials: credentials(call.header(REGISTRIES))?,
        cache_from: json(query, "cachefrom")?,
    })
}

fn refuse(query: &Query) -> Result<(), Failure> {
    let remote = query.text("remote");
    if remote == "client-session" || query.text("version") == "2" || !query.text("session").is_empty() {
        return Err(Failure::absent(
            "BuildKit sessions are not supported by this version of Dhow: build with DOCKER_BUILDKIT=0",
        ));
    }
    if !remote.is_empty() {
        return Err(Failure::absent(format!(
            "building from a remote context ({remote}) is not supported: fetch it and send it as the context"
        )));
    }
    if query.flag("squash") {
        return Err(Failure::absent("squash is not supported: use a multi-stage build"));
    }
    for key in ["outputs", "ulimits", "securityopt", "cgroupparent"] {
        if !matches!(query.text(key), "" | "null" | "[]") {
            return Err(Failure::absent(format!("the build option {key} is not supported")));
        }
    }
    Ok(())
}

fn tags(query: &Query) -> Result<Vec<Reference>, Failure> {
    let mut tags = Vec::new();
    for text in query.all("t").filter(|text| !text.is_empty()) {
        let name = text.parse::<Reference>()?;
        if name.digest().is_some() {
            return Err(Failure::bad("build tag cannot contain a digest"));
        }
        let name = name.with_default_tag();
        if !tags.contains(&name) {
            tags.push(name);
        }
    }
    Ok(tags)
}

/// A parameter that is JSON; its default if absent or `null`.
fn json<T: DeserializeOwned + Default>(query: &Query, key: &str) -> Result<T, Failure> {
    let text = query.text(key);
    if text.is_empty() {
        return Ok(T::default());
    }
    let read: Option<T> =
        serde_json::from_str(text).map_err(|error| Failure::bad(format!("error reading {key}: {error}")))?;
    Ok(read.unwrap_or_default())
}

fn network(query: &Query) -> String {
    match query.text("networkmode") {
        "" | "default" | "bridge" => "default".to_owned(),
        mode => mode.to_owned(),
    }
}

fn resources(query: &Query) -> Result<Resources, Failure> {
    let int = |key: &str| query.int(key).map(Option::unwrap_or_default);
    Ok(Resources {
        memory: int("memory")?,
        memory_swap: int("memswap")?,
        cpu_shares: int("cpushares")?,
        cpu_period: int("cpuperiod")?,
        cpu_quota: int("cpuquota")?,
        cpuset_cpus: query.text("cpusetcpus").to_owned(),
        cpuset_mems: query.text("cpusetmems").to_owned(),
        ..Resources::default()
    })
}

fn header<T: DeserializeOwned>(name: &str, text: &str) -> Result<Option<T>, Failure> {
    if text.is_empty() || text == "null" {
        return Ok(None);
    }
    let bad = |why: &dyn std::fmt::Display| Failure::bad(format!("invalid {name} header: {why}"));
    let text = text.replace('-', "+").replace('_', "/");
    let engine = base64::engine::GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        base64::engine::GeneralPurposeConfig::new()
            .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent),
    );
    let bytes = engine.decode(text).map_err(|error| bad(&error))?;
    serde_json::from_slice(&bytes).map_err(|error| bad(&error))
}

fn secrets(text: &str) -> Result<BTreeMap<String, Vec<u8>>, Failure> {
    let map: BTreeMap<String, String> = header(SECRETS, text)?.unwrap_or_default();
    map.into_iter()
        .map(|(id, value)| match STANDARD.decode(value) {
            Ok(bytes) => Ok((id, bytes)),
            // The value itself is never repeated.
            Err(_) => Err(Failure::bad(format!("invalid {SECRETS} header: secret {id:?} is not base64"))),
        })
        .collect()
}

fn credentials(text: &str) -> Result<BTreeMap<String, Credentials>, Failure> {
    let map: BTreeMap<String, Value> = header(REGISTRIES, text)?.unwrap_or_default();
    let mut accounts = BTreeMap::new();
    for (host, value) in map {
        if let Some(account) = transfer::account(&value)? {
            accounts.insert(host, account);
        }
    }
    Ok(accounts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_once_each() {
        let names = tags(&Query::parse("t=a&t=a:latest&t=b:1&t=")).unwrap();
        assert_eq!(names.iter().map(Reference::familiar).collect::<Vec<_>>(), ["a:latest", "b:1"]);
        assert!(tags(&Query::parse("t=UPPER")).is_err());
    }

    #[test]
    fn arguments_are_json() {
        let query = Query::parse(
            "buildargs=%7B%22A%22%3A%22b%22%2C%22N%22%3Anull%7D&labels=null&cachefrom=%5B%22x%22%5D",
        );
        let args: BTreeMap<String, Option<String>> = json(&query, "buildargs").unwrap();
        assert_eq!(args, BTreeMap::from([("A".into(), Some("b".into())), ("N".into(), None)]));
        assert_eq!(json::<BTreeMap<String, String>>(&query, "labels").unwrap(), BTreeMap::new());
        assert_eq!(json::<Vec<String>>(&query, "cachefrom").unwrap(), ["x"]);
        assert!(json::<Vec<String>>(&Query::parse("cachefrom=x"), "cachefrom").is_err());
    }

    #[test]
    fn what_cannot_be_given_is_refused_by_name() {
        for (query, words) in [
            ("remote=https%3A%2F%2Fx%2Fy.git", "https://x/y.git"),
            ("remote=client-session&session=1", "DOCKER_BUILDKIT=0"),
            ("version=2", "DOCKER_BUILDKIT=0"),
            ("squash=1", "squash"),
            ("ulimits=%5B%7B%7D%5D", "ulimits"),
        ] {
            assert!(
                refuse(&Query::parse(query)).is_err_and(|failure| failure.message.contains(words)),
                "{query}"
            );
        }
        assert!(refuse(&Query::parse("ulimits=null&rm=1&version=1&outputs=")).is_ok());
        assert_eq!(network(&Query::parse("networkmode=mynet")), "mynet");
        assert_eq!(network(&Query::parse("networkmode=bridge")), "default");
    }

    #[test]
    fn secrets_come_in_a_header_and_never_in_an_error() {
        let value = STANDARD.encode(format!(r#"{{"token":"{}"}}"#, STANDARD.encode("s3cret")));
        assert_eq!(secrets(&value).unwrap(), BTreeMap::from([("token".into(), b"s3cret".to_vec())]));
        let bad = STANDARD.encode(r#"{"token":"not base64!"}"#);
        assert!(secrets(&bad).is_err_and(|failure| !failure.message.contains("not base64!")));
        assert!(secrets("").unwrap().is_empty());
    }
}
