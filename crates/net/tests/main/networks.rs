//! Containers, networks, isolation, and that nothing stays.

use crate::host::{Container, get, ip, on_host, pool};
use dhow_net::{Attach, Kind, Protocol, Publish};
use dhow_sys::netlink::{Family, Socket, route};
use rustix::fd::AsFd;
use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};

fn tcp(container_port: u16, host_port: u16) -> Publish {
    Publish { container_port, protocol: Protocol::Tcp, host_ip: None, host_port: (host_port, host_port) }
}

#[test]
fn root_networks_do_not_reach_each_other() {
    on_host(|host| {
        let (front, back) = (host.network("front"), host.network("back"));
        let (web, db) = (host.container("web", &[&front]), host.container("db", &[&back]));
        web.serve(80);
        db.serve(80);
        assert!(web.get(db.v4(), 80).is_err());
        assert!(db.get(web.v4(), 80).is_err());
        host.net.publish(&db.ends[0], &[tcp(80, 8080)]).unwrap();
        assert!(web.get(db.v4(), 80).is_err(), "published is a port of the host");
        let gateway = |network: &dhow_net::NetworkSpec| network.pools[0].gateway.unwrap();
        assert!(web.get(gateway(&front), 8080).unwrap().starts_with("db "));
        assert!(web.get(gateway(&back), 8080).unwrap().starts_with("db "));
        assert_eq!(
            get(db.v4(), 80).unwrap(),
            format!("db {}", gateway(&back)),
            "the host itself reaches all"
        );
    });
}

#[test]
fn root_from_outside_only_what_is_published() {
    on_host(|host| {
        let network = host.network("n");
        let web = host.container("web", &[&network]);
        web.serve(80);
        web.serve(81);
        let local = Publish { host_ip: Some(ip("127.0.0.1")), ..tcp(81, 8181) };
        host.net.publish(&web.ends[0], &[tcp(80, 8080), local]).unwrap();
        let outside = Container { name: "outside".into(), sandbox: host.neighbour(), ends: Vec::new() };
        assert_eq!(outside.get(ip("10.99.0.1"), 8080).unwrap(), "web 10.99.0.2", "with its own address");
        assert!(
            outside.get(ip("fd99::1"), 8080).unwrap().starts_with("web "),
            "by the proxy: the network has no IPv6"
        );
        assert!(outside.get(web.v4(), 80).is_err(), "routed past the published port");
        assert!(outside.get(web.v4(), 81).is_err());
        assert!(outside.get(ip("10.99.0.1"), 8181).is_err());
        assert!(get(ip("127.0.0.1"), 8181).unwrap().starts_with("web "));
        // 127.0.0.1 of the host, by a route a neighbour can make itself.
        outside.run(|| {
            let mut socket = Socket::open(Family::Route).unwrap();
            let lo = route::links(&mut socket).unwrap().into_iter().find(|link| link.name == "lo").unwrap();
            assert_eq!(lo.index, 1);
            socket.request(&route::delete_link("lo")).unwrap_err();
            fs::write("/proc/sys/net/ipv4/conf/all/route_localnet", "1").unwrap();
        });
        fs::write("/proc/sys/net/ipv4/conf/all/route_localnet", "1").unwrap();
        let through = std::net::UdpSocket::bind("127.0.0.1:9999").unwrap();
        through.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        assert!(through.recv(&mut [0; 9]).is_err());
    });
}

#[test]
fn root_leaving_is_masked_unless_told_not_to() {
    on_host(|host| {
        let masked = host.network("masked");
        let bare = host.spec("bare", |spec| spec.masquerade = false);
        let (one, two) = (host.container("one", &[&masked]), host.container("two", &[&bare]));
        let outside = Container { name: "outside".into(), sandbox: host.neighbour(), ends: Vec::new() };
        outside.serve(80);
        assert_eq!(one.get(ip("10.99.0.2"), 80).unwrap(), "outside 10.99.0.1");
        assert_eq!(two.get(ip("10.99.0.2"), 80).unwrap(), format!("outside {}", two.v4()));
    });
}

