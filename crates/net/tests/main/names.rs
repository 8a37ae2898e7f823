//! Names: of containers, of the world, over UDP and TCP.

use crate::host::{Container, Host, PATIENCE, ip, on_host};
use rustix::fd::AsFd;
use simple_dns::{
    CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, ResourceRecord, TYPE, rdata::RData,
};
use std::{
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, TcpStream, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

const RESOLVER: (&str, u16) = ("127.0.0.11", 53);

fn question(name: &str, kind: TYPE) -> Vec<u8> {
    let mut packet = Packet::new_query(fastrand::u16(..));
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    packet.questions.push(Question::new(
        Name::new(name).unwrap(),
        QTYPE::TYPE(kind),
        QCLASS::CLASS(CLASS::IN),
        false,
    ));
    packet.build_bytes_vec().unwrap()
}

fn read(question: &[u8], answer: &[u8]) -> String {
    assert_eq!(answer[..2], question[..2], "id");
    let packet = Packet::parse(answer).unwrap();
    let mut words: Vec<String> = packet
        .answers
        .iter()
        .map(|record| match &record.rdata {
            RData::A(a) => Ipv4Addr::from(a.address).to_string(),
            RData::AAAA(a) => Ipv6Addr::from(a.address).to_string(),
            RData::PTR(name) => name.0.to_string(),
            other => format!("{other:?}"),
        })
        .collect();
    words.sort();
    if packet.rcode() != RCODE::NoError {
        words.push(format!("{:?}", packet.rcode()));
    }
    words.join(" ")
}

fn udp(container: &Container, name: &str, kind: TYPE) -> String {
    let question = question(name, kind);
    let answer = container.run(|| {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.connect(RESOLVER).unwrap();
        socket.send(&question).unwrap();
        let mut buffer = [0; 4096];
        let length = socket.recv(&mut buffer).unwrap();
        buffer[..length].to_vec()
    });
    read(&question, &answer)
}

fn a(container: &Container, name: &str) -> String {
    udp(container, name, TYPE::A)
}

fn tcp(container: &Container, name: &str) -> String {
    let question = question(name, TYPE::A);
    let answer = container.run(|| {
        let mut stream = TcpStream::connect(RESOLVER).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // In two pieces: the length may arrive alone.
        stream.write_all(&u16::try_from(question.len()).unwrap().to_be_bytes()).unwrap();
        stream.write_all(&question).unwrap();
        let mut length = [0; 2];
        stream.read_exact(&mut length).unwrap();
        let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut answer).unwrap();
        answer
    });
    read(&question, &answer)
}

/// A resolver that says the same about every name, over both transports; counts the questions. From the calling thread's namespace.
fn upstream(address: &str, says: Result<[u8; 4], RCODE>) -> Arc<AtomicUsize> {
    let asked = Arc::new(AtomicUsize::new(0));
    let answer = move |question: &[u8]| {
        let query = Packet::parse(question).unwrap();
        let mut reply = query.clone().into_reply();
        match says {
            Ok(address) => {
                let name = query.questions[0].qname.clone();
                reply.answers.push(ResourceRecord::new(
                    name,
                    CLASS::IN,
                    60,
                    RData::A(Ipv4Addr::from(address).into()),
                ));
            }
            Err(code) => *reply.rcode_mut() = code,
        }
        reply.build_bytes_vec().unwrap()
    };
    let socket = UdpSocket::bind((address, 53)).unwrap();
    let listener = TcpListener::bind((address, 53)).unwrap();
    let count = Arc::clone(&asked);
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            count.fetch_add(1, Ordering::SeqCst);
            socket.send_to(&answer(&buffer[..length]), from).unwrap();
        }
    });
    let count = Arc::clone(&asked);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut question).unwrap();
            count.fetch_add(1, Ordering::SeqCst);
            let answer = answer(&question);
            stream.write_all(&u16::try_from(answer.len()).unwrap().to_be_bytes()).unwrap();
            stream.write_all(&answer).unwrap();
        }
    });
    asked
}

fn host_resolver(host: &Host, servers: &str) {
    let text: String = servers.split(' ').map(|server| format!("nameserver {server}\n")).collect();
    std::fs::write(&host.resolv_conf, text).unwrap();
}

