//! A connection to a service, carried over the API.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::header::{CONNECTION, UPGRADE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper_util::rt::TokioIo;

use tokio::time::timeout;

use super::{Four, Shared, entropy, service_key, snapshot_of};
use crate::api::answer::Refused;
use crate::api::types::CARRIED;

/// Who asked only has to read the answer's head, a hundred bytes.
const HANDOVER_LIMIT: Duration = Duration::from_secs(30);

/// `GET /v1/proxy/{grid}/{stack}/{service}/{port}` with `Upgrade: kontena-tcp`: from the answer 101 on, what is
/// said is said to one instance of the service.
pub(super) async fn connect(
    State(backend): Shared,
    Path((grid, stack, service, port)): Four,
    request: Request,
) -> Result<Response, Refused> {
    let snapshot = snapshot_of(&backend, &grid)?;
    let key = service_key(&stack, &service)?;
    let port = port
        .parse()
        .ok()
        .filter(|port| *port != 0)
        .ok_or_else(|| Refused::invalid(format!("`{port}` is no port")))?;
    if !is_asked_for(request.headers()) {
        let problem = format!("this path takes `Upgrade: {CARRIED}`");
        return Err(Refused::invalid(problem));
    }
    let chance = entropy(&backend)?[0];
    let dialed = backend.dialer.dial(&snapshot, &key, port, chance).await?;
    let upgrade = hyper::upgrade::on(request);
    tokio::spawn(async move {
        match timeout(HANDOVER_LIMIT, upgrade).await {
            Ok(Ok(upgraded)) => dialed.carry(TokioIo::new(upgraded)).await,
            Err(_) => tracing::debug!("A connection was not taken over in time"),
            Ok(Err(problem)) => tracing::debug!(%problem, "A connection was not handed over"),
        }
    });
    let switched = [(CONNECTION, "Upgrade"), (UPGRADE, CARRIED)];
    Ok((StatusCode::SWITCHING_PROTOCOLS, switched, Body::empty()).into_response())
}

fn is_asked_for(headers: &HeaderMap) -> bool {
    let upgrade = headers.get(UPGRADE).and_then(|value| value.to_str().ok());
    upgrade.is_some_and(|protocol| protocol.eq_ignore_ascii_case(CARRIED))
}
