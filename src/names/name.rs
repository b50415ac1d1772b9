//! Names as they are on the wire, in lower case.

use std::borrow::Borrow;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// The longest name on the wire, its last zero included (RFC 1035, 2.3.4).
pub(crate) const MAX_NAME: usize = 255;

const MAX_LABEL: usize = 63;

/// A domain name: labels behind their lengths, and a zero. Always in lower case, so that equal names are
/// equal bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Box<[u8]>);

/// The text is no domain name: labels of 1 to 63 printable bytes, 253 in all.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a domain name")]
pub struct InvalidName(String);

impl Name {
    pub(crate) fn as_wire(&self) -> &[u8] {
        &self.0
    }

    /// The bytes have to be a whole name in lower case.
    pub(crate) fn of_wire(wire: &[u8]) -> Self {
        Self(wire.into())
    }

    /// The name that an address is looked up by: `5.1.80.10.in-addr.arpa`.
    pub fn of_address(address: IpAddr) -> Self {
        let labels: Vec<String> = match address {
            IpAddr::V4(v4) => v4.octets().iter().rev().map(u8::to_string).collect(),
            IpAddr::V6(v6) => {
                let nibbles = v6
                    .octets()
                    .into_iter()
                    .rev()
                    .flat_map(|byte| [byte & 15, byte >> 4]);
                nibbles.map(|nibble| format!("{nibble:x}")).collect()
            }
        };
        let zone = if address.is_ipv4() { "in-addr" } else { "ip6" };
        let labels = labels.iter().map(String::as_str).chain([zone, "arpa"]);
        Self::of_labels(labels)
    }

    /// Labels that are short and few enough.
    pub(crate) fn of_labels<'a>(labels: impl Iterator<Item = &'a str>) -> Self {
        let mut wire = Vec::with_capacity(80);
        for label in labels {
            wire.push(u8::try_from(label.len()).expect("the caller's labels are short"));
            wire.extend(label.bytes().map(|byte| byte.to_ascii_lowercase()));
        }
        wire.push(0);
        Self(wire.into())
    }
}

impl FromStr for Name {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let invalid = || InvalidName(text.chars().take(MAX_NAME).collect());
        let relative = text.strip_suffix('.').unwrap_or(text);
        let is_label = |label: &str| {
            (1..=MAX_LABEL).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if relative.len() + 2 > MAX_NAME || !relative.split('.').all(is_label) {
            return Err(invalid());
        }
        Ok(Self::of_labels(relative.split('.')))
    }
}

impl Borrow<[u8]> for Name {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let labels: Vec<String> = labels(&self.0)
            .map(|label| label.escape_ascii().to_string())
            .collect();
        f.pad(&labels.join("."))
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The labels of a name on the wire.
pub(crate) fn labels(wire: &[u8]) -> impl Iterator<Item = &[u8]> {
    suffixes(wire).filter_map(|at| {
        let length = usize::from(*wire.get(at)?);
        wire.get(at + 1..at + 1 + length)
            .filter(|label| !label.is_empty())
    })
}

/// Where the name and each of its parents begin, the root not counted.
pub(crate) fn suffixes(wire: &[u8]) -> impl Iterator<Item = usize> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let length = usize::from(*wire.get(at)?);
        let here = at;
        at += 1 + length;
        (length > 0).then_some(here)
    })
}

/// A name that was read from a message, without a place of its own on the heap.
#[derive(Clone)]
pub(crate) struct NameBuffer {
    bytes: [u8; MAX_NAME],
    length: usize,
}

impl NameBuffer {
    /// Reads the name at `at` in lower case, and says where it ends. A question has nothing before it that
    /// it could point to: a pointer is a mistake there.
    pub(crate) fn read(message: &[u8], at: usize) -> Option<(Self, usize)> {
        let mut buffer = Self {
            bytes: [0; MAX_NAME],
            length: 0,
        };
        let mut at = at;
        loop {
            let length = usize::from(*message.get(at)?);
            if length > MAX_LABEL || buffer.length + 1 + length > MAX_NAME {
                return None;
            }
            let label = message.get(at..=at + length)?;
            let place = &mut buffer.bytes[buffer.length..=buffer.length + length];
            place.copy_from_slice(label);
            place[1..].make_ascii_lowercase();
            buffer.length += 1 + length;
            at += 1 + length;
            if length == 0 {
                return Some((buffer, at));
            }
        }
    }

    pub(crate) fn as_wire(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl fmt::Debug for NameBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Name::of_wire(self.as_wire()))
    }
}

/// Where a name ends that may point elsewhere; what it points to is not followed.
pub(crate) fn skip(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            length if length & 0xc0 == 0xc0 => return message.get(at + 1).map(|_| at + 2),
            length if usize::from(length) <= MAX_LABEL => at += 1 + usize::from(length),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_written_but_for_its_case() {
        for (text, same) in [
            ("web.shop", "web.shop"),
            ("Web.SHOP.", "web.shop"),
            ("_80._tcp.a", "_80._tcp.a"),
        ] {
            assert_eq!(text.parse::<Name>().unwrap().to_string(), same);
        }
        let long = "a".repeat(64);
        let many = "a.".repeat(127);
        for bad in ["", ".", "a..b", ".a", "a b", &long, &format!("{many}a")] {
            assert!(bad.parse::<Name>().is_err(), "{bad}");
        }
        assert!(many.parse::<Name>().is_ok());
    }

    #[test]
    fn addresses_have_names() {
        let name = |address: &str| Name::of_address(address.parse().unwrap()).to_string();
        assert_eq!(name("10.80.1.5"), "5.1.80.10.in-addr.arpa");
        assert!(name("fd00::1").starts_with("1.0.0.0.0"));
        assert!(name("fd00::1").ends_with("0.0.d.f.ip6.arpa"));
    }

    #[test]
    fn a_question_points_nowhere() {
        assert!(NameBuffer::read(&[0xc0, 0], 0).is_none());
        assert!(NameBuffer::read(&[3, b'a', b'b'], 0).is_none());
        assert!(NameBuffer::read(&[1, b'A', 0], 0).unwrap().0.as_wire() == [1, b'a', 0]);
    }
}
