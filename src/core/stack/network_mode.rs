//! Which network a service's containers are in.

use serde::{Deserialize, Serialize};

/// Kontena's `network_mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NetworkMode {
    /// The grid's, with an address of its own.
    #[default]
    Bridge,
    /// The host's own: every port is the host's, and no address is its own.
    Host,
}

impl NetworkMode {
    /// The modes by name.
    pub const NAMES: [(&str, Self); 2] = [("bridge", Self::Bridge), ("host", Self::Host)];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::Host => "host",
        }
    }

    pub(super) fn is_bridge(&self) -> bool {
        *self == Self::Bridge
    }
}
