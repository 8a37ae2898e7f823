//! The nft table, as plans: pure lists of changes. `docs/net.md` explains the rules.

use crate::port::Protocol;
use crate::{NetworkSpec, Published};
use dhow_sys::netlink::nft::{Change, Expression as E, Field, Hook, Key, Verdict};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// `host address . protocol . port : container address . port`, and the same for "any local address".
const PORTS4: &str = "ports4";
const WILD4: &str = "wild4";
const PORTS6: &str = "ports6";
const WILD6: &str = "wild6";
/// Our bridges; those that mask what leaves; those without a way out.
const BRIDGES: &str = "bridges";
const MASKED: &str = "masked";
const INTERNAL: &str = "internal";
/// `bridge . address` of all subnets.
const SUBNETS4: &str = "subnets4";
const SUBNETS6: &str = "subnets6";
/// `bridge . same bridge`, for "stays on its network"; and the same where containers may talk.
const SAME: &str = "same";
const TALK: &str = "talk";

const RAW: &str = "raw";
const FORWARD: &str = "forward";
const PREROUTING: &str = "prerouting";
const OUTPUT: &str = "output";
const POSTROUTING: &str = "postrouting";

/// netfilter's usual priorities.
const PRIORITY_RAW: i32 = -300;
const PRIORITY_DNAT: i32 = -100;
const PRIORITY_FILTER: i32 = 0;
const PRIORITY_SNAT: i32 = 100;

/// The maps of published ports.
pub(crate) const PORT_MAPS: [&str; 4] = [PORTS4, WILD4, PORTS6, WILD6];

/// The table, its sets and its rules. What is there already is kept, but for the rules, which are written anew.
pub(crate) fn base() -> Vec<Change> {
    let mut plan = vec![Change::AddTable];
    let sets: [(_, &[Field], &[Field]); 9] = [
        (PORTS4, &[Field::Ipv4, Field::Proto, Field::Service], &[Field::Ipv4, Field::Service]),
        (WILD4, &[Field::Proto, Field::Service], &[Field::Ipv4, Field::Service]),
        (PORTS6, &[Field::Ipv6, Field::Proto, Field::Service], &[Field::Ipv6, Field::Service]),
        (WILD6, &[Field::Proto, Field::Service], &[Field::Ipv6, Field::Service]),
        (BRIDGES, &[Field::IfName], &[]),
        (MASKED, &[Field::IfName], &[]),
        (INTERNAL, &[Field::IfName], &[]),
        (SAME, &[Field::IfName, Field::IfName], &[]),
        (TALK, &[Field::IfName, Field::IfName], &[]),
    ];
    plan.extend(sets.map(|(set, key, value)| Change::AddSet { set, key, value }));
    plan.push(Change::AddRangeSet { set: SUBNETS4, key: &[Field::IfName, Field::Ipv4] });
    plan.push(Change::AddRangeSet { set: SUBNETS6, key: &[Field::IfName, Field::Ipv6] });
    let chains = [
        (RAW, false, Hook::Prerouting, PRIORITY_RAW),
        (PREROUTING, true, Hook::Prerouting, PRIORITY_DNAT),
        (OUTPUT, true, Hook::Output, PRIORITY_DNAT),
        (FORWARD, false, Hook::Forward, PRIORITY_FILTER),
        (POSTROUTING, true, Hook::Postrouting, PRIORITY_SNAT),
    ];
    for (chain, nat, hook, priority) in chains {
        plan.extend([Change::AddChain { chain, nat, hook, priority }, Change::FlushChain { chain }]);
    }
    let rules = [raw(), translation(PREROUTING), translation(OUTPUT), forward(), postrouting()];
    plan.extend(rules.into_iter().flatten());
    plan
}

/// 127.0.0.0/8 is for this machine alone, although bridges route it (`route_localnet`).
fn raw() -> Vec<Change> {
    let foreign = |offset| {
        let mut rule = ipv4();
        rule.extend([
            E::Network { offset, len: 1, to: 1 },
            compare(&[127]),
            load(Key::IifName, 1),
            E::Compare { from: 1, not: true, value: name("lo") },
            E::Verdict(Verdict::Drop),
        ]);
        Change::AddRule { chain: RAW, rule }
    };
    vec![foreign(IPV4_DESTINATION), foreign(IPV4_SOURCE)]
}

const IPV4_SOURCE: u32 = 12;
const IPV4_DESTINATION: u32 = 16;
const IPV6_SOURCE: u32 = 8;
const IPV6_DESTINATION: u32 = 24;

