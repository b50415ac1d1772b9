//! What an earlier life of the daemon left behind while it read volumes or wrote them: nobody waits for it.
//!
//! Each by itself: what cannot be removed now keeps nobody from anything, and goes the next time.

use std::collections::HashMap;

use bollard::query_parameters::{ListContainersOptions, ListImagesOptions, ListVolumesOptions};
use kontena_core::reconcile::action::ContainerId;

use super::carrier::HELD;
use super::{LIFE, PASSING};
use crate::docker::labels;
use crate::docker::trouble::Trouble;
use crate::docker::{Docker, READ_LIMIT};

type Labels = HashMap<String, String>;

impl Docker {
    /// Removes it, and lets go of the containers that hooks hold still.
    pub(in crate::docker) async fn remove_leftovers(&self, grid: &str) {
        let removed = async {
            self.remove_old_carriers(grid).await?;
            self.remove_old_images(grid).await?;
            self.remove_old_staged(grid).await
        };
        if let Err(trouble) = removed.await {
            let problem = trouble.problem();
            tracing::warn!(problem, "What was left behind of volumes is not known");
        }
    }

    fn is_of_another_life(&self, labels: &Labels) -> bool {
        labels.get(LIFE).is_none_or(|life| **life != *self.life)
    }

    async fn remove_old_carriers(&self, grid: &str) -> Result<(), Trouble> {
        let options = ListContainersOptions {
            all: true,
            filters: Some(of_grid(grid)),
            ..ListContainersOptions::default()
        };
        let found = self
            .call(READ_LIMIT, |client| async move {
                client.list_containers(Some(options)).await
            })
            .await?;
        for found in found {
            let labels = found.labels.unwrap_or_default();
            let Some(id) = found.id.filter(|_| self.is_of_another_life(&labels)) else {
                continue;
            };
            tracing::info!(container = %id, "Removing a container that nobody reads a volume through any more");
            for held in labels.get(HELD).iter().flat_map(|held| held.split(',')) {
                self.let_go(held).await;
            }
            if let Err(trouble) = self.remove_carrying(&id).await {
                let problem = trouble.problem();
                tracing::warn!(container = %id, problem, "It is left over");
            }
        }
        Ok(())
    }

    /// Runs what was to be run after the backup.
    async fn let_go(&self, container: &str) {
        let Ok(found) = self.inspect(container).await else {
            return;
        };
        let labels = found.config.and_then(|config| config.labels);
        let care = labels::care(&labels.unwrap_or_default());
        for hook in &care.post_backup {
            let id = ContainerId(container.to_owned());
            let ran = self.hook_of_backup(&id, hook, std::future::pending()).await;
            if let Err(problem) = ran {
                tracing::warn!(container, %problem, "A hook after a backup was not run to its end");
            }
        }
    }

    async fn remove_old_images(&self, grid: &str) -> Result<(), Trouble> {
        let options = ListImagesOptions {
            filters: Some(of_grid(grid)),
            ..ListImagesOptions::default()
        };
        let images = self
            .call(READ_LIMIT, |client| async move {
                client.list_images(Some(options)).await
            })
            .await?;
        let images = images.into_iter();
        for image in images.filter(|image| self.is_of_another_life(&image.labels)) {
            self.remove_empty_image(&image.id).await;
        }
        Ok(())
    }

    async fn remove_old_staged(&self, grid: &str) -> Result<(), Trouble> {
        let options = ListVolumesOptions {
            filters: Some(of_grid(grid)),
        };
        let listed = self
            .call(READ_LIMIT, |client| async move {
                client.list_volumes(Some(options)).await
            })
            .await?;
        let volumes = listed.volumes.into_iter().flatten();
        for volume in volumes.filter(|volume| self.is_of_another_life(&volume.labels)) {
            let name = &volume.name;
            tracing::info!(
                volume = name,
                "Removing a volume that nobody puts in place any more"
            );
            if let Err(trouble) = self.remove_staged(name).await {
                let problem = trouble.problem();
                tracing::warn!(volume = name, problem, "It is left over");
            }
        }
        Ok(())
    }
}

fn of_grid(grid: &str) -> HashMap<String, Vec<String>> {
    let label = format!("{PASSING}={grid}");
    HashMap::from([("label".to_owned(), vec![label])])
}
