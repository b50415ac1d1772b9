//! Why an instance is where it is, or why it is nowhere. *Ours.*

use axum::Json;
use axum::extract::State;
use kontena_core::placement::{self, Explanation};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Answer, Shared, service_key, snapshot};
use crate::api::present::instances;
use crate::api::request::{Parameters, Segments};
use crate::api::types::described::Described;
use crate::api::types::placement::ExplanationShape;
use crate::api::types::segments::OfKey;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    /// All instances where there is none.
    instance: Option<u32>,
}

/// `GET /v1/why/{stack}/{service}?instance=N`.
pub(super) async fn explain(
    State(backend): Shared,
    Segments(OfKey { stack, service }): Segments<OfKey>,
    Parameters(which): Parameters<Which>,
) -> Answer<Described<Explanation, ExplanationShape>> {
    let snapshot = snapshot(&backend)?;
    let key = service_key(&stack, &service)?;
    snapshot.service(&key)?;
    if let Some(number) = which.instance {
        instances::check(&snapshot, &key, number)?;
    }
    let explain = move || placement::explain(&snapshot.view, &key, which.instance);
    let explanation = backend.thinker.think(explain).await?;
    Ok(Json(Described::new(explanation)))
}