/// Published ports: an exact address first, then any address of this machine.
fn translation(chain: &'static str) -> Vec<Change> {
    let mut exact4 = ipv4();
    exact4.extend([
        E::Network { offset: IPV4_DESTINATION, len: 4, to: 1 },
        load(Key::L4Proto, 9),
        E::Transport { offset: 2, len: 2, to: 10 },
        E::Lookup { set: PORTS4, from: 1, to: Some(1), not: false },
        E::Dnat { v6: false, address: 1, port: 9 },
    ]);
    let wild = |set, v6| {
        vec![
            E::LocalDestination,
            load(Key::L4Proto, 1),
            E::Transport { offset: 2, len: 2, to: 9 },
            E::Lookup { set, from: 1, to: Some(1), not: false },
            E::Dnat { v6, address: 1, port: if v6 { 2 } else { 9 } },
        ]
    };
    let mut wild4 = ipv4();
    wild4.extend(wild(WILD4, false));
    let mut exact6 = ipv6();
    // ::1 cannot leave the machine, translated or not: the proxy listens there.
    let not_loopback = [
        E::Network { offset: IPV6_DESTINATION, len: 16, to: 1 },
        E::Compare { from: 1, not: true, value: Ipv6Addr::LOCALHOST.octets().into() },
    ];
    exact6.extend(not_loopback.clone());
    exact6.extend([
        load(Key::L4Proto, 2),
        E::Transport { offset: 2, len: 2, to: 13 },
        E::Lookup { set: PORTS6, from: 1, to: Some(1), not: false },
        E::Dnat { v6: true, address: 1, port: 2 },
    ]);
    let mut wild6 = ipv6();
    wild6.extend(not_loopback);
    wild6.extend(wild(WILD6, true));
    [exact4, wild4, exact6, wild6].into_iter().map(|rule| Change::AddRule { chain, rule }).collect()
}

fn forward() -> Vec<Change> {
    let rule = |rule: Vec<E>| Change::AddRule { chain: FORWARD, rule };
    let internal = |key| vec![load(key, 1), member(INTERNAL), E::Verdict(Verdict::Drop)];
    let mut talk = within(TALK, false);
    talk.push(E::Verdict(Verdict::Accept));
    let to_bridge = [load(Key::OifName, 1), member(BRIDGES)];
    let mut published = to_bridge.to_vec();
    published.extend([E::Translated, E::Verdict(Verdict::Accept)]);
    let mut rest = to_bridge.to_vec();
    rest.push(E::Verdict(Verdict::Drop));
    vec![
        rule(vec![E::Established, E::Verdict(Verdict::Accept)]),
        rule(talk),
        rule(internal(Key::IifName)),
        rule(internal(Key::OifName)),
        rule(published),
        rule(rest),
    ]
}

fn postrouting() -> Vec<Change> {
    let rule = |rule: Vec<E>| Change::AddRule { chain: POSTROUTING, rule };
    let mut loopback = ipv4();
    loopback.extend([
        E::Network { offset: IPV4_SOURCE, len: 1, to: 1 },
        compare(&[127]),
        load(Key::OifName, 1),
        member(BRIDGES),
        E::Masquerade,
    ]);
    // A container to a published port of its own network: else the answer would go straight back, from an address it never asked. By
    // address, not by link: bridged packets (br_netfilter) have no link they came in by here.
    let hairpin = |family: Vec<E>, offset, len, set| {
        let mut hairpin = family;
        hairpin.extend([
            E::Translated,
            load(Key::OifName, 1),
            E::Network { offset, len, to: 2 },
            member(set),
            E::Masquerade,
        ]);
        hairpin
    };
    let (hairpin4, hairpin6) =
        (hairpin(ipv4(), IPV4_SOURCE, 4, SUBNETS4), hairpin(ipv6(), IPV6_SOURCE, 16, SUBNETS6));
    let mut leaving = vec![load(Key::IifName, 1), member(MASKED)];
    leaving.extend(within(SAME, true));
    leaving.push(E::Masquerade);
    vec![rule(loopback), rule(hairpin4), rule(hairpin6), rule(leaving)]
}

fn load(key: Key, to: u32) -> E {
    E::Meta { key, to }
}

fn compare(value: &[u8]) -> E {
    E::Compare { from: 1, not: false, value: value.into() }
}

fn member(set: &'static str) -> E {
    E::Lookup { set, from: 1, to: None, not: false }
}

fn within(set: &'static str, not: bool) -> Vec<E> {
    vec![load(Key::IifName, 1), load(Key::OifName, 2), E::Lookup { set, from: 1, to: None, not }]
}

fn ipv4() -> Vec<E> {
    vec![load(Key::NfProto, 1), compare(&[2])]
}

fn ipv6() -> Vec<E> {
    vec![load(Key::NfProto, 1), compare(&[10])]
}

