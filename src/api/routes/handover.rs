//! A connection that is handed over to something else than HTTP.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CONNECTION, UPGRADE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::api::answer::Refused;

/// Who asked only has to read the answer's head, a hundred bytes.
const HANDOVER_LIMIT: Duration = Duration::from_secs(30);

/// At a time: as many as the proxy carries, and as many commands.
const MOST: usize = 512;

/// The places of connections that were handed over: those of HTTP count them no more.
#[derive(Debug)]
pub(crate) struct Handovers {
    places: Arc<Semaphore>,
    most: usize,
}

impl Default for Handovers {
    fn default() -> Self {
        Self::new(MOST)
    }
}

impl Handovers {
    pub(crate) fn new(most: usize) -> Self {
        let places = Arc::new(Semaphore::new(most));
        Self { places, most }
    }

    /// To be kept for as long as the connection is carried.
    pub(super) fn place(&self) -> Result<OwnedSemaphorePermit, Refused> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        place.map_err(|_| Refused::too_many_handed_over(self.most))
    }
}

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
    place: OwnedSemaphorePermit,
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
        drop(place);
    });
    let switched = [(CONNECTION, "Upgrade"), (UPGRADE, protocol)];
    (StatusCode::SWITCHING_PROTOCOLS, switched, Body::empty()).into_response()
}
