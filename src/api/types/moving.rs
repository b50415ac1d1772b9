//! Moves of instances with their data, on the wire.

use kontena_core::view::MoveOrder;
use schemars::JsonSchema;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use super::form::Name;
use super::service::whole;

/// The body of `POST /v1/volumes/{grid}/{volume}/move`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MoveRequest {
    /// The node that the instance goes to.
    #[schemars(with = "Name")]
    pub(crate) node: String,
    /// At most so many megabits a second, 1 to 100,000; as fast as it goes without.
    #[serde(
        default,
        deserialize_with = "megabits",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(range(min = 1, max = 100_000))]
    pub(crate) bandwidth: Option<u32>,
}

fn megabits<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let number = Option::<f64>::deserialize(deserializer)?;
    let number = number.map(|number| whole(number, MoveOrder::MAX_MEGABITS));
    number.transpose().map_err(D::Error::custom)
}

/// What was ordered last of a move of an instance, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Move {
    /// `STACK/SERVICE-N`, without a stack `SERVICE-N`.
    pub(crate) instance: String,
    /// The node that has the data, or had it.
    pub(crate) from: String,
    pub(crate) to: String,
    /// `moving`, `done`, `given_up`, `cancelled`, or `void`: somebody bound the instance to another node meanwhile.
    pub(crate) state: String,
    /// Whether it runs where its data is.
    pub(crate) running: bool,
    /// How far it is, or what is in the way.
    pub(crate) problem: Option<String>,
}
