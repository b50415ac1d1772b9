//! How much of a node a container may use.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Limits of one container. In a revision the fields have the names of stack files; sizes are in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Processor time, as cores. Placement asks for a node that has as many in all (as Kontena).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<Cpus>,
    /// The weight against others when all cores are busy, up to [`Self::MAX_CPU_SHARES`]; Docker's default is 1,024.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_shares: Option<u32>,
    /// Memory. Placement sets it aside on the node.
    #[serde(rename = "mem_limit", default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// Memory and swap together; needs `memory`, and is no less.
    #[serde(
        rename = "memswap_limit",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub memory_swap: Option<u64>,
    /// The size of `/dev/shm`; Docker's default is 64 MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shm_size: Option<u64>,
    /// Fields of a newer version.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, serde_json::Value>,
}

impl Resources {
    /// As Kontena.
    pub const MAX_CPU_SHARES: u32 = 1_024;

    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Cores in thousandths, 1 to [`Self::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Cpus(u32);

#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is no number of cores: expected 0.001 to 10000, as `0.5`")]
pub struct InvalidCpus(pub String);

impl Cpus {
    /// Ten thousand cores: above every machine.
    const MAX: u32 = 10_000_000;

    /// # Errors
    /// What is not from 0.001 to 10,000; more digits than three are rounded.
    pub fn of_cores(cores: f64) -> Result<Self, InvalidCpus> {
        let thousandths = (cores * 1_000.0).round();
        let invalid = || InvalidCpus(cores.to_string());
        if !(1.0..=f64::from(Self::MAX)).contains(&thousandths) {
            return Err(invalid());
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is whole and from 1 to MAX"
        )]
        let thousandths = thousandths as u32;
        Ok(Self(thousandths))
    }

    pub fn cores(self) -> f64 {
        f64::from(self.0) / 1_000.0
    }

    pub fn thousandths(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for Cpus {
    type Error = InvalidCpus;

    fn try_from(thousandths: u32) -> Result<Self, InvalidCpus> {
        match thousandths {
            1..=Self::MAX => Ok(Self(thousandths)),
            _ => Err(InvalidCpus(format!("{thousandths} thousandths"))),
        }
    }
}

impl From<Cpus> for u32 {
    fn from(cpus: Cpus) -> Self {
        cpus.0
    }
}

impl FromStr for Cpus {
    type Err = InvalidCpus;

    fn from_str(text: &str) -> Result<Self, InvalidCpus> {
        let cores: f64 = text.parse().map_err(|_| InvalidCpus(text.to_owned()))?;
        Self::of_cores(cores).map_err(|_| InvalidCpus(text.to_owned()))
    }
}

impl fmt::Display for Cpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cores().fmt(f)
    }
}

#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a size: expected bytes, or a whole number with `k`, `m` or `g`, as `512m`")]
pub struct InvalidSize(pub String);

/// The units of sizes, largest first.
const UNITS: [(char, u64); 3] = [('g', 1 << 30), ('m', 1 << 20), ('k', 1 << 10)];

/// A size in bytes: `1073741824`, `512m`, `2g` (powers of 1,024, as Kontena and Docker).
///
/// # Errors
/// What is no whole number with one of these units, or does not fit 63 bits, which is all that Docker takes.
pub fn size_bytes(text: &str) -> Result<u64, InvalidSize> {
    let lower = text.to_ascii_lowercase();
    let unit = UNITS
        .iter()
        .find_map(|(unit, factor)| Some((lower.strip_suffix(*unit)?, *factor)));
    let (number, factor) = unit.unwrap_or((&lower, 1));
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let bytes = is_number.then(|| number.parse::<u64>().ok()?.checked_mul(factor));
    let fits = |bytes: &u64| i64::try_from(*bytes).is_ok();
    bytes
        .flatten()
        .filter(fits)
        .ok_or_else(|| InvalidSize(text.to_owned()))
}

/// The shortest text that [`size_bytes`] reads as this.
pub fn size_text(bytes: u64) -> String {
    let whole = |(_, factor): &&(char, u64)| bytes > 0 && bytes.is_multiple_of(*factor);
    match UNITS.iter().find(whole) {
        Some((unit, factor)) => format!("{}{unit}", bytes / factor),
        None => bytes.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_size_is_bytes_or_has_a_unit_of_1024() {
        for (text, expected) in [
            ("512", 512),
            ("4k", 4_096),
            ("512M", 512 << 20),
            ("2g", 2 << 30),
        ] {
            assert_eq!(size_bytes(text), Ok(expected), "{text}");
        }
        for text in [
            "",
            "m",
            "1.5g",
            "-1",
            "1gb",
            "9999999999g",
            "9223372036854775808",
        ] {
            assert!(size_bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn cores_have_three_digits() {
        assert_eq!("0.5".parse::<Cpus>().unwrap().thousandths(), 500);
        assert_eq!("2".parse::<Cpus>().unwrap().to_string(), "2");
        assert_eq!("0.1234".parse::<Cpus>().unwrap().to_string(), "0.123");
        for text in ["", "0", "-1", "0.0001", "NaN", "inf", "10001", "one"] {
            assert!(text.parse::<Cpus>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_size_is_written_as_it_is_read(bytes in 0..=i64::MAX.unsigned_abs()) {
            prop_assert_eq!(size_bytes(&size_text(bytes)), Ok(bytes));
        }
    }
}
