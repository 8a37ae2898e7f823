//! Subnets and their arithmetic.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// An address and a prefix length: `172.17.0.0/16`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Subnet {
    /// Address; host bits kept as given.
    pub address: IpAddr,
    /// Bits.
    pub prefix: u8,
}

impl Subnet {
    /// Length of an address of this family.
    pub(crate) const fn bits(self) -> u8 {
        match self.address {
            IpAddr::V4(_) => 32,
            IpAddr::V6(_) => 128,
        }
    }

    /// First address, as a number.
    pub(crate) fn first(self) -> u128 {
        number(self.address) & !self.host_mask()
    }

    /// Last address, as a number.
    pub(crate) fn last(self) -> u128 {
        number(self.address) | self.host_mask()
    }

    /// The same subnet with its host bits zero.
    #[must_use]
    pub fn network(self) -> Self {
        Self { address: self.at(self.first()), prefix: self.prefix }
    }

    /// Whether the address is in it.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        address.is_ipv4() == self.address.is_ipv4() && (self.first()..=self.last()).contains(&number(address))
    }

    /// Whether they share an address.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.address.is_ipv4() == other.address.is_ipv4()
            && self.first() <= other.last()
            && other.first() <= self.last()
    }

    /// The address with this number, in this family.
    pub(crate) fn at(self, number: u128) -> IpAddr {
        match self.address {
            // The number is at most last(), which has 32 bits in this family.
            IpAddr::V4(_) => Ipv4Addr::from(u32::try_from(number).unwrap_or(u32::MAX)).into(),
            IpAddr::V6(_) => Ipv6Addr::from(number).into(),
        }
    }

    fn host_mask(self) -> u128 {
        let host = u32::from(self.bits().saturating_sub(self.prefix));
        if host >= 128 { u128::MAX } else { (1 << host) - 1 }
    }
}

/// An address as a number.
pub(crate) fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u32::from(v4).into(),
        IpAddr::V6(v6) => v6.into(),
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl FromStr for Subnet {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let invalid = || Error::invalid("parse subnet", format!("invalid CIDR address: {text}"));
        let (address, prefix) = text.split_once('/').ok_or_else(invalid)?;
        let subnet = Self {
            address: address.parse().map_err(|_| invalid())?,
            prefix: prefix.parse().map_err(|_| invalid())?,
        };
        if subnet.prefix <= subnet.bits() { Ok(subnet) } else { Err(invalid()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().unwrap()
    }

    #[test]
    fn arithmetic() {
        let net = subnet("172.17.0.9/16");
        assert_eq!(net.network().to_string(), "172.17.0.0/16");
        assert_eq!(net.at(net.last()).to_string(), "172.17.255.255");
        assert!(net.contains("172.17.3.4".parse().unwrap()));
        assert!(!net.contains("172.18.0.0".parse().unwrap()));
        assert!(!net.contains("::1".parse().unwrap()));
        assert!(net.overlaps(subnet("172.16.0.0/12")));
        assert!(!net.overlaps(subnet("172.18.0.0/16")));
        assert!(subnet("0.0.0.0/0").overlaps(net));
        assert!(subnet("::/0").overlaps(subnet("fd00::/8")));
    }

    #[test]
    fn refuses() {
        for text in ["", "1.2.3.4", "1.2.3.4/33", "::/129", "1.2.3/8", "a/1", "1.2.3.4/-1"] {
            assert!(text.parse::<Subnet>().is_err(), "{text}");
        }
    }
}
