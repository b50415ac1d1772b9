//! The containers that run and mount a volume, ours and others.

use std::collections::HashMap;

use bollard::query_parameters::ListContainersOptions;
use kontena_core::reconcile::action::{Care, ContainerId};

use super::said;
use crate::docker::labels;
use crate::docker::trouble::{NOT_FOUND, Trouble};
use crate::docker::{Docker, READ_LIMIT};

/// A container that runs and mounts a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) container: ContainerId,
    /// Docker's name of it.
    pub(crate) name: String,
    /// As it was made.
    pub(crate) care: Care,
}

impl Docker {
    /// Who runs and mounts a volume.
    ///
    /// # Errors
    /// The engine does not answer.
    pub(crate) async fn users(&self, volume: &str) -> anyhow::Result<Vec<User>> {
        let users = self.look_for_users(volume).await;
        users.map_err(|trouble| said("find out who uses the volume", &trouble))
    }

    async fn look_for_users(&self, volume: &str) -> Result<Vec<User>, Trouble> {
        let options = ListContainersOptions {
            all: true,
            filters: Some(HashMap::from([(
                "volume".to_owned(),
                vec![volume.to_owned()],
            )])),
            ..ListContainersOptions::default()
        };
        let listed = self
            .call(READ_LIMIT, |client| async move {
                client.list_containers(Some(options)).await
            })
            .await?;
        let mut users = Vec::new();
        for id in listed.into_iter().filter_map(|summary| summary.id) {
            users.extend(self.user(&id, volume).await?);
        }
        Ok(users)
    }

    /// `None` for one that does not run, or does not mount it.
    async fn user(&self, id: &str, volume: &str) -> Result<Option<User>, Trouble> {
        let found = match self.inspect(id).await {
            Ok(found) => found,
            Err(trouble) if trouble.is_status(NOT_FOUND) => return Ok(None),
            Err(trouble) => return Err(trouble),
        };
        // The engine's filter also finds those that mount something else at a path of that name.
        let mounts = found.mounts.unwrap_or_default();
        let mut mounts = mounts.iter();
        let mounts_it = mounts.any(|mount| mount.name.as_deref() == Some(volume));
        // It says so of one that is paused, too.
        let runs = found.state.and_then(|state| state.running) == Some(true);
        let labels = found.config.and_then(|config| config.labels);
        let name = found.name.unwrap_or_default();
        Ok((mounts_it && runs).then(|| User {
            container: ContainerId(id.to_owned()),
            name: name.trim_start_matches('/').to_owned(),
            care: labels::care(&labels.unwrap_or_default()),
        }))
    }
}
