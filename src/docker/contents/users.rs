//! The containers that mount a volume, ours and others.

use std::collections::{BTreeMap, HashMap};

use bollard::query_parameters::ListContainersOptions;
use kontena_core::reconcile::action::{Care, ContainerId};

use super::{PASSING, said};
use crate::docker::labels;
use crate::docker::trouble::{NOT_FOUND, Trouble};
use crate::docker::{Docker, READ_LIMIT};

/// All of them at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Users {
    /// Those that run, or are paused.
    pub(crate) running: Vec<User>,
    /// Since when each runs, or ran last, by Docker's ids: equal ones say that none was started in between.
    lives: BTreeMap<String, String>,
}

/// A container that runs and mounts a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) container: ContainerId,
    /// Docker's name of it.
    pub(crate) name: String,
    /// As it was made.
    pub(crate) care: Care,
}

impl Users {
    /// Whether none was made or started since `before`.
    pub(crate) fn are_those_of(&self, before: &Self) -> bool {
        let knows = |(id, since): (&String, &String)| before.lives.get(id) == Some(since);
        self.lives.iter().all(knows)
    }
}

impl Docker {
    /// Who mounts a volume.
    ///
    /// # Errors
    /// The engine does not answer.
    pub(crate) async fn users(&self, volume: &str) -> anyhow::Result<Users> {
        let users = self.look_for_users(volume).await;
        users.map_err(|trouble| said("find out who uses the volume", &trouble))
    }

    async fn look_for_users(&self, volume: &str) -> Result<Users, Trouble> {
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
        let mut users = Users::default();
        for id in listed.into_iter().filter_map(|summary| summary.id) {
            self.note_user(&id, volume, &mut users).await?;
        }
        Ok(users)
    }

    async fn note_user(&self, id: &str, volume: &str, users: &mut Users) -> Result<(), Trouble> {
        let found = match self.inspect(id).await {
            Ok(found) => found,
            Err(trouble) if trouble.is_status(NOT_FOUND) => return Ok(()),
            Err(trouble) => return Err(trouble),
        };
        let labels = found.config.and_then(|config| config.labels);
        let labels = labels.unwrap_or_default();
        // The engine's filter also finds those that mount something else at a path of that name.
        let mounts = found.mounts.unwrap_or_default();
        let mounts_it = mounts
            .iter()
            .any(|mount| mount.name.as_deref() == Some(volume));
        if !mounts_it || labels.contains_key(PASSING) {
            return Ok(());
        }
        let state = found.state.unwrap_or_default();
        let since = state.started_at.unwrap_or_default();
        users.lives.insert(id.to_owned(), since);
        // It says so of one that is paused, too.
        if state.running == Some(true) {
            let name = found.name.unwrap_or_default();
            users.running.push(User {
                container: ContainerId(id.to_owned()),
                name: name.trim_start_matches('/').to_owned(),
                care: labels::care(&labels),
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(lives: &[(&str, &str)]) -> Users {
        let lives = lives.iter();
        Users {
            running: Vec::new(),
            lives: lives
                .map(|(id, since)| ((*id).to_owned(), (*since).to_owned()))
                .collect(),
        }
    }

    #[test]
    fn one_that_was_started_or_made_meanwhile_is_noticed_and_one_that_is_gone_is_not() {
        let before = users(&[("a", "10"), ("b", "20")]);
        assert!(before.are_those_of(&before));
        assert!(users(&[("b", "20")]).are_those_of(&before));
        assert!(!users(&[("a", "10"), ("b", "21")]).are_those_of(&before));
        assert!(!users(&[("a", "10"), ("c", "5")]).are_those_of(&before));
    }
}
