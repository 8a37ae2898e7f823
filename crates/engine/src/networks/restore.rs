//! The networks at the start of an engine: those of the journal, and those that always exist.

use super::{BRIDGE, PREDEFINED, View};
use crate::{Result, blocking, events::Time, names, shared::Shared};
use dhow_net::{NetworkSpec, Subnet};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

/// The journal's key of a network that is being made; its value is the specification.
pub(super) fn making(id: &str) -> String {
    format!("making-network/{id}")
}

/// It is made and recorded, or nothing of it is there.
pub(super) fn made(shared: &Shared, id: &str) {
    shared.store.journal().put(&making(id), None).forget();
}

/// Takes away what a daemon that was killed had begun to make. Nobody was told of it.
fn unmake(shared: &Shared) {
    for (key, bytes) in shared.store.journal().scan("making-network/") {
        let spec: NetworkSpec = match serde_json::from_slice(&bytes) {
            Ok(spec) => spec,
            Err(failure) => {
                tracing::error!(key, %failure, "a network that was being made cannot be read");
                continue;
            }
        };
        let known = shared.networks.find(&spec.id).is_ok();
        // Whole again, it can be removed as any other.
        let gone = known
            || shared
                .net
                .add_network(&spec)
                .and_then(|_| shared.net.remove_network(&spec.id))
                .inspect_err(|failure| {
                    tracing::warn!(name = spec.name, ?failure, "a half-made network is still there");
                })
                .is_ok();
        if gone {
            made(shared, &spec.id);
        }
    }
}

/// Brings back the networks of the journal, and makes the predefined ones.
pub(crate) async fn restore(shared: &Arc<Shared>) -> Result<()> {
    let shared = shared.clone();
    blocking::run(move || {
        for (key, bytes) in shared.store.journal().scan("network/") {
            let mut view: View = match serde_json::from_slice(&bytes) {
                Ok(view) => view,
                Err(failure) => {
                    tracing::error!(key, %failure, "a network's record cannot be read; it is left alone");
                    continue;
                }
            };
            if let Some(network) = &view.network {
                match shared.net.add_network(&network.spec) {
                    Ok(network) => view.network = Some(network),
                    Err(failure) => {
                        tracing::error!(name = view.name, ?failure, "a network cannot be brought up");
                    }
                }
            }
            shared.networks.insert(view);
        }
        unmake(&shared);
        for name in PREDEFINED {
            if shared.networks.find(name).is_err() {
                let view = predefined(&shared, name)?;
                shared.journal(&format!("network/{}", view.id), &view)?.forget();
                shared.networks.insert(view);
            }
        }
        Ok(())
    })
    .await
}

fn predefined(shared: &Shared, name: &str) -> Result<View> {
    let id = names::id()?;
    let mut options = BTreeMap::new();
    let mut network = None;
    if name == BRIDGE {
        let bridge = bridge_name(&shared.config.instance);
        for (key, value) in [
            ("com.docker.network.bridge.default_bridge", "true"),
            ("com.docker.network.bridge.enable_icc", "true"),
            ("com.docker.network.bridge.enable_ip_masquerade", "true"),
            ("com.docker.network.bridge.host_binding_ipv4", "0.0.0.0"),
            ("com.docker.network.bridge.name", bridge.as_str()),
            ("com.docker.network.driver.mtu", "1500"),
        ] {
            options.insert(key.to_owned(), value.to_owned());
        }
        let pools = shared.config.bip.map(|bip| dhow_net::Pool {
            subnet: network_of(bip),
            range: None,
            gateway: Some(bip.address),
            reserved: BTreeMap::new(),
        });
        let spec = NetworkSpec {
            id: id.clone(),
            name: name.to_owned(),
            bridge: Some(bridge),
            pools: pools.into_iter().collect(),
            ipv6: false,
            internal: false,
            icc: true,
            masquerade: true,
            mtu: 0,
            host_binding: None,
            dns: false,
        };
        network = Some(shared.net.add_network(&spec)?);
    }
    Ok(View {
        id,
        name: name.to_owned(),
        created: Time::now(),
        driver: if name == "none" { "null".to_owned() } else { name.to_owned() },
        internal: false,
        attachable: false,
        ingress: false,
        enable_ipv4: true,
        enable_ipv6: false,
        ipam_driver: "default".to_owned(),
        ipam_options: BTreeMap::new(),
        pools: Vec::new(),
        options,
        labels: BTreeMap::new(),
        network,
        containers: BTreeMap::new(),
    })
}

/// Link name of the default bridge: `dhow0`, or one made from the instance's name, at most 15 characters.
fn bridge_name(instance: &str) -> String {
    if instance.is_empty() || instance == "dhow" {
        return "dhow0".to_owned();
    }
    let clean: String = instance.chars().filter(char::is_ascii_alphanumeric).collect();
    if clean == instance && clean.len() <= 9 {
        return format!("dhow-{clean}");
    }
    // a long name: its beginning and a sum of all of it
    let sum = instance.bytes().fold(0xcbf2_9ce4_u32, |sum, b| (sum ^ u32::from(b)).wrapping_mul(0x0100_0193));
    format!("dhow-{}{:04x}", clean.get(..5.min(clean.len())).unwrap_or_default(), sum & 0xffff)
}

/// The subnet of an address with a prefix.
fn network_of(address: Subnet) -> Subnet {
    let masked = match address.address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(address.prefix.min(32))).unwrap_or(0);
            IpAddr::from(Ipv4Addr::from_bits(v4.to_bits() & mask))
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(address.prefix.min(128))).unwrap_or(0);
            IpAddr::from(Ipv6Addr::from_bits(v6.to_bits() & mask))
        }
    };
    Subnet { address: masked, prefix: address.prefix }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_bridges_fit() {
        assert_eq!(bridge_name(""), "dhow0");
        assert_eq!(bridge_name("t1"), "dhow-t1");
        let long = bridge_name("a-very-long-instance-name");
        assert!(long.len() <= 15 && long != bridge_name("a-very-long-instance-nama"), "{long}");
        let bip = Subnet { address: "10.1.2.3".parse().unwrap(), prefix: 24 };
        assert_eq!(network_of(bip).address.to_string(), "10.1.2.0");
    }
}
