//! A connection that is handed over to something else than HTTP.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CONNECTION, UPGRADE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use crate::api::answer::Refused;

/// Who asked only has to read the answer's head, a hundred bytes.
const HANDOVER_LIMIT: Duration = Duration::from_secs(30);

/// Whether a request asks for its connection to be handed over to `protocol`.
pub(super) fn is_asked_for(headers: &HeaderMap, protocol: &str) -> bool {
    let upgrade = headers.get(UPGRADE).and_then(|value| value.to_str().ok());
    upgrade.is_some_and(|asked| asked.eq_ignore_ascii_case(protocol))
}

/// The answer 426: which protocols there are.
pub(super) fn required(protocols: &[&str]) -> Response {
    let upgrades = [
        (CONNECTION, "Upgrade".to_owned()),
        (UPGRADE, protocols.join(", ")),
    ];
    (upgrades, Refused::no_upgrade(protocols)).into_response()
}

/// The answer 101; from then on the connection is for whoever carries it.
pub(super) fn hand_over<F>(
    request: Request,
    protocol: &'static str,
    carry: impl FnOnce(TokioIo<Upgraded>) -> F + Send + 'static,
) -> Response
where
    F: Future<Output = ()> + Send,
{
    let upgrade = hyper::upgrade::on(request);
    tokio::spawn(async move {
        match timeout(HANDOVER_LIMIT, upgrade).await {
            Ok(Ok(upgraded)) => carry(TokioIo::new(upgraded)).await,
            Err(_) => tracing::debug!("A connection was not taken over in time"),
            Ok(Err(problem)) => tracing::debug!(%problem, "A connection was not handed over"),
        }
    });
    let switched = [(CONNECTION, "Upgrade"), (UPGRADE, protocol)];
    (StatusCode::SWITCHING_PROTOCOLS, switched, Body::empty()).into_response()
}
