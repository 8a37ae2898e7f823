//! A fresh network namespace as "the host", containers in it, and what they say to each other.

use dhow_net::{Attach, Config, Endpoint, Net, NetworkSpec, Pool};
use dhow_sys::netlink::{Family, Socket, route};
use dhow_sys::netns;
use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::{AsFd, OwnedFd},
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Duration,
};

pub(crate) const PATIENCE: Duration = Duration::from_secs(3);

/// Runs a test in a network namespace of its own; says so and returns if that takes rights we do not have.
pub(crate) fn on_host(test: impl FnOnce(&Host) + Send + 'static) {
    if !rustix::process::geteuid().is_root() {
        assert!(std::env::var_os("REQUIRE_ROOT").is_none(), "REQUIRE_ROOT is set, and this is not root");
        io::stderr().write_all(b"skipped: needs root\n").unwrap();
        return;
    }
    let host = thread::spawn(move || {
        netns::unshare().unwrap();
        let mut socket = Socket::open(Family::Route).unwrap();
        socket.request(&route::set_up(1)).unwrap();
        let host = Host::new();
        test(&host);
    });
    if let Err(panic) = host.join() {
        std::panic::resume_unwind(panic);
    }
}

pub(crate) struct Host {
    pub(crate) net: Net,
    pub(crate) instance: String,
    pub(crate) resolv_conf: PathBuf,
}

impl Drop for Host {
    fn drop(&mut self) {
        fs::remove_file(&self.resolv_conf).unwrap();
    }
}

static INSTANCE: AtomicU32 = AtomicU32::new(0);

impl Host {
    fn new() -> Self {
        let instance = format!("t{}-{}", std::process::id(), INSTANCE.fetch_add(1, Ordering::Relaxed));
        let resolv_conf = std::env::temp_dir().join(format!("dhow-net-{instance}-resolv.conf"));
        fs::write(&resolv_conf, "nameserver 127.0.0.53\nsearch example\n").unwrap();
        let net = open(&instance, &resolv_conf);
        Self { net, instance, resolv_conf }
    }

    /// What a second daemon of the same instance would have.
    pub(crate) fn reopen(&self) -> Net {
        open(&self.instance, &self.resolv_conf)
    }

    pub(crate) fn network(&self, name: &str) -> NetworkSpec {
        self.spec(name, |_| {})
    }

    /// Adds a network, changed by `change`.
    pub(crate) fn spec(&self, name: &str, change: impl FnOnce(&mut NetworkSpec)) -> NetworkSpec {
        let mut spec = self.wanted(name);
        change(&mut spec);
        self.net.add_network(&spec).unwrap().spec
    }

    /// What a plain network is.
    pub(crate) fn wanted(&self, name: &str) -> NetworkSpec {
        NetworkSpec {
            id: format!("{name:0<12}{:0>52}", ""),
            name: name.into(),
            bridge: None,
            pools: Vec::new(),
            ipv6: false,
            internal: false,
            icc: true,
            masquerade: true,
            mtu: 0,
            host_binding: None,
            dns: true,
        }
    }

    pub(crate) fn container(&self, name: &str, networks: &[&NetworkSpec]) -> Container {
        container(&self.net, name, networks)
    }

    /// Names of the links of the host.
    pub(crate) fn links(&self) -> Vec<String> {
        let mut socket = Socket::open(Family::Route).unwrap();
        route::links(&mut socket).unwrap().into_iter().map(|link| link.name).collect()
    }

    /// Like a second machine on the host's LAN: the host gets 10.99.0.1/24 and fd99::1/64, the other .2.
    pub(crate) fn neighbour(&self) -> OwnedFd {
        let (other, ()) = netns::create(|| Socket::open(Family::Route)?.request(&route::set_up(1))).unwrap();
        let mut socket = Socket::open(Family::Route).unwrap();
        socket.request(&route::add_bridge("lan", [2, 0, 0, 0, 0, 1], 0)).unwrap();
        let bridge = route::link(&mut socket, "lan").unwrap().index;
        let veth = route::Veth {
            name: "lan-port",
            bridge,
            mtu: 0,
            peer: "eth0",
            mac: [2, 0, 0, 0, 0, 2],
            namespace: other.as_fd(),
            isolated: false,
            hairpin: false,
        };
        socket.request(&route::add_veth(&veth)).unwrap();
        let set = |socket: &mut Socket, index, last: u8| {
            let v6: IpAddr = format!("fd99::{last}").parse().unwrap();
            socket.request(&route::add_address(index, [10, 99, 0, last].into(), 24)).unwrap();
            socket.request(&route::add_address(index, v6, 64)).unwrap();
            socket.request(&route::set_up(index)).unwrap();
        };
        fs::write("/proc/sys/net/ipv6/conf/lan/accept_dad", "0").unwrap();
        set(&mut socket, bridge, 1);
        netns::within(other.as_fd(), || {
            let mut socket = Socket::open(Family::Route)?;
            let index = route::link(&mut socket, "eth0")?.index;
            set(&mut socket, index, 2);
            socket.request(&route::add_default_route(index, [10, 99, 0, 1].into()))?;
            socket.request(&route::add_default_route(index, "fd99::1".parse().unwrap()))?;
            route::link(&mut socket, "eth0").map(drop)
        })
        .unwrap();
        for link in ["lan-port", "lan"] {
            route::link(&mut socket, link).unwrap();
        }
        other
    }
}

