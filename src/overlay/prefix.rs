//! A range of addresses: `10.80.3.0/24`, `fd00::/48`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// An address and how many of its leading bits count. Equal ranges may be written with different
/// host bits: compare [`Prefix::network`] where that matters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    address: IpAddr,
    length: u8,
}

/// What is wrong with a prefix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrefixError {
    #[error("`{0}` is no address with a length, as 10.80.3.0/24")]
    Form(String),
    #[error("a prefix of {address} has at most {} bits, not {length}", bits(*.address))]
    Length { address: IpAddr, length: u8 },
}

impl Prefix {
    pub fn new(address: IpAddr, length: u8) -> Result<Self, PrefixError> {
        if length > bits(address) {
            return Err(PrefixError::Length { address, length });
        }
        Ok(Self { address, length })
    }

    /// The prefix that holds one address alone.
    pub fn host(address: IpAddr) -> Self {
        Self {
            address,
            length: bits(address),
        }
    }

    pub fn address(self) -> IpAddr {
        self.address
    }

    pub fn length(self) -> u8 {
        self.length
    }

    /// The same range with all host bits zero.
    pub fn network(self) -> Self {
        let kept = masked(number(self.address), self.length, bits(self.address));
        let address = match self.address {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from_bits(kept as u32)),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(kept)),
        };
        Self { address, ..self }
    }

    pub fn contains(self, address: IpAddr) -> bool {
        let width = bits(address);
        address.is_ipv4() == self.address.is_ipv4()
            && masked(number(address), self.length, width)
                == masked(number(self.address), self.length, width)
    }
}

/// How many bits an address of this family has.
pub(crate) fn bits(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// An address as a number.
pub(crate) fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// Keeps the leading `length` of `width` bits.
pub(crate) fn masked(number: u128, length: u8, width: u8) -> u128 {
    let dropped = u32::from(width - length);
    number
        .checked_shr(dropped)
        .and_then(|kept| kept.checked_shl(dropped))
        .unwrap_or(0)
}

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let form = || PrefixError::Form(text.to_owned());
        let (address, length) = text.split_once('/').ok_or_else(form)?;
        let address = address.parse().map_err(|_| form())?;
        Self::new(address, length.parse().map_err(|_| form())?)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_network_of_a_prefix_has_no_host_bits() {
        let prefix: Prefix = "10.80.3.7/20".parse().expect("a prefix");
        assert_eq!(prefix.network().to_string(), "10.80.0.0/20");
        assert!(prefix.contains("10.80.15.255".parse().expect("an address")));
        assert!(!prefix.contains("10.80.16.0".parse().expect("an address")));
    }

    #[test]
    fn a_prefix_of_no_bits_holds_its_whole_family_and_no_other() {
        let all: Prefix = "0.0.0.0/0".parse().expect("a prefix");
        assert!(all.contains("255.1.2.3".parse().expect("an address")));
        assert!(!all.contains("::1".parse().expect("an address")));
    }

    #[test]
    fn what_is_no_prefix_is_refused() {
        for text in ["10.0.0.0", "10.0.0.0/33", "::/129", "x/8", "10.0.0.0/-1"] {
            assert!(text.parse::<Prefix>().is_err(), "{text}");
        }
    }
}
