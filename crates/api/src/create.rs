//! `POST /containers/create`: docker's Config, HostConfig and NetworkingConfig → what the engine makes.

use crate::{
    call::Call,
    failure::Failure,
    host,
    reply::{Reply, created},
};
use dhow_engine::{
    containers::{Create, Spec},
    networks::EndpointConfig,
    oci::image::Healthcheck,
};
use dhow_wire::{Malformed, normalise, object::Object, ports, record::Record};
use serde_json::Value;
use std::{collections::BTreeMap, str::FromStr};

pub(crate) async fn create(mut call: Call) -> Reply {
    let mut body = call.json().await?;
    if body.is_null() {
        return Err(Failure::bad("invalid JSON: got EOF while reading request body"));
    }
    normalise::container_create(&mut body, call.version);
    let body = Object::new(&body)?;
    if body.flag("NetworkDisabled")? {
        return Err(Failure::bad("NetworkDisabled is not supported: use NetworkMode none"));
    }
    let name = call.query.text("name");
    let platform = call.query.text("platform");
    let create = Create {
        name: (!name.is_empty()).then(|| name.trim_start_matches('/').to_owned()),
        platform: (!platform.is_empty()).then(|| platform.parse().map_err(Failure::bad)).transpose()?,
        spec: Spec { host: host::read(&body.object("HostConfig")?)?, ..config(&body)? },
        networks: networks(&body.object("NetworkingConfig")?)?,
    };
    let (id, warnings) = call.app.engine.containers().create(create).await?;
    created(Record::new().put("Id", id).put("Warnings", warnings).end())
}

/// docker's Config. `commit` reads one too.
pub(crate) fn config(body: &Object<'_>) -> Result<Spec, Malformed> {
    let mut exposed = Vec::new();
    for key in body.set("ExposedPorts")? {
        match ports::exposed(&key)?.as_slice() {
            // Shown as it was given: `80`, `53/UDP`.
            [_] => exposed.push(key),
            range => exposed.extend(range.iter().map(|(port, protocol)| format!("{port}/{protocol}"))),
        }
    }
    Ok(Spec {
        image: body.text("Image")?,
        hostname: body.text("Hostname")?,
        domainname: body.text("Domainname")?,
        user: body.text("User")?,
        attach: (body.flag("AttachStdin")?, body.flag("AttachStdout")?, body.flag("AttachStderr")?),
        exposed_ports: exposed,
        tty: body.flag("Tty")?,
        open_stdin: body.flag("OpenStdin")?,
        stdin_once: body.flag("StdinOnce")?,
        env: body.texts("Env")?,
        cmd: body.opt_texts("Cmd")?,
        entrypoint: body.opt_texts("Entrypoint")?,
        volumes: body.set("Volumes")?,
        working_dir: body.text("WorkingDir")?,
        labels: body.text_map("Labels")?,
        stop_signal: body.text("StopSignal")?,
        stop_timeout: body.opt_int("StopTimeout")?,
        healthcheck: body
            .value("Healthcheck")
            .map(|_| healthcheck(&body.object("Healthcheck")?))
            .transpose()?,
        host: dhow_engine::containers::Host::default(),
    })
}

pub(crate) fn healthcheck(body: &Object<'_>) -> Result<Healthcheck, Malformed> {
    Ok(Healthcheck {
        test: body.opt_texts("Test")?.filter(|test| !test.is_empty()),
        interval: body.int("Interval")?,
        timeout: body.int("Timeout")?,
        start_period: body.int("StartPeriod")?,
        start_interval: body.int("StartInterval")?,
        retries: body.int("Retries")?,
    })
}

fn networks(body: &Object<'_>) -> Result<BTreeMap<String, EndpointConfig>, Malformed> {
    let endpoints = body.object("EndpointsConfig")?;
    endpoints.entries().map(|(name, value)| Ok((name.to_owned(), endpoint(value)?))).collect()
}

/// docker's EndpointSettings. `network connect` reads one too.
pub(crate) fn endpoint(value: &Value) -> Result<EndpointConfig, Malformed> {
    let body = Object::new(value)?;
    let ipam = body.object("IPAMConfig")?;
    Ok(EndpointConfig {
        ipv4: address(&ipam.text("IPv4Address")?)?,
        ipv6: address(&ipam.text("IPv6Address")?)?,
        link_local_ips: ipam.texts("LinkLocalIPs")?,
        aliases: body.texts("Aliases")?,
        links: body.texts("Links")?,
        mac: body.text("MacAddress")?,
        gw_priority: body.int("GwPriority")?,
        driver_opts: body.text_map("DriverOpts")?,
    })
}

/// An address, or none for empty text.
pub(crate) fn address<T: FromStr>(text: &str) -> Result<Option<T>, Malformed> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| Malformed(format!("invalid IP address: {text}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_config_is_read_with_its_defaults() {
        let body = json!({
            "image": "busybox", "Cmd": "true", "Env": ["A=b"], "ExposedPorts": {"53/UDP": {}, "80": {}},
            "Labels": null, "Volumes": {"/data": {}}, "StopTimeout": 3,
            "Healthcheck": {"Test": [], "Interval": 1_000_000_000},
        });
        let spec = config(&Object::new(&body).unwrap()).unwrap();
        assert_eq!(spec.image, "busybox");
        assert_eq!(spec.cmd, Some(vec!["true".to_owned()]));
        assert_eq!(spec.entrypoint, None);
        assert_eq!(spec.exposed_ports, ["53/UDP", "80"]);
        assert_eq!(spec.volumes, ["/data"]);
        assert_eq!(spec.stop_timeout, Some(3));
        assert_eq!(spec.healthcheck.map(|check| (check.test, check.interval)), Some((None, 1_000_000_000)));
    }

    #[test]
    fn endpoints_are_read() {
        let body = json!({"EndpointsConfig": {
            "app": {"IPAMConfig": {"IPv4Address": "172.30.0.9"}, "Aliases": ["db"], "MacAddress": "02:00:00:00:00:01"},
            "plain": null,
        }});
        let networks = networks(&Object::new(&body).unwrap()).unwrap();
        assert_eq!(networks["app"].ipv4, Some("172.30.0.9".parse().unwrap()));
        assert_eq!(networks["app"].aliases, ["db"]);
        assert_eq!(networks["plain"], EndpointConfig::default());
        assert!(endpoint(&json!({"IPAMConfig": {"IPv4Address": "x"}})).is_err());
    }
}
