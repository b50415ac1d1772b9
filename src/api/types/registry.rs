//! External registries on the wire.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Time;
use super::form::RegistryUrlText;

/// The answer of `GET /v1/grids/{grid}/external_registries`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ExternalRegistries {
    pub(crate) external_registries: Vec<ExternalRegistry>,
}

/// A registry. Nobody is told its password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ExternalRegistry {
    /// `GRID/NAME`.
    pub(crate) id: String,
    /// The host, with its port where that is neither 80 nor 443.
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) username: String,
    pub(crate) email: Option<String>,
    /// *Ours*: when these credentials were given.
    pub(crate) created_at: Option<Time>,
    /// *Ours*: nodes that cannot use them yet.
    #[serde(default)]
    pub(crate) missing_on: Vec<String>,
}

/// The body of `POST /v1/grids/{grid}/external_registries`.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExternalRegistryRequest {
    /// At most 1,024 bytes, none of them a control character.
    #[schemars(length(min = 1, max = 1_024))]
    pub(crate) username: String,
    /// At most 8,128 bytes.
    #[schemars(length(min = 1, max = 8_128))]
    pub(crate) password: String,
    /// At most 1,024 bytes, none of them a control character.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1_024))]
    pub(crate) email: Option<String>,
    #[schemars(with = "RegistryUrlText")]
    pub(crate) url: String,
}

/// Without the password.
impl fmt::Debug for ExternalRegistryRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "ExternalRegistryRequest({} at {})",
            self.username, self.url
        )
    }
}
