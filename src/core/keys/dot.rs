//! Dots: which write is which, and which of them were seen.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::NodeId;
use crate::report::ReportOrder;

/// One write of one node. No two have the same: each start of a node has another boot or nonce.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Dot {
    pub writer: NodeId,
    pub order: ReportOrder,
}

/// The start of a node that writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    pub writer: NodeId,
    pub boot: u64,
    pub nonce: u64,
}

/// What comes before every write of a node.
pub(super) const NONE: ReportOrder = ReportOrder {
    boot: 0,
    nonce: 0,
    sequence: 0,
};

/// The newest write of each node that was seen, and with it all that came before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seen(BTreeMap<NodeId, ReportOrder>);

impl Seen {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The newest write of a node that was seen.
    pub fn of(&self, writer: &NodeId) -> ReportOrder {
        self.0.get(writer).copied().unwrap_or(NONE)
    }

    pub fn contains(&self, dot: &Dot) -> bool {
        dot.order <= self.of(&dot.writer)
    }

    pub(super) fn extend(&mut self, writer: NodeId, upto: ReportOrder) {
        let newest = self.0.entry(writer).or_insert(upto);
        *newest = upto.max(*newest);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&NodeId, &ReportOrder)> {
        self.0.iter()
    }

    /// The next write of this start of a node; `None` where another start that is above it was seen: a copy
    /// of its disk, or a later life of a disk that was set back.
    pub(super) fn next(&self, life: Life) -> Option<Dot> {
        let newest = self.of(&life.writer);
        let is_same = (newest.boot, newest.nonce) == (life.boot, life.nonce);
        let order = ReportOrder {
            boot: life.boot,
            nonce: life.nonce,
            sequence: if is_same { newest.sequence + 1 } else { 1 },
        };
        (order > newest).then_some(Dot {
            writer: life.writer,
            order,
        })
    }
}
