//! What a path names, in the words of its `{…}`.
//!
//! A name of any other form names nothing: it is answered as what does not exist.

use schemars::JsonSchema;
use serde::Deserialize;

use super::form::{
    CopyText, DeployText, Key, KeyPart, Name, PortText, RegistryText, VariableText, VolumeText,
};

/// `/v1/grids/{grid}` and what is below.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub(crate) struct OfGrid {
    /// The grid of the asked node.
    #[schemars(with = "Name")]
    pub(crate) grid: String,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub(crate) struct OfStoreKey {
    /// The grid of the asked node.
    #[schemars(with = "Name")]
    pub(crate) grid: String,
    /// A path of the key-value store, with its first `/` or without: two slashes follow each other then.
    #[schemars(with = "KeyPart")]
    pub(crate) key: String,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub(crate) struct OfNode {
    /// The grid of the asked node.
    #[schemars(with = "Name")]
    pub(crate) grid: String,
    /// A member, by its name.
    #[schemars(with = "Name")]
    pub(crate) node: String,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub(crate) struct OfStack {
    /// The grid of the asked node.
    #[schemars(with = "Name")]
    pub(crate) grid: String,
    /// What the stack is installed as.
    #[schemars(with = "Name")]
    pub(crate) stack: String,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub(crate) struct OfStackDeploy {
    /// The grid of the asked node.
    #[schemars(with = "Name")]
    pub(crate) grid: String,
    /// What the stack is installed as.
    #[schemars(with = "Name")]
    pub(crate) stack: String,
    /// The `id` of a deploy.
    #[schemars(with = "DeployText")]
    pub(crate) deploy: String,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub(crate) struct OfService {
    /// The grid of the asked node.
    #[schemars(with = "Name")]
    pub(crate) grid: String,
    /// What its stack is installed as; `null` for a service without one.
    #[schemars(with = "Name")]
    pub(crate) stack: String,
    /// The service's own name.
    #[schemars(with = "Name")]
    pub(crate) service: String,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub(crate) struct OfServiceDeploy {
    /// The grid of the asked node.
    #[schemars(with = "Name")]
    pub(crate) grid: String,
    /// What its stack is installed as; `null` for a service without one.
    #[schemars(with = "Name")]
    pub(crate) stack: String,
    /// The service's own name.
    #[schemars(with = "Name")]
    pub(crate) service: String,
    /// The `id` of a deploy.
    #[schemars(with = "DeployText")]
    pub(crate) deploy: String,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub(crate) struct OfVariable {
    /// The grid of the asked node.
    #[schemars(with = "Name")]
    pub(crate) grid: String,
    /// What its stack is installed as; `null` for a service without one.
    #[schemars(with = "Name")]
    pub(crate) stack: String,
    /// The service's own name.
    #[schemars(with = "Name")]
    pub(crate) service: String,
    /// Of an environment variable.
    #[schemars(with = "VariableText")]
    pub(crate) variable: String,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub(crate) struct OfPort {
    /// The grid of the asked node.
    #[schemars(with = "Name")]
    pub(crate) grid: String,
    /// What its stack is installed as; `null` for a service without one.
    #[schemars(with = "Name")]
    pub(crate) stack: String,
    /// The service's own name.
    #[schemars(with = "Name")]
    pub(crate) service: String,
    /// Of its containers, TCP.
    #[schemars(with = "PortText")]
    pub(crate) port: String,
}

/// `/v1/why/{stack}/{service}`, of whatever grid the asked node belongs to.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub(crate) struct OfKey {
    /// What its stack is installed as; `null` for a service without one.
    #[schemars(with = "Name")]
    pub(crate) stack: String,
    /// The service's own name.
    #[schemars(with = "Name")]
    pub(crate) service: String,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub(crate) struct OfContainer {
    /// The grid of the asked node.
    #[schemars(with = "Name")]
    pub(crate) grid: String,
    /// A member, by its name.
    #[schemars(with = "Name")]
    pub(crate) node: String,
    /// Of the container: `stack.service-N`, or `service-N`.
    #[schemars(regex(pattern = "^[a-z0-9.-]+$"), length(min = 1, max = 140))]
    pub(crate) name: String,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub(crate) struct OfToken {
    /// Of a join token.
    #[schemars(with = "Key")]
    pub(crate) id: String,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub(crate) struct OfRegistry {
    /// The grid of the asked node.
    #[schemars(with = "Name")]
    pub(crate) grid: String,
    /// The registry's host, with its port where that is neither 80 nor 443.
    #[schemars(with = "RegistryText")]
    pub(crate) registry: String,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub(crate) struct OfInstance {
    /// The grid of the asked node.
    #[schemars(with = "Name")]
    pub(crate) grid: String,
    /// The service's stack; `null` for a service without one.
    #[schemars(with = "Name")]
    pub(crate) stack: String,
    /// The service.
    #[schemars(with = "Name")]
    pub(crate) service: String,
    /// The number of an instance.
    #[schemars(with = "PortText")]
    pub(crate) instance: String,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub(crate) struct OfVolume {
    /// The grid of the asked node.
    #[schemars(with = "Name")]
    pub(crate) grid: String,
    /// The volume's name.
    #[schemars(with = "VolumeText")]
    pub(crate) volume: String,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub(crate) struct OfCopy {
    /// The grid of the asked node.
    #[schemars(with = "Name")]
    pub(crate) grid: String,
    /// What Docker calls a copy of a volume, or the name of a volume that has one copy.
    #[schemars(with = "CopyText")]
    pub(crate) volume: String,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub(crate) struct OfNodesCopy {
    /// The grid of the asked node.
    #[schemars(with = "Name")]
    pub(crate) grid: String,
    /// A member, by its name.
    #[schemars(with = "Name")]
    pub(crate) node: String,
    /// What Docker calls a copy of a volume there.
    #[schemars(with = "CopyText")]
    pub(crate) copy: String,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub(crate) struct OfVpnUser {
    /// The grid of the asked node.
    #[schemars(with = "Name")]
    pub(crate) grid: String,
    /// The user's name.
    #[schemars(with = "Name")]
    pub(crate) user: String,
}
