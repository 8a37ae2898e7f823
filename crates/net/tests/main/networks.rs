//! Containers, networks, isolation.

use crate::host::{get, ip, on_host};
use dhow_net::{Protocol, Publish};

#[test]
fn root_two_containers_and_a_published_port() {
    on_host(|host| {
        let network = host.network("front");
        let (web, app) = (host.container("web", &[&network]), host.container("app", &[&network]));
        web.serve(80);
        assert_eq!(app.get(web.v4(), 80).unwrap(), format!("web {}", app.v4()));
        let wanted =
            Publish { container_port: 80, protocol: Protocol::Tcp, host_ip: None, host_port: (8080, 8080) };
        let published = host.net.publish(&web.ends[0], &[wanted]).unwrap();
        assert_eq!(published.len(), 2);
        let gateway = network.pools[0].gateway.unwrap();
        assert_eq!(get(ip("127.0.0.1"), 8080).unwrap(), format!("web {gateway}"));
        assert_eq!(get(gateway, 8080).unwrap(), format!("web {gateway}"));
        assert!(get(ip("::1"), 8080).unwrap().starts_with("web "));
        assert_eq!(app.get(gateway, 8080).unwrap(), format!("web {gateway}"));
        assert_eq!(web.get(gateway, 8080).unwrap(), format!("web {gateway}"), "itself");
    });
}