#[test]
fn root_names_of_containers() {
    on_host(|host| {
        let (front, back) = (host.network("front"), host.spec("back", |spec| spec.ipv6 = true));
        let (web, db, app) = (
            host.container("web", &[&front]),
            host.container("db", &[&back]),
            host.container("app", &[&front, &back]),
        );
        assert_eq!(a(&app, "web"), web.v4().to_string());
        assert_eq!(a(&app, "WEB"), web.v4().to_string());
        assert_eq!(tcp(&app, "db"), db.v4().to_string());
        assert_eq!(a(&web, "app"), app.v4().to_string(), "on the network they share");
        assert_eq!(udp(&app, "web", TYPE::AAAA), "", "known, but without IPv6");
        assert_eq!(udp(&app, "db", TYPE::AAAA), db.ends[0].ipv6.unwrap().0.to_string());
        assert_eq!(udp(&app, "web", TYPE::MX), "");
        let IpAddr::V4(v4) = web.v4() else { panic!() };
        let [o1, o2, o3, o4] = v4.octets();
        assert_eq!(udp(&app, &format!("{o4}.{o3}.{o2}.{o1}.in-addr.arpa"), TYPE::PTR), "web.front");
        host.net.rename(&web.ends[0], vec!["www".into(), "shared".into()]);
        assert_eq!(a(&app, "www"), web.v4().to_string());
        let mut other = host.container("other", &[]);
        let wish = dhow_net::Attach { names: vec!["shared".into()], ..other.wish(&front) };
        other.ends.push(host.net.attach(other.sandbox.as_fd(), &wish).unwrap());
        let mut both = [web.v4(), other.v4()];
        both.sort();
        assert_eq!(a(&app, "shared"), format!("{} {}", both[0], both[1]));
        host.net.detach(Some(other.sandbox.as_fd()), &other.ends[0]).unwrap();
        assert_eq!(a(&app, "shared"), web.v4().to_string());
    });
}

#[test]
fn root_a_container_may_have_port_53_itself() {
    on_host(|host| {
        let network = host.network("n");
        let dns = host.container("dns", &[&network]);
        dns.run(|| {
            let socket = UdpSocket::bind("0.0.0.0:53").unwrap();
            let listener = TcpListener::bind("0.0.0.0:53").unwrap();
            drop((socket, listener));
        });
        dns.serve_udp(53);
        let app = host.container("app", &[&network]);
        assert_eq!(a(&app, "dns"), dns.v4().to_string());
        assert_eq!(a(&dns, "app"), app.v4().to_string(), "its own resolver is still ours");
        let to = dns.v4();
        assert_eq!(app.run(|| crate::host::ask_udp(to, 53, "hi")).unwrap(), format!("dns {} hi", app.v4()));
    });
}

#[test]
fn root_the_rest_goes_to_the_hosts_resolvers() {
    on_host(|host| {
        let network = host.network("n");
        let app = host.container("app", &[&network]);
        let first = upstream("127.0.0.53", Ok([1, 2, 3, 4]));
        assert_eq!(a(&app, "example.com"), "1.2.3.4");
        assert_eq!(a(&app, "single"), "1.2.3.4");
        assert_eq!(tcp(&app, "example.com"), "1.2.3.4");
        assert_eq!(first.load(Ordering::SeqCst), 3);
        assert_eq!(a(&app, "app"), app.v4().to_string());
        assert_eq!(first.load(Ordering::SeqCst), 3, "own names stay here");
        upstream("127.0.0.54", Err(RCODE::ServerFailure));
        upstream("127.0.0.55", Ok([5, 6, 7, 8]));
        // 127.0.0.99 refuses, .54 is unwilling, .55 answers.
        host_resolver(host, "127.0.0.99 127.0.0.54 127.0.0.55");
        assert_eq!(a(&app, "example.com"), "5.6.7.8", "the file is read again");
        assert_eq!(tcp(&app, "example.com"), "5.6.7.8");
        host_resolver(host, "127.0.0.54");
        assert_eq!(a(&app, "example.com"), "ServerFailure");
        upstream("127.0.0.56", Err(RCODE::NameError));
        host_resolver(host, "127.0.0.56 127.0.0.55");
        assert_eq!(a(&app, "nothing.example.com"), "NameError", "an answer, if not a nice one");
    });
}