#[test]
fn root_internal_networks_have_no_way_out_or_in() {
    on_host(|host| {
        let inside = host.spec("inside", |spec| spec.internal = true);
        let front = host.network("front");
        let (one, two) = (host.container("one", &[&inside]), host.container("two", &[&inside]));
        let web = host.container("web", &[&front]);
        let outside = Container { name: "outside".into(), sandbox: host.neighbour(), ends: Vec::new() };
        outside.serve(80);
        two.serve(80);
        web.serve(80);
        assert_eq!(one.get(two.v4(), 80).unwrap(), format!("two {}", one.v4()));
        assert!(host.net.publish(&two.ends[0], &[tcp(80, 8080)]).unwrap().is_empty());
        host.net.publish(&web.ends[0], &[tcp(80, 8081)]).unwrap();
        // Even with a route of its own making.
        one.run(|| {
            let mut socket = Socket::open(Family::Route).unwrap();
            let index = route::link(&mut socket, "eth0").unwrap().index;
            socket.request(&route::add_default_route(index, inside.pools[0].gateway.unwrap())).unwrap();
        });
        assert!(one.get(ip("10.99.0.2"), 80).is_err());
        assert!(one.get(web.v4(), 80).is_err());
        assert!(one.get(ip("10.99.0.1"), 8081).is_err(), "nor to what others publish");
        assert!(outside.get(two.v4(), 80).is_err());
    });
}

#[test]
fn root_without_icc_containers_do_not_talk() {
    on_host(|host| {
        let network = host.spec("n", |spec| spec.icc = false);
        let (web, app) = (host.container("web", &[&network]), host.container("app", &[&network]));
        web.serve(80);
        assert!(app.get(web.v4(), 80).is_err());
        assert!(get(web.v4(), 80).is_ok());
    });
}

#[test]
fn root_ipv6_networks() {
    on_host(|host| {
        let network = host.spec("n", |spec| {
            spec.ipv6 = true;
            spec.pools = vec![pool("10.5.0.0/24"), pool("fd05::/64")];
        });
        let (web, app) = (host.container("web", &[&network]), host.container("app", &[&network]));
        web.serve6(80);
        let v6 = web.ends[0].ipv6.unwrap().0;
        assert_eq!(v6.to_string(), "fd05::2");
        assert_eq!(app.get(v6, 80).unwrap(), "web fd05::3");
        host.net.publish(&web.ends[0], &[tcp(80, 8080)]).unwrap();
        let outside = Container { name: "outside".into(), sandbox: host.neighbour(), ends: Vec::new() };
        assert_eq!(outside.get(ip("fd99::1"), 8080).unwrap(), "web fd99::2", "translated, not relayed");
        assert!(outside.get(v6, 80).is_err());
        assert_eq!(get(ip("::1"), 8080).unwrap(), "web fd05::1", "relayed");
        assert_eq!(app.get(ip("fd05::1"), 8080).unwrap(), "web fd05::1");
        assert_eq!(web.get(ip("fd05::1"), 8080).unwrap(), "web fd05::1");
        outside.serve6(80);
        assert_eq!(app.get(ip("fd99::2"), 80).unwrap(), "outside fd99::1");
        let (other, ()) = (host.container("plain", &[&host.network("plain")]), ());
        let inet6 = other.run(|| fs::read_to_string("/proc/thread-self/net/if_inet6").unwrap());
        assert!(!inet6.contains("eth0"), "no IPv6 where the network has none: {inet6}");
    });
}

