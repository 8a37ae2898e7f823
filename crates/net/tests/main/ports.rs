//! Published ports: conflicts, ranges, UDP, restarts.

use crate::host::{ask_udp, ask_udp_from, get, ip, on_host};
use dhow_net::{Kind, Protocol, Publish};
use rustix::fd::AsFd;
use std::net::{TcpListener, UdpSocket};

fn publish(protocol: Protocol, container_port: u16, first: u16, last: u16) -> Publish {
    Publish { container_port, protocol, host_ip: None, host_port: (first, last) }
}

#[test]
fn root_conflicts_are_told_in_dockers_words() {
    on_host(|host| {
        let network = host.network("n");
        let (web, app) = (host.container("web", &[&network]), host.container("app", &[&network]));
        let port = publish(Protocol::Tcp, 80, 8080, 8080);
        host.net.publish(&web.ends[0], &[port.clone()]).unwrap();
        let both = [publish(Protocol::Tcp, 81, 8081, 8081), port];
        let error = host.net.publish(&app.ends[0], &both).unwrap_err();
        assert_eq!(
            (error.kind, error.object.as_str()),
            (Kind::Conflict, "Bind for 0.0.0.0:8080 failed: port is already allocated")
        );
        TcpListener::bind("0.0.0.0:8081").expect("all or nothing");
        let foreign = TcpListener::bind("127.0.0.1:8082").unwrap();
        let error = host.net.publish(&app.ends[0], &[publish(Protocol::Tcp, 80, 8082, 8082)]).unwrap_err();
        let text = "failed to bind host port 0.0.0.0:8082/tcp: address already in use";
        assert_eq!((error.kind, error.object.as_str()), (Kind::Conflict, text));
        drop(foreign);
        TcpListener::bind("0.0.0.0:8080").expect_err("held against other programs");
        // A program that asks to share is refused as well.
        let other = Publish { host_ip: Some(ip("127.0.0.1")), ..publish(Protocol::Tcp, 80, 8080, 8080) };
        assert_eq!(host.net.publish(&app.ends[0], &[other]).unwrap_err().kind, Kind::Conflict);
        host.net.publish(&app.ends[0], &[publish(Protocol::Udp, 80, 8080, 8080)]).expect("another protocol");
    });
}

#[test]
fn root_ranges_and_any_port() {
    on_host(|host| {
        let network = host.network("n");
        let web = host.container("web", &[&network]);
        let foreign = UdpSocket::bind("[::1]:9001").unwrap();
        let range = publish(Protocol::Udp, 53, 9000, 9002);
        let ports = host.net.publish(&web.ends[0], &[range.clone(), range.clone()]).unwrap();
        let found: Vec<_> = ports.iter().map(|port| (port.host_ip.is_ipv4(), port.host_port)).collect();
        assert_eq!(
            found,
            [(true, 9000), (false, 9000), (true, 9002), (false, 9002)],
            "9001 is not free on IPv6"
        );
        drop(foreign);
        host.net.publish(&web.ends[0], &[range.clone()]).unwrap();
        let error = host.net.publish(&web.ends[0], &[range]).unwrap_err();
        assert_eq!((error.kind, error.object.as_str()), (Kind::Conflict, "all ports are allocated"));
        web.serve(80);
        let any = publish(Protocol::Tcp, 80, 0, 0);
        let ports = host.net.publish(&web.ends[0], &[any.clone(), any]).unwrap();
        assert_eq!(ports[0].host_port, ports[1].host_port);
        assert_ne!(ports[0].host_port, ports[2].host_port);
        for address in ["127.0.0.1", "::1"] {
            assert!(get(ip(address), ports[0].host_port).unwrap().starts_with("web "));
        }
    });
}

