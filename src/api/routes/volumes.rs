//! Volumes of the grid.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use kontena_core::command::Command;
use kontena_core::volume::{Definition, Scope, VolumeName};

use super::{Answer, List, Shared, change, saved, snapshot_of};
use crate::api::answer::Refused;
use crate::api::present;
use crate::api::request::{Body, NoBody, Parameters, Segments};
use crate::api::types::page::Page;
use crate::api::types::segments::{OfGrid, OfVolume};
use crate::api::types::volume::{Volume, VolumeRequest, Volumes};
use crate::api::types::{Changed, Saved};

/// `GET /v1/volumes/{grid}`.
pub(super) async fn list(
    State(backend): Shared,
    Segments(OfGrid { grid }): Segments<OfGrid>,
    uri: Uri,
    Parameters(page): Parameters<Page>,
) -> List<Volumes> {
    let snapshot = snapshot_of(&backend, &grid)?;
    let known = &snapshot.view.documents.volumes;
    page.cut(&uri, known, |(name, _)| name.to_string()).answer(
        |(name, known)| present::volume::volume(&snapshot, name, known),
        |volumes| Volumes { volumes },
    )
}

/// `POST /v1/volumes/{grid}`.
pub(super) async fn create(
    State(backend): Shared,
    Segments(OfGrid { grid }): Segments<OfGrid>,
    Body(asked): Body<VolumeRequest>,
) -> Answer<Changed<Volume>> {
    snapshot_of(&backend, &grid)?;
    let invalid = |problem: &dyn std::fmt::Display| Refused::invalid(problem.to_string());
    let name: VolumeName = asked.name.parse().map_err(|problem| invalid(&problem))?;
    let scope: Scope = asked.scope.parse().map_err(|problem| invalid(&problem))?;
    let definition = Definition {
        scope,
        driver: asked.driver,
        options: asked.driver_opts.unwrap_or_else(BTreeMap::new),
    };
    let command = Command::CreateVolume {
        name: name.clone(),
        definition,
    };
    let (how, snapshot) = change(&backend, command, |view| {
        view.documents.volumes.contains_key(&name)
    })
    .await?;
    let known = snapshot.view.documents.volumes.get(&name);
    let made = known.map(|known| present::volume::volume(&snapshot, &name, known));
    Ok(saved(made.ok_or_else(Refused::unseen)?, how))
}

/// `GET /v1/volumes/{grid}/{volume}`.
pub(super) async fn show(
    State(backend): Shared,
    Segments(OfVolume { grid, volume }): Segments<OfVolume>,
) -> Answer<Volume> {
    let snapshot = snapshot_of(&backend, &grid)?;
    let name = named(&volume)?;
    let known = snapshot.view.documents.volumes.get(&name);
    let known = known.ok_or_else(|| Refused::not_found("volume", &volume))?;
    Ok(Json(present::volume::volume(&snapshot, &name, known)))
}

/// `DELETE /v1/volumes/{grid}/{volume}`: with all its copies.
pub(super) async fn remove(
    State(backend): Shared,
    Segments(OfVolume { grid, volume }): Segments<OfVolume>,
    _: NoBody,
) -> Answer<Saved> {
    snapshot_of(&backend, &grid)?;
    let name = named(&volume)?;
    let command = Command::RemoveVolume(name.clone());
    let (how, _) = change(&backend, command, |view| {
        let known = view.documents.volumes.get(&name);
        known.is_none_or(|volume| volume.removed)
    })
    .await?;
    Ok(Json(how))
}

fn named(volume: &str) -> Result<VolumeName, Refused> {
    volume
        .parse()
        .map_err(|_| Refused::not_found("volume", volume))
}
