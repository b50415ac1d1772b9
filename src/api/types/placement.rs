//! What placement tells of itself, for the document of the API alone: [`kontena_core::placement::Explanation`] and
//! [`kontena_core::placement::Plan`] go over the wire as they are.
#![expect(
    dead_code,
    reason = "these types have nothing but schemas: values are written by the core"
)]

use schemars::JsonSchema;

use super::form::{InstanceText, Name, ServiceText};

/// The placement of one service, explained.
#[derive(JsonSchema)]
#[schemars(rename = "Explanation")]
pub(crate) struct ExplanationShape {
    service: ServiceText,
    /// Why nothing, or not the instance asked for, is placed.
    problem: Option<String>,
    instances: Vec<ExplainedInstance>,
}

#[derive(JsonSchema)]
struct ExplainedInstance {
    number: u32,
    /// The node that is to run it.
    holder: Option<Name>,
    /// The rule that held, for people.
    reason: String,
    /// Nodes that hold it and are to give it up.
    outgoing: Vec<Name>,
    /// Every member of the grid, by name.
    nodes: Vec<ExplainedNode>,
}

/// One node, as it looked to the decision.
#[derive(JsonSchema)]
struct ExplainedNode {
    node: Name,
    /// Its labels, and whatever is unusual about it.
    facts: Vec<String>,
    #[schemars(flatten)]
    verdict: Verdict,
    /// What the node says of the instance that it holds.
    #[schemars(default)]
    problem: Option<String>,
    /// Whether it comes next for the service.
    #[schemars(default)]
    standby: Option<StandbyNode>,
}

/// A node that is to keep the image of the service ready.
#[derive(JsonSchema)]
struct StandbyNode {
    has_image: bool,
    #[schemars(default)]
    problem: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(tag = "verdict", rename_all = "lowercase")]
enum Verdict {
    /// It is to run the instance.
    Chosen {
        #[schemars(flatten)]
        weight: Weight,
    },
    Eligible {
        #[schemars(flatten)]
        weight: Weight,
    },
    Rejected {
        reason: String,
    },
}

/// What orders the nodes that fit: smaller comes first, of `score` the larger.
#[derive(JsonSchema)]
struct Weight {
    /// It refuses another instance of the service.
    #[schemars(default)]
    refuses: bool,
    /// Soft affinities that the node misses.
    misses: u32,
    /// Other instances of the service in the node's zone, or in the first of `domains`.
    in_zone: u32,
    /// What the service is spread over, the widest first.
    #[schemars(default)]
    domains: Vec<Domain>,
    of_service: u32,
    on_node: u32,
    #[schemars(default)]
    has_image: bool,
    /// 16 hexadecimal digits.
    #[schemars(regex(pattern = "^[0-9a-f]{16}$"))]
    score: String,
}

/// A part of the grid that the service is spread over.
#[derive(JsonSchema)]
struct Domain {
    /// `rack=r1`; `rack=default` are the nodes without the label.
    label: String,
    instances: u32,
}

/// What would happen.
#[derive(JsonSchema)]
#[schemars(rename = "PlacementPlan")]
pub(crate) struct PlanShape {
    /// In the order of services and numbers.
    changes: Vec<PlacementChange>,
    /// How many would stay as they are.
    unchanged: u64,
    /// With `scores`: why the instances of the first twenty services would be where they would be.
    #[serde(default)]
    explanations: Vec<ExplanationShape>,
}

/// What would become of one instance.
#[derive(JsonSchema)]
struct PlacementChange {
    instance: InstanceText,
    /// Who is to run it now.
    from: Option<Name>,
    #[schemars(flatten)]
    outcome: PlacementOutcome,
    /// The rule that would hold, for people.
    reason: String,
}

#[derive(JsonSchema)]
#[schemars(tag = "outcome", rename_all = "lowercase")]
enum PlacementOutcome {
    /// Another node would run it.
    Moves { to: Name },
    /// It runs nowhere now, and would.
    Starts { to: Name },
    /// Its node is to give it up, and keeps it for want of another.
    Stays { on: Name },
    /// It would be down, and would wait.
    Waits,
    /// It would go with its node.
    Stops,
}
