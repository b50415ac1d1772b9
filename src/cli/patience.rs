//! Asking on while nobody answers: what is followed for minutes outlives a daemon that is restarted.

use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep};

use super::session::Session;
use crate::api::client::ApiError;

const PAUSE: Duration = Duration::from_millis(500);
/// A daemon that is restarted answers again within that.
const SILENCE_LIMIT: Duration = Duration::from_secs(20);

/// Asks again while nobody answers, for a while.
pub(super) async fn ask<T: DeserializeOwned>(session: &Session, path: &str) -> Result<T, ApiError> {
    let begun = Instant::now();
    loop {
        match session.client.get(path).await {
            Err(problem) if problem.status.is_none() && begun.elapsed() < SILENCE_LIMIT => {
                sleep(PAUSE).await;
            }
            answer => return answer,
        }
    }
}
