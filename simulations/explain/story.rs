//! What is told: the same facts as text and as JSON.

use serde::Serialize;

/// A stack on a grid: how it is placed, what happens when nodes die, and when they return.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Story {
    pub(super) stack: String,
    pub(super) nodes: Vec<Stands>,
    /// Silence after which the instances of a node may be taken over in a grid of this size.
    pub(super) absent_after_seconds: f64,
    pub(super) placed: Vec<Placed>,
    /// Nothing if no node is killed.
    pub(super) death: Option<Death>,
}

/// A node at the beginning.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Stands {
    pub(super) name: String,
    pub(super) labels: Vec<String>,
    pub(super) drains: bool,
    pub(super) killed: bool,
}

/// An instance once the stack is deployed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Placed {
    pub(super) instance: String,
    /// Where it runs.
    pub(super) nodes: Vec<String>,
    /// The rule that held when it was placed, as `kontena why` says it.
    pub(super) why: String,
    /// Why no node fits, where none does.
    pub(super) rejected: Vec<Rejected>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Rejected {
    pub(super) node: String,
    pub(super) reason: String,
}

/// What follows when nodes lose their power at one moment, and get it back.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Death {
    pub(super) killed: Vec<String>,
    /// The instances that ran there.
    pub(super) lost: Vec<Lost>,
    /// Instances that went on running, in the same container.
    pub(super) untouched: usize,
    /// Instances on nodes that lived, which were moved or restarted nevertheless.
    pub(super) moved_needlessly: Vec<String>,
    /// After how long nothing changed any more.
    pub(super) settled_after_seconds: f64,
    pub(super) back: Vec<Back>,
    /// Instances that ran elsewhere, and were moved or restarted by the return.
    pub(super) moved_by_return: Vec<String>,
}

/// An instance of a node that died.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Lost {
    pub(super) instance: String,
    pub(super) from: String,
    /// Where it runs then, and after how long; nothing if it stays down.
    pub(super) to: Option<Successor>,
    pub(super) why: String,
    /// Why no node fits, where none does.
    pub(super) rejected: Vec<Rejected>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Successor {
    pub(super) node: String,
    pub(super) after_seconds: f64,
}

/// An instance that starts because its node returned.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Back {
    pub(super) instance: String,
    pub(super) node: String,
    pub(super) after_seconds: f64,
}
