//! What becomes of a deploy when an instance fails.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// `deploy.on_failure`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// What is replaced stays, the others stay at what they run (Kontena).
    #[default]
    Halt,
    /// All go back to what ran before.
    Rollback,
}

/// Neither `halt` nor `rollback`.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("has to be `halt` or `rollback`, this is `{0}`")]
pub struct InvalidOnFailure(String);

impl OnFailure {
    /// What is not written.
    pub fn is_halt(&self) -> bool {
        *self == Self::Halt
    }
}

impl fmt::Display for OnFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Halt => "halt",
            Self::Rollback => "rollback",
        })
    }
}

impl FromStr for OnFailure {
    type Err = InvalidOnFailure;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "halt" => Ok(Self::Halt),
            "rollback" => Ok(Self::Rollback),
            _ => Err(InvalidOnFailure(text.to_owned())),
        }
    }
}
