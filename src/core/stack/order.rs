//! Whether an instance's new container is started before or after its old one stops.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The order of a replacement (Compose's `update_config.order`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// The old container stops first: never two of one instance (Kontena).
    #[default]
    StopFirst,
    /// The new container takes over once it is healthy, and then the old one stops. Only where two can run beside each
    /// other ([`super::Service::starts_first`]).
    StartFirst,
}

/// It is neither `stop-first` nor `start-first`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("has to be `stop-first` or `start-first`, this is `{0}`")]
pub struct InvalidOrder(String);

impl Order {
    /// What is not written.
    pub fn is_stop_first(&self) -> bool {
        *self == Self::StopFirst
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::StopFirst => "stop-first",
            Self::StartFirst => "start-first",
        })
    }
}

impl FromStr for Order {
    type Err = InvalidOrder;

    fn from_str(text: &str) -> Result<Self, InvalidOrder> {
        match text {
            "stop-first" => Ok(Self::StopFirst),
            "start-first" => Ok(Self::StartFirst),
            _ => Err(InvalidOrder(text.to_owned())),
        }
    }
}
