//! Networks.

use crate::{
    call::Call,
    create::{address, endpoint},
    failure::Failure,
    reply::{Reply, created, empty, json, no_content},
    show::{self, Json},
};
use dhow_engine::{
    Endpoint, Pool, Subnet,
    networks::{Create, View},
};
use dhow_wire::{Malformed, object::Object, record::Record, version::ApiVersion};
use http::StatusCode;
use serde_json::{Value, json as value};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

pub(crate) async fn list(call: Call) -> Reply {
    let networks = call.app.engine.networks().list(&call.filters()?)?;
    // A list has no containers since 1.28 (docker: too costly); empty, not absent.
    json(
        networks
            .iter()
            .map(|network| view(network, !call.version.since(28), false, call.version))
            .collect::<Vec<_>>(),
    )
}

pub(crate) async fn inspect(call: Call) -> Reply {
    json(view(&*call.app.engine.networks().view(call.name())?, true, true, call.version))
}

/// `whole` is what `inspect` shows; a list of API 1.52 has no containers at all.
fn view(network: &View, with_containers: bool, whole: bool, version: ApiVersion) -> Json {
    let pools = network.network.as_ref().map_or(&network.pools, |network| &network.spec.pools);
    let ipam = Record::new()
        .put("Driver", if network.ipam_driver.is_empty() { "default" } else { &network.ipam_driver })
        .put("Options", dhow_wire::record::filled(&network.ipam_options))
        .put("Config", pools.iter().map(pool).collect::<Vec<_>>());
    let containers: BTreeMap<&String, Json> = if with_containers {
        network.containers.iter().map(|(id, (name, end))| (id, member(name, end))).collect()
    } else {
        BTreeMap::new()
    };
    Record::new()
        .put("Name", &network.name)
        .put("Id", &network.id)
        .put("Created", show::text(network.created))
        .put("Scope", "local")
        .put("Driver", &network.driver)
        .when(version.since(48), "EnableIPv4", network.enable_ipv4)
        .put("EnableIPv6", network.enable_ipv6)
        .put("IPAM", ipam.end())
        .put("Internal", network.internal)
        .put("Attachable", network.attachable)
        .put("Ingress", network.ingress)
        .put("ConfigFrom", value!({ "Network": "" }))
        .put("ConfigOnly", false)
        .when(whole || !version.since(52), "Containers", containers)
        .put("Options", &network.options)
        .put("Labels", &network.labels)
        .some("Status", (whole && version.since(52)).then(|| status(network, pools)))
        .end()
}

fn subnet(subnet: &Subnet) -> String {
    format!("{}/{}", subnet.address, subnet.prefix)
}

fn pool(pool: &Pool) -> Json {
    Record::new()
        .put("Subnet", subnet(&pool.subnet))
        .some("IPRange", pool.range.as_ref().map(subnet))
        .some("Gateway", pool.gateway)
        .some("AuxiliaryAddresses", dhow_wire::record::filled(&pool.reserved))
        .end()
}

fn member(name: &str, end: &Endpoint) -> Json {
    let with_prefix = |ip: Option<String>| ip.unwrap_or_default();
    Record::new()
        .put("Name", name)
        .put("EndpointID", &end.id)
        .put("MacAddress", show::mac(end.mac))
        .put("IPv4Address", with_prefix(end.ipv4.map(|(ip, len)| format!("{ip}/{len}"))))
        .put("IPv6Address", with_prefix(end.ipv6.map(|(ip, len)| format!("{ip}/{len}"))))
        .end()
}

