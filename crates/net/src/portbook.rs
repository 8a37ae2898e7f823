//! Which host ports are ours, and which one to give next. Pure: the sockets that hold them on the host are the proxy's.

use crate::{Published, port::Protocol};
use std::{collections::BTreeMap, net::IpAddr};

/// Ports of all containers: (protocol, port) → addresses and who has them.
#[derive(Debug, Default)]
pub(crate) struct PortBook {
    taken: BTreeMap<(Protocol, u16), Vec<(IpAddr, String)>>,
    last: u16,
}

impl PortBook {
    /// Whether someone has this port on this address, or on all addresses, or this one is all addresses.
    pub(crate) fn is_taken(&self, protocol: Protocol, address: IpAddr, port: u16) -> bool {
        let holders = self.taken.get(&(protocol, port)).map(Vec::as_slice).unwrap_or_default();
        holders.iter().any(|(other, _)| {
            other.is_ipv4() == address.is_ipv4()
                && (*other == address || other.is_unspecified() || address.is_unspecified())
        })
    }

    /// Enters a port of a container.
    pub(crate) fn take(&mut self, container: &str, port: &Published) {
        self.taken
            .entry((port.protocol, port.host_port))
            .or_default()
            .push((port.host_ip, container.to_owned()));
    }

    /// Frees a port if this container has it.
    pub(crate) fn free(&mut self, container: &str, port: &Published) -> bool {
        let key = (port.protocol, port.host_port);
        let Some(holders) = self.taken.get_mut(&key) else { return false };
        let before = holders.len();
        holders.retain(|(address, holder)| *address != port.host_ip || holder != container);
        let found = holders.len() < before;
        if holders.is_empty() {
            self.taken.remove(&key);
        }
        found
    }

    /// All ports of the range in the order to try them: a range that was asked for from its start, the machine's range for "any" from behind
    /// the last one given, so that a port just freed rests.
    pub(crate) fn candidates(
        &self,
        (first, last): (u16, u16),
        any: bool,
    ) -> impl Iterator<Item = u16> + use<> {
        let start = if any && (first..last).contains(&self.last) { self.last + 1 } else { first };
        (start..=last).chain(first..start)
    }

    /// Remembers a port given for "any".
    pub(crate) const fn given(&mut self, port: u16) {
        self.last = port;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published(ip: &str, port: u16) -> Published {
        Published {
            container_port: 80,
            protocol: Protocol::Tcp,
            host_ip: ip.parse().unwrap(),
            host_port: port,
        }
    }

    #[test]
    fn conflicts() {
        let mut book = PortBook::default();
        book.take("a", &published("0.0.0.0", 80));
        book.take("a", &published("127.0.0.1", 81));
        let taken = |ip: &str, port| book.is_taken(Protocol::Tcp, ip.parse().unwrap(), port);
        assert!(
            taken("0.0.0.0", 80) && taken("127.0.0.1", 80) && taken("0.0.0.0", 81) && taken("127.0.0.1", 81)
        );
        assert!(!taken("127.0.0.2", 81) && !taken("::", 80) && !taken("0.0.0.0", 82));
        assert!(!book.is_taken(Protocol::Udp, "0.0.0.0".parse().unwrap(), 80));
        assert!(!book.free("b", &published("0.0.0.0", 80)));
        assert!(book.free("a", &published("0.0.0.0", 80)));
        assert!(!book.is_taken(Protocol::Tcp, "0.0.0.0".parse().unwrap(), 80));
    }

    #[test]
    fn any_goes_round_and_a_range_starts_at_its_start() {
        let mut book = PortBook::default();
        let list = |book: &PortBook, any| book.candidates((10, 13), any).collect::<Vec<_>>();
        assert_eq!(list(&book, true), [10, 11, 12, 13]);
        book.given(11);
        assert_eq!(list(&book, true), [12, 13, 10, 11]);
        assert_eq!(list(&book, false), [10, 11, 12, 13]);
        book.given(13);
        assert_eq!(list(&book, true), [10, 11, 12, 13]);
    }
}
