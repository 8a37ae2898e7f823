//! Vantage points: each connection learns the broker's address as it used it, so that the address it is told to use works.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};
use tokio::net::TcpStream;

/// A host and a port that a client can use.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// A name or an address.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Endpoint {
    /// The address by which the client of `stream` came here: before the kernel rewrote it, if it did.
    pub(crate) fn of(stream: &TcpStream) -> std::io::Result<Self> {
        let local = stream.local_addr()?;
        let original = match local.ip().to_canonical() {
            IpAddr::V4(_) => rustix::net::sockopt::ip_original_dst(stream).map(SocketAddr::V4),
            IpAddr::V6(_) => rustix::net::sockopt::ipv6_original_dst(stream).map(SocketAddr::V6),
        };
        // An error means that nobody rewrote it: no NAT table, no tracking, or none of this connection.
        Ok(original.unwrap_or(local).into())
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Self { host: address.ip().to_canonical().to_string(), port: address.port() }
    }
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not HOST:PORT");
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(wrong());
        }
        Ok(Self { host, port: port.parse().map_err(|_| wrong())? })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_addresses_are_unmapped() {
        let mapped: SocketAddr = "[::ffff:10.9.0.1]:9092".parse().unwrap();
        assert_eq!(Endpoint::from(mapped).to_string(), "10.9.0.1:9092");
        let six: SocketAddr = "[::1]:9092".parse().unwrap();
        assert_eq!(Endpoint::from(six).to_string(), "[::1]:9092");
        assert_eq!("[::1]:9092".parse(), Ok(Endpoint::from(six)));
        assert!("9092".parse::<Endpoint>().is_err());
    }
}