#[test]
fn root_a_silent_resolver_is_left_for_the_next() {
    on_host(|host| {
        let network = host.network("n");
        let app = host.container("app", &[&network]);
        let silent = UdpSocket::bind("127.0.0.57:53").unwrap();
        upstream("127.0.0.55", Ok([5, 6, 7, 8]));
        host_resolver(host, "127.0.0.57 127.0.0.55");
        assert_eq!(a(&app, "example.com"), "5.6.7.8");
        drop(silent);
    });
}

#[test]
fn root_an_internal_network_asks_nobody_but_its_own() {
    on_host(|host| {
        let network = host.spec("inside", |spec| spec.internal = true);
        let (app, ns) = (host.container("app", &[&network]), host.container("ns", &[&network]));
        let world = upstream("127.0.0.53", Ok([1, 2, 3, 4]));
        assert_eq!(a(&app, "example.com"), "NameError");
        assert_eq!(a(&app, "ns"), ns.v4().to_string());
        let address = ns.v4().to_string();
        let own = ns.run(|| upstream(&address, Ok([9, 9, 9, 9])));
        host.net.set_upstream("app", vec![ns.v4()]);
        assert_eq!(a(&app, "example.com"), "9.9.9.9");
        assert_eq!(tcp(&app, "example.com"), "9.9.9.9");
        assert_eq!((world.load(Ordering::SeqCst), own.load(Ordering::SeqCst)), (0, 2));
        host.net.set_upstream("app", Vec::new());
        assert_eq!(a(&app, "example.com"), "NameError");
    });
}

#[test]
fn root_the_default_bridge_gets_a_resolver_on_its_gateway() {
    on_host(|host| {
        let bridge = host.spec("bridge", |spec| spec.dns = false);
        let app = host.container("app", &[&bridge]);
        upstream("127.0.0.53", Ok([1, 2, 3, 4]));
        let resolvers = host.net.resolvers();
        let gateway = bridge.pools[0].gateway.unwrap();
        assert_eq!(
            (resolvers.servers.as_slice(), resolvers.search.as_slice()),
            (&[gateway][..], &["example".to_owned()][..])
        );
        let question = question("example.com", TYPE::A);
        let ask = || {
            let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
            socket.set_read_timeout(Some(Duration::from_millis(700))).unwrap();
            socket.connect((gateway, 53)).unwrap();
            socket.send(&question).unwrap();
            let mut buffer = [0; 512];
            socket.recv(&mut buffer).map(|length| read(&question, &buffer[..length]))
        };
        assert_eq!(app.run(ask).unwrap(), "1.2.3.4");
        let neighbour = host.neighbour();
        let outside = Container { name: "outside".into(), sandbox: neighbour, ends: Vec::new() };
        assert!(outside.run(ask).is_err(), "not a resolver for the world");
        host_resolver(host, "127.0.0.1 10.1.2.3");
        assert_eq!(host.net.resolvers().servers, [ip("10.1.2.3")]);
    });
}

#[test]
fn root_one_greedy_container_does_not_starve_the_others() {
    on_host(|host| {
        let network = host.network("n");
        let (greedy, app) = (host.container("greedy", &[&network]), host.container("app", &[&network]));
        let silent = UdpSocket::bind("127.0.0.53:53").unwrap();
        let (held, asked) = greedy.run(|| {
            let held: Vec<_> = (0..400).filter_map(|_| TcpStream::connect(RESOLVER).ok()).collect();
            let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
            socket.connect(RESOLVER).unwrap();
            for _ in 0..600 {
                socket.send(&question("example.com", TYPE::A)).unwrap();
            }
            (held, socket)
        });
        assert_eq!(a(&app, "greedy"), greedy.v4().to_string());
        assert_eq!(
            a(&greedy, "app"),
            app.v4().to_string(),
            "names of ours are answered whatever else is going on"
        );
        upstream("127.0.0.55", Ok([5, 6, 7, 8]));
        host_resolver(host, "127.0.0.55");
        assert_eq!(a(&app, "example.com"), "5.6.7.8");
        assert_eq!(a(&greedy, "example.com"), "Refused");
        drop((held, asked, silent));
        host.net.release("greedy", &greedy.ends, &[]).unwrap();
        assert_eq!(a(&app, "greedy"), "5.6.7.8", "no longer ours");
    });
}
