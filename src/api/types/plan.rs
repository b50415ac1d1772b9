//! What is supposed in a plan, on the wire. The answer is [`kontena_core::placement::Plan`].

use kontena_core::id::NodeName;
use serde::{Deserialize, Serialize};

/// The body of `POST /v1/grids/{grid}/plan`: all of it is supposed at once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PlanRequest {
    /// Nodes that drain.
    pub(crate) drain: Vec<NodeName>,
    /// Nodes that take work again.
    pub(crate) activate: Vec<NodeName>,
    /// Nodes that die, and stay away for long enough.
    pub(crate) kill: Vec<NodeName>,
    pub(crate) remove: Vec<NodeName>,
    pub(crate) label: Vec<LabelledNode>,
    /// Nodes that join.
    pub(crate) add: Vec<SupposedNode>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LabelledNode {
    pub(crate) node: NodeName,
    /// `KEY=VALUE` in place of others with that key, or a bare one.
    pub(crate) label: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SupposedNode {
    pub(crate) name: NodeName,
    #[serde(default)]
    pub(crate) labels: Vec<String>,
}
