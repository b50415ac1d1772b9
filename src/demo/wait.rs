//! Waiting until something is so, with a deadline and the last thing seen in the error.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::Instant;

/// Often enough that a measured time is right to a tenth of a second.
const POLL: Duration = Duration::from_millis(50);

/// Calls `look` until it has an answer. `Ok(None)` and `Err` both mean "not yet"; the last error is in
/// the message when time is up.
pub(crate) async fn until<T>(
    wait: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + wait;
    loop {
        let problem = match look().await {
            Ok(Some(answer)) => return Ok(answer),
            Ok(None) => None,
            Err(problem) => Some(problem),
        };
        if Instant::now() >= deadline {
            let problem = problem
                .map(|problem| format!(": {problem:#}"))
                .unwrap_or_default();
            bail!(
                "gave up after {} s waiting for {what}{problem}",
                wait.as_secs()
            );
        }
        tokio::time::sleep(POLL).await;
    }
}