#[test]
fn root_udp_and_flows_of_before() {
    on_host(|host| {
        let network = host.network("n");
        let (one, two) = (host.container("one", &[&network]), host.container("two", &[&network]));
        one.serve_udp(5000);
        two.serve_udp(5000);
        let lan = host.neighbour();
        let gateway = network.pools[0].gateway.unwrap();
        let port = [publish(Protocol::Udp, 5000, 7000, 7000)];
        let client = crate::host::Container { name: "lan".into(), sandbox: lan, ends: Vec::new() };
        let socket = client.run(|| UdpSocket::bind("0.0.0.0:6000").unwrap());
        let ask = |text: &str| ask_udp_from(&socket, ip("10.99.0.1"), 7000, text);
        assert!(ask("early").is_err());
        host.net.publish(&one.ends[0], &port).unwrap();
        assert_eq!(ask("a").unwrap(), "one 10.99.0.2 a");
        host.net.release("one", &one.ends, &[]).unwrap();
        host.net.publish(&two.ends[0], &port).unwrap();
        assert_eq!(ask("b").unwrap(), "two 10.99.0.2 b", "the same flow, at once");
        assert_eq!(ask_udp(ip("127.0.0.1"), 7000, "c").unwrap(), format!("two {gateway} c"));
        assert_eq!(ask_udp(ip("::1"), 7000, "d").unwrap(), format!("two {gateway} d"));
        assert_eq!(two.run(|| ask_udp(gateway, 7000, "e")).unwrap(), format!("two {gateway} e"));
    });
}

#[test]
fn root_a_restarted_daemon_takes_over() {
    on_host(|host| {
        let network = host.network("n");
        let (web, app) = (host.container("web", &[&network]), host.container("app", &[&network]));
        web.serve(80);
        let ports = host.net.publish(&web.ends[0], &[publish(Protocol::Tcp, 80, 8080, 8080)]).unwrap();
        // The sockets of the first daemon end with its process, its Net here: the last handle is the test's, so only ports clash.
        host.net.release("web", &web.ends, &ports).unwrap();
        host.net.release("app", &app.ends, &[]).unwrap();
        assert!(get(ip("127.0.0.1"), 8080).is_err());
        let net = host.reopen();
        assert_eq!(net.add_network(&network).unwrap().spec, network);
        for container in [&web, &app] {
            let ports = if container.name == "web" { ports.as_slice() } else { &[] };
            net.restore(container.sandbox.as_fd(), &container.ends, ports).unwrap();
            net.restore(container.sandbox.as_fd(), &container.ends, ports).expect("twice is once");
        }
        assert!(get(ip("127.0.0.1"), 8080).unwrap().starts_with("web "));
        assert!(get(ip("::1"), 8080).unwrap().starts_with("web "));
        let resolved = app
            .run(|| ask_udp(ip("127.0.0.11"), 53, "\0\x01\x01\0\0\x01\0\0\0\0\0\0\x03web\0\0\x01\0\x01"))
            .unwrap();
        assert!(resolved.contains("web"));
        let other = net.sandbox(&std::collections::BTreeMap::new()).unwrap();
        let wish =
            dhow_net::Attach { network: network.id.clone(), container: "new".into(), ..Default::default() };
        let end = net.attach(other.as_fd(), &wish).unwrap();
        assert!(end.ipv4 != web.ends[0].ipv4 && end.ipv4 != app.ends[0].ipv4, "their addresses are taken");
        let error = net.publish(&end, &[publish(Protocol::Tcp, 80, 8080, 8080)]).unwrap_err();
        assert_eq!(error.kind, Kind::Conflict);
    });
}

#[test]
fn root_a_flushed_table_comes_back() {
    on_host(|host| {
        let network = host.network("n");
        let back = host.network("back");
        let (web, db) = (host.container("web", &[&network]), host.container("db", &[&back]));
        web.serve(80);
        db.serve(80);
        host.net.publish(&web.ends[0], &[publish(Protocol::Tcp, 80, 8080, 8080)]).unwrap();
        if std::process::Command::new("nft").args(["flush", "ruleset"]).status().is_err() {
            return;
        }
        assert!(get(ip("127.0.0.1"), 8080).unwrap().starts_with("web "), "the proxy carries on at the least");
        let start = std::time::Instant::now();
        while web.get(db.v4(), 80).is_ok() {
            assert!(start.elapsed().as_secs() < 2, "isolation is not back");
        }
        assert!(get(ip("127.0.0.1"), 8080).unwrap().starts_with("web "));
        host.net.release("web", &web.ends, &[]).unwrap();
    });
}
