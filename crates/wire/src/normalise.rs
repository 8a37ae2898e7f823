//! Old bodies → today's. Each rule says which versions it is for and what docker's daemon does there.

use crate::version::ApiVersion;
use serde_json::{Map, Value, json};

/// `POST /containers/create`, before it is read.
///
/// - any version: canonical top-level keys, so that later rules find them (`"hostconfig"` is Go's `HostConfig`)
/// - all: the removed top-level `MacAddress` goes to the endpoint of `NetworkMode` (docker 25's migration)
/// - < 1.40: an empty `IpcMode` means `shareable`; `PidsLimit` 0 and -1 are "not set" in all versions
/// - < 1.41: an empty `CgroupnsMode` means `host`
/// - < 1.43: no `Annotations`; < 1.44: no `Healthcheck.StartInterval`; < 1.45: no volume `Subpath`; < 1.46: no sysctls in driver options
pub fn container_create(body: &mut Value, version: ApiVersion) {
    let Value::Object(top) = body else { return };
    canonical(top, &["HostConfig", "NetworkingConfig", "Healthcheck", "MacAddress"]);
    mac_address(top);
    if version < ApiVersion::new(44)
        && let Some(Value::Object(check)) = top.get_mut("Healthcheck")
    {
        check.remove("StartInterval");
    }
    let host = top.entry("HostConfig").or_insert(Value::Null);
    if host.is_null() {
        *host = json!({});
    }
    if let Value::Object(host) = host {
        host_config(host, version);
    }
}

fn host_config(host: &mut Map<String, Value>, version: ApiVersion) {
    canonical(host, &["IpcMode", "CgroupnsMode", "PidsLimit", "Annotations", "Mounts", "NetworkMode"]);
    let blank = |host: &Map<String, Value>, key: &str| {
        host.get(key).is_none_or(|value| value.is_null() || value.as_str() == Some(""))
    };
    if version < ApiVersion::new(40) && blank(host, "IpcMode") {
        host.insert("IpcMode".to_owned(), json!("shareable"));
    }
    if version < ApiVersion::new(41) && blank(host, "CgroupnsMode") {
        host.insert("CgroupnsMode".to_owned(), json!("host"));
    }
    if host.get("PidsLimit").and_then(Value::as_i64).is_some_and(|limit| limit <= 0) {
        host.remove("PidsLimit");
    }
    if version < ApiVersion::new(43) {
        host.remove("Annotations");
    }
    if version < ApiVersion::new(45)
        && let Some(Value::Array(mounts)) = host.get_mut("Mounts")
    {
        for options in mounts
            .iter_mut()
            .filter_map(|mount| mount.get_mut("VolumeOptions"))
            .filter_map(Value::as_object_mut)
        {
            options.remove("Subpath");
        }
    }
}

fn mac_address(top: &mut Map<String, Value>) {
    let Some(Value::String(mac)) = top.remove("MacAddress") else { return };
    if mac.is_empty() {
        return;
    }
    let mode = top.get("HostConfig").and_then(|host| host.get("NetworkMode")).and_then(Value::as_str);
    let mode = match mode {
        None | Some("" | "default") => "bridge".to_owned(),
        Some(mode) => mode.to_owned(),
    };
    if mode == "none" || mode == "host" || mode.starts_with("container:") {
        return;
    }
    let networking = top.entry("NetworkingConfig").or_insert_with(|| json!({}));
    if networking.is_null() {
        *networking = json!({});
    }
    let Some(networking) = networking.as_object_mut() else { return };
    canonical(networking, &["EndpointsConfig"]);
    let endpoints = networking.entry("EndpointsConfig").or_insert_with(|| json!({}));
    if endpoints.is_null() {
        *endpoints = json!({});
    }
    let Some(endpoints) = endpoints.as_object_mut() else { return };
    let endpoint = endpoints.entry(mode).or_insert_with(|| json!({}));
    if endpoint.is_null() {
        *endpoint = json!({});
    }
    if let Some(endpoint) = endpoint.as_object_mut() {
        let missing = endpoint.get("MacAddress").and_then(Value::as_str).is_none_or(str::is_empty);
        if missing {
            endpoint.insert("MacAddress".to_owned(), json!(mac));
        }
    }
}

/// Renames keys that differ only in case.
fn canonical(map: &mut Map<String, Value>, keys: &[&str]) {
    for wanted in keys {
        if map.contains_key(*wanted) {
            continue;
        }
        let found = map.keys().find(|key| key.eq_ignore_ascii_case(wanted)).cloned();
        if let Some(value) = found.and_then(|found| map.remove(&found)) {
            map.insert((*wanted).to_owned(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(mut body: Value, minor: u16) -> Value {
        container_create(&mut body, ApiVersion::new(minor));
        body
    }

    #[test]
    fn old_defaults_are_kept_for_old_clients() {
        assert_eq!(
            normal(json!({}), 24),
            json!({"HostConfig": {"IpcMode": "shareable", "CgroupnsMode": "host"}})
        );
        assert_eq!(normal(json!({"HostConfig": null}), 41), json!({"HostConfig": {}}));
        assert_eq!(
            normal(json!({"HostConfig": {"ipcMode": "none", "PidsLimit": -1}}), 39),
            json!({"HostConfig": {"IpcMode": "none", "CgroupnsMode": "host"}})
        );
    }

    #[test]
    fn fields_of_later_versions_are_not_seen_in_older_ones() {
        let body = json!({
            "Healthcheck": {"Test": ["NONE"], "StartInterval": 5},
            "HostConfig": {"Annotations": {"a": "b"}, "Mounts": [{"VolumeOptions": {"Subpath": "x", "NoCopy": true}}]}
        });
        assert_eq!(
            normal(body.clone(), 42),
            json!({
                "Healthcheck": {"Test": ["NONE"]},
                "HostConfig": {"Mounts": [{"VolumeOptions": {"NoCopy": true}}]}
            })
        );
        assert_eq!(normal(body.clone(), 45), body);
    }

    #[test]
    fn the_removed_mac_address_reaches_its_endpoint() {
        assert_eq!(
            normal(json!({"macAddress": "02:00:00:00:00:01", "HostConfig": {"NetworkMode": "app"}}), 43),
            json!({
                "HostConfig": {"NetworkMode": "app"},
                "NetworkingConfig": {"EndpointsConfig": {"app": {"MacAddress": "02:00:00:00:00:01"}}}
            })
        );
        let explicit = json!({
            "MacAddress": "02:00:00:00:00:01",
            "NetworkingConfig": {"EndpointsConfig": {"bridge": {"MacAddress": "02:00:00:00:00:02"}}}
        });
        assert_eq!(
            normal(explicit, 44)["NetworkingConfig"]["EndpointsConfig"]["bridge"]["MacAddress"],
            "02:00:00:00:00:02"
        );
        let host =
            normal(json!({"MacAddress": "02:00:00:00:00:01", "HostConfig": {"NetworkMode": "host"}}), 44);
        assert_eq!(host, json!({"HostConfig": {"NetworkMode": "host"}}));
    }
}
