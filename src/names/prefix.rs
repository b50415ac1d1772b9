//! A range of addresses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

/// Every address that begins with the same bits. Written `10.80.0.0/12`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Prefix {
    network: IpAddr,
    length: u8,
}

/// The text is not `ADDRESS/LENGTH`.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not an address, `/` and a length")]
pub struct InvalidPrefix(String);

impl Prefix {
    /// This address alone.
    pub fn of(address: IpAddr) -> Self {
        Self {
            network: address,
            length: width(address),
        }
    }

    pub fn contains(&self, address: IpAddr) -> bool {
        let (a, b) = (bits(self.network), bits(address.to_canonical()));
        let width = width(self.network);
        let shift = u32::from(width - self.length);
        self.network.is_ipv4() == address.to_canonical().is_ipv4()
            && a.checked_shr(shift).unwrap_or(0) == b.checked_shr(shift).unwrap_or(0)
    }

    /// The network and its length, if it is one of IPv4.
    pub(crate) fn v4(&self) -> Option<(Ipv4Addr, u8)> {
        match self.network {
            IpAddr::V4(network) => Some((network, self.length)),
            IpAddr::V6(_) => None,
        }
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_bits().into(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

impl FromStr for Prefix {
    type Err = InvalidPrefix;

    fn from_str(text: &str) -> Result<Self, InvalidPrefix> {
        let invalid = || InvalidPrefix(text.chars().take(64).collect());
        let (network, length) = text.split_once('/').ok_or_else(invalid)?;
        let network: IpAddr = network.parse().map_err(|_| invalid())?;
        let length: u8 = length.parse().map_err(|_| invalid())?;
        if length > width(network) {
            return Err(invalid());
        }
        Ok(Self { network, length })
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_has_the_addresses_that_begin_as_it_does() {
        let contains = |prefix: &str, address: &str| {
            prefix
                .parse::<Prefix>()
                .unwrap()
                .contains(address.parse().unwrap())
        };
        assert!(contains("10.80.0.0/12", "10.95.255.255"));
        assert!(!contains("10.80.0.0/12", "10.96.0.0"));
        assert!(contains("127.0.0.0/8", "::ffff:127.0.0.1"));
        assert!(!contains("::1/128", "::2"));
        assert!(contains("::/0", "fd00::1"));
        assert!(!contains("::/0", "10.0.0.1"));
        for bad in ["", "10.0.0.0", "10.0.0.0/33", "x/8", "::/129"] {
            assert!(bad.parse::<Prefix>().is_err(), "{bad}");
        }
    }
}
