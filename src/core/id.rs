//! Names and keys: every identifier that crosses a boundary, as its own type.
//!
//! Validated text is made once, where it enters (`FromStr`, `TryFrom<String>`); inside, nothing
//! checks again. Keys are plain bytes here: signing and verifying live in [`crate::identity`].

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

/// Why a name or key was refused.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidId {
    #[error(
        "`{raw}` is not a valid {what}: use 1 to {max} of a-z, 0-9 and `-`, starting with a letter or digit, not ending with `-`"
    )]
    Label {
        what: &'static str,
        raw: String,
        max: usize,
    },
    #[error("`{raw}` is not a valid {what}: 64 hexadecimal digits are expected")]
    Key { what: &'static str, raw: String },
}

/// A DNS label (RFC 1123) of at most `max` bytes, because these names become host names.
fn is_label(raw: &str, max: usize) -> bool {
    let bytes = raw.as_bytes();
    let inner = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-';
    !bytes.is_empty()
        && bytes.len() <= max
        && bytes.iter().all(inner)
        && bytes[0] != b'-'
        && bytes[bytes.len() - 1] != b'-'
}

macro_rules! label {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The longest text allowed, in bytes.
            pub const MAX: usize = $max;

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(raw: &str) -> Result<Self, InvalidId> {
                if is_label(raw, $max) {
                    Ok(Self(raw.to_owned()))
                } else {
                    Err(InvalidId::Label { what: $what, raw: raw.to_owned(), max: $max })
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(raw: String) -> Result<Self, InvalidId> {
                raw.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

macro_rules! key {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(pub [u8; 32]);

        impl $name {
            pub fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// The first eight hexadecimal digits: for logs and tables, never for comparing.
            pub fn short(&self) -> String {
                HEXLOWER.encode(&self.0[..4])
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(raw: &str) -> Result<Self, InvalidId> {
                let invalid = || InvalidId::Key { what: $what, raw: raw.to_owned() };
                let bytes = HEXLOWER.decode(raw.as_bytes()).map_err(|_| invalid())?;
                Ok(Self(bytes.try_into().map_err(|_| invalid())?))
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(raw: String) -> Result<Self, InvalidId> {
                raw.parse()
            }
        }

        impl From<$name> for String {
            fn from(key: $name) -> Self {
                key.to_string()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&HEXLOWER.encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.short())
            }
        }
    };
}

label!(
    /// A grid's name.
    GridName, "grid name", 63
);
label!(
    /// A node's name, unique in its grid. Defaults to the host's name.
    NodeName, "node name", 63
);
label!(
    /// An installed stack's name. `null` is Kontena's hidden stack for services without one.
    StackName, "stack name", 63
);
label!(
    /// A service's name, unique in its stack.
    ServiceName, "service name", 63
);
label!(
    /// What the owner of a VPN key is called, unique in its grid.
    VpnUserName, "name of a VPN user", 63
);

key!(
    /// A node: its ed25519 public key, which is also its libp2p peer id.
    NodeId, "node id"
);
key!(
    /// A grid: the ed25519 public key that signed its first envelope. A join token pins it.
    GridId, "grid id"
);
key!(
    /// The ed25519 public key of a join token; its secret half is in the token itself.
    TokenId, "token id"
);
key!(
    /// SHA-256 of an envelope's signed bytes.
    EnvelopeHash, "envelope hash"
);
key!(
    /// SHA-256 of a service definition's canonical bytes: a *revision* as it is stored and compared.
    RevisionHash, "revision id"
);

impl StackName {
    /// The stack that holds services created without one.
    pub fn null() -> Self {
        Self("null".to_owned())
    }

    pub fn is_null(&self) -> bool {
        self.0 == "null"
    }
}

/// A service in its stack. Written `stack/service`, or `service` for the null stack.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServiceKey {
    pub stack: StackName,
    pub service: ServiceName,
}

impl ServiceKey {
    pub fn new(stack: StackName, service: ServiceName) -> Self {
        Self { stack, service }
    }
}

impl FromStr for ServiceKey {
    type Err = InvalidId;

    fn from_str(raw: &str) -> Result<Self, InvalidId> {
        match raw.split_once('/') {
            Some((stack, service)) => Ok(Self::new(stack.parse()?, service.parse()?)),
            None => Ok(Self::new(StackName::null(), raw.parse()?)),
        }
    }
}

impl TryFrom<String> for ServiceKey {
    type Error = InvalidId;

    fn try_from(raw: String) -> Result<Self, InvalidId> {
        raw.parse()
    }
}

impl From<ServiceKey> for String {
    fn from(key: ServiceKey) -> Self {
        key.to_string()
    }
}

impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.stack.is_null() {
            write!(f, "{}", self.service)
        } else {
            write!(f, "{}/{}", self.stack, self.service)
        }
    }
}

impl fmt::Debug for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// One numbered instance of a service, from 1. Written `stack/service-N`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InstanceId {
    pub service: ServiceKey,
    pub number: u32,
}

impl InstanceId {
    pub fn new(service: ServiceKey, number: u32) -> Self {
        Self { service, number }
    }

    /// Kontena's container name: `stack.service-N`, or `service-N` for the null stack.
    pub fn container_name(&self) -> String {
        let ServiceKey { stack, service } = &self.service;
        if stack.is_null() {
            format!("{service}-{}", self.number)
        } else {
            format!("{stack}.{service}-{}", self.number)
        }
    }
}

impl FromStr for InstanceId {
    type Err = InvalidId;

    fn from_str(raw: &str) -> Result<Self, InvalidId> {
        let invalid = || InvalidId::Label {
            what: "instance",
            raw: raw.to_owned(),
            max: 63,
        };
        let (service, number) = raw.rsplit_once('-').ok_or_else(invalid)?;
        let number = number.parse().ok().filter(|n| *n > 0).ok_or_else(invalid)?;
        Ok(Self::new(service.parse()?, number))
    }
}

impl TryFrom<String> for InstanceId {
    type Error = InvalidId;

    fn try_from(raw: String) -> Result<Self, InvalidId> {
        raw.parse()
    }
}

impl From<InstanceId> for String {
    fn from(id: InstanceId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.service, self.number)
    }
}

impl fmt::Debug for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_dns_label() {
        for good in ["a", "web", "web-2", "0x", &"a".repeat(63)] {
            assert!(good.parse::<ServiceName>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "Web", "a_b", "a.b", &"a".repeat(64)] {
            assert!(bad.parse::<ServiceName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_instance_is_read_as_it_is_written() {
        for text in ["web-1", "shop/web-12", "shop/web-2-3"] {
            assert_eq!(text.parse::<InstanceId>().unwrap().to_string(), text);
        }
        assert!("web-0".parse::<InstanceId>().is_err());
        assert!("web".parse::<InstanceId>().is_err());
    }
}