#[test]
fn root_several_networks_and_live_changes() {
    on_host(|host| {
        let (front, back) = (host.network("front"), host.network("back"));
        let outside = Container { name: "outside".into(), sandbox: host.neighbour(), ends: Vec::new() };
        outside.serve(80);
        let app = host.container("app", &[&front, &back]);
        assert_eq!([&app.ends[0].interface, &app.ends[1].interface], ["eth0", "eth1"]);
        assert!(app.ends[0].gateway4.is_some() && app.ends[1].gateway4.is_none());
        let counters = host.net.counters(app.sandbox.as_fd()).unwrap();
        assert_eq!(counters.keys().collect::<Vec<_>>(), ["eth0", "eth1", "lo"]);
        app.get(ip("10.99.0.2"), 80).unwrap();
        assert!(host.net.counters(app.sandbox.as_fd()).unwrap()["eth0"].rx_bytes > counters["eth0"].rx_bytes);
        host.net.detach(Some(app.sandbox.as_fd()), &app.ends[0]).unwrap();
        app.get(ip("10.99.0.2"), 80).expect("the default route moves to the network that is left");
        let again = host
            .net
            .attach(app.sandbox.as_fd(), &Attach { default_route: false, ..app.wish(&front) })
            .unwrap();
        assert_eq!(again.interface, "eth0");
        assert!(!host.links().contains(&app.ends[0].host_interface));
    });
}

#[test]
fn root_static_addresses() {
    on_host(|host| {
        let network = host.spec("n", |spec| spec.pools = vec![pool("10.7.0.0/29")]);
        let fixed = |name: &str, address: &str| {
            let container = host.container(name, &[]);
            let ipv4 = Some(address.parse().unwrap());
            let end =
                host.net.attach(container.sandbox.as_fd(), &Attach { ipv4, ..container.wish(&network) });
            (container, end)
        };
        host.net.keep_address(&network.id, "db", Some("10.7.0.3".parse().unwrap()), None).unwrap();
        let (one, two) = (host.container("one", &[&network]), host.container("two", &[&network]));
        assert_eq!([one.v4(), two.v4()], [ip("10.7.0.2"), ip("10.7.0.4")]);
        let error = fixed("thief", "10.7.0.3").1.unwrap_err();
        assert_eq!((error.kind, error.object.as_str()), (Kind::Conflict, "Address already in use"));
        let (_db, end) = fixed("db", "10.7.0.3");
        assert_eq!(end.unwrap().mac, [2, 0x42, 10, 7, 0, 3]);
        assert_eq!(fixed("x", "10.7.0.9").1.unwrap_err().kind, Kind::Invalid);
        let _rest = [host.container("a", &[&network]), host.container("b", &[&network])];
        let full = host.container("c", &[]);
        let error = host.net.attach(full.sandbox.as_fd(), &full.wish(&network)).unwrap_err();
        let text = format!("no available IPv4 addresses on this network's address pools: n ({})", network.id);
        assert_eq!((error.kind, error.object), (Kind::Conflict, text));
    });
}

#[test]
fn root_a_failed_attach_leaves_nothing() {
    on_host(|host| {
        let network = host.spec("n", |spec| spec.pools = vec![pool("10.7.0.0/29")]);
        let app = host.container("app", &[&network]);
        let before = host.links();
        let wish = Attach { interface: Some("eth0".into()), ..app.wish(&network) };
        host.net.attach(app.sandbox.as_fd(), &wish).unwrap_err();
        assert_eq!(host.links(), before);
        let others: Vec<_> = (0..4).map(|n| host.container(&format!("c{n}"), &[&network])).collect();
        assert_eq!(others.len(), 4, "all other addresses are free");
    });
}

#[test]
fn root_subnets_do_not_collide() {
    on_host(|host| {
        let mut socket = Socket::open(Family::Route).unwrap();
        socket.request(&route::add_address(1, ip("172.17.5.1"), 24)).unwrap();
        let first = host.network("first");
        assert_eq!(first.pools[0].subnet.to_string(), "172.18.0.0/16");
        assert_eq!(first.pools[0].gateway, Some(ip("172.18.0.1")));
        assert_eq!(host.net.add_network(&first).unwrap().spec, first, "a second time is the same");
        let mut spec = first.clone();
        spec.id = "f".repeat(64);
        spec.bridge = None;
        let error = host.net.add_network(&spec).unwrap_err();
        assert_eq!(
            (error.kind, error.object.as_str()),
            (Kind::Conflict, "Pool overlaps with other one on this address space")
        );
        spec.bridge = Some("no/slash".into());
        assert_eq!(host.net.add_network(&spec).unwrap_err().kind, Kind::Invalid);
        let app = host.container("app", &[&first]);
        let error = host.net.remove_network(&first.id).unwrap_err();
        assert_eq!(
            (error.kind, error.object.as_str()),
            (Kind::Conflict, "network first has active endpoints")
        );
        host.net.release("app", &app.ends, &[]).unwrap();
        host.net.remove_network(&first.id).unwrap();
        assert_eq!(host.net.remove_network(&first.id).unwrap_err().kind, Kind::NotFound);
    });
}

