//! Moving a bound instance to another node, with its data.

use axum::Json;
use axum::extract::State;
use kontena_core::command::Command;
use kontena_core::id::InstanceId;
use kontena_core::view::{MoveState, View};

use super::{Answer, Shared, change, saved, snapshot_of};
use crate::api::answer::Refused;
use crate::api::present::{self, Snapshot};
use crate::api::request::{Body, NoBody, Segments};
use crate::api::types::Changed;
use crate::api::types::moving::{Move, MoveRequest};
use crate::api::types::segments::OfCopy;

/// `GET /v1/volumes/{grid}/{volume}/move`: what was ordered last, and what became of it.
pub(super) async fn show(
    State(backend): Shared,
    Segments(OfCopy { grid, volume }): Segments<OfCopy>,
) -> Answer<Move> {
    let snapshot = snapshot_of(&backend, &grid)?;
    let instance = user_of(&snapshot, &volume)?;
    let known = present::moving::moving(&snapshot, &instance);
    let missing = || Refused::not_found("move", &volume);
    Ok(Json(known.ok_or_else(missing)?))
}

/// `POST /v1/volumes/{grid}/{volume}/move`: answered once it is ordered.
pub(super) async fn order(
    State(backend): Shared,
    Segments(OfCopy { grid, volume }): Segments<OfCopy>,
    Body(asked): Body<MoveRequest>,
) -> Answer<Changed<Move>> {
    let snapshot = snapshot_of(&backend, &grid)?;
    let instance = user_of(&snapshot, &volume)?;
    let node = *snapshot.node(&asked.node)?.0;
    let command = Command::MoveInstance {
        instance: instance.clone(),
        node,
        megabits: asked.bandwidth,
    };
    let is_shown = |view: &View| order_of(view, &instance).is_some_and(|order| order.to == node);
    let (how, snapshot) = change(&backend, command, is_shown).await?;
    let made = present::moving::moving(&snapshot, &instance);
    Ok(saved(made.ok_or_else(Refused::unseen)?, how))
}

/// `DELETE /v1/volumes/{grid}/{volume}/move`: the instance stays where it is, unless all of its data has gone already.
pub(super) async fn cancel(
    State(backend): Shared,
    Segments(OfCopy { grid, volume }): Segments<OfCopy>,
    _: NoBody,
) -> Answer<Changed<Move>> {
    let snapshot = snapshot_of(&backend, &grid)?;
    let instance = user_of(&snapshot, &volume)?;
    let command = Command::CancelMove(instance.clone());
    let is_open = |view: &View| {
        order_of(view, &instance).is_some_and(|order| order.state == MoveState::Ordered)
    };
    let (how, snapshot) = change(&backend, command, |view| !is_open(view)).await?;
    let made = present::moving::moving(&snapshot, &instance);
    Ok(saved(made.ok_or_else(Refused::unseen)?, how))
}

fn order_of<'a>(
    view: &'a View,
    instance: &InstanceId,
) -> Option<&'a kontena_core::view::MoveOrder> {
    let record = view.documents.services.get(&instance.service)?;
    record.moves.get(&instance.number)
}

/// The bound instance whose data a name means.
fn user_of(snapshot: &Snapshot, name: &str) -> Result<InstanceId, Refused> {
    let among = match snapshot.view.bound_user(name) {
        Ok(instance) => return Ok(instance),
        Err(among) => among,
    };
    if !among.is_empty() {
        let among: Vec<String> = among.iter().map(|copy| format!("`{copy}`")).collect();
        let among = among.join(", ");
        return Err(Refused::invalid(format!(
            "several instances have a copy of the volume `{name}`: name one of {among}"
        )));
    }
    let known = name.parse().ok().filter(|name| {
        let volumes = &snapshot.view.documents.volumes;
        volumes.contains_key(name)
    });
    match known {
        Some(name) => {
            let name: kontena_core::volume::VolumeName = name;
            Err(Refused::no_bound_user(&name.to_string()))
        }
        None => Err(Refused::not_found("volume", name)),
    }
}
