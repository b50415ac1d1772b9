//! What makes a holder of an instance a right one.

use crate::id::RevisionHash;
use crate::view::ServiceRecord;

/// Which revision a holder has to run to be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standard {
    /// That of the deploy of record.
    Deploy(RevisionHash),
    /// Any: the deploy of record is halted or waits to be promoted, so that nobody gets to its revision, and
    /// what runs before it is as good.
    Any,
    /// None: the service is only about to be created.
    Nothing,
}

impl Standard {
    pub(super) fn of(record: &ServiceRecord) -> Self {
        match &record.deployed {
            Some(deployed) if deployed.goes_on() => Self::Deploy(deployed.revision.hash),
            Some(_) => Self::Any,
            None => Self::Nothing,
        }
    }

    pub(super) fn is_met_by(self, revision: RevisionHash) -> bool {
        match self {
            Self::Deploy(wanted) => wanted == revision,
            Self::Any => true,
            Self::Nothing => false,
        }
    }
}
