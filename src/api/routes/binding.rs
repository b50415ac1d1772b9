//! Which node the instances of a stateful service are bound to.

use axum::Json;
use axum::extract::State;
use kontena_core::command::Command;
use kontena_core::id::InstanceId;

use super::services::existing;
use super::{Answer, Shared, change, snapshot_of};
use crate::api::answer::Refused;
use crate::api::request::{Body, Segments};
use crate::api::types::Saved;
use crate::api::types::instance::ForceMove;
use crate::api::types::segments::OfInstance;

/// `POST …/instances/{instance}/force_move`: it runs elsewhere from now on, without its data.
pub(super) async fn force_move(
    State(backend): Shared,
    Segments(OfInstance {
        grid,
        stack,
        service,
        instance,
    }): Segments<OfInstance>,
    Body(asked): Body<ForceMove>,
) -> Answer<Saved> {
    let key = existing(&backend, &grid, &stack, &service)?;
    let node = *snapshot_of(&backend, &grid)?.node(&asked.node)?.0;
    let missing = || Refused::not_found("instance", &format!("{key}-{instance}"));
    let number: u32 = instance.parse().map_err(|_| missing())?;
    // `+1` and `01` are other names, of nothing.
    if number.to_string() != instance {
        return Err(missing());
    }
    let command = Command::ForceMove {
        instance: InstanceId::new(key.clone(), number),
        node,
        data_loss: asked.data_loss.unwrap_or_default(),
    };
    let (how, _) = change(&backend, command, |view| {
        let record = view.documents.services.get(&key);
        let pin = record.and_then(|record| record.pins.get(&number));
        pin.is_none_or(|pin| pin.node == node)
    })
    .await?;
    Ok(Json(how))
}
