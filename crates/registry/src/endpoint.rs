//! Where a registry is: mirrors, schemes, docker.io's real host.

use crate::{Client, Error, Kind};

/// One way to a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// `https://host:port`, a mirror's path behind it; no slash at the end.
    pub(crate) base: String,
    /// `host:port`.
    pub(crate) host: String,
    /// Whether its certificate must be good.
    pub(crate) verify: bool,
    /// Failing means only that the next one is asked.
    pub(crate) mirror: bool,
}

const HUB: &str = "docker.io";
const HUB_HOST: &str = "registry-1.docker.io";
const INDEX_HOST: &str = "index.docker.io";

impl Endpoint {
    fn new(scheme: &str, host: &str, verify: bool) -> Self {
        Self { base: format!("{scheme}://{host}"), host: host.to_owned(), verify, mirror: false }
    }

    pub(crate) fn is_plain(&self) -> bool {
        self.base.starts_with("http://")
    }

    /// Whether another endpoint may do better.
    pub(crate) fn falls_through(&self, error: &Error) -> bool {
        let may_be_plain = !self.verify && !self.is_plain() && error.kind == Kind::Unavailable;
        self.mirror || (may_be_plain && !error.is_timeout())
    }
}

/// The ways to the registry of an image's domain, best first.
pub(crate) async fn of_domain(client: &Client, domain: &str) -> Vec<Endpoint> {
    if domain != HUB {
        return of_host(client, domain).await;
    }
    let mut endpoints = Vec::new();
    for mirror in &client.inner.mirrors {
        endpoints.extend(of_mirror(client, mirror).await);
    }
    endpoints.extend(of_host(client, HUB_HOST).await);
    endpoints
}

/// The ways to a registry as `docker login` names it: `host`, `https://index.docker.io/v1/`, nothing for the hub.
pub(crate) async fn of_server(client: &Client, server: &str) -> Vec<Endpoint> {
    let host = server.split_once("://").map_or(server, |(_, rest)| rest);
    let host = host.split('/').next().unwrap_or(host);
    match host {
        "" | HUB | "index.docker.io" => of_host(client, HUB_HOST).await,
        host => of_host(client, host).await,
    }
}

/// The ways to what searches a registry; nothing names the hub, whose index has a host of its own.
pub(crate) async fn of_index(client: &Client, server: &str) -> Vec<Endpoint> {
    of_host(client, if server.is_empty() { INDEX_HOST } else { server }).await
}

/// Whether an image's domain is what is spoken to.
pub(crate) fn same_registry(domain: &str, endpoint: &Endpoint) -> bool {
    endpoint.host == if domain == HUB { HUB_HOST } else { domain }
}

async fn of_mirror(client: &Client, url: &str) -> Option<Endpoint> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
    let rest = rest.trim_end_matches('/');
    let host = rest.split('/').next().filter(|host| !host.is_empty())?.to_owned();
    let verify = !client.inner.insecure.contains(&host).await;
    Some(Endpoint { base: format!("{scheme}://{rest}"), host, verify, mirror: true })
}

async fn of_host(client: &Client, host: &str) -> Vec<Endpoint> {
    if !client.inner.insecure.contains(host).await {
        return vec![Endpoint::new("https", host, true)];
    }
    let known =
        client.inner.speaks_tls.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get(host).copied();
    let (tls, plain) = (Endpoint::new("https", host, false), Endpoint::new("http", host, false));
    match known {
        Some(true) => vec![tls],
        Some(false) => vec![plain],
        None => vec![tls, plain],
    }
}

/// Remembers how an insecure host is spoken to.
pub(crate) fn answered(client: &Client, endpoint: &Endpoint) {
    if !endpoint.verify && !endpoint.mirror {
        let mut known = client.inner.speaks_tls.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        known.insert(endpoint.host.clone(), !endpoint.is_plain());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    #[tokio::test]
    async fn the_hub_is_where_it_is() {
        let mirrors = vec!["https://mirror.lan/hub/".to_owned(), "http://127.0.0.1:5000".to_owned()];
        let client = Client::new(Config { insecure: vec![], mirrors });
        let bases = |endpoints: Vec<Endpoint>| endpoints.into_iter().map(|e| e.base).collect::<Vec<_>>();
        assert_eq!(
            bases(of_domain(&client, "docker.io").await),
            ["https://mirror.lan/hub", "http://127.0.0.1:5000", "https://registry-1.docker.io"]
        );
        assert_eq!(bases(of_domain(&client, "quay.io").await), ["https://quay.io"]);
        assert_eq!(
            bases(of_domain(&client, "localhost:5").await),
            ["https://localhost:5", "http://localhost:5"]
        );
        answered(&client, &Endpoint::new("http", "localhost:5", false));
        assert_eq!(bases(of_domain(&client, "localhost:5").await), ["http://localhost:5"]);
        for server in ["", "https://index.docker.io/v1/", "docker.io"] {
            assert_eq!(bases(of_server(&client, server).await), ["https://registry-1.docker.io"]);
        }
    }
}
