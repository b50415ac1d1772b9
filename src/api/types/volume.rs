//! Volumes on the wire.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Time;
use super::form::{DriverText, ScopeText, VolumeText};
use super::moving::Move;

/// The answer of `GET /v1/volumes/{grid}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Volumes {
    pub(crate) volumes: Vec<Volume>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Volume {
    /// `GRID/NAME`.
    pub(crate) id: String,
    pub(crate) name: String,
    /// Who shares one copy on a node: `instance`, `stack` or `grid`.
    pub(crate) scope: String,
    pub(crate) driver: String,
    pub(crate) driver_opts: BTreeMap<String, String>,
    pub(crate) created_at: Option<Time>,
    /// Its copies, as the nodes said last.
    pub(crate) instances: Vec<VolumeInstance>,
    /// Those that mount it, whether they are deployed or not.
    pub(crate) services: Vec<VolumeService>,
    /// *Ours*: what was ordered last of moving instances that mount it, where that is not done.
    #[serde(default)]
    pub(crate) moves: Vec<Move>,
    /// *Ours*: it was removed on one side of a split while the other gave it to a service, and goes with that.
    #[serde(default)]
    pub(crate) removed: bool,
}

/// A copy of a volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct VolumeInstance {
    /// What Docker calls it.
    pub(crate) name: String,
    pub(crate) node: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct VolumeService {
    /// `GRID/STACK/SERVICE`.
    pub(crate) id: String,
}

/// The answer of `GET /v1/grids/{grid}/volume_copies`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct VolumeCopies {
    pub(crate) copies: Vec<VolumeCopy>,
}

/// A Docker volume that the grid keeps on a node, as that one said last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct VolumeCopy {
    /// What Docker calls it.
    pub(crate) name: String,
    pub(crate) node: String,
    /// The volume that it is a copy of; `null` for an instance's own data.
    pub(crate) volume: Option<String>,
    /// `GRID/STACK/SERVICE-N`, whose own data it is; `null` for a copy of a volume.
    pub(crate) instance: Option<String>,
}

/// The body of `POST /v1/volumes/{grid}`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VolumeRequest {
    #[schemars(with = "VolumeText")]
    pub(crate) name: String,
    #[schemars(with = "ScopeText")]
    pub(crate) scope: String,
    #[schemars(with = "DriverText")]
    pub(crate) driver: String,
    /// For the driver: at most 32, each text at most 1,024 bytes long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) driver_opts: Option<BTreeMap<String, String>>,
}
