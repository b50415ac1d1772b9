//! Why an instance is where it is, or why it is nowhere. *Ours.*

use axum::Json;
use axum::extract::{Path, State};
use kontena_core::placement::{self, Explanation};
use serde::Deserialize;

use super::{Answer, Shared, Two, service_key, snapshot};
use crate::api::present::instances;
use crate::api::request::Parameters;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    /// All instances where there is none.
    instance: Option<u32>,
}

/// `GET /v1/why/{stack}/{service}?instance=N`.
pub(super) async fn explain(
    State(backend): Shared,
    Path((stack, service)): Two,
    Parameters(which): Parameters<Which>,
) -> Answer<Explanation> {
    let snapshot = snapshot(&backend)?;
    let key = service_key(&stack, &service)?;
    snapshot.service(&key)?;
    if let Some(number) = which.instance {
        instances::check(&snapshot, &key, number)?;
    }
    let explanation = placement::explain(&snapshot.view, &key, which.instance);
    Ok(Json(explanation))
}
