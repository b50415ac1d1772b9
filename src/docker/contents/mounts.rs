//! Who begins and ends to use a volume while it is read, by the engine's own events: also what has come and gone by the end.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Context;
use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptions;
use futures::{StreamExt, TryStreamExt};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{Carrier, said};
use crate::docker::trouble::Trouble;
use crate::docker::watch::engine_time;
use crate::docker::{Docker, READ_LIMIT};

/// For the engine to tell of what it has done.
const TOLD_WITHIN: Duration = Duration::from_secs(10);
/// What waits to be looked at; the rest waits in the engine.
const WAITING: usize = 64;

/// To be asked at the end; nothing is missed from its making on.
#[derive(Debug)]
pub(crate) struct MountWatch {
    events: mpsc::Receiver<Result<Mounting, Trouble>>,
    task: JoinHandle<()>,
}

/// A container has begun to use the volume, or ended.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mounting {
    container: String,
    has_ended: bool,
}

impl Docker {
    /// Watches who uses a volume from now on.
    ///
    /// # Errors
    /// The engine does not answer.
    pub(crate) async fn watch_mounts(&self, volume: &str) -> anyhow::Result<MountWatch> {
        let watched = self.look_at_mounts(volume).await;
        watched.map_err(|trouble| said("watch who uses the volume", &trouble))
    }

    async fn look_at_mounts(&self, volume: &str) -> Result<MountWatch, Trouble> {
        let info = self
            .call(READ_LIMIT, |client| async move { client.info().await })
            .await?;
        let filters = [("type", "volume"), ("volume", volume)];
        let filters = filters.map(|(key, value)| (key.to_owned(), vec![value.to_owned()]));
        let options = EventsOptions {
            since: info.system_time.as_deref().and_then(engine_time),
            until: None,
            filters: Some(HashMap::from(filters)),
        };
        let client = self.client().await?;
        let (tell, events) = mpsc::channel(WAITING);
        let task = tokio::spawn(async move {
            let mut told = client
                .events(Some(options))
                .map_err(Trouble::from)
                .try_filter_map(async |event| Ok(mounting(event)))
                .boxed();
            while let Some(event) = told.next().await {
                if tell.send(event).await.is_err() {
                    return;
                }
            }
        });
        Ok(MountWatch { events, task })
    }
}

impl MountWatch {
    /// Whether nothing but `carrier`, which has read the volume so many times, began or ended to use it meanwhile.
    ///
    /// # Errors
    /// The engine does not tell.
    pub(crate) async fn was_undisturbed(
        &mut self,
        carrier: &Carrier,
        reads: usize,
    ) -> anyhow::Result<bool> {
        let mut left = reads;
        while left > 0 {
            let event = timeout(TOLD_WITHIN, self.events.recv()).await;
            let event = event.context("the engine does not tell who used the volume meanwhile")?;
            let event = event.context("the engine tells no more who uses the volume")?;
            let event = event.map_err(|trouble| said("watch who uses the volume", &trouble))?;
            if event.container != carrier.container.0 {
                return Ok(false);
            }
            // Events come in their order: what happened while it was read was told before this.
            if event.has_ended {
                left -= 1;
            }
        }
        Ok(true)
    }
}

impl Drop for MountWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// `None` for what is said beside that.
fn mounting(event: EventMessage) -> Option<Mounting> {
    let has_ended = match event.action.as_deref() {
        Some("mount") => false,
        Some("unmount") => true,
        Some(_) | None => return None,
    };
    let attributes = event.actor.and_then(|actor| actor.attributes);
    let container = attributes.and_then(|mut attributes| attributes.remove("container"));
    Some(Mounting {
        container: container.unwrap_or_default(),
        has_ended,
    })
}

#[cfg(test)]
mod tests {
    use kontena_core::reconcile::action::ContainerId;

    use super::*;

    async fn undisturbed(reads: usize, told: &[(&str, bool)]) -> anyhow::Result<bool> {
        let (tell, events) = mpsc::channel(8);
        for (container, has_ended) in told {
            let container = (*container).to_owned();
            let has_ended = *has_ended;
            let mounting = Mounting {
                container,
                has_ended,
            };
            tell.send(Ok(mounting)).await.unwrap();
        }
        drop(tell);
        let mut watch = MountWatch {
            events,
            task: tokio::spawn(async {}),
        };
        let carrier = Carrier {
            container: ContainerId("c".to_owned()),
            image: String::new(),
        };
        watch.was_undisturbed(&carrier, reads).await
    }

    #[tokio::test]
    async fn whoever_came_or_went_before_the_reader_did_is_noticed() {
        let own = [("c", false), ("c", true)];
        assert!(undisturbed(1, &own).await.unwrap());
        let started = [("c", false), ("a", false), ("a", true), ("c", true)];
        assert!(!undisturbed(1, &started).await.unwrap());
        let stopped = [("c", false), ("a", true), ("c", true)];
        assert!(!undisturbed(1, &stopped).await.unwrap());
        let after = [("c", false), ("c", true), ("a", false)];
        assert!(undisturbed(1, &after).await.unwrap());
        let between = [("c", false), ("c", true), ("a", false), ("c", true)];
        assert!(!undisturbed(2, &between).await.unwrap());
        assert!(undisturbed(1, &[("c", false)]).await.is_err(), "not told");
    }
}
