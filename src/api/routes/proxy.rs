//! A connection to a service, carried over the API.

use axum::extract::{Request, State};
use axum::response::Response;

use super::handover::{hand_over, is_asked_for, required};
use super::{Shared, entropy, service_key, snapshot_of};
use crate::api::answer::Refused;
use crate::api::request::Segments;
use crate::api::types::CARRIED;
use crate::api::types::segments::OfPort;

/// What a connection to a service speaks.
pub(super) const PROTOCOLS: [&str; 1] = [CARRIED];

/// `GET /v1/proxy/{grid}/{stack}/{service}/{port}` with `Upgrade: kontena-tcp`: from the answer 101 on, what is
/// said is said to one instance of the service.
pub(super) async fn connect(
    State(backend): Shared,
    Segments(OfPort {
        grid,
        stack,
        service,
        port,
    }): Segments<OfPort>,
    request: Request,
) -> Result<Response, Refused> {
    if !is_asked_for(request.headers(), CARRIED) {
        return Ok(required(&PROTOCOLS));
    }
    let snapshot = snapshot_of(&backend, &grid)?;
    let key = service_key(&stack, &service)?;
    let port = port
        .parse()
        .ok()
        .filter(|port| *port != 0)
        .ok_or_else(|| Refused::invalid(format!("`{port}` is no port")))?;
    let place = backend.handovers.place()?;
    let chance = entropy(&backend)?[0];
    let dialed = backend.dialer.dial(&snapshot, &key, port, chance).await?;
    Ok(hand_over(request, CARRIED, place, |io| dialed.carry(io)))
}
