//! A copy of a volume on one node: what a Docker volume of ours is known by.

use serde::{Deserialize, Serialize};

use super::{Definition, Scope, VolumeName};
use crate::id::{EnvelopeHash, InstanceId};

/// What an instance mounts, made where it is not there yet. One that is there is taken as it is: of an earlier life of
/// its service, or made by a person (as Kontena); but not one that is labelled as another volume's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mounted {
    /// Docker's name of it, on this node.
    pub name: String,
    pub definition: Definition,
    pub copy: Copy,
}

impl Mounted {
    /// Whether nothing but the containers of one instance mounts it.
    pub fn is_of_one_instance(&self) -> bool {
        match self.copy {
            Copy::Own { .. } => true,
            Copy::Volume { .. } => self.definition.scope == Scope::Instance,
        }
    }
}

/// Whose data it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Copy {
    /// Of a volume of the grid.
    Volume {
        volume: VolumeName,
        creation: EnvelopeHash,
    },
    /// An instance's own, of a stateful service; `creation` is the service's.
    Own {
        instance: InstanceId,
        creation: EnvelopeHash,
    },
}

impl Copy {
    /// Whether both are of one name, of whatever creation: who creates a volume anew has what is there.
    pub fn is_of_the_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Volume { volume, .. }, Self::Volume { volume: other, .. }) => volume == other,
            (
                Self::Own { instance, .. },
                Self::Own {
                    instance: other, ..
                },
            ) => instance == other,
            (Self::Volume { .. }, Self::Own { .. }) | (Self::Own { .. }, Self::Volume { .. }) => {
                false
            }
        }
    }
}
