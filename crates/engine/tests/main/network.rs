//! Bridges, ports, names, volumes, limits.

use crate::harness::{Bench, able};
use dhow_engine::{
    Kind,
    containers::{PortBinding, Remove, Status},
    networks,
};
use std::{io::Read, net::TcpStream, time::Duration};

fn binding(port: &str) -> Vec<PortBinding> {
    vec![PortBinding { host_ip: String::new(), host_port: port.into() }]
}

async fn until_ready(bench: &Bench, id: &str) {
    for _ in 0..200 {
        if bench.logs(id).await.contains("ready") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{id} is not ready: {}", bench.logs(id).await);
}

fn fetch(port: u16) -> std::io::Result<String> {
    let mut text = String::new();
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.read_to_string(&mut text)?;
    Ok(text)
}

#[tokio::test(flavor = "multi_thread")]
async fn root_ports_and_the_default_bridge() {
    if !able() {
        return;
    }
    let bench = Bench::new("prt").await;
    let id = bench
        .create(&["serve", "80"], |c| {
            c.spec.host.network_mode = "bridge".into();
            c.spec.host.port_bindings.insert("80/tcp".into(), binding(""));
            c.name = Some("web".into());
        })
        .await;
    bench.containers().start(&id).await.unwrap();
    until_ready(&bench, &id).await;
    let view = bench.containers().view(&id).unwrap();
    let port = view.ports[0].host_port;
    assert_eq!(fetch(port).unwrap(), "hello from inside");
    let address = view.networks["bridge"].endpoint.as_ref().unwrap().ipv4.unwrap().0;
    // the port is taken
    let rival = bench
        .create(&["serve", "80"], |c| {
            c.spec.host.network_mode = "bridge".into();
            c.spec.host.port_bindings.insert("80/tcp".into(), binding(&port.to_string()));
        })
        .await;
    let error = bench.containers().start(&rival).await.unwrap_err();
    assert!(error.message.contains("port is already allocated"), "{}", error.message);
    assert_eq!(bench.containers().view(&rival).unwrap().status, Status::Created);
    // by address from a neighbour, whose /etc/hosts and resolv.conf are its own
    let peer = bench
        .create(&["fetch", &format!("{address}:80")], |c| c.spec.host.network_mode = "bridge".into())
        .await;
    bench.containers().start(&peer).await.unwrap();
    assert_eq!(bench.wait(&peer).await, 0, "{}", bench.logs(&peer).await);
    assert!(bench.logs(&peer).await.contains("hello"));
    // stopped: the port is free at once, for the rival
    bench.containers().remove(&id, Remove { force: true, volumes: false }).await.unwrap();
    bench.containers().start(&rival).await.unwrap();
    until_ready(&bench, &rival).await;
    assert_eq!(fetch(port).unwrap(), "hello from inside");
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn root_names_on_a_user_network() {
    if !able() {
        return;
    }
    let bench = Bench::new("dns").await;
    let create = networks::Create { name: "app".into(), enable_ipv4: true, ..Default::default() };
    let (network, _) = bench.engine.networks().create(create).await.unwrap();
    let server = bench
        .create(&["serve", "7000"], |c| {
            c.spec.host.network_mode = "app".into();
            c.name = Some("server".into());
            let config = networks::EndpointConfig { aliases: vec!["db".into()], ..Default::default() };
            c.networks.insert("app".into(), config);
        })
        .await;
    bench.containers().start(&server).await.unwrap();
    until_ready(&bench, &server).await;
    for name in ["server", "db", &server[..12]] {
        let peer = bench
            .create(&["fetch", &format!("{name}:7000")], |c| c.spec.host.network_mode = "app".into())
            .await;
        bench.containers().start(&peer).await.unwrap();
        assert_eq!(bench.wait(&peer).await, 0, "{name}: {}", bench.logs(&peer).await);
    }
    assert_eq!(bench.engine.networks().view("app").unwrap().containers.len(), 1);
    assert_eq!(bench.engine.networks().remove("app").await.unwrap_err().kind, Kind::Forbidden);
    // a neighbour on the default bridge comes over, live
    let late = bench.create(&["sleep"], |c| c.spec.host.network_mode = "bridge".into()).await;
    bench.containers().start(&late).await.unwrap();
    bench.engine.networks().connect(&network, &late, networks::EndpointConfig::default()).await.unwrap();
    let view = bench.containers().view(&late).unwrap();
    assert!(view.networks["app"].endpoint.is_some());
    bench.engine.networks().disconnect("app", &late, false).await.unwrap();
    assert!(!bench.containers().view(&late).unwrap().networks.contains_key("app"));
    for id in [server, late] {
        bench.containers().remove(&id, Remove { force: true, volumes: false }).await.unwrap();
    }
    bench.engine.networks().remove("app").await.unwrap();
    bench.close().await;
}
