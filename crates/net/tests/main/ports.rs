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
        host.net.publish(&web.ends[0], std::slice::from_ref(&port)).unwrap();
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
        host.net.publish(&web.ends[0], std::slice::from_ref(&range)).unwrap();
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
        let first = host.reopen();
        let network = first.add_network(&host.wanted("n")).unwrap().spec;
        let (web, app) = (
            crate::host::container(&first, "web", &[&network]),
            crate::host::container(&first, "app", &[&network]),
        );
        web.serve(80);
        web.serve_udp(80);
        let wanted = [publish(Protocol::Tcp, 80, 8080, 8080), publish(Protocol::Udp, 80, 8080, 8080)];
        let ports = first.publish(&web.ends[0], &wanted).unwrap();
        drop(first);
        assert!(get(ip("127.0.0.1"), 8080).unwrap().starts_with("web "), "without a daemon");
        assert_eq!(app.get(web.v4(), 80).unwrap(), format!("web {}", app.v4()));
        assert!(get(ip("::1"), 8080).is_err(), "the proxy was the daemon's");
        let second = host.reopen();
        assert!(get(ip("127.0.0.1"), 8080).unwrap().starts_with("web "), "and not for a moment refused");
        assert_eq!(second.add_network(&network).unwrap().spec, network);
        for container in [&web, &app] {
            let ports = if container.name == "web" { ports.as_slice() } else { &[] };
            second.restore(container.sandbox.as_fd(), &container.ends, ports).unwrap();
            second.restore(container.sandbox.as_fd(), &container.ends, ports).expect("twice is once");
        }
        assert!(get(ip("127.0.0.1"), 8080).unwrap().starts_with("web "));
        assert!(get(ip("::1"), 8080).unwrap().starts_with("web "));
        assert!(ask_udp(ip("::1"), 8080, "x").unwrap().starts_with("web "));
        let question = "\0\x01\x01\0\0\x01\0\0\0\0\0\0\x03web\0\0\x01\0\x01";
        assert!(app.run(|| ask_udp(ip("127.0.0.11"), 53, question)).unwrap().contains("web"));
        let new = crate::host::container(&second, "new", &[&network]);
        assert!(new.v4() != web.v4() && new.v4() != app.v4(), "their addresses are taken");
        let error = second.publish(&new.ends[0], &wanted).unwrap_err();
        assert_eq!(error.object, "Bind for 0.0.0.0:8080 failed: port is already allocated");
        second.release("web", &web.ends, &ports).unwrap();
        second.publish(&new.ends[0], &wanted).unwrap();
        drop(second);
        // Now `new` ends while there is no daemon, so nobody restores it.
        let third = host.reopen();
        third.add_network(&network).unwrap();
        third.restore(web.sandbox.as_fd(), &web.ends, &[]).unwrap();
        let other = crate::host::container(&third, "other", &[&network]);
        assert!(get(ip("127.0.0.1"), 8080).is_err(), "its ports are gone before anyone can get its address");
        third.publish(&other.ends[0], &wanted).unwrap();
        third.destroy().unwrap();
    });
}

#[test]
fn root_many_at_once() {
    on_host(|host| {
        let network = host.network("n");
        let starts: Vec<_> = std::thread::scope(|scope| {
            let start = |number: usize| {
                let network = &network;
                move || {
                    let container = host.container(&format!("c{number}"), &[network]);
                    let any = [publish(Protocol::Tcp, 80, 0, 0), publish(Protocol::Udp, 80, 0, 0)];
                    (host.net.publish(&container.ends[0], &any).unwrap(), container)
                }
            };
            let all: Vec<_> = (0..40).map(|number| scope.spawn(start(number))).collect();
            all.into_iter().map(|one| one.join().unwrap()).collect()
        });
        let mut addresses: Vec<_> = starts.iter().map(|(_, container)| container.v4()).collect();
        addresses.sort();
        addresses.dedup();
        assert_eq!(addresses.len(), 40);
        let mut ports: Vec<_> = starts
            .iter()
            .flat_map(|(ports, _)| ports)
            .map(|port| (port.protocol, port.host_ip, port.host_port))
            .collect();
        ports.sort();
        ports.dedup();
        assert_eq!(ports.len(), 160);
        for (published, container) in &starts {
            assert_eq!(published[0].host_port, published[1].host_port, "the same on IPv4 and IPv6");
            container.serve(80);
            for address in ["127.0.0.1", "::1"] {
                let answer = get(ip(address), published[0].host_port).unwrap();
                assert!(
                    answer.starts_with(&format!("{} ", container.name)),
                    "{answer} from {}",
                    container.name
                );
            }
        }
    });
}

#[test]
fn root_big_transfers_by_the_proxy() {
    on_host(|host| {
        use std::io::{Read, Write};
        let network = host.network("n");
        let web = host.container("web", &[&network]);
        let listener = web.run(|| TcpListener::bind("0.0.0.0:80").unwrap());
        // Echoes until the client is done, then says so.
        let echo = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut other = stream.try_clone().unwrap();
            let length = std::io::copy(&mut stream, &mut other).unwrap();
            other.write_all(b"end").unwrap();
            length
        });
        host.net.publish(&web.ends[0], &[publish(Protocol::Tcp, 80, 8080, 8080)]).unwrap();
        let mut client = std::net::TcpStream::connect("[::1]:8080").unwrap();
        client.set_read_timeout(Some(crate::host::PATIENCE)).unwrap();
        let data: Vec<u8> = (0..8_000_000u32).map(|n| n.to_le_bytes()[n as usize % 3]).collect();
        let mut reader = client.try_clone().unwrap();
        let back = std::thread::spawn(move || {
            let mut back = Vec::new();
            reader.read_to_end(&mut back).unwrap();
            back
        });
        client.write_all(&data).unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(echo.join().unwrap(), 8_000_000);
        let back = back.join().unwrap();
        assert_eq!(back.len(), 8_000_003);
        assert!(back[..8_000_000] == data && back.ends_with(b"end"));
        // Nobody listens any more: a connection is hung up on, not held.
        let mut dead = std::net::TcpStream::connect("[::1]:8080").unwrap();
        dead.set_read_timeout(Some(crate::host::PATIENCE)).unwrap();
        assert!(matches!(dead.read(&mut [0; 9]), Ok(0) | Err(_)));
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
