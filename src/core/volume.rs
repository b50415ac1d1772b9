//! Volumes of the grid: where services keep data under a name.
//!
//! In: what a person says of a volume, once. Out: what the engine of a node calls the copy that an instance mounts. A
//! volume has no place: each node makes its own copy where an instance first needs it, and what it copies between nodes,
//! if anything, its driver does (as Kontena 7.4).
//!
//! Not here: mounts of services (`stack`), which node runs what has a volume (`placement`).

mod copy;
mod name;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use copy::{Copy, Mounted};
pub use name::{InvalidVolumeName, VolumeName};

use crate::id::{EnvelopeHash, InstanceId};
use crate::time::WallTime;

/// A volume that was created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    pub definition: Definition,
    /// The change that created it: another one of the same name is another volume.
    pub creation: EnvelopeHash,
    pub created: WallTime,
    /// It was removed while nobody who did that knew of a service that uses it: it goes once none does.
    pub removed: bool,
}

/// What is written of a volume; nothing of it can be changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    pub scope: Scope,
    /// Docker's name of a volume driver.
    pub driver: String,
    /// For the driver, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}

/// Who shares one copy on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Nobody: each instance of each service has its own.
    Instance,
    /// The instances of a stack's services.
    Stack,
    /// All instances.
    Grid,
}

/// Why a text is no scope.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a scope: `instance`, `stack` or `grid` is expected")]
pub struct InvalidScope(String);

impl Definition {
    pub const LOCAL: &str = "local";

    /// The most options, and the longest text of any of them or of a driver's name, in bytes: every node has them.
    pub const MAX_OPTIONS: usize = 32;
    pub const MAX_TEXT: usize = 1024;

    /// Of Docker's own driver, without options.
    pub fn local(scope: Scope) -> Self {
        Self {
            scope,
            driver: Self::LOCAL.to_owned(),
            options: BTreeMap::new(),
        }
    }

    /// Its limits. What is beyond them nobody is shown.
    ///
    /// # Errors
    /// Says which one is broken.
    pub fn check(&self) -> Result<(), String> {
        if self.driver.is_empty() || !self.driver.bytes().all(is_of_a_driver) {
            let driver: String = self.driver.chars().take(64).collect();
            return Err(format!("`{driver}` is not the name of a volume driver"));
        }
        if self.options.len() > Self::MAX_OPTIONS {
            let most = Self::MAX_OPTIONS;
            return Err(format!("a volume has at most {most} driver options"));
        }
        let texts = self.options.iter().flat_map(|(name, value)| [name, value]);
        let mut texts = texts.chain([&self.driver]);
        let most = Self::MAX_TEXT;
        match texts.any(|text| text.len() > most || text.contains('\0')) {
            true => Err(format!(
                "a driver option is longer than {most} bytes, or has a NUL in it"
            )),
            false => Ok(()),
        }
    }

    /// What an engine calls the copy that an instance mounts: Kontena's names, so that what it left can be taken over.
    pub fn copy_of(&self, volume: &VolumeName, instance: &InstanceId) -> String {
        let stack = &instance.service.stack;
        match self.scope {
            Scope::Grid => volume.to_string(),
            Scope::Stack if stack.is_null() => volume.to_string(),
            Scope::Stack => format!("{stack}.{volume}"),
            Scope::Instance => {
                let (service, number) = (&instance.service.service, instance.number);
                let stack = (!stack.is_null()).then(|| format!("{stack}."));
                let stack = stack.unwrap_or_default();
                format!("{stack}{service}.{volume}-{number}")
            }
        }
    }
}

/// As Docker names plugins: `local`, `rexray/ebs:0.11`.
fn is_of_a_driver(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'/' | b':')
}

impl FromStr for Scope {
    type Err = InvalidScope;

    fn from_str(text: &str) -> Result<Self, InvalidScope> {
        match text {
            "instance" => Ok(Self::Instance),
            "stack" => Ok(Self::Stack),
            "grid" => Ok(Self::Grid),
            other => Err(InvalidScope(other.chars().take(32).collect())),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Instance => "instance",
            Self::Stack => "stack",
            Self::Grid => "grid",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_called_as_kontena_called_them() {
        let data: VolumeName = "data".parse().unwrap();
        let name = |scope, service: &str| {
            let instance = InstanceId::new(service.parse().unwrap(), 2);
            Definition::local(scope).copy_of(&data, &instance)
        };
        assert_eq!(name(Scope::Instance, "shop/db"), "shop.db.data-2");
        assert_eq!(name(Scope::Instance, "db"), "db.data-2");
        assert_eq!(name(Scope::Stack, "shop/db"), "shop.data");
        assert_eq!(name(Scope::Stack, "db"), "data");
        assert_eq!(name(Scope::Grid, "shop/db"), "data");
    }

    #[test]
    fn what_no_engine_would_take_is_refused() {
        assert_eq!(Definition::local(Scope::Grid).check(), Ok(()));
        for driver in ["", "a b", "../x\n"] {
            let definition = Definition {
                driver: driver.to_owned(),
                ..Definition::local(Scope::Grid)
            };
            let problem = definition.check().unwrap_err();
            assert!(problem.contains("driver"), "{problem}");
        }
        let mut many = Definition::local(Scope::Grid);
        many.options = (0..33).map(|n| (n.to_string(), String::new())).collect();
        assert!(many.check().is_err());
        many.options = BTreeMap::from([("o".to_owned(), "x".repeat(1_025))]);
        assert!(many.check().is_err());
    }

    #[test]
    fn a_scope_is_read_as_it_is_written() {
        for scope in [Scope::Instance, Scope::Stack, Scope::Grid] {
            assert_eq!(scope.to_string().parse(), Ok(scope));
        }
        let problem = "node".parse::<Scope>().unwrap_err().to_string();
        assert!(problem.starts_with("`node` is not a scope"), "{problem}");
    }
}
