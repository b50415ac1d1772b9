//! A one-off container on this node: what its service is made of here, its image, and its start.

use std::sync::Arc;
use std::time::Duration;

use kontena_core::id::NodeId;
use kontena_core::reconcile::Identity;
use kontena_core::reconcile::action::{Action, Failure, Success};
use kontena_core::reconcile::one_off::{OneOff, one_off, prepare};
use kontena_core::reconcile::wanted::Wanted;
use kontena_core::view::View;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use crate::api::backend::OneOffAsked;
use crate::api::types::exec::News;
use crate::docker::{Docker, ExecOptions, NotStarted, Running};
use crate::entropy::entropy;

/// For the deploy that is meant, which another node knows.
const DEPLOY_LIMIT: Duration = Duration::from_secs(5);
/// Of letters alone, so that it is never an instance's number.
const SUFFIX: usize = 8;

/// Makes the container that is asked for.
pub(super) struct Maker {
    pub(super) docker: Docker,
    pub(super) me: NodeId,
    pub(super) view: watch::Receiver<Arc<View>>,
    pub(super) asked: OneOffAsked,
}

impl Maker {
    /// Until this node is no member of a grid any more.
    pub(super) async fn leaves(&self) {
        let mut view = self.view.clone();
        let left = view.wait_for(|view| !view.documents.roster.contains_key(&self.me));
        // Without a node nobody is a member.
        drop(left.await);
    }

    pub(super) async fn make(
        &self,
        from: NodeId,
        options: &ExecOptions,
        news: mpsc::Sender<News>,
    ) -> Result<Running, NotStarted> {
        let (wanted, identity) = self.prepared(&*self.with_deploy().await?)?;
        let pinned = self.image(&wanted, &news).await?;
        let network = self
            .docker
            .free_attachment(wanted.service.network_mode)
            .await?;
        let asked = OneOff {
            suffix: suffix().map_err(|problem| NotStarted::Engine(problem.to_string()))?,
            command: options.command.clone(),
            environment: options.environment.clone(),
        };
        let spec = one_off(&wanted, &identity, network, &pinned, &asked);
        tracing::info!(container = spec.name, asked = %from.short(), tty = options.tty, "A one-off container is started");
        let runs = News::Runs {
            node: identity.node_name.to_string(),
            container: spec.name.clone(),
        };
        let mounts = self.docker.claim_mounts(&spec)?;
        // While its image came, the instance may have been moved away with what this mounts.
        self.prepared(&Arc::clone(&self.view.borrow()))?;
        let running = self.docker.start_one_off(&spec, options, mounts).await?;
        drop(news.try_send(runs));
        Ok(running)
    }

    fn prepared(&self, view: &View) -> Result<(Wanted, Identity), NotStarted> {
        let prepared = prepare(view, self.me, &self.asked.instance);
        prepared.map_err(|problem| NotStarted::Container(problem.to_string()))
    }

    /// This node may hear of a deploy a moment later than the one that was asked.
    async fn with_deploy(&self) -> Result<Arc<View>, NotStarted> {
        let mut view = self.view.clone();
        let OneOffAsked {
            instance,
            generation,
        } = &self.asked;
        let is_known = |view: &Arc<View>| {
            let record = view.documents.services.get(&instance.service);
            let deployed = record.and_then(|record| record.deployed.as_ref());
            deployed.is_some_and(|deployed| deployed.generation >= *generation)
        };
        let known = timeout(DEPLOY_LIMIT, view.wait_for(is_known)).await;
        let unknown = || "its node does not know the deploy yet".to_owned();
        match known {
            Ok(Ok(view)) => Ok(Arc::clone(&view)),
            Ok(Err(_)) | Err(_) => Err(NotStarted::Container(unknown())),
        }
    }

    async fn image(
        &self,
        wanted: &Wanted,
        news: &mpsc::Sender<News>,
    ) -> Result<String, NotStarted> {
        let fetch = Action::Fetch {
            image: wanted.service.image.clone(),
            frozen: wanted.image.clone(),
        };
        // Where the reader is slow, this one can be missed.
        let tell = |hundredths| drop(news.try_send(News::Pulls(hundredths)));
        match self.docker.carry_out_telling(fetch, &tell).await {
            Ok(Success::Image { pinned }) => Ok(pinned),
            Ok(Success::Running(_) | Success::Lines(_) | Success::Done) => {
                Err(NotStarted::Engine("its image was not told".to_owned()))
            }
            Err(failure @ (Failure::Unreachable { .. } | Failure::Unfenced { .. })) => {
                Err(NotStarted::Engine(failure.to_string()))
            }
            Err(failure) => Err(NotStarted::Container(failure.to_string())),
        }
    }
}

fn suffix() -> std::io::Result<String> {
    let letters = entropy()?.into_iter().take(SUFFIX);
    Ok(letters.map(|byte| char::from(b'a' + byte % 26)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_instance_has_a_number_that_is_a_suffix() {
        let suffix = suffix().unwrap();
        assert_eq!(suffix.len(), SUFFIX);
        assert!(suffix.bytes().all(|byte| byte.is_ascii_lowercase()));
    }
}