/// Addresses in use and still to be had, by subnet. docker counts the network's own and the broadcast address as used.
fn status(network: &View, pools: &[Pool]) -> Json {
    let used = |pool: &Pool| {
        let inside = |ip: &IpAddr| holds(&pool.subnet, *ip);
        let ends = network.containers.values().flat_map(|(_, end)| {
            [end.ipv4.map(|(ip, _)| IpAddr::V4(ip)), end.ipv6.map(|(ip, _)| IpAddr::V6(ip))]
        });
        let taken = ends.flatten().chain(pool.gateway).chain(pool.reserved.values().copied()).filter(inside);
        taken.collect::<BTreeSet<_>>()
    };
    let one = |pool: &Pool| {
        let used = used(pool);
        let (own, range) = (own_addresses(&pool.subnet), pool.range.as_ref().unwrap_or(&pool.subnet));
        let in_range = used.iter().filter(|ip| holds(range, **ip)).count() as u64
            + own.iter().filter(|ip| holds(range, **ip)).count() as u64;
        let record = Record::new()
            .put("IPsInUse", used.len() + own.len())
            .put("DynamicIPsAvailable", size(range).saturating_sub(in_range));
        (subnet(&pool.subnet), record.end())
    };
    let subnets: BTreeMap<String, Json> = pools.iter().map(one).collect();
    Record::new().put("IPAM", Record::new().put("Subnets", subnets).end()).end()
}

fn bits(ip: IpAddr) -> (u128, u32) {
    match ip {
        IpAddr::V4(ip) => (u128::from(ip.to_bits()), 32),
        IpAddr::V6(ip) => (ip.to_bits(), 128),
    }
}

fn holds(subnet: &Subnet, ip: IpAddr) -> bool {
    let ((base, width), (ip, other)) = (bits(subnet.address), bits(ip));
    let host = width - u32::from(subnet.prefix);
    width == other && (host == 128 || base >> host == ip >> host)
}

/// As many addresses as a JSON number carries.
fn size(subnet: &Subnet) -> u64 {
    let host = bits(subnet.address).1 - u32::from(subnet.prefix);
    1_u64.checked_shl(host).unwrap_or(i64::MAX.unsigned_abs())
}

/// The network's address, and the broadcast address where there is one.
fn own_addresses(subnet: &Subnet) -> Vec<IpAddr> {
    match subnet.address {
        IpAddr::V4(ip) if subnet.prefix < 31 => {
            let mask = u32::MAX >> subnet.prefix;
            [ip.to_bits() & !mask, ip.to_bits() | mask].map(|bits| IpAddr::V4(bits.into())).to_vec()
        }
        IpAddr::V4(_) => Vec::new(),
        IpAddr::V6(_) => vec![subnet.address],
    }
}

pub(crate) async fn create(mut call: Call) -> Reply {
    let body = call.json().await?;
    let body = Object::new(&body)?;
    if body.flag("ConfigOnly")? || !body.object("ConfigFrom")?.text("Network")?.is_empty() {
        return Err(Failure::absent("configuration-only networks are not supported"));
    }
    let scope = body.text("Scope")?;
    if !matches!(scope.as_str(), "" | "local") {
        return Err(Failure::bad(format!("network scope {scope:?} is not supported: only local")));
    }
    let ipam = body.object("IPAM")?;
    let create = Create {
        name: body.text("Name")?,
        driver: body.text("Driver")?,
        internal: body.flag("Internal")?,
        attachable: body.flag("Attachable")?,
        ingress: body.flag("Ingress")?,
        enable_ipv4: body.opt_flag("EnableIPv4")?.unwrap_or(true),
        enable_ipv6: body.flag("EnableIPv6")?,
        ipam_driver: ipam.text("Driver")?,
        ipam_options: ipam.text_map("Options")?,
        pools: ipam
            .objects("Config")?
            .iter()
            .map(read_pool)
            .collect::<Result<Vec<Option<Pool>>, Malformed>>()?
            .into_iter()
            .flatten()
            .collect(),
        options: body.text_map("Options")?,
        labels: body.text_map("Labels")?,
    };
    let (id, warning) = call.app.engine.networks().create(create).await?;
    created(Record::new().put("Id", id).put("Warning", warning).end())
}

