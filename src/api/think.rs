//! Work that takes a processor for long: not on the threads that also run the node, and little of it at a time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::answer::Refused;

/// For those who came before.
const WAIT: Duration = Duration::from_secs(5);

/// One thinks at a time.
#[derive(Clone, Debug)]
pub(crate) struct Thinker(Arc<Semaphore>);

impl Default for Thinker {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

impl Thinker {
    /// The place is kept until the work is done, also where nobody waits for it any more.
    pub(super) async fn think<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refused> {
        let place = timeout(WAIT, Arc::clone(&self.0).acquire_owned()).await;
        let Ok(Ok(place)) = place else {
            return Err(Refused::busy());
        };
        let thinking = spawn_blocking(move || {
            let thought = work();
            drop(place);
            thought
        });
        let lost = |problem| Refused::internal(&format!("it was not worked out: {problem}"));
        thinking.await.map_err(lost)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use axum::http::StatusCode;

    use super::*;

    #[tokio::test]
    async fn whoever_comes_while_another_one_s_work_takes_long_is_told_to_come_again() {
        let thinker = Thinker::default();
        let (done, is_done) = mpsc::channel::<()>();
        let first = thinker.clone();
        let first = tokio::spawn(async move { first.think(move || is_done.recv().is_ok()).await });
        while thinker.0.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        tokio::time::pause();
        // Time does not go on by itself while somebody works.
        let late = tokio::time::advance(WAIT * 2);
        let (second, ()) = tokio::join!(thinker.think(|| ()), late);
        let second = second.unwrap_err();
        assert_eq!(second.status, StatusCode::SERVICE_UNAVAILABLE);
        tokio::time::resume();
        done.send(()).unwrap();
        assert_eq!(first.await.unwrap(), Ok(true));
        assert_eq!(thinker.think(|| 7).await, Ok(7));
    }
}