#[test]
fn root_sysctls_are_the_sandboxs_own() {
    on_host(|host| {
        let before = fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap();
        let sysctls = BTreeMap::from([("net.core.somaxconn".to_owned(), "77".to_owned())]);
        let sandbox = host.net.sandbox(&sysctls).unwrap();
        let container = Container { name: "c".into(), sandbox, ends: Vec::new() };
        assert_eq!(container.run(|| fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap()), "77\n");
        assert_eq!(fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap(), before);
        for bad in ["kernel.pid_max", "net.core.nothing"] {
            let error = host.net.sandbox(&BTreeMap::from([(bad.to_owned(), "1".to_owned())])).unwrap_err();
            assert_eq!(error.kind, Kind::Invalid, "{error}");
        }
    });
}

#[test]
fn root_nothing_stays() {
    on_host(|host| {
        let network = host.network("n");
        let web = host.container("web", &[&network]);
        web.serve_udp(53);
        host.net.publish(&web.ends[0], &[tcp(80, 8080)]).unwrap();
        host.net.release("web", &web.ends, &[]).unwrap();
        std::net::TcpListener::bind("0.0.0.0:8080").expect("the port is free");
        let link = web.ends[0].host_interface.clone();
        assert!(host.links().contains(&link), "release deletes no link");
        let echo = web.v4();
        // The echo thread holds a socket in the namespace: tell it to go by closing its network.
        drop(web);
        assert!(crate::host::ask_udp(echo, 53, "x").is_ok(), "a socket keeps the namespace");
        let app = host.container("app", &[&network]);
        let link = app.ends[0].host_interface.clone();
        host.net.release("app", &app.ends, &[]).unwrap();
        drop(app);
        let start = Instant::now();
        while host.links().contains(&link) {
            assert!(start.elapsed() < Duration::from_secs(5), "{link} stays");
            std::thread::yield_now();
        }
        host.net.destroy().unwrap();
        assert!(!host.links().iter().any(|link| link.starts_with("br-")));
        if let Ok(list) = std::process::Command::new("nft").args(["list", "ruleset"]).output() {
            assert_eq!(String::from_utf8_lossy(&list.stdout), "");
        }
    });
}

#[test]
fn root_its_own_published_port_with_and_without_br_netfilter() {
    on_host(|host| {
        for (value, icc) in [("1", true), ("0", true), ("0", false)] {
            for family in ["iptables", "ip6tables"] {
                match fs::write(format!("/proc/sys/net/bridge/bridge-nf-call-{family}"), value) {
                    Err(error) if value == "1" => assert_eq!(error.kind(), std::io::ErrorKind::NotFound),
                    _ => {}
                }
            }
            let network = host.spec(&format!("n{value}{icc}"), |spec| (spec.ipv6, spec.icc) = (true, icc));
            let (web, app) = (host.container("web", &[&network]), host.container("app", &[&network]));
            web.serve6(80);
            let ports = host.net.publish(&web.ends[0], &[tcp(80, 8080)]).unwrap();
            for gateway in network.pools.iter().map(|pool| pool.gateway.unwrap()) {
                for client in [&web, &app] {
                    let answer = client.get(gateway, 8080);
                    assert_eq!(
                        answer.unwrap(),
                        format!("web {gateway}"),
                        "{} to {gateway}, {value} {icc}",
                        client.name
                    );
                }
            }
            host.net.release("web", &web.ends, &ports).unwrap();
            host.net.release("app", &app.ends, &[]).unwrap();
        }
    });
}
