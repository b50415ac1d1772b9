//! The grid.

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use kontena_core::command::Command;

use super::{Answer, List, Shared, change, saved, snapshot, snapshot_of};
use crate::api::answer::Refused;
use crate::api::present;
use crate::api::request::{Body, Parameters, Segments};
use crate::api::types::Changed;
use crate::api::types::grid::{Grid, GridChange, Grids};
use crate::api::types::membership::Phase;
use crate::api::types::page::Page;
use crate::api::types::segments::OfGrid;

/// As many as the node takes.
const MAX_AFFINITIES: usize = 100;

/// `GET /v1/grids`: the grid of this node, or none.
pub(super) async fn list(
    State(backend): Shared,
    uri: Uri,
    Parameters(page): Parameters<Page>,
) -> List<Grids> {
    let snapshot = snapshot(&backend).ok();
    let phase = backend.local.borrow().phase;
    let warning = excluded(phase).map(str::to_owned);
    page.cut(&uri, &snapshot, |snapshot| snapshot.grid.to_string())
        .answer(present::grid::grid, |grids| Grids { grids, warning })
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

pub(super) async fn show(
    State(backend): Shared,
    Segments(OfGrid { grid }): Segments<OfGrid>,
) -> Answer<Grid> {
    let snapshot = snapshot_of(&backend, &grid)?;
    Ok(Json(present::grid::grid(&snapshot)))
}

/// `PUT`: the default affinity; what is absent stays.
pub(super) async fn update(
    State(backend): Shared,
    Segments(OfGrid { grid }): Segments<OfGrid>,
    Body(wanted): Body<GridChange>,
) -> Answer<Changed<Grid>> {
    let snapshot = snapshot_of(&backend, &grid)?;
    let at_hand = &snapshot.view.documents.grid.default_affinity;
    if wanted
        .default_affinity
        .as_ref()
        .is_some_and(|rules| rules.len() > MAX_AFFINITIES)
    {
        let problem = format!("default_affinity: at most {MAX_AFFINITIES} are possible");
        return Err(Refused::invalid(problem));
    }
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