pub(crate) fn container(net: &Net, name: &str, networks: &[&NetworkSpec]) -> Container {
    let sandbox = net.sandbox(&BTreeMap::new()).unwrap();
    let mut container = Container { name: name.into(), sandbox, ends: Vec::new() };
    for network in networks {
        let end = net.attach(container.sandbox.as_fd(), &container.wish(network)).unwrap();
        container.ends.push(end);
    }
    container
}

fn open(instance: &str, resolv_conf: &std::path::Path) -> Net {
    let config =
        Config { instance: instance.into(), pools: Vec::new(), bip: None, resolv_conf: resolv_conf.into() };
    Net::open(config).unwrap()
}

pub(crate) fn pool(subnet: &str) -> Pool {
    Pool { subnet: subnet.parse().unwrap(), range: None, gateway: None, reserved: BTreeMap::new() }
}

pub(crate) struct Container {
    pub(crate) name: String,
    pub(crate) sandbox: OwnedFd,
    pub(crate) ends: Vec<Endpoint>,
}

impl Container {
    pub(crate) fn wish(&self, network: &NetworkSpec) -> Attach {
        Attach {
            network: network.id.clone(),
            container: self.name.clone(),
            default_route: self.ends.is_empty(),
            names: vec![self.name.clone()],
            ..Attach::default()
        }
    }

    pub(crate) fn v4(&self) -> IpAddr {
        self.ends[0].ipv4.unwrap().0.into()
    }

    /// Runs in the container's namespace.
    pub(crate) fn run<T: Send>(&self, inside: impl FnOnce() -> T + Send) -> T {
        netns::within(self.sandbox.as_fd(), || Ok(inside())).unwrap()
    }

    /// Answers every connection with the container's name and the peer's address, until the test ends.
    pub(crate) fn serve(&self, port: u16) {
        let listener = self.run(|| TcpListener::bind(("0.0.0.0", port)).unwrap());
        greet(listener, &self.name);
    }

    pub(crate) fn serve6(&self, port: u16) {
        let listener = self.run(|| TcpListener::bind(("::", port)).unwrap());
        greet(listener, &self.name);
    }

    /// Echoes datagrams, the container's name in front.
    pub(crate) fn serve_udp(&self, port: u16) {
        let socket = self.run(|| UdpSocket::bind(("0.0.0.0", port)).unwrap());
        let name = self.name.clone();
        thread::spawn(move || {
            let mut buffer = [0; 2048];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                let answer = format!("{name} {} {}", from.ip(), String::from_utf8_lossy(&buffer[..length]));
                socket.send_to(answer.as_bytes(), from).unwrap();
            }
        });
    }

    pub(crate) fn get(&self, address: impl Into<IpAddr>, port: u16) -> io::Result<String> {
        let address = address.into();
        self.run(|| get(address, port))
    }
}

fn greet(listener: TcpListener, name: &str) {
    let name = name.to_owned();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let peer = stream.peer_addr().unwrap().ip().to_canonical();
            // The client may have left.
            drop(stream.write_all(format!("{name} {peer}").as_bytes()));
        }
    });
}

/// What the server at an address says, from the calling thread's namespace.
pub(crate) fn get(address: IpAddr, port: u16) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::new(address, port), Duration::from_millis(700))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    if text.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(text) }
}

/// What the UDP server says.
pub(crate) fn ask_udp(address: IpAddr, port: u16, text: &str) -> io::Result<String> {
    let local = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    ask_udp_from(&UdpSocket::bind(local)?, address, port, text)
}

pub(crate) fn ask_udp_from(socket: &UdpSocket, address: IpAddr, port: u16, text: &str) -> io::Result<String> {
    socket.set_read_timeout(Some(Duration::from_millis(700)))?;
    socket.connect((address, port))?;
    socket.send(text.as_bytes())?;
    let mut buffer = [0; 2048];
    let length = socket.recv(&mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}
