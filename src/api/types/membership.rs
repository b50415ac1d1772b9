//! Becoming a member, leaving, join tokens, and this node's own state. All *ours*.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Time;
use super::form::{Name, NodeLabelText, RangeText};

/// The body of `POST /v1/init`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct InitRequest {
    /// `None` is `default`.
    #[serde(default)]
    #[schemars(with = "Option<Name>")]
    pub(crate) grid: Option<String>,
    /// `None` is the host's name.
    #[serde(default)]
    #[schemars(with = "Option<Name>")]
    pub(crate) name: Option<String>,
    #[serde(default)]
    #[schemars(with = "Vec<NodeLabelText>", length(max = 64))]
    pub(crate) labels: Vec<String>,
    /// All that leads into the grid's network; `None` is 10.80.0.0/12.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<RangeText>")]
    pub(crate) supernet: Option<String>,
    /// What the nodes' own /24s come from; `None` is the whole supernet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<RangeText>")]
    pub(crate) subnet: Option<String>,
}

/// The answer of `POST /v1/init`, and `kontena init --json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct InitAnswer {
    pub(crate) grid: String,
    /// The node's name.
    pub(crate) node: String,
    /// Where another node reaches this one, `IP:PORT`; null while it knows no address of its own.
    pub(crate) address: Option<String>,
    pub(crate) join_token: String,
    pub(crate) admin_token: String,
}

/// The body of `POST /v1/join`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct JoinRequest {
    /// `HOST[:PORT]` or a multiaddr.
    pub(crate) address: String,
    pub(crate) token: String,
    /// `None` is the host's name.
    #[serde(default)]
    #[schemars(with = "Option<Name>")]
    pub(crate) name: Option<String>,
    #[serde(default)]
    #[schemars(with = "Vec<NodeLabelText>", length(max = 64))]
    pub(crate) labels: Vec<String>,
}

/// The answer of `POST /v1/join`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct JoinAnswer {
    pub(crate) grid: String,
    pub(crate) node: String,
    pub(crate) address: Option<String>,
}

/// The body of `POST /v1/leave`; an empty one is right too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LeaveRequest {
    #[serde(default)]
    pub(crate) force: bool,
}

/// The answer of `GET /v1/join_tokens`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct JoinTokens {
    pub(crate) join_tokens: Vec<JoinToken>,
}

/// A join token without its secret, which is shown once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct JoinToken {
    pub(crate) id: String,
    pub(crate) created_at: Option<Time>,
    pub(crate) revoked: bool,
}

/// The answer of `POST /v1/join_tokens`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct NewJoinToken {
    pub(crate) join_token: String,
}

/// The answer of `GET /v1/status`: the asked node itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Status {
    pub(crate) version: String,
    /// Its public key in hexadecimal.
    pub(crate) node_id: String,
    /// Its name in the grid, the last one that it had there, or the name that it would have.
    pub(crate) name: String,
    /// `None`: it waits for `init` or `join`.
    pub(crate) grid: Option<String>,
    pub(crate) phase: Phase,
    /// Where it can be reached, best first: `IP:PORT`.
    pub(crate) addresses: Vec<String>,
    /// What is wrong, in words: engine, disk …
    pub(crate) problems: Vec<String>,
}

/// The answer of `GET /v1/user`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct User {
    pub(crate) id: String,
    pub(crate) name: String,
    /// What Kontena's command line shows.
    pub(crate) email: String,
}

/// Where a node is on its way through life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Phase {
    /// In no grid: waits for `init` or `join`.
    #[default]
    Waiting,
    Member,
    /// Removed from its grid for good.
    Removed,
    /// Another machine runs with this node's identity.
    Cloned,
}

/// The answer of `GET /` and `GET /v1/ping`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Version {
    pub(crate) name: String,
    pub(crate) version: String,
}
