//! Wire types: one set of structs for what the server writes and the client reads.
//!
//! The fields are Kontena's, as its own command line reads them; fields that Kontena does not have
//! are marked *ours*. The `--json` of the command line is a second, smaller and stable form: the
//! structs named `…Json`, each made `From` its wire type. A reader ignores fields that it does not
//! know, because a newer node may send more. Not here: how values are found (`present`, `rows`).

pub(crate) mod backup;
pub(crate) mod conflict;
pub(crate) mod definition;
pub(crate) mod deploy;
pub(crate) mod described;
pub(crate) mod error;
pub(crate) mod exec;
pub(crate) mod form;
pub(crate) mod grid;
pub(crate) mod instance;
pub(crate) mod key;
pub(crate) mod log;
pub(crate) mod membership;
pub(crate) mod moving;
pub(crate) mod network;
pub(crate) mod node;
pub(crate) mod page;
pub(crate) mod placement;
pub(crate) mod plan;
pub(crate) mod registry;
pub(crate) mod revision;
pub(crate) mod run;
pub(crate) mod segments;
pub(crate) mod service;
pub(crate) mod stack;
mod time;
pub(crate) mod usage;
pub(crate) mod volume;
pub(crate) mod vpn;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use time::Time;

/// The largest body of a request. A compiled stack travels with its source; Kontena's largest in
/// the wild is below 100 KiB.
pub(crate) const MAX_BODY_BYTES: usize = 2 << 20;

/// The name of the protocol that a connection is handed over to: bytes of TCP. *Ours.*
pub(crate) const CARRIED: &str = "kontena-tcp";

/// How a change was saved: part of every answer to a change. *Ours.*
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Saved {
    /// The names of the nodes that have the change on disk, the asked one first.
    #[serde(default)]
    pub(crate) saved_on: Vec<String>,
    /// Whether there are other nodes, which should have it too; false where nothing had to be saved.
    #[serde(default)]
    pub(crate) has_others: bool,
    /// Images that it deploys and of which neither the engine nor a registry could say what they mean: each node
    /// runs what it finds under the name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) unfrozen: Vec<String>,
}

impl Saved {
    /// Whether to warn "saved on this node only": there are others, and none acknowledged.
    pub(crate) fn on_one_only(&self) -> bool {
        self.has_others && self.saved_on.len() <= 1
    }
}

/// An object after a change, with how the change was saved, as one flat JSON object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Changed{T}")]
pub(crate) struct Changed<T> {
    #[serde(flatten)]
    pub(crate) object: T,
    #[serde(flatten)]
    pub(crate) saved: Saved,
}
