//! The name of a volume.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A volume's name, unique in its grid. A stack may have one of its own for it. It has no dot: those are between the
/// parts of what its copies are called.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VolumeName(String);

/// Why a text names no volume.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "`{0}` is not a volume name: 1 to 64 letters, digits, `_` and `-` are expected, the first a letter or a digit"
)]
pub struct InvalidVolumeName(String);

impl VolumeName {
    /// In bytes.
    pub const MAX: usize = 64;

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for VolumeName {
    type Err = InvalidVolumeName;

    fn from_str(raw: &str) -> Result<Self, InvalidVolumeName> {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        let begins = raw
            .bytes()
            .next()
            .is_some_and(|b| b.is_ascii_alphanumeric());
        let fits = raw.len() <= Self::MAX;
        match begins && fits && raw.bytes().all(inner) {
            true => Ok(Self(raw.to_owned())),
            false => Err(InvalidVolumeName(raw.chars().take(Self::MAX + 1).collect())),
        }
    }
}

impl TryFrom<String> for VolumeName {
    type Error = InvalidVolumeName;

    fn try_from(raw: String) -> Result<Self, InvalidVolumeName> {
        raw.parse()
    }
}

impl From<VolumeName> for String {
    fn from(name: VolumeName) -> Self {
        name.0
    }
}

impl fmt::Display for VolumeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for VolumeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_that_docker_takes_too() {
        for name in ["a", "ab", "redis-data", "A_b-1", &"x".repeat(64)] {
            assert_eq!(name.parse::<VolumeName>().unwrap().as_str(), name);
        }
        for name in ["", "-ab", ".ab", "a.b", "a b", "a/b", "ä1", &"x".repeat(65)] {
            assert!(name.parse::<VolumeName>().is_err(), "{name}");
        }
    }
}
