//! Backups of a grid on the wire.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::form::RecoveryKeyText;

/// The body of `POST /v1/grids/{grid}/backup`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BackupRequest {
    /// For whom it is sealed: the public half of a recovery code (X25519, hexadecimal).
    #[schemars(with = "RecoveryKeyText")]
    pub(crate) recovery_key: String,
}

/// A backup.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Backup {
    /// The node that it is of, by its name: whoever restores it becomes that node.
    pub(crate) node: String,
    /// The file, in base 64.
    pub(crate) file: String,
}
