//! Choosing subnets for networks that name none.

use crate::{Pool, Subnet};
use std::{collections::BTreeMap, net::IpAddr};

/// Docker's default pools, (pool, prefix length of each): 172.17.0.0/16 … 172.31.0.0/16, then 192.168.0.0/16 by /20.
pub(crate) fn defaults() -> Vec<(Subnet, u8)> {
    let subnet = |a, b, prefix| Subnet { address: [a, b, 0, 0].into(), prefix };
    let mut all: Vec<_> = (17..=31).map(|b| (subnet(172, b, 16), 16)).collect();
    all.push((subnet(192, 168, 16), 20));
    all
}

/// The first subnet of the pools (in order, of the family) that overlaps nothing in `taken`.
pub(crate) fn choose(pools: &[(Subnet, u8)], ipv4: bool, taken: &[Subnet]) -> Option<Subnet> {
    pools.iter().filter(|(pool, prefix)| pool.address.is_ipv4() == ipv4 && *prefix >= pool.prefix).find_map(
        |(pool, prefix)| {
            let mut next = Some(pool.first());
            while let Some(start) = next.filter(|start| *start <= pool.last()) {
                let candidate = Subnet { address: pool.at(start), prefix: *prefix };
                // Behind whatever is in the way, not one by one: a pool of /64 in a /8 is long.
                match taken.iter().filter(|other| candidate.overlaps(**other)).map(|other| other.last()).max()
                {
                    None => return Some(candidate),
                    Some(end) => next = align(end.max(candidate.last()), candidate),
                }
            }
            None
        },
    )
}

/// First number of the next block of the candidate's size behind `end`.
fn align(end: u128, candidate: Subnet) -> Option<u128> {
    (end | (candidate.last() - candidate.first())).checked_add(1)
}

/// A random /64 of unique local addresses (RFC 4193), for IPv6 networks where no pool is configured.
pub(crate) fn unique_local(random: [u8; 5]) -> (Subnet, u8) {
    let [a, b, c, d, e] = random;
    let word = |high: u8, low: u8| u16::from_be_bytes([high, low]);
    let address = IpAddr::from([word(0xfd, a), word(b, c), word(d, e), 0, 0, 0, 0, 0]);
    (Subnet { address, prefix: 48 }, 64)
}

/// A pool of the subnet, its first address for the gateway.
pub(crate) fn pool(subnet: Subnet) -> Pool {
    Pool { subnet, range: None, gateway: None, reserved: BTreeMap::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnets(text: &[&str]) -> Vec<Subnet> {
        text.iter().map(|t| t.parse().unwrap()).collect()
    }

    fn chosen(taken: &[&str]) -> String {
        choose(&defaults(), true, &subnets(taken)).unwrap().to_string()
    }

    #[test]
    fn dockers_order() {
        assert_eq!(chosen(&[]), "172.17.0.0/16");
        assert_eq!(chosen(&["172.17.0.0/16"]), "172.18.0.0/16");
        assert_eq!(chosen(&["172.17.4.0/24", "172.18.255.0/24"]), "172.19.0.0/16");
        assert_eq!(chosen(&["172.16.0.0/12"]), "192.168.0.0/20");
        assert_eq!(chosen(&["172.16.0.0/12", "192.168.1.0/24", "192.168.16.0/21"]), "192.168.32.0/20");
        assert_eq!(choose(&defaults(), true, &subnets(&["0.0.0.0/0"])), None);
    }

    #[test]
    fn big_ipv6_pools_are_skipped_in_one_step() {
        let pools = [("fd00::/8".parse().unwrap(), 64)];
        let chosen = choose(&pools, false, &subnets(&["fd00::/16", "fd01::/17"])).unwrap();
        assert_eq!(chosen.to_string(), "fd01:8000::/64");
        assert_eq!(choose(&pools, false, &subnets(&["fd00::/8"])), None);
        assert_eq!(choose(&pools, true, &[]), None);
    }
}
