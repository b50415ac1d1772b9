//! What became of a job's slots.

use axum::extract::State;
use axum::http::Uri;

use super::{List, Shared, service_key, snapshot_of};
use crate::api::present::runs;
use crate::api::request::{Parameters, Segments};
use crate::api::types::page::Page;
use crate::api::types::run::Runs;
use crate::api::types::segments::OfService;

/// `GET …/runs`: what nodes remember, the newest slot first.
pub(super) async fn list(
    State(backend): Shared,
    Segments(path): Segments<OfService>,
    uri: Uri,
    Parameters(page): Parameters<Page>,
) -> List<Runs> {
    let snapshot = snapshot_of(&backend, &path.grid)?;
    let key = service_key(&path.stack, &path.service)?;
    let record = snapshot.service(&key)?;
    let rows = runs::of_service(&snapshot, &key, record);
    page.cut(&uri, rows, |(place, _)| place.clone())
        .answer(|(_, run)| run, |runs| Runs { runs })
}
