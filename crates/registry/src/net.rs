//! Addresses and names: which hosts are insecure, which proxy leads to a host.

use http::{HeaderValue, Uri};
use std::net::IpAddr;

/// An address range, `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    address: IpAddr,
    bits: u32,
}

impl Range {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/')?;
        let (address, bits): (IpAddr, u32) = (address.parse().ok()?, bits.parse().ok()?);
        let width = if address.is_ipv4() { 32 } else { 128 };
        (bits <= width).then_some(Self { address, bits })
    }

    pub(crate) fn contains(&self, other: IpAddr) -> bool {
        let shift = |width: u32| width - self.bits;
        match (self.address, other.to_canonical()) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                (a.to_bits() ^ b.to_bits()).checked_shr(shift(32)).unwrap_or(0) == 0
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                (a.to_bits() ^ b.to_bits()).checked_shr(shift(128)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

/// Host and port of `host:port`, `[v6]:port`; the host without brackets.
pub(crate) fn split_port(authority: &str) -> (&str, Option<u16>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !host.ends_with(':') && (!host.contains(':') || host.ends_with(']')) => {
            (host.trim_matches(['[', ']']), port.parse().ok())
        }
        _ => (authority.trim_matches(['[', ']']), None),
    }
}

/// Hosts that need neither TLS nor a good certificate.
#[derive(Debug, Default)]
pub(crate) struct Insecure {
    hosts: Vec<String>,
    ranges: Vec<Range>,
}

impl Insecure {
    pub(crate) fn new(entries: &[String]) -> Self {
        let mut insecure = Self::default();
        for entry in entries {
            match Range::parse(entry) {
                Some(range) => insecure.ranges.push(range),
                None => insecure.hosts.push(entry.to_lowercase()),
            }
        }
        insecure
    }

    /// Whether a registry (`host[:port]`) is one of them; names are resolved where ranges are configured, as docker does.
    pub(crate) async fn contains(&self, authority: &str) -> bool {
        let authority = authority.to_lowercase();
        let (host, port) = split_port(&authority);
        if host == "localhost" || self.hosts.iter().any(|h| *h == authority || h == host) {
            return true;
        }
        let listed = |address: IpAddr| {
            address.is_loopback() || self.ranges.iter().any(|range| range.contains(address))
        };
        if let Ok(address) = host.parse::<IpAddr>() {
            return listed(address.to_canonical());
        }
        if self.ranges.is_empty() {
            return false;
        }
        match tokio::net::lookup_host((host, port.unwrap_or(443))).await {
            Ok(mut addresses) => addresses.any(|address| listed(address.ip())),
            // The request itself will say that the name is unknown.
            Err(_) => false,
        }
    }
}

/// A proxy: where it is and what it wants to know.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Proxy {
    pub(crate) uri: Uri,
    pub(crate) auth: Option<HeaderValue>,
}

/// curl's and Go's environment variables.
#[derive(Debug, Default)]
pub(crate) struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
    except: Vec<String>,
}

impl Proxies {
    pub(crate) fn from_env() -> Self {
        Self::new(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    pub(crate) fn new(variable: impl Fn(&str) -> Option<String>) -> Self {
        let any = |upper: &str| variable(upper).or_else(|| variable(&upper.to_lowercase()));
        let proxy = |name: &str| any(name).or_else(|| any("ALL_PROXY")).and_then(|text| parse_proxy(&text));
        let except = any("NO_PROXY").unwrap_or_default();
        let except = except.split(',').map(|entry| entry.trim().to_lowercase()).filter(|e| !e.is_empty());
        Self { http: proxy("HTTP_PROXY"), https: proxy("HTTPS_PROXY"), except: except.collect() }
    }

    /// The proxy that leads to `uri`.
    pub(crate) fn of(&self, uri: &Uri) -> Option<&Proxy> {
        let authority = uri.authority()?.as_str().to_lowercase();
        let (host, _) = split_port(&authority);
        let address = host.parse::<IpAddr>().ok();
        if host == "localhost" || address.is_some_and(|a| a.is_loopback()) {
            return None;
        }
        let excepted = self.except.iter().any(|entry| {
            let suffix = entry.trim_start_matches("*.").trim_start_matches('.');
            entry == "*"
                || *entry == authority
                || host == suffix
                || host.strip_suffix(suffix).is_some_and(|front| front.ends_with('.'))
                || address.is_some_and(|a| Range::parse(entry).is_some_and(|range| range.contains(a)))
        });
        if excepted {
            return None;
        }
        if uri.scheme_str() == Some("http") { self.http.as_ref() } else { self.https.as_ref() }
    }
}

fn parse_proxy(text: &str) -> Option<Proxy> {
    use base64::{Engine, prelude::BASE64_STANDARD};
    let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
    let rest = rest.trim_end_matches('/');
    let (user, authority) = rest.rsplit_once('@').map_or((None, rest), |(user, host)| (Some(user), host));
    if scheme != "http" {
        tracing::warn!(proxy = authority, scheme, "only http:// proxies are supported: this one is not used");
        return None;
    }
    let auth = user.and_then(|user| {
        HeaderValue::from_str(&format!("Basic {}", BASE64_STANDARD.encode(unescape(user)))).ok()
    });
    let (_, port) = split_port(authority);
    let port = if port.is_some() { "" } else { ":80" };
    Some(Proxy { uri: format!("http://{authority}{port}").parse().ok()?, auth })
}

/// `%40` → `@`.
fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let code = (first == b'%').then(|| after.get(..2)).flatten();
        let code = code.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        out.push(code.unwrap_or(first));
        rest = if code.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn insecure_hosts_are_loopback_and_what_is_listed() {
        let entries = ["reg.lan:5000", "plain.lan", "10.1.0.0/16", "fd00::/8"].map(str::to_owned);
        let insecure = Insecure::new(&entries);
        for yes in [
            "localhost:5000",
            "127.0.0.2",
            "[::1]:5000",
            "REG.lan:5000",
            "plain.lan:99",
            "10.1.255.1:5000",
            "[fd12::1]",
        ] {
            assert!(insecure.contains(yes).await, "{yes}");
        }
        let insecure = Insecure::new(&entries[..2]);
        for no in ["docker.io", "reg.lan", "reg.lan:5001", "10.1.0.1", "localhost.evil.com"] {
            assert!(!insecure.contains(no).await, "{no}");
        }
    }

    #[test]
    fn proxies_are_found_as_curl_does() {
        let proxies = Proxies::new(|name| match name {
            "https_proxy" => Some("http://u%40x:p@proxy:3128/".to_owned()),
            "HTTP_PROXY" => Some("plainproxy".to_owned()),
            "NO_PROXY" => Some("internal.lan, .sub.org,10.0.0.0/8".to_owned()),
            _ => None,
        });
        let of = |uri: &str| proxies.of(&uri.parse().unwrap()).map(|proxy| proxy.uri.to_string());
        assert_eq!(of("https://registry-1.docker.io/v2/").as_deref(), Some("http://proxy:3128/"));
        assert_eq!(of("http://reg:5000/v2/").as_deref(), Some("http://plainproxy:80/"));
        for direct in [
            "https://internal.lan/",
            "https://a.internal.lan:5000/",
            "https://x.sub.org",
            "https://10.2.3.4/",
            "https://localhost:1/",
            "http://[::1]:5/",
        ] {
            assert_eq!(of(direct), None, "{direct}");
        }
        assert!(of("https://notinternal.lan/").is_some());
        let auth = proxies.https.unwrap().auth.unwrap();
        assert_eq!(auth, "Basic dUB4OnA=");
    }
}
