//! Whose volumes a service mounts besides its own, as people write it: `SERVICE-%s` or `SERVICE-N`, of the same stack.
//!
//! Kontena compared the text, with the instance number in the place of `%s`, with the names of containers: so it names
//! an instance and never a service as a whole. (Ruby took `%d` and `%i` as well.)

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::{InstanceId, InvalidId, ServiceKey, ServiceName, StackName};

/// The instances of a service of the same stack whose volumes are mounted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VolumesFrom {
    pub service: ServiceName,
    pub number: SourceNumber,
}

/// Which instance of the service it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SourceNumber {
    /// `%s`: the one with the number of the instance that mounts them.
    Own,
    /// The same one for all.
    Of(NonZeroU32),
}

/// Why a text does not say whose volumes are mounted.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidVolumesFrom {
    #[error(
        "`{0}` names no instance: write `{0}-%s` for the one of the same number, or `{0}-1` for the first"
    )]
    NoNumber(String),
    #[error("`{0}` is in another stack: only volumes of the same stack's services can be mounted")]
    OtherStack(String),
    #[error("`{0}` has flags: the volumes are mounted as their own service mounts them")]
    Flags(String),
    #[error(transparent)]
    Name(#[from] InvalidId),
}

impl VolumesFrom {
    /// The service whose volumes they are, for one of this stack.
    pub fn service_in(&self, stack: &StackName) -> ServiceKey {
        ServiceKey::new(stack.clone(), self.service.clone())
    }

    /// The instance whose volumes `follower` mounts.
    pub fn source_of(&self, follower: &InstanceId) -> InstanceId {
        let number = match self.number {
            SourceNumber::Own => follower.number,
            SourceNumber::Of(number) => number.get(),
        };
        InstanceId::new(self.service_in(&follower.service.stack), number)
    }
}

impl FromStr for VolumesFrom {
    type Err = InvalidVolumesFrom;

    fn from_str(text: &str) -> Result<Self, InvalidVolumesFrom> {
        if text.contains(['/', '.']) {
            return Err(InvalidVolumesFrom::OtherStack(text.to_owned()));
        }
        if text.contains(':') {
            return Err(InvalidVolumesFrom::Flags(text.to_owned()));
        }
        let parts = text.rsplit_once('-');
        let parts = parts.and_then(|(service, number)| Some((service, source_number(number)?)));
        let Some((service, number)) = parts else {
            // A name that could be no service's is what is wrong with it.
            text.parse::<ServiceName>()?;
            return Err(InvalidVolumesFrom::NoNumber(text.to_owned()));
        };
        Ok(Self {
            service: service.parse()?,
            number,
        })
    }
}

fn source_number(text: &str) -> Option<SourceNumber> {
    match text {
        "%s" | "%d" | "%i" => Some(SourceNumber::Own),
        // Kontena compared texts: `01` was no instance. No instance has a number of more than nine digits.
        digits if digits.len() <= 9 => digits
            .parse()
            .ok()
            .filter(|number: &NonZeroU32| number.to_string() == digits)
            .map(SourceNumber::Of),
        _ => None,
    }
}

impl fmt::Display for VolumesFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number {
            SourceNumber::Own => write!(f, "{}-%s", self.service),
            SourceNumber::Of(number) => write!(f, "{}-{number}", self.service),
        }
    }
}

impl TryFrom<String> for VolumesFrom {
    type Error = InvalidVolumesFrom;

    fn try_from(text: String) -> Result<Self, InvalidVolumesFrom> {
        text.parse()
    }
}

impl From<VolumesFrom> for String {
    fn from(from: VolumesFrom) -> Self {
        from.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, String> {
        let read = text.parse::<VolumesFrom>();
        read.map(|from| from.to_string())
            .map_err(|problem| problem.to_string())
    }

    #[test]
    fn an_instance_is_named_by_its_number_or_by_the_number_of_whoever_mounts() {
        for text in ["db-1", "db-%s", "my-app-2-10", "4-%s"] {
            assert_eq!(read(text).as_deref(), Ok(text));
        }
        assert_eq!(read("db-%i").as_deref(), Ok("db-%s"));
        assert_eq!(read("db-%d").as_deref(), Ok("db-%s"));
    }

    #[test]
    fn whose_volumes_they_are_follows_from_who_mounts_them() {
        let source = |text: &str| {
            let from: VolumesFrom = text.parse().unwrap();
            from.source_of(&"shop/web-3".parse().unwrap()).to_string()
        };
        assert_eq!(source("db-%s"), "shop/db-3");
        assert_eq!(source("db-1"), "shop/db-1");
    }

    #[test]
    fn a_service_without_a_number_is_told_how_to_name_an_instance() {
        let hint = "`my-app` names no instance: write `my-app-%s` for the one of the same number, or `my-app-1` for the first";
        assert_eq!(read("my-app").unwrap_err(), hint);
        for text in ["db-01", "db-0", "db-%x", "-1", "", "Db-1", "db-%s-1", "%s"] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_kontena_never_found_is_said_so() {
        for text in ["shop/db-1", "shop.db-1"] {
            assert!(read(text).unwrap_err().contains("another stack"), "{text}");
        }
        assert!(read("db-1:ro").unwrap_err().contains("flags"));
    }
}