/// A link's name as nft keeps it.
fn name(link: &str) -> Vec<u8> {
    let mut bytes = link.as_bytes().to_vec();
    bytes.resize(16, 0);
    bytes
}

/// The sets a network's bridge is in, with its key in each.
fn memberships(spec: &NetworkSpec, bridge: &str) -> Vec<(&'static str, Vec<u8>)> {
    let one = name(bridge);
    let pair = [one.clone(), one.clone()].concat();
    let mut all = vec![(BRIDGES, one.clone()), (SAME, pair.clone())];
    if spec.icc {
        all.push((TALK, pair));
    }
    if spec.internal {
        all.push((INTERNAL, one));
    } else if spec.masquerade {
        all.push((MASKED, one));
    }
    all
}

/// A network's ranges of `bridge . address`.
fn subnets(spec: &NetworkSpec, bridge: &str) -> impl Iterator<Item = (&'static str, Vec<u8>, Vec<u8>)> {
    let bridge = name(bridge);
    spec.pools.iter().map(move |pool| {
        let subnet = pool.subnet;
        let set = if subnet.address.is_ipv4() { SUBNETS4 } else { SUBNETS6 };
        let key = |number| [bridge.clone(), octets(subnet.at(number))].concat();
        (set, key(subnet.first()), key(subnet.last()))
    })
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().into(),
        IpAddr::V6(v6) => v6.octets().into(),
    }
}

/// Takes a network in.
pub(crate) fn add_network(spec: &NetworkSpec, bridge: &str) -> Vec<Change> {
    let add = |(set, key)| Change::AddElements { set, elements: vec![(key, Vec::new())] };
    let range = |(set, first, last)| Change::AddRange { set, first, last };
    memberships(spec, bridge).into_iter().map(add).chain(subnets(spec, bridge).map(range)).collect()
}

/// Takes a network out.
pub(crate) fn remove_network(spec: &NetworkSpec, bridge: &str) -> Vec<Change> {
    let delete = |(set, key)| Change::DeleteElements { set, keys: vec![key] };
    let range = |(set, first, last)| Change::DeleteRange { set, first, last };
    memberships(spec, bridge).into_iter().map(delete).chain(subnets(spec, bridge).map(range)).collect()
}

/// Where in the maps a published port is, if nft can translate it: the container has an address of the family, and it is not ::1.
fn element(port: &Published, target: SocketAddr) -> Option<(&'static str, Vec<u8>, Vec<u8>)> {
    let (wild, exact, address, container) = match (port.host_ip, target.ip()) {
        (IpAddr::V4(host), IpAddr::V4(container)) => {
            (host == Ipv4Addr::UNSPECIFIED, PORTS4, host.octets().to_vec(), container.octets().to_vec())
        }
        (IpAddr::V6(host), IpAddr::V6(container)) if host != Ipv6Addr::LOCALHOST => {
            (host == Ipv6Addr::UNSPECIFIED, PORTS6, host.octets().to_vec(), container.octets().to_vec())
        }
        _ => return None,
    };
    let set = match (wild, exact) {
        (false, exact) => exact,
        (true, PORTS4) => WILD4,
        (true, _) => WILD6,
    };
    let mut key = if wild { Vec::new() } else { address };
    key.extend([port.protocol.number(), 0, 0, 0]);
    key.extend(service(port.host_port));
    Some((set, key, [container, service(target.port()).to_vec()].concat()))
}

fn service(port: u16) -> [u8; 4] {
    let [high, low] = port.to_be_bytes();
    [high, low, 0, 0]
}

/// Takes out what is left of earlier daemons.
pub(crate) fn remove(stale: impl IntoIterator<Item = Element>) -> Vec<Change> {
    stale.into_iter().map(|(set, key)| Change::DeleteElements { set, keys: vec![key] }).collect()
}

/// The keys of ports in the maps.
pub(crate) fn keys(ports: &[(Published, SocketAddr)]) -> impl Iterator<Item = Element> {
    ports.iter().filter_map(|(port, target)| element(port, *target)).map(|(set, key, _)| (set, key))
}

