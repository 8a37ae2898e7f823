//! The address book of one pool: round robin, so that an address rests as long as possible before it is used again.

use crate::subnet::number;
use crate::{Error, Pool, Result, Subnet};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

/// Which addresses of a pool are taken.
#[derive(Debug)]
pub(crate) struct Addresses {
    subnet: Subnet,
    /// First and last number handed out.
    range: (u128, u128),
    used: BTreeSet<u128>,
    /// Kept for a container that is not attached: number → container.
    kept: BTreeMap<u128, String>,
    last: u128,
}

impl Addresses {
    /// All free but the network's own addresses, the gateway and what the pool reserves.
    ///
    /// # Errors
    /// `Invalid` if the range, gateway or a reserved address is outside.
    pub(crate) fn new(pool: &Pool) -> Result<Self> {
        let subnet = pool.subnet;
        let range = pool.range.unwrap_or(subnet);
        let inside = |address: IpAddr| subnet.contains(address);
        if !inside(range.at(range.first())) || !inside(range.at(range.last())) {
            return Err(Error::invalid("make address pool", format!("no matching subnet for range {range}")));
        }
        let mut used = BTreeSet::new();
        for address in pool.gateway.iter().chain(pool.reserved.values()) {
            if !inside(*address) {
                return Err(Error::invalid(
                    "make address pool",
                    format!("no matching subnet for address {address}"),
                ));
            }
            used.insert(number(*address));
        }
        // The first address names the subnet (IPv6: any router); IPv4's last is broadcast. /31 and /127 have neither.
        if subnet.bits() - subnet.prefix > 1 {
            used.insert(subnet.first());
            if subnet.address.is_ipv4() {
                used.insert(subnet.last());
            }
        }
        let range = (range.first(), range.last());
        Ok(Self { subnet, range, used, kept: BTreeMap::new(), last: range.1 })
    }

    /// Whether the address is of this pool.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        self.subnet.contains(address)
    }

    /// Takes the next free address.
    pub(crate) fn next(&mut self) -> Option<IpAddr> {
        let (first, last) = self.range;
        let start = if self.last >= last || self.last < first { first } else { self.last + 1 };
        let free = |numbers: std::ops::RangeInclusive<u128>| -> Option<u128> {
            let mut numbers = numbers;
            numbers.find(|n| !self.used.contains(n) && !self.kept.contains_key(n))
        };
        let found =
            free(start..=last).or_else(|| if start > first { free(first..=start - 1) } else { None })?;
        self.used.insert(found);
        self.last = found;
        Some(self.subnet.at(found))
    }

    /// Takes this address for a container.
    ///
    /// # Errors
    /// `Conflict` if it is taken, `Invalid` if it is outside.
    pub(crate) fn claim(&mut self, address: IpAddr, container: &str) -> Result<()> {
        if !self.subnet.contains(address) {
            let text =
                format!("invalid address {address}: It does not belong to any of this network's subnets");
            return Err(Error::invalid("take address", text));
        }
        let number = number(address);
        let others = self.kept.get(&number).is_some_and(|holder| holder != container);
        if others || !self.used.insert(number) {
            return Err(Error::conflict("take address", "Address already in use"));
        }
        Ok(())
    }

    /// Keeps a free address for a container until it takes it, gives it back, or [`Self::forget`].
    ///
    /// # Errors
    /// As [`Self::claim`].
    pub(crate) fn keep(&mut self, address: IpAddr, container: &str) -> Result<()> {
        let held = self.kept.get(&number(address)).is_some_and(|holder| holder == container);
        if held {
            return Ok(());
        }
        self.claim(address, container)?;
        self.used.remove(&number(address));
        self.kept.insert(number(address), container.to_owned());
        Ok(())
    }

    /// Ends [`Self::keep`] of all addresses of a container.
    pub(crate) fn forget(&mut self, container: &str) {
        self.kept.retain(|_, holder| holder != container);
    }

    /// Gives an address back.
    pub(crate) fn release(&mut self, address: IpAddr) {
        if self.subnet.contains(address) {
            self.used.remove(&number(address));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(subnet: &str, range: Option<&str>) -> Pool {
        let subnet: Subnet = subnet.parse().unwrap();
        Pool {
            subnet,
            range: range.map(|r| r.parse().unwrap()),
            gateway: Some(subnet.at(subnet.first() + 1)),
            reserved: BTreeMap::new(),
        }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn goes_round() {
        let mut book = Addresses::new(&pool("10.0.0.0/29", None)).unwrap();
        let all: Vec<_> = std::iter::from_fn(|| book.next()).map(|a| a.to_string()).collect();
        assert_eq!(all, ["10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"]);
        book.release(ip("10.0.0.3"));
        book.release(ip("10.0.0.5"));
        assert_eq!(book.next(), Some(ip("10.0.0.3")));
        book.release(ip("10.0.0.3"));
        assert_eq!(book.next(), Some(ip("10.0.0.5")), "the one released last rests longest");
    }

    #[test]
    fn range_and_static() {
        let mut book = Addresses::new(&pool("10.0.0.0/24", Some("10.0.0.128/30"))).unwrap();
        book.claim(ip("10.0.0.129"), "a").unwrap();
        assert_eq!(book.claim(ip("10.0.0.129"), "b").unwrap_err().object, "Address already in use");
        book.claim(ip("10.0.0.9"), "b").unwrap();
        assert!(book.claim(ip("10.0.0.1"), "b").is_err(), "the gateway");
        assert!(book.claim(ip("10.0.1.1"), "b").is_err());
        let all: Vec<_> = std::iter::from_fn(|| book.next()).map(|a| a.to_string()).collect();
        assert_eq!(all, ["10.0.0.128", "10.0.0.130", "10.0.0.131"]);
    }

    #[test]
    fn kept_is_never_handed_out() {
        let mut book = Addresses::new(&pool("10.0.0.0/29", None)).unwrap();
        book.keep(ip("10.0.0.3"), "db").unwrap();
        book.keep(ip("10.0.0.3"), "db").unwrap();
        assert!(book.keep(ip("10.0.0.3"), "web").is_err());
        assert_eq!(std::iter::from_fn(|| book.next()).count(), 4);
        assert!(book.claim(ip("10.0.0.3"), "web").is_err());
        book.claim(ip("10.0.0.3"), "db").unwrap();
        book.release(ip("10.0.0.3"));
        assert!(book.next().is_none(), "still kept");
        book.forget("db");
        assert_eq!(book.next(), Some(ip("10.0.0.3")));
    }

    #[test]
    fn ipv6_is_not_walked() {
        let mut book = Addresses::new(&pool("fd00::/64", None)).unwrap();
        assert_eq!(book.next(), Some(ip("fd00::2")));
        assert!(Addresses::new(&pool("fd00::/64", Some("fd01::/80"))).is_err());
    }

    #[test]
    fn random_histories_never_hand_out_twice() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..50 {
            let mut book = Addresses::new(&pool("10.9.0.0/28", None)).unwrap();
            let mut held: BTreeSet<IpAddr> = BTreeSet::new();
            for _ in 0..200 {
                if random.bool() {
                    match book.next() {
                        Some(address) => assert!(held.insert(address), "{address} twice"),
                        None => assert_eq!(held.len(), 13),
                    }
                } else if let Some(address) = held.iter().nth(random.usize(0..=held.len())).copied() {
                    held.remove(&address);
                    book.release(address);
                }
            }
        }
    }
}
