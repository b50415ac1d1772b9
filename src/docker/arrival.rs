//! Docker volumes of data that comes to this node, or goes: made with the labels of the copy that they are, and removed again.

use std::collections::HashMap;
use std::path::PathBuf;

use anyhow::bail;
use bollard::models::ContainerSummary;
use bollard::query_parameters::ListContainersOptions;
use kontena_core::reconcile::action::{Failure, Outcome};
use kontena_core::volume::{Copy, Mounted};

use super::contents::PASSING;
use super::labels::GRID;
use super::volume::copy;
use super::{Docker, READ_LIMIT};

impl Docker {
    /// Whether the engine has a volume of that name, whoever made it.
    pub(crate) async fn has_volume(&self, name: &str) -> Result<bool, Failure> {
        Ok(self.find_volume(name).await?.is_some())
    }

    /// Whether it has the volume as that copy, which a person may have removed since it was made.
    pub(crate) async fn has_arrival(
        &self,
        name: &str,
        wanted: &Copy,
        grid: &str,
    ) -> Result<bool, Failure> {
        let found = self.find_volume(name).await?;
        Ok(found.is_some_and(|found| {
            let is_of_the_grid = found.labels.get(GRID).is_some_and(|of| of == grid);
            is_of_the_grid && copy(&found).as_ref() == Some(wanted)
        }))
    }

    /// One that is there is taken as it is.
    pub(crate) async fn ensure_arrival(&self, copy: &Mounted, grid: &str) -> Result<(), Failure> {
        self.make_volume(copy, grid).await
    }

    /// One of this name that is not that copy is somebody else's, and stays.
    pub(crate) async fn remove_arrival(&self, name: &str, copy: &Copy) -> Outcome {
        self.remove_volume(name, copy).await
    }

    /// The folder of a volume that is there, on the engine's host: whether that is this one only a look can tell.
    pub(crate) async fn files_of(&self, name: &str) -> Result<Option<PathBuf>, Failure> {
        let found = self.find_volume(name).await?;
        Ok(found.map(|volume| volume.mountpoint.into()))
    }

    /// The folder that the engine keeps everything in, if this host has it.
    pub(crate) async fn data_root(&self) -> Result<Option<PathBuf>, Failure> {
        let info = self
            .call(READ_LIMIT, |client| async move { client.info().await })
            .await?;
        let root = info.docker_root_dir.map(PathBuf::from);
        Ok(root.filter(|root| root.is_dir()))
    }

    /// That no container mounts the volume, whether it runs or not: what is to be in there is not there yet.
    ///
    /// # Errors
    /// One does, which is named.
    pub(crate) async fn check_is_nobodys(&self, volume: &str) -> anyhow::Result<()> {
        let filter = ("volume".to_owned(), vec![volume.to_owned()]);
        let options = ListContainersOptions {
            all: true,
            filters: Some(HashMap::from([filter])),
            ..ListContainersOptions::default()
        };
        let listed = self
            .call(READ_LIMIT, |client| async move {
                client.list_containers(Some(options)).await
            })
            .await;
        let listed = listed.map_err(Failure::from)?;
        match listed.iter().find(|container| has(container, volume)) {
            Some(container) => bail!(
                "the container `{}` mounts the volume `{volume}`, which is about to come",
                name_of(container)
            ),
            None => Ok(()),
        }
    }
}

/// Of what is made in passing, to read or to write the volume, nobody takes anything for data.
fn has(container: &ContainerSummary, volume: &str) -> bool {
    let labels = container.labels.as_ref();
    let is_in_passing = labels.is_some_and(|labels| labels.contains_key(PASSING));
    let mut mounts = container.mounts.iter().flatten();
    !is_in_passing && mounts.any(|mount| mount.name.as_deref() == Some(volume))
}

fn name_of(container: &ContainerSummary) -> &str {
    let names = container.names.as_deref().unwrap_or_default();
    let name = names.first().or(container.id.as_ref());
    name.map_or("", |name| name.trim_start_matches('/'))
}