/// A map and a key in it.
pub(crate) type Element = (&'static str, Vec<u8>);

/// Makes ports reachable. Empty if nft cannot do any of them.
pub(crate) fn publish(ports: &[(Published, SocketAddr)]) -> Vec<Change> {
    gather(ports).into_iter().map(|(set, elements)| Change::AddElements { set, elements }).collect()
}

/// The reverse.
pub(crate) fn unpublish(ports: &[(Published, SocketAddr)]) -> Vec<Change> {
    let keys = |elements: Vec<(Vec<u8>, Vec<u8>)>| elements.into_iter().map(|(key, _)| key).collect();
    gather(ports)
        .into_iter()
        .map(|(set, elements)| Change::DeleteElements { set, keys: keys(elements) })
        .collect()
}

type Elements = Vec<(Vec<u8>, Vec<u8>)>;

fn gather(ports: &[(Published, SocketAddr)]) -> Vec<(&'static str, Elements)> {
    let mut sets: Vec<(&'static str, Elements)> = Vec::new();
    for (set, key, value) in ports.iter().filter_map(|(port, target)| element(port, *target)) {
        match sets.iter_mut().find(|(name, _)| *name == set) {
            Some((_, elements)) => elements.push((key, value)),
            None => sets.push((set, vec![(key, value)])),
        }
    }
    sets
}

/// Name of the table inside a container's namespace.
pub(crate) const RESOLVER_TABLE: &str = "dhow-resolver";

/// Inside a container: what it sends to 127.0.0.11:53 goes to the ports our sockets really have. They cannot have 53 itself: a container that
/// listens on 0.0.0.0:53 would be refused.
pub(crate) fn resolver(udp: u16, tcp: u16) -> Vec<Change> {
    let mut plan = vec![
        Change::AddTable,
        Change::AddChain { chain: OUTPUT, nat: true, hook: Hook::Output, priority: PRIORITY_DNAT },
        Change::FlushChain { chain: OUTPUT },
    ];
    for (protocol, port) in [(Protocol::Udp, udp), (Protocol::Tcp, tcp)] {
        let mut rule = ipv4();
        rule.extend([
            E::Network { offset: IPV4_DESTINATION, len: 4, to: 1 },
            compare(&crate::dns::ADDRESS.octets()),
            load(Key::L4Proto, 1),
            compare(&[protocol.number()]),
            E::Transport { offset: 2, len: 2, to: 1 },
            compare(&53u16.to_be_bytes()),
            E::Constant { to: 1, value: crate::dns::ADDRESS.octets().into() },
            E::Constant { to: 9, value: port.to_be_bytes().into() },
            E::Dnat { v6: false, address: 1, port: 9 },
        ]);
        plan.push(Change::AddRule { chain: OUTPUT, rule });
    }
    plan
}

/// A plan as text, a change or an instruction a line.
#[cfg(test)]
pub(crate) fn text(plan: &[Change]) -> String {
    plan.iter().map(|change| format!("{change}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pools;

    fn spec(change: impl FnOnce(&mut NetworkSpec)) -> NetworkSpec {
        let mut spec = NetworkSpec {
            id: "0".repeat(64),
            name: "front".into(),
            bridge: None,
            pools: vec![
                pools::pool("172.18.0.0/16".parse().unwrap()),
                pools::pool("fd00::/64".parse().unwrap()),
            ],
            ipv6: true,
            internal: false,
            icc: true,
            masquerade: true,
            mtu: 0,
            host_binding: None,
            dns: true,
        };
        change(&mut spec);
        spec
    }

    fn published(host: &str, protocol: Protocol, port: u16, target: &str) -> (Published, SocketAddr) {
        let target: SocketAddr = target.parse().unwrap();
        let host_ip = host.parse().unwrap();
        (Published { container_port: target.port(), protocol, host_ip, host_port: port }, target)
    }

    #[test]
    fn the_table() {
        assert_eq!(text(&base()), include_str!("golden/table.txt"));
    }

    #[test]
    fn networks() {
        let plans = [
            add_network(&spec(|_| {}), "br-front"),
            add_network(&spec(|s| s.internal = true), "br-in"),
            add_network(&spec(|s| (s.icc, s.masquerade) = (false, false)), "br-bare"),
            remove_network(&spec(|_| {}), "br-front"),
        ];
        assert_eq!(
            plans.iter().map(|plan| text(plan)).collect::<Vec<_>>().join("\n"),
            include_str!("golden/networks.txt")
        );
    }

    #[test]
    fn ports() {
        let ports = [
            published("0.0.0.0", Protocol::Tcp, 8080, "172.18.0.2:80"),
            published("::", Protocol::Tcp, 8080, "172.18.0.2:80"),
            published("::", Protocol::Udp, 53, "[fd00::2]:5353"),
            published("127.0.0.1", Protocol::Sctp, 9000, "172.18.0.2:9000"),
            published("fd99::1", Protocol::Tcp, 443, "[fd00::2]:443"),
            published("::1", Protocol::Tcp, 444, "[fd00::2]:443"),
        ];
        let plans = [publish(&ports), unpublish(&ports), resolver(40_001, 40_002)];
        assert_eq!(
            plans.iter().map(|plan| text(plan)).collect::<Vec<_>>().join("\n"),
            include_str!("golden/ports.txt")
        );
    }
}
