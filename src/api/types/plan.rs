//! What is supposed in a plan, on the wire. The answer is [`kontena_core::placement::Plan`].

use kontena_core::id::NodeName;
use schemars::JsonSchema;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::form::{Name, NodeLabelText};

/// The body of `POST /v1/grids/{grid}/plan`: all of it is supposed at once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PlanRequest {
    /// Nodes that drain.
    #[schemars(with = "Vec<Name>", length(max = 1_000))]
    pub(crate) drain: Vec<NodeName>,
    /// Nodes that take work again.
    #[schemars(with = "Vec<Name>", length(max = 1_000))]
    pub(crate) activate: Vec<NodeName>,
    /// Nodes that die, and stay away for long enough.
    #[schemars(with = "Vec<Name>", length(max = 1_000))]
    pub(crate) kill: Vec<NodeName>,
    #[schemars(with = "Vec<Name>", length(max = 1_000))]
    pub(crate) remove: Vec<NodeName>,
    #[serde(deserialize_with = "objects")]
    #[schemars(length(max = 1_000))]
    pub(crate) label: Vec<LabelledNode>,
    /// Nodes that join.
    #[serde(deserialize_with = "objects")]
    #[schemars(length(max = 1_000))]
    pub(crate) add: Vec<SupposedNode>,
    /// Also tell how each node looks to the decision, of the first twenty services that would change.
    pub(crate) scores: bool,
}

/// Objects alone: a list would be read as the fields of one, in the order in which they are declared.
fn objects<'de, T: DeserializeOwned, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let objects = Vec::<Map<String, Value>>::deserialize(deserializer)?.into_iter();
    objects
        .map(|object| T::deserialize(Value::Object(object)).map_err(D::Error::custom))
        .collect()
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LabelledNode {
    #[schemars(with = "Name")]
    pub(crate) node: NodeName,
    /// `KEY=VALUE` in place of others with that key, or a bare one.
    #[schemars(with = "NodeLabelText")]
    pub(crate) label: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SupposedNode {
    #[schemars(with = "Name")]
    pub(crate) name: NodeName,
    #[serde(default)]
    #[schemars(with = "Vec<NodeLabelText>", length(max = 64))]
    pub(crate) labels: Vec<String>,
}
