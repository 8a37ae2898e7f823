//! What a user asks of a new network.

use super::{Create, is_predefined};
use crate::{Error, Kind, Result, names};
use dhow_net::NetworkSpec;

/// What a user asks for, typed; refuses what is unknown.
pub(super) fn wanted(create: &Create) -> Result<NetworkSpec> {
    let invalid = |message: String| Error::new(Kind::Invalid, message);
    if create.name.trim().is_empty() {
        return Err(invalid("network name cannot be empty".to_owned()));
    }
    if is_predefined(&create.name) || create.name == "default" || create.name.contains(['/', ':']) {
        if is_predefined(&create.name) {
            return Err(Error::new(
                Kind::Forbidden,
                format!("operation is not permitted on predefined {} network ", create.name),
            ));
        }
        return Err(invalid(format!("invalid network name: {}", create.name)));
    }
    match create.driver.as_str() {
        "" | "bridge" => {}
        "host" | "null" | "none" => {
            return Err(Error::new(
                Kind::Forbidden,
                format!("only one instance of \"{}\" network is allowed", create.driver),
            ));
        }
        other => return Err(Error::new(Kind::NotFound, format!("plugin \"{other}\" not found"))),
    }
    if !matches!(create.ipam_driver.as_str(), "" | "default") {
        return Err(invalid(format!("invalid ipam driver: {}", create.ipam_driver)));
    }
    if create.ingress {
        return Err(Error::new(Kind::Unsupported, "ingress networks need swarm mode, which is not active"));
    }
    let option = |name: &str| create.options.get(&format!("com.docker.network.{name}")).map(String::as_str);
    let flag = |name: &str, default: bool| match option(name) {
        None | Some("") => Ok(default),
        Some("true" | "1") => Ok(true),
        Some("false" | "0") => Ok(false),
        Some(other) => Err(invalid(format!("invalid value for {name}: {other}"))),
    };
    let bridge = option("bridge.name").filter(|n| !n.is_empty()).map(str::to_owned);
    if bridge.as_ref().is_some_and(|name| name.len() > 15 || name.contains('/')) {
        return Err(invalid("invalid bridge name: at most 15 characters, no '/'".to_owned()));
    }
    let mtu = match option("driver.mtu") {
        None | Some("") => 0,
        Some(text) => text
            .parse()
            .map_err(|_| invalid(format!("failed to parse com.docker.network.driver.mtu value: {text}")))?,
    };
    let host_binding = match option("bridge.host_binding_ipv4") {
        None | Some("") => None,
        Some(text) => {
            Some(text.parse().map_err(|_| invalid(format!("invalid host binding address: {text}")))?)
        }
    };
    Ok(NetworkSpec {
        id: names::id()?,
        name: create.name.clone(),
        bridge,
        pools: create.pools.clone(),
        ipv6: create.enable_ipv6,
        internal: create.internal,
        icc: flag("bridge.enable_icc", true)?,
        masquerade: flag("bridge.enable_ip_masquerade", true)?,
        mtu,
        host_binding,
        dns: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_checked() {
        let create = |name: &str, driver: &str| {
            wanted(&Create { name: name.into(), driver: driver.into(), ..Create::default() })
        };
        assert!(create("app", "bridge").unwrap().dns);
        assert_eq!(create("bridge", "").unwrap_err().kind, Kind::Forbidden);
        assert_eq!(create("app", "weave").unwrap_err().message, "plugin \"weave\" not found");
        let mut bad = Create { name: "app".into(), ..Create::default() };
        bad.options.insert("com.docker.network.bridge.enable_icc".into(), "maybe".into());
        assert!(wanted(&bad).is_err());
    }
}
