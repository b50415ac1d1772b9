//! Keys of the key-value store on the wire.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::form::KeyText;

/// The answer of `GET /v1/etcd/{grid}/{key}`: a value, or what is in a directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum KeyRead {
    Value(KeyValue),
    Directory(KeyDirectory),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct KeyValue {
    pub(crate) value: String,
    /// *Ours*: seconds that it lasts yet; absent where it has no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ttl: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct KeyDirectory {
    /// By key; with `recursive` all that is below, and of directories only those that are empty.
    pub(crate) children: Vec<KeyChild>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct KeyChild {
    /// The whole key.
    #[schemars(with = "KeyText")]
    pub(crate) key: String,
    /// Absent for a directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) value: Option<String>,
}

/// The query of `GET /v1/etcd/{grid}/{key}`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyDepth {
    /// All that is below, not only what is in the directory itself.
    #[serde(default)]
    pub(crate) recursive: bool,
}

/// The body of `POST /v1/etcd/{grid}/{key}`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeySetting {
    /// Absent: a directory. At most 64 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) value: Option<String>,
    /// *Ours*: it ends by itself after so many seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 315_360_000))]
    pub(crate) ttl: Option<u64>,
}

/// The body of `DELETE /v1/etcd/{grid}/{key}`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyRemoval {
    /// A directory with all that is in it.
    #[serde(default)]
    pub(crate) recursive: bool,
}

/// *Ours*: what was done, once it is on the asked node's disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct KeyChanged {
    #[schemars(with = "KeyText")]
    pub(crate) key: String,
    /// The asked node's count of changes.
    pub(crate) index: u64,
}

/// *Ours*: the answer of `GET /v1/etcd/{grid}`: how full the store is on the asked node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct KeyStore {
    pub(crate) keys: u64,
    pub(crate) max_keys: u64,
    /// Of keys and values.
    pub(crate) bytes: u64,
    pub(crate) max_bytes: u64,
    pub(crate) index: u64,
}