/// `None` for an entry without a subnet: docker's CLI sends one when only options are given.
fn read_pool(body: &Object<'_>) -> Result<Option<Pool>, Malformed> {
    let text = body.text("Subnet")?;
    if text.is_empty() {
        return Ok(None);
    }
    let range = body.text("IPRange")?;
    let reserved: BTreeMap<String, IpAddr> = body
        .text_map("AuxiliaryAddresses")?
        .into_iter()
        .filter_map(|(name, ip)| Some(address(&ip).transpose()?.map(|ip| (name, ip))))
        .collect::<Result<_, _>>()?;
    Ok(Some(Pool {
        subnet: read_subnet(&text)?,
        range: if range.is_empty() { None } else { Some(read_subnet(&range)?) },
        gateway: address(&body.text("Gateway")?)?,
        reserved,
    }))
}

fn read_subnet(text: &str) -> Result<Subnet, Malformed> {
    let read = || {
        let (ip, prefix) = text.split_once('/')?;
        let (address, prefix): (IpAddr, u8) = (ip.parse().ok()?, prefix.parse().ok()?);
        (prefix <= if address.is_ipv4() { 32 } else { 128 }).then_some(Subnet { address, prefix })
    };
    read().ok_or_else(|| Malformed(format!("invalid subnet {text}: invalid CIDR block notation")))
}

pub(crate) async fn connect(mut call: Call) -> Reply {
    let body = call.json().await?;
    let object = Object::new(&body)?;
    let container = object.text("Container")?;
    let config = endpoint(object.value("EndpointConfig").unwrap_or(&Value::Null))?;
    call.app.engine.networks().connect(call.name(), &container, config).await?;
    empty(StatusCode::OK)
}

pub(crate) async fn disconnect(mut call: Call) -> Reply {
    let body = call.json().await?;
    let body = Object::new(&body)?;
    let (container, force) = (body.text("Container")?, body.flag("Force")?);
    call.app.engine.networks().disconnect(call.name(), &container, force).await?;
    empty(StatusCode::OK)
}

pub(crate) async fn remove(call: Call) -> Reply {
    call.app.engine.networks().remove(call.name()).await?;
    no_content()
}

pub(crate) async fn prune(call: Call) -> Reply {
    let pruned = call.app.engine.networks().prune(&call.filters()?).await?;
    json(value!({ "NetworksDeleted": pruned.deleted }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_counted_as_docker_does() {
        let body = value!({"Subnet": "10.9.0.0/24", "IPRange": "10.9.0.128/25", "Gateway": "10.9.0.1"});
        let pool = read_pool(&Object::new(&body).unwrap()).unwrap().unwrap();
        assert_eq!(
            own_addresses(&pool.subnet),
            ["10.9.0.0", "10.9.0.255"].map(|ip| ip.parse::<IpAddr>().unwrap())
        );
        assert_eq!((size(&pool.subnet), size(pool.range.as_ref().unwrap())), (256, 128));
        assert!(
            holds(&pool.subnet, "10.9.0.7".parse().unwrap())
                && !holds(&pool.subnet, "10.9.1.7".parse().unwrap())
        );
        let six = Subnet { address: "fd00::".parse().unwrap(), prefix: 64 };
        assert_eq!((size(&six), own_addresses(&six).len()), (i64::MAX.unsigned_abs(), 1));
        assert!(!holds(&six, "10.9.0.7".parse().unwrap()));
    }

    #[test]
    fn pools_are_read() {
        let body = value!({
            "Subnet": "10.9.0.0/16", "IPRange": "10.9.1.0/24", "Gateway": "10.9.0.1",
            "AuxiliaryAddresses": {"router": "10.9.0.2"},
        });
        let pool = read_pool(&Object::new(&body).unwrap()).unwrap().unwrap();
        assert_eq!(
            (subnet(&pool.subnet), pool.range.as_ref().map(subnet)),
            ("10.9.0.0/16".into(), Some("10.9.1.0/24".into()))
        );
        assert_eq!(pool.gateway, "10.9.0.1".parse().ok());
        assert_eq!(pool.reserved["router"], "10.9.0.2".parse::<IpAddr>().unwrap());
        assert_eq!(read_pool(&Object::new(&value!({})).unwrap()).unwrap(), None);
        for bad in ["10.9.0.0", "10.9.0.0/33", "x/8", "10.9.0.0/"] {
            assert!(read_subnet(bad).is_err(), "{bad}");
        }
    }
}
