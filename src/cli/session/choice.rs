//! Of several nodes that may be asked, the first that answers; the others follow it in their order.

use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::time::{sleep, timeout};

use super::super::failure::Failure;
use crate::api::client::{ApiError, Client};
use crate::api::paths;
use crate::api::target::Target;
use crate::api::types::membership::Version;

/// How long each waits for those before it: whoever is named first is asked if it can be.
const HEAD_START: Duration = Duration::from_millis(300);
/// Nobody waits longer for one of them.
const LIMIT: Duration = Duration::from_secs(5);

/// One alone is not tried: whatever is asked of it tells whether it answers.
pub(super) async fn first_that_answers(mut targets: Vec<Target>) -> Result<Client, Failure> {
    if let [only] = targets.as_slice() {
        return Ok(Client::new(only.clone()));
    }
    let first = chosen(&targets).await?;
    let first = targets.remove(first);
    Ok(Client::of_several(first, targets))
}

/// Its place among them.
async fn chosen(targets: &[Target]) -> Result<usize, Failure> {
    let attempts = targets.iter().enumerate().map(async |(place, target)| {
        let before = u32::try_from(place).unwrap_or(u32::MAX);
        sleep(HEAD_START.saturating_mul(before)).await;
        match answers(target).await {
            Ok(()) => Ok(place),
            Err(problem) => Err((place, problem)),
        }
    });
    let mut attempts: FuturesUnordered<_> = attempts.collect();
    let mut silent = Vec::new();
    while let Some(attempt) = attempts.next().await {
        match attempt {
            Ok(place) => return Ok(place),
            Err(problem) => silent.push(problem),
        }
    }
    silent.sort_by_key(|(place, _)| *place);
    Err(nobody(&silent))
}

async fn answers(target: &Target) -> Result<(), String> {
    let client = Client::new(target.clone());
    let asked = timeout(LIMIT, client.get::<Version>(paths::PING)).await;
    let silent = |_| format!("{target} said nothing within {} s", LIMIT.as_secs());
    let answer: Result<Version, ApiError> = asked.map_err(silent)?;
    match answer {
        Ok(_) => Ok(()),
        Err(problem) => Err(problem.message),
    }
}

fn nobody(silent: &[(usize, String)]) -> Failure {
    let problems = silent.iter().map(|(_, problem)| format!("\n  {problem}"));
    let problems: String = problems.collect();
    Failure::failed(format!("none of {} nodes answers:{problems}", silent.len()))
        .hint("is the daemon running on one of them?")
}
