//! The grid.

use axum::Json;
use axum::extract::{Path, State};
use kontena_core::command::Command;

use super::{Answer, Shared, change, saved, snapshot, snapshot_of};
use crate::api::present;
use crate::api::request::Body;
use crate::api::types::Changed;
use crate::api::types::grid::{Grid, GridChange, Grids};
use crate::api::types::membership::Phase;

/// `GET /v1/grids`: the grid of this node, or none.
pub(super) async fn list(State(backend): Shared) -> Json<Grids> {
    let snapshot = snapshot(&backend).ok();
    let grids = snapshot.iter().map(present::grid::grid).collect();
    let phase = backend.local.borrow().phase;
    let warning = excluded(phase).map(str::to_owned);
    Json(Grids { grids, warning })
}

/// What a node that is no member any more shows is what it knew when it was one.
fn excluded(phase: Phase) -> Option<&'static str> {
    match phase {
        Phase::Waiting | Phase::Member => None,
        Phase::Removed => Some(
            "the asked node was removed from this grid: it shows what it knew then, and nothing newer",
        ),
        Phase::Cloned => {
            Some("another machine runs with the asked node's identity: what it shows may be old")
        }
    }
}

pub(super) async fn show(State(backend): Shared, Path(grid): Path<String>) -> Answer<Grid> {
    let snapshot = snapshot_of(&backend, &grid)?;
    Ok(Json(present::grid::grid(&snapshot)))
}

/// `PUT`: the default affinity; what is absent stays.
pub(super) async fn update(
    State(backend): Shared,
    Path(grid): Path<String>,
    Body(wanted): Body<GridChange>,
) -> Answer<Changed<Grid>> {
    let snapshot = snapshot_of(&backend, &grid)?;
    let at_hand = &snapshot.view.documents.grid.default_affinity;
    let default_affinity = wanted.default_affinity.unwrap_or_else(|| at_hand.clone());
    let command = Command::UpdateGrid {
        default_affinity: default_affinity.clone(),
    };
    let (how, snapshot) = change(&backend, command, |view| {
        view.documents.grid.default_affinity == default_affinity
    })
    .await?;
    Ok(saved(present::grid::grid(&snapshot), how))
}
